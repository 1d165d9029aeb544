"""The Gaussian path under diffusion and flow matching alike.

    x_t = alpha_t x_0 + sigma_t eps,   eps ~ N(0, I):   data at one end of time, noise at the other.

A `Point` is where a path stands at given times: alpha and sigma, and, where a network predicts velocities, their
rates d alpha / dt and d sigma / dt. Paths in continuous time (`genjax.processes.paths`) and schedules of discrete
steps (`genjax.processes.schedules`) both give points, so that what follows from alpha and sigma alone is written once:
the forward process here, the conversions between predictions in `genjax.processes.predictions`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax.contract import Array


class Point(NamedTuple):
    """A path at times t: scalars, or one number an example.

    alpha: [] or [B], factor of the data, >= 0.
    sigma: [] or [B], standard deviation of the noise, >= 0.
    alpha_rate: d alpha / dt, or None where time is discrete.
    sigma_rate: d sigma / dt, or None.
    """

    alpha: Array
    sigma: Array
    alpha_rate: Array | None = None
    sigma_rate: Array | None = None


def like(coefficient: Array, x: Array) -> Array:
    """Give coefficients [] or [B] the rank of x [B, ...], so that they multiply example by example.

    Raises:
        ValueError: the coefficients are neither a scalar nor one an example.
    """
    coefficient = jnp.asarray(coefficient)
    if coefficient.ndim == 0:
        return coefficient
    if coefficient.shape != x.shape[:1]:
        raise ValueError(f"coefficients of shape {coefficient.shape} are not one an example of x, shape {x.shape}.")
    return coefficient.reshape(coefficient.shape + (1,) * (x.ndim - 1))


def diffuse(x0: Array, eps: Array, point: Point) -> Array:
    """Return x_t = alpha x_0 + sigma eps.

    Args:
        x0: data [B, ...], real.
        eps: standard normal noise of the same shape.
        point: the path at one time, or at one an example.

    Returns:
        x_t, [B, ...].

    Raises:
        ValueError: shapes differ, or x_0 holds integers (stored levels, not yet scaled).
    """
    if x0.shape != eps.shape:
        raise ValueError(f"data of shape {x0.shape} and noise of shape {eps.shape} differ.")
    if not jnp.issubdtype(x0.dtype, jnp.floating):
        raise ValueError(f"x_0 must hold reals, got {x0.dtype}: scale stored levels first.")
    return like(point.alpha, x0) * x0 + like(point.sigma, x0) * eps


def forward(key: Array, x0: Array, point: Point) -> tuple[Array, Array]:
    """Draw x_t ~ q(x_t | x_0); return it and the noise it was made with, both [B, ...]. See `diffuse`."""
    eps = jax.random.normal(key, x0.shape, x0.dtype)
    return diffuse(x0, eps, point), eps


def log_snr(point: Point) -> Array:
    """Return log(alpha^2 / sigma^2), [] or [B]: +inf at the data, -inf at pure noise."""
    return 2.0 * (jnp.log(point.alpha) - jnp.log(point.sigma))
