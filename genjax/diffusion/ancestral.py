"""Ancestral sampling (Ho et al. 2020, algorithm 2): the reverse process, step by step from x_T to x_0.

    p(x_{t-1} | x_t) = N(a_t x0(x_t, t) + b_t x_t, sigma_t^2 I),   t = T ... 1,   x_T ~ N(0, I)

that is q(x_{t-1} | x_t, x_0) (eq. 7) with a denoiser's estimate x0(x_t, t) in the place of x_0. With
x0 = (x_t - sqrt(1 - abar_t) eps) / sqrt(abar_t) its mean is the paper's (x_t - beta_t eps / sqrt(1 - abar_t)) /
sqrt(1 - beta_t) (eq. 11). The last step returns the mean: it adds no noise.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array
from genjax.processes import Denoiser, Schedule, num_steps, posterior_mean
from genjax.processes.schedules import at, require_variance


class Trajectory(NamedTuple):
    """What is seen on the way from noise to a sample, in the order it is made.

    steps: int32 [F + 1], the t of each frame: T ... 0.
    x: [F + 1, N, ...], x_t at these; the last is the sample.
    x0: [F, N, ...], what the denoiser took x_0 to be in the step that led to frame 1 ... F.
    """

    steps: Array
    x: Array
    x0: Array


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


def ancestral_sample(
    key: Array, denoise: Denoiser, schedule: Schedule, variance: np.ndarray, shape: tuple[int, ...]
) -> Array:
    """Draw samples by T steps, one `lax.scan`.

    Args:
        key: of all noise; step t uses fold_in(key, t), x_T uses fold_in(key, 0).
        denoise: (x_t [N, ...], t []) -> estimate of x_0 [N, ...].
        schedule: the forward process.
        variance: sigma_t^2, [T + 1].
        shape: (N, ...).

    Returns:
        x_0, float32 [N, ...].

    Reference: Ho et al. 2020, algorithm 2.
    """
    x, _ = _walk(key, _start(key, shape), _downwards(schedule), denoise, schedule, variance)
    return x


def ancestral_trajectory(
    key: Array, denoise: Denoiser, schedule: Schedule, variance: np.ndarray, shape: tuple[int, ...], *, frames: int
) -> Trajectory:
    """Draw the samples that `ancestral_sample` draws, and keep what lies on the way.

    Args:
        key, denoise, schedule, variance, shape: as there.
        frames: F, how many states are kept beside x_T; divides T.

    Returns:
        The Trajectory.

    Raises:
        ValueError: `frames` does not divide T.
    """
    total = num_steps(schedule)
    if frames < 1 or total % frames:
        raise ValueError(f"{frames} frames do not divide {total} steps.")

    def stretch(x: Array, steps: Array) -> tuple[Array, tuple[Array, Array]]:
        x, x0 = _walk(key, x, steps, denoise, schedule, variance)
        return x, (x, x0)

    start = _start(key, shape)
    _, (x, x0) = jax.lax.scan(stretch, start, _downwards(schedule).reshape(frames, -1))
    steps = jnp.arange(total, -1, -(total // frames), dtype=jnp.int32)
    return Trajectory(steps, jnp.concatenate([start[None], x]), x0)


def _walk(key: Array, x: Array, steps: Array, denoise: Denoiser, schedule: Schedule, variance: np.ndarray):
    """Make the steps t given, in order; return (x, the last estimate of x_0)."""

    def step(carry: tuple[Array, Array], t: Array) -> tuple[tuple[Array, Array], None]:
        return ancestral_step(jax.random.fold_in(key, t), carry[0], t, denoise, schedule, variance), None

    (x, x0), _ = jax.lax.scan(step, (x, jnp.zeros_like(x)), steps)
    return x, x0


def _start(key: Array, shape: tuple[int, ...]) -> Array:
    return jax.random.normal(jax.random.fold_in(key, 0), shape)


def _downwards(schedule: Schedule) -> Array:
    return jnp.arange(num_steps(schedule), 0, -1, dtype=jnp.int32)
