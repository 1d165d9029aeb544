"""The stochastic sampler of EDM (Karras et al. 2022, arXiv:2206.00364, algorithms 1 and 2).

At alpha = 1, with time the standard deviation of the noise, each step adds a little noise (churn) and then follows the
probability-flow ODE, d x / d sigma = (x - x0(x, sigma)) / sigma, by Heun's scheme:

    gamma = min(S_churn / N, sqrt(2) - 1) where S_min <= sigma_i <= S_max, else 0
    s^ = (1 + gamma) sigma_i,   x^ = x + sqrt(s^2 - sigma_i^2) S_noise z
    d = (x^ - x0(x^, s^)) / s^,   x' = x^ + (sigma_{i+1} - s^) d
    where sigma_{i+1} > 0:   d' = (x' - x0(x', sigma_{i+1})) / sigma_{i+1},   x' = x^ + (sigma_{i+1} - s^) (d + d') / 2

Without churn it is algorithm 1, deterministic and of second order.
"""

import math

import jax
import numpy as np

from genjax.contract import Array, PyTree
from genjax.diffusion.sampler import Sampler, Step, gaussian_start, row
from genjax.processes.denoisers import Denoiser


def edm_sampler(
    denoise: Denoiser,
    sigmas: np.ndarray,
    *,
    churn: float = 0.0,
    churn_min: float = 0.0,
    churn_max: float = math.inf,
    noise_scale: float = 1.0,
    second_order: bool = True,
) -> Sampler:
    """Return the sampler over noise levels.

    Args:
        denoise: (x [N, ...], sigma []) -> estimate of x_0.
        sigmas: [N + 1], falling, positive but for the last, which may be 0; `processes.karras_sigmas`.
        churn: S_churn; 0 for no noise.
        churn_min, churn_max: S_min, S_max.
        noise_scale: S_noise.
        second_order: Heun's scheme, two evaluations a step but one in a last step to 0; else Euler's.
    """
    sigmas = np.asarray(sigmas, np.float64)
    num = len(sigmas) - 1
    inside = (sigmas[:-1] >= churn_min) & (sigmas[:-1] <= churn_max)
    raised = sigmas[:-1] * (1.0 + np.where(inside, min(churn / num, math.sqrt(2.0) - 1.0), 0.0))
    added = noise_scale * np.sqrt(np.maximum(raised**2 - sigmas[:-1] ** 2, 0.0))

    def step(key: Array, x: Array, memory: PyTree, n: Array) -> Step:
        sigma, after = row(raised, n), row(sigmas[1:], n)
        if churn > 0.0:
            x = x + row(added, n) * jax.random.normal(key, x.shape, x.dtype)
        x0 = denoise(x, sigma)
        slope = (x - x0) / sigma
        moved = x + (after - sigma) * slope
        if not second_order:
            return Step(moved, x0, memory)

        def correct(moved: Array) -> Array:
            again = (moved - denoise(moved, after)) / after
            return x + 0.5 * (after - sigma) * (slope + again)

        return Step(jax.lax.cond(after > 0.0, correct, lambda moved: moved, moved), x0, memory)

    return Sampler(sigmas, gaussian_start(sigmas[0]), step)
