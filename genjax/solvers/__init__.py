"""Steppers and integrators of ordinary and stochastic differential equations; they take functions."""

from genjax.solvers.adaptive import Solution, integrate_adaptive
from genjax.solvers.adjoint import Solve, WeightedVelocity, adaptive_solve, adjoint, fixed_solve, spaced_solve
from genjax.solvers.ode import Velocity, integrate, integrate_checkpointed, ode_step, trajectory
from genjax.solvers.sde import euler_maruyama_step, heun_step, integrate_sde, langevin_step
from genjax.solvers.tableaus import (
    BOGACKI_SHAMPINE,
    DORMAND_PRINCE,
    EULER,
    HEUN,
    MIDPOINT,
    RALSTON,
    RK4,
    Tableau,
    tableau,
)
from genjax.solvers.traces import Trace, exact_trace, normal_trace, rademacher_trace
from genjax.solvers.transport import Ending, transport

__all__ = [
    "BOGACKI_SHAMPINE",
    "DORMAND_PRINCE",
    "EULER",
    "Ending",
    "HEUN",
    "MIDPOINT",
    "RALSTON",
    "RK4",
    "Solution",
    "Solve",
    "Tableau",
    "Trace",
    "Velocity",
    "WeightedVelocity",
    "adaptive_solve",
    "adjoint",
    "euler_maruyama_step",
    "exact_trace",
    "fixed_solve",
    "heun_step",
    "integrate",
    "integrate_adaptive",
    "integrate_checkpointed",
    "integrate_sde",
    "langevin_step",
    "normal_trace",
    "ode_step",
    "rademacher_trace",
    "spaced_solve",
    "tableau",
    "trajectory",
    "transport",
]
