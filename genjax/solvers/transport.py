"""Points carried along an ordinary differential equation, and what their log-density gains on the way.

    d log p(x(t)) / dt = -Tr(df/dx),                                          Chen et al. 2018, theorem 1
    log p(x(0)) = log p(x(1)) + int_0^1 Tr(df/dx) dt                          FFJORD (Grathwohl et al. 2018), eq. 3

Continuous normalizing flows are trained by it; flow matching and the probability flow of diffusion models are scored.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from genjax.contract import Array, PyTree
from genjax.solvers.adjoint import Solve
from genjax.solvers.traces import Trace


class Ending(NamedTuple):
    """Where a flow led.

    z: [B, D].
    log_det: [B], int Tr(df/dx) dt along the way, nats.
    energy: [B], int |f|^2 dt / D, which straight and short ways keep small (Finlay et al. 2020, eq. 10).
    """

    z: Array
    log_det: Array
    energy: Array


def transport(
    velocity: Callable[[Array, Array, PyTree], Array],
    weights: PyTree,
    x: Array,
    probe: Array,
    *,
    trace: Trace,
    solve: Solve,
    reverse: bool = False,
    span: tuple[float, float] = (0.0, 1.0),
) -> Ending:
    """Carry x along the flow, and the log-density's change with it.

    Args:
        velocity: (x [B, D], t [], weights) -> [B, D], example by example.
        weights: what the velocity reads and gradients may touch.
        x: [B, D], at the first time of the span; at the last under `reverse`.
        probe: of `trace`.
        trace: how the trace is found.
        solve: an integrator with its gradient, see `genjax.solvers.adjoint`.
        reverse: from the last time to the first (static).
        span: first and last time (static).

    Returns:
        The Ending; log_det = log |det dz/dx|.

    Raises:
        ValueError: x is not [B, D].

    Reference: Grathwohl et al. 2018, algorithm 1.
    """
    if x.ndim != 2:
        raise ValueError(f"x has shape {x.shape}; a continuous flow moves [B, D].")

    def augmented(state: Ending, t: Array, arguments: tuple[PyTree, Array]) -> Ending:
        weights, probe = arguments
        slope, divergence = trace.value(lambda x: velocity(x, t, weights), state.z, probe)
        return Ending(slope, divergence, jnp.mean(slope**2, axis=1))

    start, end = span[::-1] if reverse else span
    zeros = jnp.zeros(x.shape[:1], x.dtype)
    return solve(augmented, (weights, probe), Ending(x, zeros, zeros), start, end)
