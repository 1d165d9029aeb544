"""Explicit Runge-Kutta steps, and integration over a grid of times as one `lax.scan`.

A velocity is a function (x, t) -> dx/dt of any pytree x; times may rise or fall. The loop calls the velocity, a step
is arithmetic. For gradients, `integrate` keeps every step's stages; `integrate_checkpointed` keeps the state at about
sqrt(N) of N steps and makes the rest again (Chen et al. 2016, arXiv:1604.06174, section 4.1).
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from genjax.contract import Array, PyTree
from genjax.solvers.tableaus import Tableau

Velocity = Callable[[PyTree, Array], PyTree]


def stages(velocity: Velocity, x: PyTree, t: Array, h: Array, tableau: Tableau) -> list[PyTree]:
    """Return k_1 ... k_s of a step of length h from (x, t)."""
    slopes: list[PyTree] = []
    for row, place in zip(tableau.a, tableau.c):
        slopes.append(velocity(move(x, h, row, slopes), t + place * h))
    return slopes


def move(x: PyTree, h: Array, weights: tuple[float, ...], slopes: list[PyTree]) -> PyTree:
    """Return x + h sum_i weights_i slopes_i."""
    used = [(w, k) for w, k in zip(weights, slopes) if w != 0.0]
    if not used:
        return x
    total = jax.tree.map(lambda *ks: sum(w * k for (w, _), k in zip(used, ks)), *(k for _, k in used))
    return jax.tree.map(lambda x, k: x + h.astype(x.dtype) * k, x, total)


def ode_step(velocity: Velocity, x: PyTree, t: Array, h: Array, *, tableau: Tableau) -> PyTree:
    """Return x after one step of length h from time t."""
    t, h = jnp.asarray(t), jnp.asarray(h)
    return move(x, h, tableau.b, stages(velocity, x, t, h, tableau))


def integrate(velocity: Velocity, x: PyTree, times: Array, *, tableau: Tableau) -> PyTree:
    """Solve dx/dt = velocity(x, t) from times[0] to times[-1], a step between neighbours.

    Args:
        velocity: (x, t) -> dx/dt, of x's structure and shapes.
        x: where it starts, any pytree of arrays.
        times: [N + 1], rising or falling.
        tableau: the scheme.

    Returns:
        x at times[-1].

    Raises:
        ValueError: fewer than two times.
    """
    return _walk(velocity, x, *_intervals(times), tableau)


def trajectory(velocity: Velocity, x: PyTree, times: Array, *, tableau: Tableau) -> PyTree:
    """Return what `integrate` passes through: x at all of `times`, each leaf with a leading axis [N + 1]."""

    def step(x: PyTree, interval: tuple[Array, Array]) -> tuple[PyTree, PyTree]:
        x = ode_step(velocity, x, *interval, tableau=tableau)
        return x, x

    _, path = lax.scan(step, x, _intervals(times))
    return jax.tree.map(lambda start, rest: jnp.concatenate([start[None], rest]), x, path)


def integrate_checkpointed(velocity: Velocity, x: PyTree, times: Array, *, tableau: Tableau) -> PyTree:
    """Return `integrate`'s result; its gradient takes memory of about sqrt(N) steps and one pass more."""
    starts, lengths = _intervals(times)
    num = starts.shape[0]
    size = max(d for d in range(1, math.isqrt(num) + 1) if num % d == 0)  # of a segment; all segments are equal
    segments = tuple(part.reshape(num // size, size) for part in (starts, lengths))

    @jax.checkpoint
    def segment(x: PyTree, intervals: tuple[Array, Array]) -> PyTree:
        return _walk(velocity, x, *intervals, tableau)

    return lax.scan(lambda x, intervals: (segment(x, intervals), None), x, segments)[0]


def _walk(velocity: Velocity, x: PyTree, starts: Array, lengths: Array, tableau: Tableau) -> PyTree:
    step = lambda x, interval: (ode_step(velocity, x, *interval, tableau=tableau), None)
    return lax.scan(step, x, (starts, lengths))[0]


def _intervals(times: Array) -> tuple[Array, Array]:
    times = jnp.asarray(times)
    if times.ndim != 1 or times.shape[0] < 2:
        raise ValueError(f"times have shape {times.shape}; a grid is [N + 1], N at least 1.")
    return times[:-1], times[1:] - times[:-1]
