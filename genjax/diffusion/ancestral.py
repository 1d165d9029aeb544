"""Ancestral sampling (Ho et al. 2020, algorithm 2): the reverse process, step by step from x_T to x_0.

    p(x_{t-1} | x_t) = N(a_t x0(x_t, t) + b_t x_t, sigma_t^2 I),   t = T ... 1,   x_T ~ N(0, I)

that is q(x_{t-1} | x_t, x_0) (eq. 7) with a denoiser's estimate x0(x_t, t) in the place of x_0. With
x0 = (x_t - sqrt(1 - abar_t) eps) / sqrt(abar_t) its mean is the paper's (x_t - beta_t eps / sqrt(1 - abar_t)) /
sqrt(1 - beta_t) (eq. 11). The last step returns the mean: it adds no noise.
"""

import jax
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array, PyTree
from genjax.diffusion.sampler import Sampler, Step, gaussian_start
from genjax.processes import Denoiser, Schedule, num_steps, posterior_mean
from genjax.processes.schedules import at, require_variance


def ancestral_step(
    key: Array, x_t: Array, t: Array, denoise: Denoiser, schedule: Schedule, variance: np.ndarray
) -> tuple[Array, Array]:
    """Draw x_{t-1} ~ p(x_{t-1} | x_t).

    Args:
        key: of the step's noise.
        x_t: [N, ...].
        t: integer scalar in 1 ... T.
        denoise: (x_t, t) -> estimate of x_0.
        schedule: the forward process.
        variance: sigma_t^2, [T + 1]; `upper_variance(schedule)` or `lower_variance(schedule)`.

    Returns:
        x_{t-1} and the estimate of x_0, both [N, ...].

    Raises:
        ValueError: the variance is not [T + 1].

    Reference: Ho et al. 2020, algorithm 2, lines 3 and 4.
    """
    require_variance(schedule, variance)
    x0 = denoise(x_t, t)
    std = jnp.where(t > 1, jnp.sqrt(at(variance, t)), 0.0)
    noise = jax.random.normal(key, x_t.shape, x_t.dtype)
    return posterior_mean(schedule, x0, x_t, t) + std * noise, x0


def ancestral(denoise: Denoiser, schedule: Schedule, variance: np.ndarray) -> Sampler:
    """Return the sampler of T steps, t = T ... 1, from x_T ~ N(0, I).

    Args:
        denoise: (x_t [N, ...], t []) -> estimate of x_0 [N, ...].
        schedule: the forward process.
        variance: sigma_t^2, [T + 1].

    Reference: Ho et al. 2020, algorithm 2.
    """
    total = num_steps(schedule)

    def step(key: Array, x: Array, memory: PyTree, n: Array) -> Step:
        return Step(*ancestral_step(key, x, total - n, denoise, schedule, variance), memory)

    return Sampler(np.arange(total, -1, -1, dtype=np.int32), gaussian_start(1.0), step)
