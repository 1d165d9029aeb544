"""Denoising diffusion implicit models (Song, Meng & Ermon 2021, arXiv:2010.02502): fewer steps, less noise.

    x_s = alpha_s x0 + sqrt(sigma_s^2 - c^2) eps + c z,    x0, eps at (x_t, t),   s < t                          eq. 12
    c = eta (sigma_s / sigma_t) sqrt(sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2)                                  eq. 16

over any sub-sequence of times. eta = 0 is deterministic, a first-order solver of the probability-flow ODE, and can be
run the other way (`invert`); eta = 1 draws from q(x_s | x_t, x0), over all steps the ancestral sampler with the lower
variance. Written for any Gaussian path: for alpha = 1 and eta = 1 it is the ancestral sampler of Song et al. 2021,
eq. 47.
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


def ddim(
    denoise: Denoiser,
    point_of: Callable[[Array], Point],
    times: np.ndarray,
    *,
    eta: float = 0.0,
    start_std: float | None = None,
) -> Sampler:
    """Return the sampler over a grid of times.

    Args:
        denoise: (x_t [N, ...], t []) -> estimate of x_0.
        point_of: t -> the path there.
        times: [N + 1], from noise to data; sigma > 0 at all but the last, alpha > 0 at all but the first.
        eta: from 0, without noise, to 1.
        start_std: standard deviation of the first x; None: the path's sigma there.

    Raises:
        ValueError: noise is asked for where alpha is 0.
    """
    alpha, sigma = coefficients(point_of, times)
    if eta > 0.0 and np.any(alpha == 0.0):
        raise ValueError("with eta > 0 the grid must start where alpha > 0: at alpha = 0 x says nothing of x_0.")
    before, after = (alpha[:-1], sigma[:-1]), (alpha[1:], sigma[1:])
    # What is new between s and t is sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2.
    fresh = np.maximum(before[1] ** 2 - (before[0] / after[0] * after[1]) ** 2, 0.0)
    noise = eta * after[1] / before[1] * np.sqrt(fresh)
    direction = np.sqrt(np.maximum(after[1] ** 2 - noise**2, 0.0))
    # x_s = of_x0 x0 + of_x x + noise z, with eps = (x - alpha x0) / sigma.
    of_x = direction / before[1]
    of_x0 = after[0] - of_x * before[0]
    table = np.stack([of_x0, of_x, noise], axis=1)

    def step(key: Array, x: Array, memory: PyTree, n: Array) -> Step:
        a, b, c = row(table, n)
        x0 = denoise(x, row(times, n))
        x = a * x0 + b * x
        if eta > 0.0:
            x = x + c * jax.random.normal(key, x.shape, x.dtype)
        return Step(x, x0, memory)

    return Sampler(np.asarray(times), gaussian_start(sigma[0] if start_std is None else start_std), step)


def invert(denoise: Denoiser, point_of: Callable[[Array], Point], times: np.ndarray, x: Array) -> Array:
    """Return the noise that `ddim` with eta = 0 leads to x, up to the error of its steps.

    Args:
        denoise: (x_t [N, ...], t []) -> estimate of x_0.
        point_of: t -> the path there.
        times: [N + 1], from data to noise, sigma > 0 at all: x is taken to stand at the first of them.
        x: [N, ...].

    Returns:
        [N, ...], x at the last time.

    Raises:
        ValueError: sigma is 0 at the first time, where eps is not determined.

    Reference: Song et al. 2021 (DDIM), section 4.3 and eq. 14.
    """
    alpha, sigma = coefficients(point_of, times)
    if np.any(sigma == 0.0):
        raise ValueError("inversion must start where sigma > 0; take the smallest such time for that of the data.")
    of_x = sigma[1:] / sigma[:-1]
    table = np.stack([alpha[1:] - of_x * alpha[:-1], of_x], axis=1)

    def step(x: Array, n: Array) -> tuple[Array, None]:
        a, b = row(table, n)
        return a * denoise(x, row(times, n)) + b * x, None

    return jax.lax.scan(step, x, jnp.arange(len(times) - 1))[0]
