"""Annealed Langevin dynamics (Song & Ermon 2019, arXiv:1907.05600, algorithm 1).

    for i = 1 ... L:   a_i = e sigma_i^2 / sigma_L^2
        T times:       x <- x + (a_i / 2) score(x, sigma_i) + sqrt(a_i) z

Noise falls from level to level, so that the chain mixes where the density is nowhere low and is then led into the modes
in the right proportion. The data carry alpha = 1, and the time of the denoiser is sigma itself.
"""

import jax
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array, PyTree
from genjax.diffusion.sampler import Sampler, Step, gaussian_start, row
from genjax.processes.denoisers import Denoiser
from genjax.solvers import langevin_step


def annealed_langevin(
    denoise: Denoiser,
    sigmas: np.ndarray,
    *,
    step_size: float = 2e-5,
    steps_per_level: int = 100,
    denoise_last: bool = True,
    start_std: float | None = None,
) -> Sampler:
    """Return the sampler over noise levels.

    Args:
        denoise: (x [N, ...], sigma []) -> estimate of x_0.
        sigmas: [L], falling, positive.
        step_size: e, the length of a step at the last level.
        steps_per_level: T.
        denoise_last: end with x_0's estimate at the last level instead of x (Jolicoeur-Martineau et al. 2020,
            section 3); the noise of the last level is then not left in the samples.
        start_std: standard deviation of the first x; None: sigma_1. (The paper starts uniformly in [0, 1].)

    Returns:
        A sampler of L steps, one a level.
    """
    sigmas = np.asarray(sigmas, np.float64)
    lengths = step_size * (sigmas / sigmas[-1]) ** 2
    last = len(sigmas) - 1

    def step(key: Array, x: Array, memory: PyTree, n: Array) -> Step:
        sigma, length = row(sigmas, n), row(lengths, n)

        def move(x: Array, i: Array) -> tuple[Array, None]:
            score = (denoise(x, sigma) - x) / sigma**2
            noise = jax.random.normal(jax.random.fold_in(key, i), x.shape, x.dtype)
            return langevin_step(x, score, 0.5 * length, noise), None

        x, _ = jax.lax.scan(move, x, jnp.arange(steps_per_level))
        x0 = denoise(x, sigma)
        return Step(jnp.where((n == last) & denoise_last, x0, x), x0, memory)

    start = gaussian_start(sigmas[0] if start_std is None else start_std)
    return Sampler(np.append(sigmas, 0.0), start, step)
