"""How training draws its times, in (0, 1) from noise to data.

uniform         Lipman et al. 2023, Liu et al. 2023
logit-normal    logit(t) ~ N(m, s^2): more of the middle, where the velocity is hardest to tell
                (Esser et al. 2024, Stable Diffusion 3, arXiv:2403.03206, eq. 19)
constant        one time; 0 in the distillation of a rectified flow
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from genjax.contract import Array

TimeDraw = Callable[[Array, int], Array]  # (key, num) -> [num]


def uniform_time(low: float = 0.0, high: float = 1.0) -> TimeDraw:
    """Return the draw of t uniformly from [low, high)."""
    return lambda key, num: jax.random.uniform(key, (num,), minval=low, maxval=high)


def logit_normal_time(mean: float = 0.0, std: float = 1.0) -> TimeDraw:
    """Return the draw of t = sigmoid(mean + std e).

    Args:
        mean: m; above 0 draws nearer to the data. Esser et al. count time from the data: their m is minus ours.
        std: s; at 1 most of it is between 0.1 and 0.9, and times of 0 and 1 have no density.
    """
    return lambda key, num: jax.nn.sigmoid(mean + std * jax.random.normal(key, (num,)))


def constant_time(t: float) -> TimeDraw:
    """Return the draw that is always t."""
    return lambda key, num: jnp.full((num,), t, jnp.float32)
