"""How straight a flow's paths are: a straight path at constant speed is solved exactly by one Euler step.

    energy          int_0^1 |u(x_t, t)|^2 dt; its mean is at least W_2^2(source, data), which optimal transport attains
                                                                                        Tong et al. 2024, section 5
    displacement    |x_1 - x_0|^2
    straightness    int_0^1 |(x_1 - x_0) - u(x_t, t)|^2 dt, 0 for straight paths        Liu et al. 2023, S(Z)

The last is the first less the second, since u integrates to x_1 - x_0.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from genjax.contract import Array
from genjax.distributions import per_example
from genjax.solvers import RK4, Tableau, integrate


class PathMeasures(NamedTuple):
    """Of each example's path, in squared units of x.

    end: x_1, [B, ...].
    energy: [B].
    displacement: [B].
    straightness: [B], energy - displacement; below 0 by the solver's error alone.
    """

    end: Array
    energy: Array
    displacement: Array
    straightness: Array


def path_measures(
    velocity: Callable[[Array, Array], Array], x0: Array, times: Array, *, tableau: Tableau = RK4
) -> PathMeasures:
    """Measure the paths of a field.

    Args:
        velocity: (x [B, ...], t []) -> dx/dt.
        x0: where the paths start, [B, ...].
        times: [N + 1], from source to data, 1 apart in all.
        tableau: the scheme.

    Returns:
        The PathMeasures.

    Raises:
        ValueError: x0 has no axis of examples.
    """
    if x0.ndim < 1:
        raise ValueError("x_0 has shape (); it must be [B, ...].")

    def augmented(state: tuple[Array, Array], t: Array) -> tuple[Array, Array]:
        slope = velocity(state[0], t)
        return slope, per_example(slope**2)

    end, energy = integrate(augmented, (x0, jnp.zeros(x0.shape[:1], x0.dtype)), times, tableau=tableau)
    displacement = per_example((end - x0) ** 2)
    return PathMeasures(end, energy, displacement, energy - displacement)
