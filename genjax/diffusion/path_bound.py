"""The variational bound of diffusion models in continuous time (Song, Durkan, Murray & Ermon 2021, arXiv:2101.09258).

The reverse stochastic equation with a learned score s is a model p of its own, beside the probability flow. For y that
stands at time e, theorem 3 (in the form of eq. 10) bounds

    -log p(y) <= E[-log pi(x_T)] + int_e^T E[ g^2 |s(x_t)|^2 / 2 + g^2 div s(x_t) - div f ] dt,   x_t ~ q(x_t | x_e = y)

    q(x_t | y) = N(k y, c^2 I),   k = alpha_t / alpha_e,   c^2 = sigma_t^2 - k^2 sigma_e^2,   div f = D alpha' / alpha

with equality where s is the score of p's own marginals: then bound and flow (`ode_log_prob`) are one number. The
divergence is had without derivatives, by Stein's identity and noise in pairs, which stays finite as c -> 0:

    E div s = E[ z . (s(k y + c z) - s(k y - c z)) ] / 2 c

What the linear score -x / V, V = alpha^2 data_std^2 + sigma^2, would give is subtracted, and its expectation added: for
data that are nearly normal little is then left to chance.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array
from genjax.diffusion.sampler import row
from genjax.distributions import LOG_2PI, per_example
from genjax.processes import Denoiser, Path, diffusion_squared, drift_rate, like, point_at, score_of_x0

LEAST_VARIANCE = 1e-6  # of c^2, which rounding may take below 0 at its start; the pair is then 0.002 apart


class PathBound(NamedTuple):
    """The terms of the bound, nats per example.

    prior: E[-log pi(x_T)], [B].
    path: the integral, [B], an unbiased estimate.
    """

    prior: Array
    path: Array


def path_bound(
    key: Array,
    denoise: Denoiser,
    path: Path,
    y: Array,
    times: np.ndarray,
    *,
    end_std: Array | float = 1.0,
    data_std: float = 1.0,
) -> PathBound:
    """Estimate the bound on -log p(y), by one pair of x_t in each interval of a grid.

    Args:
        key: of times and noise.
        denoise: (x_t [B, ...], t [B]) -> estimate of x_0.
        path: the forward process; sigma > 0 at the first time.
        y: reals that stand at times[0], [B, ...].
        times: [N + 1], from data to noise; t is uniform in each interval.
        end_std: of pi = N(0, end_std^2 I).
        data_std: of y about 0, roughly; the estimate is unbiased whatever it is.

    Returns:
        The PathBound; its sum bounds -log p(y).

    Raises:
        ValueError: y has no axis of examples, or holds integers.

    Reference: Song et al. 2021b, theorem 3 and eq. 10.
    """
    if y.ndim < 1 or not jnp.issubdtype(y.dtype, jnp.floating):
        raise ValueError(f"y has shape {y.shape} and {y.dtype}; the bound is of reals [B, ...].")
    dim = float(np.prod(y.shape[1:]))
    start = point_at(path, jnp.float32(times[0]))

    def kept(t: Array) -> tuple[Array, Array]:
        point = point_at(path, t)
        keep = point.alpha / start.alpha
        return keep, jnp.maximum(point.sigma**2 - (keep * start.sigma) ** 2, LEAST_VARIANCE)

    def rate(key: Array, t: Array) -> Array:
        point, (keep, variance) = point_at(path, t), kept(t)
        linear = 1.0 / ((point.alpha * data_std) ** 2 + point.sigma**2)
        z = jax.random.normal(key, y.shape, y.dtype)
        centre, away = like(keep, y) * y, like(jnp.sqrt(variance), y) * z
        pair = centre + away, centre - away
        scores = [score_of_x0(denoise(x, t), x, point) for x in pair]
        squares = 0.5 * sum(per_example(score**2 - (like(linear, x) * x) ** 2) for score, x in zip(scores, pair))
        squares += linear**2 * (per_example(centre**2) + dim * variance)
        divergence = per_example((scores[0] - scores[1]) * z) / (2.0 * jnp.sqrt(variance))
        divergence += linear * (per_example(z**2) - dim)
        return diffusion_squared(point) * (0.5 * squares + divergence) - dim * drift_rate(point)

    def interval(total: Array, n: Array) -> tuple[Array, None]:
        time_key, noise_key = jax.random.split(jax.random.fold_in(key, n))
        low, high = row(times, n), row(times[1:], n)
        t = low + (high - low) * jax.random.uniform(time_key, y.shape[:1])
        return total + (high - low) * rate(noise_key, t), None

    total, _ = jax.lax.scan(interval, jnp.zeros(y.shape[:1]), jnp.arange(len(times) - 1))
    keep, variance = kept(jnp.float32(times[-1]))
    squares = per_example((keep * y) ** 2) + dim * variance
    return PathBound(0.5 * squares / end_std**2 + dim * (jnp.log(end_std) + 0.5 * LOG_2PI), total)
