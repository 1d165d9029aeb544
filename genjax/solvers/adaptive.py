"""Integration with steps as long as a tolerance allows.

A step by an embedded pair estimates its own error e. It is accepted where

    E = rms(e / (atol + rtol max(|x|, |x'|))) <= 1,

and the next one is h 0.9 E^(-0.7 / p) E_before^(0.4 / p) long, p the pair's order, within [0.2, 10] times h: a
proportional-integral controller (Hairer and Wanner 1996, Solving Ordinary Differential Equations II, section IV.2).
The loop is bounded and cannot be differentiated backwards; `genjax.solvers.adjoint` gives its gradient.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from genjax.contract import Array, PyTree
from genjax.solvers.ode import Velocity, move, stages
from genjax.solvers.tableaus import DORMAND_PRINCE, Tableau


class Solution(NamedTuple):
    """Where an adaptive solve ended.

    x: at the end of the interval; NaN where the steps ran out before it.
    accepted: int32, steps made.
    rejected: int32, steps tried and thrown away.
    finished: whether the end was reached.
    """

    x: PyTree
    accepted: Array
    rejected: Array
    finished: Array


class _Loop(NamedTuple):
    x: PyTree
    t: Array
    h: Array
    error_before: Array
    accepted: Array
    rejected: Array


def integrate_adaptive(
    velocity: Velocity,
    x: PyTree,
    start: Array,
    end: Array,
    *,
    tableau: Tableau = DORMAND_PRINCE,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    max_steps: int = 1000,
) -> Solution:
    """Solve dx/dt = velocity(x, t) from `start` to `end`.

    Args:
        velocity: (x, t) -> dx/dt, of x's structure and shapes.
        x: where it starts, any pytree of arrays; all of it takes the same steps.
        start: scalar.
        end: scalar, above or below `start`.
        tableau: a pair.
        rtol: relative tolerance of a step.
        atol: absolute tolerance of a step.
        max_steps: how many steps may be tried (static).

    Returns:
        The Solution.

    Raises:
        ValueError: the tableau has no embedded scheme.
    """
    if not tableau.error:
        raise ValueError(f"a scheme of order {tableau.order} without an embedded one cannot estimate its error.")
    dtype = jnp.result_type(*jax.tree.leaves(x))
    start, end = jnp.asarray(start, dtype), jnp.asarray(end, dtype)

    def unfinished(loop: _Loop) -> Array:
        return (loop.t != end) & (loop.accepted + loop.rejected < max_steps)

    def step(loop: _Loop) -> _Loop:
        remaining = end - loop.t
        last = jnp.abs(loop.h) >= jnp.abs(remaining)
        h = jnp.where(last, remaining, loop.h)
        slopes = stages(velocity, loop.x, loop.t, h, tableau)
        moved = move(loop.x, h, tableau.b, slopes)
        zero = jax.tree.map(jnp.zeros_like, loop.x)
        error = _scaled_rms(move(zero, h, tableau.error, slopes), loop.x, moved, rtol, atol)
        good = error <= 1.0  # false for NaN: the step is tried again, shorter
        floor = jnp.asarray(1e-10, dtype)
        bounded = jnp.where(jnp.isfinite(error), jnp.maximum(error, floor), 1e10)
        factor = 0.9 * bounded ** (-0.7 / tableau.order) * loop.error_before ** (0.4 / tableau.order)
        factor = jnp.clip(factor, 0.2, jnp.where(good, 10.0, 1.0))
        return _Loop(
            x=jax.tree.map(lambda new, old: jnp.where(good, new, old), moved, loop.x),
            t=jnp.where(good, jnp.where(last, end, loop.t + h), loop.t),
            h=h * factor,
            error_before=jnp.where(good, bounded, loop.error_before),
            accepted=loop.accepted + good.astype(jnp.int32),
            rejected=loop.rejected + (~good).astype(jnp.int32),
        )

    zero = jnp.zeros((), jnp.int32)
    loop = _Loop(x, start, 0.05 * (end - start), jnp.ones((), dtype), zero, zero)
    loop = lax.while_loop(unfinished, step, loop)
    finished = loop.t == end
    x = jax.tree.map(lambda leaf: jnp.where(finished, leaf, jnp.nan), loop.x)
    return Solution(x, loop.accepted, loop.rejected, finished)


def _scaled_rms(error: PyTree, before: PyTree, after: PyTree, rtol: float, atol: float) -> Array:
    """Return the root mean square over all entries of all leaves."""

    def squares(error: Array, before: Array, after: Array) -> Array:
        return jnp.sum((error / (atol + rtol * jnp.maximum(jnp.abs(before), jnp.abs(after)))) ** 2)

    total = sum(jax.tree.leaves(jax.tree.map(squares, error, before, after)))
    return jnp.sqrt(total / sum(leaf.size for leaf in jax.tree.leaves(error)))
