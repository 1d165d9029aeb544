"""The linear assignment problem, solved exactly inside a compiled program.

    min over permutations pi of sum_i C[i, pi(i)]

Rows are assigned one after another, each along a shortest augmenting path in reduced costs C[i, j] - u_i - v_j >= 0,
which are 0 on what is assigned; the potentials u and v are the dual solution and prove optimality. To begin with, v_j
is the least of column j and u_i the least of row i after that, and every row takes its least column unless a row before
it has. Each row that is left costs at most N steps of O(N).

Reference: Jonker & Volgenant 1987, Computing 38; Crouse 2016, IEEE Trans. Aerospace and Electronic Systems 52(4).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from genjax.contract import Array


class _Match(NamedTuple):
    """u, v: potentials. row_of: of a column, column_of: of a row; -1 for none."""

    u: Array
    v: Array
    row_of: Array
    column_of: Array


class _Search(NamedTuple):
    """A shortest-path tree. row: last reached. least: its distance. end: the free column, -1 before it is found.

    distance: of columns. before: the row that a column is reached from. done: columns whose distance is final.
    """

    row: Array
    least: Array
    end: Array
    distance: Array
    before: Array
    done: Array
    steps: Array


def linear_assignment(cost: Array) -> Array:
    """Return the permutation of least cost.

    Args:
        cost: [N, N], finite reals.

    Returns:
        int32 [N], the column of each row.

    Raises:
        ValueError: the cost is not a square matrix.
    """
    if cost.ndim != 2 or cost.shape[0] != cost.shape[1]:
        raise ValueError(f"cost has shape {cost.shape}; it must be a square matrix [N, N].")
    match = _begin(cost)
    free = match.column_of < 0
    order = jnp.argsort(~free).astype(jnp.int32)  # free rows first

    def next_row(carry: tuple[Array, _Match]) -> tuple[Array, _Match]:
        k, match = carry
        return k + 1, _augment(match, cost, order[k])

    unfinished = lambda carry: carry[0] < jnp.sum(free, dtype=jnp.int32)
    return lax.while_loop(unfinished, next_row, (jnp.zeros((), jnp.int32), match))[1].column_of


def _begin(cost: Array) -> _Match:
    """Return feasible potentials, and the rows that take their least column."""
    num = len(cost)
    v = jnp.min(cost, axis=0)
    reduced = cost - v[None]
    wanted = jnp.argmin(reduced, axis=1).astype(jnp.int32)
    rows = jnp.arange(num, dtype=jnp.int32)
    first = jnp.full(num, num, jnp.int32).at[wanted].min(rows)  # the first row to want a column
    column_of = jnp.where(first[wanted] == rows, wanted, -1)
    return _Match(jnp.min(reduced, axis=1), v, jnp.where(first < num, first, -1), column_of)


def _augment(match: _Match, cost: Array, row: Array) -> _Match:
    """Assign a free row."""
    found = _search(match, cost, row)
    # Columns done before the end gain what their distance is short of it; so do the rows they are assigned to.
    gain = jnp.where(found.done, found.least - found.distance, 0.0)
    u = (
        match.u.at[jnp.where(match.row_of >= 0, match.row_of, len(cost))]
        .add(gain, mode="drop")
        .at[row]
        .add(found.least)
    )
    return _turned(match._replace(u=u, v=match.v - gain), found, row)


def _search(match: _Match, cost: Array, row: Array) -> _Search:
    """Grow the tree of shortest paths from a free row until it holds a free column."""
    num = len(cost)

    def step(s: _Search) -> _Search:
        through = s.least + cost[s.row] - match.u[s.row] - match.v
        nearer = ~s.done & (through < s.distance)
        distance, before = jnp.where(nearer, through, s.distance), jnp.where(nearer, s.row, s.before)
        column = jnp.argmin(jnp.where(s.done, jnp.inf, distance))
        row = match.row_of[column]
        end = jnp.where(row < 0, column, -1).astype(jnp.int32)
        return _Search(row, distance[column], end, distance, before, s.done.at[column].set(True), s.steps + 1)

    nowhere = jnp.full(num, -1, jnp.int32)
    zero = jnp.zeros((), jnp.int32)
    start = _Search(
        row, jnp.zeros((), cost.dtype), zero - 1, jnp.full(num, jnp.inf, cost.dtype), nowhere, nowhere > 0, zero
    )
    # At most one step a column; the bound also ends the search where costs are NaN.
    return lax.while_loop(lambda s: (s.end < 0) & (s.steps < num), step, start)


def _turned(match: _Match, found: _Search, row: Array) -> _Match:
    """Exchange assigned and unassigned along the path from the end back to the row."""

    def back(carry: tuple[Array, Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array, Array]:
        column, _, row_of, column_of, steps = carry
        at = found.before[column]
        return column_of[at], at, row_of.at[column].set(at), column_of.at[at].set(column), steps + 1

    going = lambda carry: (carry[1] != row) & (carry[4] < len(match.u))
    start = (found.end, jnp.full((), -1, jnp.int32), match.row_of, match.column_of, jnp.zeros((), jnp.int32))
    _, _, row_of, column_of, _ = lax.while_loop(going, back, start)
    return match._replace(row_of=row_of, column_of=column_of)
