"""Steppers and integrators of ordinary and stochastic differential equations; they take functions."""

from genjax.solvers.adaptive import Solution, integrate_adaptive
from genjax.solvers.adjoint import Solve, WeightedVelocity, adaptive_solve, adjoint, fixed_solve
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

__all__ = [
    "BOGACKI_SHAMPINE",
    "DORMAND_PRINCE",
    "EULER",
    "HEUN",
    "MIDPOINT",
    "RALSTON",
    "RK4",
    "Solution",
    "Solve",
    "Tableau",
    "Velocity",
    "WeightedVelocity",
    "adaptive_solve",
    "adjoint",
    "euler_maruyama_step",
    "fixed_solve",
    "heun_step",
    "integrate",
    "integrate_adaptive",
    "integrate_checkpointed",
    "integrate_sde",
    "langevin_step",
    "ode_step",
    "tableau",
    "trajectory",
]
