"""Gradients of differential equations with memory that does not grow with the number of steps.

With dx/dt = f(x, t, w) and a(t) = dL/dx(t), the adjoint runs backwards beside x (Chen et al. 2018,
arXiv:1806.07366, eq. 4 and 5; algorithm 1):

    da/dt = -a df/dx,        dL/dw = -int_{end}^{start} a df/dw dt

`x` is solved backwards as well, so the gradient is right up to the solver's error, not to rounding. The other way is
to differentiate through the steps of a fixed grid, with checkpoints: right to rounding, memory sqrt(N) of N steps.
Both are a `Solve`, a function (velocity, weights, x, start, end) -> x; weights are an argument, since the adjoint has
to know what it is asked the gradient of.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array, PyTree
from genjax.solvers.adaptive import integrate_adaptive
from genjax.solvers.ode import Velocity, integrate_checkpointed
from genjax.solvers.tableaus import DORMAND_PRINCE, RK4, Tableau

WeightedVelocity = Callable[[PyTree, Array, PyTree], PyTree]  # (x, t, weights) -> dx/dt
Solve = Callable[[WeightedVelocity, PyTree, PyTree, Array, Array], PyTree]  # (velocity, weights, x, start, end) -> x


def fixed_solve(num_steps: int, *, tableau: Tableau = RK4) -> Solve:
    """Return a Solve in equal steps, differentiated through them with checkpoints.

    Args:
        num_steps: N; best with a divisor near its square root.
        tableau: the scheme.
    """

    def solve(velocity: WeightedVelocity, weights: PyTree, x: PyTree, start: Array, end: Array) -> PyTree:
        dtype = jnp.result_type(*jax.tree.leaves(x))
        times = jnp.linspace(start, end, num_steps + 1, dtype=dtype)
        return integrate_checkpointed(lambda x, t: velocity(x, t, weights), x, times, tableau=tableau)

    return solve


def spaced_solve(places: np.ndarray, *, tableau: Tableau = RK4) -> Solve:
    """Return a Solve on a grid of unequal steps, differentiated through them with checkpoints.

    Args:
        places: [N + 1], rising from 0 to 1: where the grid stands between the earlier and the later of start and end,
            so that it is the same there and back.
        tableau: the scheme.

    Raises:
        ValueError: the places do not rise from 0 to 1.
    """
    places = np.asarray(places, np.float64)
    if places.ndim != 1 or len(places) < 2 or places[0] != 0 or places[-1] != 1 or np.any(np.diff(places) <= 0):
        raise ValueError("the places of a grid must rise from 0 to 1.")

    def solve(velocity: WeightedVelocity, weights: PyTree, x: PyTree, start: Array, end: Array) -> PyTree:
        dtype = jnp.result_type(*jax.tree.leaves(x))
        way = jnp.where(start < end, places, 1.0 - places[::-1])
        times = (start + (end - start) * way).astype(dtype)
        return integrate_checkpointed(lambda x, t: velocity(x, t, weights), x, times, tableau=tableau)

    return solve


def adaptive_solve(
    *, tableau: Tableau = DORMAND_PRINCE, rtol: float = 1e-5, atol: float = 1e-5, max_steps: int = 1000
) -> Solve:
    """Return a Solve by adaptive steps, differentiated by the adjoint; see `integrate_adaptive` for the arguments."""

    def forward(velocity: Velocity, x: PyTree, start: Array, end: Array) -> PyTree:
        options = {"tableau": tableau, "rtol": rtol, "atol": atol, "max_steps": max_steps}
        return integrate_adaptive(velocity, x, start, end, **options).x

    return adjoint(forward)


def adjoint(integrate: Callable[[Velocity, PyTree, Array, Array], PyTree]) -> Solve:
    """Give any integrator the adjoint's gradient, with respect to weights, x, start and end.

    Args:
        integrate: (velocity, x, start, end) -> x at the end; takes any pytree, forwards and backwards in time.
    """

    def solve(velocity: WeightedVelocity, weights: PyTree, x: PyTree, start: Array, end: Array) -> PyTree:
        # What the velocity closes over becomes an argument: a custom derivative sees arguments alone.
        closed, hoisted = jax.closure_convert(velocity, x, jnp.asarray(start, _dtype(x)), weights)

        @jax.custom_vjp
        def solved(weights: PyTree, hoisted: list[Array], x: PyTree, start: Array, end: Array) -> PyTree:
            return integrate(lambda x, t: closed(x, t, weights, *hoisted), x, start, end)

        def solved_forward(weights: PyTree, hoisted: list[Array], x: PyTree, start: Array, end: Array):
            x = solved(weights, hoisted, x, start, end)
            return x, (weights, hoisted, x, start, end)

        def solved_backward(kept, cotangent: PyTree):
            weights, hoisted, x, start, end = kept
            velocity_of = lambda x, t, arguments: closed(x, t, arguments[0], *arguments[1])
            return _backward(integrate, velocity_of, (weights, hoisted), x, start, end, cotangent)

        solved.defvjp(solved_forward, solved_backward)
        return solved(weights, hoisted, x, jnp.asarray(start, _dtype(x)), jnp.asarray(end, _dtype(x)))

    return solve


def _backward(integrate, velocity, arguments, x: PyTree, start: Array, end: Array, cotangent: PyTree):
    """Run x, its adjoint and the gradient of the arguments back from the end to the start."""

    def augmented(state: tuple[PyTree, PyTree, PyTree], t: Array) -> tuple[PyTree, PyTree, PyTree]:
        x, a, _ = state
        slope, pull = jax.vjp(lambda x, arguments: velocity(x, t, arguments), x, arguments)
        by_x, by_arguments = pull(a)
        return slope, jax.tree.map(jnp.negative, by_x), jax.tree.map(jnp.negative, by_arguments)

    zeros = jax.tree.map(jnp.zeros_like, arguments)
    slope_end = velocity(x, end, arguments)
    x_start, a, by_arguments = integrate(augmented, (x, cotangent, zeros), end, start)
    by_start = -_inner(a, velocity(x_start, start, arguments))
    return (*by_arguments, a, by_start, _inner(cotangent, slope_end))


def _inner(a: PyTree, b: PyTree) -> Array:
    return sum(jax.tree.leaves(jax.tree.map(lambda x, y: jnp.sum(x * y), a, b)))


def _dtype(x: PyTree) -> jnp.dtype:
    return jnp.result_type(*jax.tree.leaves(x))
