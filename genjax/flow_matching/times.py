"""How training draws its times, in (0, 1) from noise to data; and a grid of times that is finer at both ends.

uniform         Lipman et al. 2023, Liu et al. 2023
logit-normal    logit(t) ~ N(m, s^2): more of the middle, where the velocity is hardest to tell
                (Esser et al. 2024, Stable Diffusion 3, arXiv:2403.03206, eq. 19)
constant        one time; 0 in the distillation of a rectified flow
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

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


def logit_grid(num: int, *, low: float = 0.01, high: float = 0.9995) -> np.ndarray:
    """Return `num` steps between which logit(t) rises equally, with 0 and 1 for the first and the last, [num + 1].

    On the straight lines (1 - t) x_0 + t x_1 they are equal steps of log-SNR, 2 logit(t): beside data that fill cells
    of width w the field changes while 1 - t is about w, which equal steps of t pass over.

    Args:
        num: N, at least 3.
        low: the first time after 0.
        high: the last before 1.

    Raises:
        ValueError: too few steps, or low and high not in order within (0, 1).
    """
    if num < 3 or not 0.0 < low < high < 1.0:
        raise ValueError(f"{num} steps by {low} and {high}: it takes 3 steps and 0 < low < high < 1.")
    ends = np.log([low / (1.0 - low), high / (1.0 - high)])
    inner = 1.0 / (1.0 + np.exp(-np.linspace(*ends, num - 1)))
    return np.concatenate([[0.0], inner, [1.0]])
