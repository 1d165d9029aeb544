"""Marginal fields in closed form: of a Gaussian path to a mixture of Gaussians, or to the points of a data set.

    p_t(x) = sum_k w_k N(x; alpha m_k, v_k I),   v_k = alpha^2 s_k^2 + sigma^2
    u_t(x) = sum_k p_t(k | x) u_t(x | k)                                          Lipman et al. 2023, eq. 8

A component of standard deviation s_k = 0 is a data point: u_t is then what training on that data set tends to. All is
known, so that samplers, likelihoods and pictures can be had without a network.
"""

import jax
import jax.numpy as jnp

from genjax.contract import Array
from genjax.distributions import LOG_2PI
from genjax.processes import VELOCITY, Path, Point, point_at


def mixture_velocity(
    path: Path, means: Array, stds: Array, x: Array, t: Array, *, weights: Array | None = None
) -> Array:
    """Return the marginal field u_t(x) of a Gaussian path to a mixture of Gaussians.

    Args:
        path: of `genjax.processes`; t here is its 1 - t.
        means: m_k, [K, D].
        stds: s_k >= 0, [K]; 0 for data points.
        x: [B, D].
        t: [] or [B], in [0, 1]; below 1 where a component is a point.
        weights: w_k, [K], summing to 1; default 1 / K.

    Returns:
        [B, D].

    Raises:
        ValueError: x is not [B, D] or the means are not [K, D].

    Reference: Lipman et al. 2023, eq. 8.
    """
    point, away, variance, log_p = _components(path, means, stds, x, t, weights)
    posterior = jax.nn.softmax(log_p, axis=1)[..., None]
    alpha, sigma = (c[:, None, None] for c in point[:2])
    x1 = means[None] + alpha * (stds**2)[None, :, None] / variance * away
    field = VELOCITY.target(
        jnp.sum(posterior * x1, axis=1), jnp.sum(posterior * sigma / variance * away, axis=1), point
    )
    return -field  # the path's time runs from the data


def mixture_log_density(
    path: Path, means: Array, stds: Array, x: Array, t: Array, *, weights: Array | None = None
) -> Array:
    """Return log p_t(x) of the marginals that `mixture_velocity` moves through, [B] in nats; arguments as there."""
    return jax.nn.logsumexp(_components(path, means, stds, x, t, weights)[3], axis=1)


def _components(
    path: Path, means: Array, stds: Array, x: Array, t: Array, weights: Array | None
) -> tuple[Point, Array, Array, Array]:
    """Return the point [B], x - alpha m_k [B, K, D], v_k [B, K, 1] and log w_k N(x; ...) [B, K]."""
    if x.ndim != 2 or means.ndim != 2 or means.shape[1] != x.shape[1] or stds.shape != means.shape[:1]:
        raise ValueError(f"x {x.shape}, means {means.shape}, stds {stds.shape} must have shapes [B, D], [K, D], [K].")
    point = point_at(path, 1.0 - jnp.broadcast_to(jnp.asarray(t, x.dtype), x.shape[:1]))
    alpha, sigma = point.alpha[:, None], point.sigma[:, None]
    variance = alpha**2 * (stds**2)[None] + sigma**2
    away = x[:, None] - alpha[..., None] * means[None]
    log_w = jnp.full(stds.shape, -jnp.log(1.0 * len(stds))) if weights is None else jnp.log(weights)
    squares = jnp.sum(away**2, axis=2) / variance
    log_p = log_w[None] - 0.5 * (squares + x.shape[1] * (jnp.log(variance) + LOG_2PI))
    return point, away, variance[..., None], log_p
