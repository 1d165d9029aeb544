"""Which steps of a schedule a training step looks at: all alike, or those that matter more often.

Drawn with p_t and weighted by 1 / (T p_t), the mean over steps is estimated without bias; its variance is least for
p_t ~ sqrt(E L_t^2). The expectation is taken over the last few losses seen at each step, and all steps are drawn alike
until each has as many (Nichol & Dhariwal 2021, section 3.3 and eq. 18).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax.contract import Array, PyTree


class StepSampler(NamedTuple):
    """A distribution over steps 1 ... T that may learn.

    init: () -> its state, arrays.
    draw: (key, state, num) -> steps t int32 [num], and weights 1 / (T p_t) [num].
    record: (state, t [N], loss [N]) -> state; N is the number of examples of the whole step, over all devices.
    """

    init: Callable[[], PyTree]
    draw: Callable[[Array, PyTree, int], tuple[Array, Array]]
    record: Callable[[PyTree, Array, Array], PyTree]


class History(NamedTuple):
    """The last losses at each step: losses [T, H], the newest last, and how many were seen [T], at most H."""

    losses: Array
    count: Array


def uniform_steps(total: int) -> StepSampler:
    """Return U{1 ... T}, weights 1."""

    def draw(key: Array, state: PyTree, num: int) -> tuple[Array, Array]:
        del state
        return jax.random.randint(key, (num,), 1, total + 1), jnp.ones(num)

    return StepSampler(lambda: (), draw, lambda state, t, loss: state)


def importance_steps(total: int, *, history: int = 10, floor: float = 1e-3) -> StepSampler:
    """Return p_t ~ sqrt(E L_t^2) over the last losses.

    Args:
        total: T.
        history: how many losses of each step are kept; steps are drawn alike until each has as many.
        floor: share of the draws that is made alike ever after, so that none is forgotten.

    Reference: Nichol & Dhariwal 2021, eq. 18.
    """

    def probabilities(state: History) -> Array:
        size = jnp.sqrt(jnp.mean(state.losses**2, axis=1))
        learned = size / jnp.maximum(jnp.sum(size), 1e-30)
        mixed = (1.0 - floor) * learned + floor / total
        return jnp.where(jnp.all(state.count == history), mixed, 1.0 / total)

    def draw(key: Array, state: History, num: int) -> tuple[Array, Array]:
        p = probabilities(state)
        index = jax.random.categorical(key, jnp.log(p), shape=(num,))
        return (index + 1).astype(jnp.int32), 1.0 / (total * p[index])

    def record(state: History, t: Array, loss: Array) -> History:
        def one(state: History, seen: tuple[Array, Array]) -> tuple[History, None]:
            t, loss = seen
            row = jnp.concatenate([state.losses[t - 1, 1:], loss[None]])
            count = jnp.minimum(state.count[t - 1] + 1, history)
            return History(state.losses.at[t - 1].set(row), state.count.at[t - 1].set(count)), None

        return jax.lax.scan(one, state, (t, loss))[0]

    empty = lambda: History(jnp.zeros((total, history)), jnp.zeros(total, jnp.int32))
    return StepSampler(empty, draw, record)
