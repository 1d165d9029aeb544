"""Samplers: from noise to data along a grid of times, each one `lax.scan` of a step.

A Sampler is three functions and a grid. Builders make one of a denoiser (`genjax.diffusion.ddim`, `multistep`,
`stochastic`, `edm_sampling`, ...); wrappers make one of another (`inpainting`, guidance by shifting the mean, Langevin
corrections); guidance of the denoiser is a wrapper of the denoiser (`guidance`). `draw` runs one, `draw_from` runs it
from a given x, `draw_trajectory` keeps what lies on the way.

Step n leads from times[n] to times[n + 1] and uses the key fold_in(key, N - n), the start fold_in(key, 0).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array, PyTree


class Step(NamedTuple):
    """What a step returns.

    x: at the next time, [N, ...].
    x0: what x_0 was taken to be, [N, ...].
    memory: for the next step.
    """

    x: Array
    x0: Array
    memory: PyTree = ()


class Sampler(NamedTuple):
    """A way from noise to data.

    times: [N + 1], from noise to data; of whatever the denoiser takes as time.
    start: (key, shape) -> x at times[0].
    step: (key, x, memory, n) -> Step, n a traced int32 in 0 ... N - 1.
    memory: x -> what the first step is handed, of the structure that steps return.
    """

    times: np.ndarray
    start: Callable[[Array, tuple[int, ...]], Array]
    step: Callable[[Array, Array, PyTree, Array], Step]
    memory: Callable[[Array], PyTree] = lambda x: ()


class Trajectory(NamedTuple):
    """What is seen on the way from noise to a sample, in the order it is made.

    times: [F + 1], of each frame, from noise to data.
    x: [F + 1, N, ...], x at these; the last is the sample.
    x0: [F, N, ...], what x_0 was taken to be in the step that led to frame 1 ... F.
    """

    times: np.ndarray
    x: Array
    x0: Array


def draw(sampler: Sampler, key: Array, shape: tuple[int, ...]) -> Array:
    """Draw samples of `shape` (N, ...)."""
    return draw_from(sampler, key, sampler.start(jax.random.fold_in(key, 0), shape))


def draw_from(sampler: Sampler, key: Array, x: Array) -> Array:
    """Return where x [N, ...], which stands at the sampler's first time, is led."""
    x, _, _ = _walk(sampler, key, (x, jnp.zeros_like(x), sampler.memory(x)), _steps(sampler))
    return x


def draw_trajectory(sampler: Sampler, key: Array, shape: tuple[int, ...], *, frames: int) -> Trajectory:
    """Draw the samples that `draw` draws, and keep what lies on the way.

    Args:
        sampler: of N steps.
        key: as in `draw`.
        shape: (N, ...).
        frames: F, how many states are kept beside the first; divides the number of steps.

    Raises:
        ValueError: `frames` does not divide the number of steps.
    """
    total = len(sampler.times) - 1
    if frames < 1 or total % frames:
        raise ValueError(f"{frames} frames do not divide {total} steps.")

    def stretch(carry: tuple, steps: Array) -> tuple[tuple, tuple[Array, Array]]:
        carry = _walk(sampler, key, carry, steps)
        return carry, carry[:2]

    x = sampler.start(jax.random.fold_in(key, 0), shape)
    first = (x, jnp.zeros_like(x), sampler.memory(x))
    _, (path, x0) = jax.lax.scan(stretch, first, _steps(sampler).reshape(frames, -1))
    return Trajectory(sampler.times[:: total // frames], jnp.concatenate([x[None], path]), x0)


def gaussian_start(std: float) -> Callable[[Array, tuple[int, ...]], Array]:
    """Return the start x ~ N(0, std^2 I)."""
    return lambda key, shape: std * jax.random.normal(key, shape)


def row(table: np.ndarray, n: Array) -> Array:
    """Return row n of a table that was made on the host: float32, under `jax_enable_x64` float64; integers stay so."""
    return jnp.asarray(table)[n]


def _steps(sampler: Sampler) -> Array:
    return jnp.arange(len(sampler.times) - 1, dtype=jnp.int32)


def _walk(sampler: Sampler, key: Array, carry: tuple, steps: Array) -> tuple:
    total = len(sampler.times) - 1

    def one(carry: tuple, n: Array) -> tuple[tuple, None]:
        x, _, memory = carry
        step = sampler.step(jax.random.fold_in(key, total - n), x, memory, n)
        return (step.x, step.x0, step.memory), None

    return jax.lax.scan(one, carry, steps)[0]
