"""Samplers of the reverse stochastic differential equation (Song et al. 2021, arXiv:2011.13456).

    Euler-Maruyama       x_s = x_t + [u - (l^2 / 2) g^2 score] h + l g sqrt|h| z,   h = s - t           eq. 6
    reverse diffusion    x_s = (2 - a) x_t + b^2 score + b z                                            eq. 46
    ancestral            x_s ~ q(x_s | x_t, x0): `ddim` with eta = 1                                    eq. 47
    Langevin corrector   x <- x + e score + sqrt(2 e) z,   e = 2 a^2 (r |z| / |score|)^2                algorithms 4, 5

with a = alpha_t / alpha_s and b^2 = sigma_t^2 - a^2 sigma_s^2, the forward process x_t = a x_s + b z of a step; a^2 is
1 - beta on VP and 1 on VE paths. The last step of a predictor returns its mean, without noise.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array, PyTree
from genjax.diffusion.sampler import Sampler, Step, gaussian_start, row
from genjax.processes.denoisers import Denoiser
from genjax.processes.gaussian import Point
from genjax.processes.grids import coefficients
from genjax.processes.paths import Path, point_at
from genjax.processes.sde import diffusion_squared, drift_rate, score_of_x0
from genjax.solvers import langevin_step


def euler_maruyama(
    denoise: Denoiser,
    path: Path,
    times: np.ndarray,
    *,
    stochasticity: float = 1.0,
    start_std: float | None = None,
) -> Sampler:
    """Return the Euler-Maruyama scheme of the reverse equation.

    Args:
        denoise: (x_t [N, ...], t []) -> estimate of x_0.
        path: in continuous time.
        times: [N + 1], falling, alpha and sigma > 0 at all but the last.
        stochasticity: l; 0 is Euler's scheme of the probability-flow ODE.
        start_std: standard deviation of the first x; None: the path's sigma there.
    """
    times = np.asarray(times, np.float64)
    with jax.ensure_compile_time_eval():
        point = point_at(path, jnp.asarray(times[:-1], jnp.float32))
        rate, g2 = np.asarray(drift_rate(point), np.float64), np.asarray(diffusion_squared(point), np.float64)
        alpha, sigma = np.asarray(point.alpha, np.float64), np.asarray(point.sigma, np.float64)
    h = np.diff(times)
    # h [f x - (1 + l^2) / 2 g^2 (alpha x0 - x) / sigma^2], sorted by x and x0
    pull = 0.5 * (1.0 + stochasticity**2) * g2 / sigma**2
    noise = stochasticity * np.sqrt(g2 * np.abs(h)) * (np.arange(len(h)) < len(h) - 1)
    table = np.stack([1.0 + h * (rate + pull), -h * pull * alpha, noise], axis=1)
    return _linear(denoise, times, table, sigma[0] if start_std is None else start_std)


def reverse_diffusion(
    denoise: Denoiser, point_of: Callable[[Array], Point], times: np.ndarray, *, start_std: float | None = None
) -> Sampler:
    """Return the reverse-diffusion predictor: the reverse equation discretized as the forward one is.

    Args:
        denoise: (x_t [N, ...], t []) -> estimate of x_0.
        point_of: t -> the path there.
        times: [N + 1], from noise to data; alpha > 0 at all, sigma > 0 at all but the last.
        start_std: as in `euler_maruyama`.

    Reference: Song et al. 2021, eq. 46 and algorithms 2, 3.
    """
    alpha, sigma = coefficients(point_of, times)
    a = alpha[:-1] / alpha[1:]
    b = np.sqrt(np.maximum(sigma[:-1] ** 2 - (a * sigma[1:]) ** 2, 0.0))
    # (2 - a) x + b^2 (alpha x0 - x) / sigma^2 + b z
    push = (b / sigma[:-1]) ** 2
    table = np.stack([2.0 - a - push, push * alpha[:-1], np.where(np.arange(len(b)) < len(b) - 1, b, 0.0)], axis=1)

    return _linear(denoise, times, table, sigma[0] if start_std is None else start_std)


def _linear(denoise: Denoiser, times: np.ndarray, table: np.ndarray, start_std: float) -> Sampler:
    """Return the sampler of x <- table[n, 0] x + table[n, 1] x0 + table[n, 2] z."""

    def step(key: Array, x: Array, memory: PyTree, n: Array) -> Step:
        of_x, of_x0, std = row(table, n)
        x0 = denoise(x, row(times, n))
        return Step(of_x * x + of_x0 * x0 + std * jax.random.normal(key, x.shape, x.dtype), x0, memory)

    return Sampler(np.asarray(times), gaussian_start(start_std), step)


def corrected(
    sampler: Sampler,
    denoise: Denoiser,
    point_of: Callable[[Array], Point],
    *,
    signal_to_noise: float = 0.16,
    num: int = 1,
) -> Sampler:
    """Return the sampler with Langevin corrections of x_t before each of its steps (predictor-corrector).

    As in the authors' code the corrector comes first, so that the last move is the predictor's; algorithms 2 and 3 of
    the paper begin with the predictor.

    Args:
        sampler: the predictor.
        denoise: (x_t [N, ...], t []) -> estimate of x_0.
        point_of: t -> the path there.
        signal_to_noise: r; the larger, the longer the step.
        num: corrections a step.

    Reference: Song et al. 2021, algorithms 4 and 5.
    """
    times = sampler.times
    alpha, _ = coefficients(point_of, times)
    shrink = (alpha[:-1] / alpha[1:]) ** 2

    def correct(i: int, carry: tuple[Array, Array], n: Array) -> tuple[Array, Array]:
        x, key = carry
        t = row(times, n)
        score = score_of_x0(denoise(x, t), x, point_of(t))
        noise = jax.random.normal(jax.random.fold_in(key, i), x.shape, x.dtype)
        size = lambda v: jnp.mean(jnp.linalg.norm(v.reshape(v.shape[0], -1), axis=1))
        length = 2.0 * row(shrink, n) * (signal_to_noise * size(noise) / size(score)) ** 2
        return langevin_step(x, score, length, noise), key

    def step(key: Array, x: Array, memory: PyTree, n: Array) -> Step:
        own, corrections = jax.random.split(key)
        x, _ = jax.lax.fori_loop(0, num, lambda i, carry: correct(i, carry, n), (x, corrections))
        return sampler.step(own, x, memory, n)

    return sampler._replace(step=step)
