"""Bijections, and how they compose.

A normalizing flow maps data x to a latent z of a known density by an invertible f, so that

    log p(x) = log p_Z(f(x)) + log |det df/dx|.

A bijection f is a tuple of pure functions. `forward` goes from data to latent, as a density needs it, `inverse` back;
both return the log-determinant of the direction they take, [B] in nats. Two properties hold for every bijection here
and for everything composed of them:

    log_det of forward = log |det d forward / dx|,      inverse(forward(x)) = x,

whatever the shape of z is, as long as it has as many entries as x. `chain` composes different bijections; `repeat`
composes equal ones by one `lax.scan` over stacked weights, so that what is compiled does not grow with their number.

Weights are made by looking at data (`init` sees a batch), since some layers start from its statistics. Some hold a
state that no gradient touches: running averages, a fixed permutation. While training, `train` takes the place of
`forward` and returns the new state as well.

Reference: Rezende and Mohamed 2015, eq. 5-7; Kobyzev et al. 2020, Normalizing flows: an introduction and review.
"""

from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from genjax.contract import Array, PyTree

Condition = Array | None


class Weights(NamedTuple):
    """What a bijection reads.

    params: what gradients touch.
    state: what they do not.
    """

    params: PyTree = ()
    state: PyTree = ()


class Bijection(NamedTuple):
    """An invertible map of x [B, ...] to z [B, ...] with as many entries; `condition` is [B, K] or None.

    init: (key, x, condition) -> Weights; x is a batch of what the bijection will be given.
    forward: (weights, x, condition) -> (z, log |det dz/dx| [B]).
    inverse: (weights, z, condition) -> (x, log |det dx/dz| [B]).
    train: (weights, x, condition) -> (z, log |det dz/dx| [B], new state); forward, as it is while training.
    """

    init: Callable[[Array, Array, Condition], Weights]
    forward: Callable[[Weights, Array, Condition], tuple[Array, Array]]
    inverse: Callable[[Weights, Array, Condition], tuple[Array, Array]]
    train: Callable[[Weights, Array, Condition], tuple[Array, Array, PyTree]]


def no_change(x: Array) -> Array:
    """Return the log-determinant of what keeps volumes, zeros [B]."""
    return jnp.zeros(x.shape[:1], jnp.float32)


def stateless(
    init: Callable[[Array, Array, Condition], PyTree],
    forward: Callable[[PyTree, Array, Condition], tuple[Array, Array]],
    inverse: Callable[[PyTree, Array, Condition], tuple[Array, Array]],
) -> Bijection:
    """Make a bijection of functions that read parameters alone.

    Args:
        init: (key, x, condition) -> params.
        forward: (params, x, condition) -> (z, log_det).
        inverse: (params, z, condition) -> (x, log_det).
    """
    return with_state(
        lambda key, x, condition: Weights(init(key, x, condition)),
        lambda weights, x, condition: forward(weights.params, x, condition),
        lambda weights, z, condition: inverse(weights.params, z, condition),
    )


def without_weights(
    forward: Callable[[Array], tuple[Array, Array]], inverse: Callable[[Array], tuple[Array, Array]]
) -> Bijection:
    """Make a bijection of two functions x -> (z, log_det) and z -> (x, log_det) that read no weights."""
    return with_state(
        lambda key, x, condition: Weights(),
        lambda weights, x, condition: forward(x),
        lambda weights, z, condition: inverse(z),
    )


def with_state(
    init: Callable[[Array, Array, Condition], Weights],
    forward: Callable[[Weights, Array, Condition], tuple[Array, Array]],
    inverse: Callable[[Weights, Array, Condition], tuple[Array, Array]],
) -> Bijection:
    """Make a bijection whose state, if it has one, does not change in training."""
    train = lambda weights, x, condition: (*forward(weights, x, condition), weights.state)
    return Bijection(init, forward, inverse, train)


def invert(bijection: Bijection) -> Bijection:
    """Turn a bijection round: what was inverse is forward.

    Its state does not move in training, and what looks at the batch when it starts sees the latent end of it.
    """
    return with_state(bijection.init, bijection.inverse, bijection.forward)


def chain(*bijections: Bijection) -> Bijection:
    """Compose bijections, the first nearest to the data; log-determinants add up.

    Weights are kept under the names 'layer_0', 'layer_1', ..., where there are any.
    """

    def init(key: Array, x: Array, condition: Condition) -> Weights:
        made = []
        for member, member_key in zip(bijections, jax.random.split(key, max(len(bijections), 1))):
            made.append(member.init(member_key, x, condition))
            x, _ = member.forward(made[-1], x, condition)
        return Weights(_named([w.params for w in made]), _named([w.state for w in made]))

    def forward(weights: Weights, x: Array, condition: Condition) -> tuple[Array, Array]:
        total = no_change(x)
        for index, member in enumerate(bijections):
            x, log_det = member.forward(_member(weights, index), x, condition)
            total = total + log_det
        return x, total

    def inverse(weights: Weights, z: Array, condition: Condition) -> tuple[Array, Array]:
        total = no_change(z)
        for index in reversed(range(len(bijections))):
            z, log_det = bijections[index].inverse(_member(weights, index), z, condition)
            total = total + log_det
        return z, total

    def train(weights: Weights, x: Array, condition: Condition) -> tuple[Array, Array, PyTree]:
        total, states = no_change(x), []
        for index, member in enumerate(bijections):
            x, log_det, state = member.train(_member(weights, index), x, condition)
            total = total + log_det
            states.append(state)
        return x, total, _named(states)

    return Bijection(init, forward, inverse, train)


def repeat(bijection: Bijection, num: int, *, unroll: int = 1) -> Bijection:
    """Compose `num` copies of a bijection, each with weights of its own, by one `lax.scan` over stacked weights.

    Args:
        bijection: maps x to a z of the same shape and dtype.
        num: how many; at least 1.
        unroll: how many are compiled one behind the other in each step of the scan; above 1 runs faster where layers
            are small, and compiles longer.
    """
    if num < 1:
        raise ValueError(f"a bijection is repeated at least once, got num={num}.")

    def init(key: Array, x: Array, condition: Condition) -> Weights:
        def one(x: Array, key: Array) -> tuple[Array, Weights]:
            weights = bijection.init(key, x, condition)
            return bijection.forward(weights, x, condition)[0], weights

        return lax.scan(one, x, jax.random.split(key, num))[1]

    def along(step: Callable, weights: Weights, x: Array, condition: Condition, reverse: bool) -> tuple[Array, Array]:
        def one(carry: tuple[Array, Array], weights: Weights) -> tuple[tuple[Array, Array], None]:
            x, log_det = step(weights, carry[0], condition)
            return (x, carry[1] + log_det), None

        return lax.scan(one, (x, no_change(x)), weights, reverse=reverse, unroll=unroll)[0]

    def train(weights: Weights, x: Array, condition: Condition) -> tuple[Array, Array, PyTree]:
        def one(carry: tuple[Array, Array], weights: Weights) -> tuple[tuple[Array, Array], PyTree]:
            x, log_det, state = bijection.train(weights, carry[0], condition)
            return (x, carry[1] + log_det), state

        (z, log_det), state = lax.scan(one, (x, no_change(x)), weights, unroll=unroll)
        return z, log_det, state

    return Bijection(
        init,
        lambda weights, x, condition: along(bijection.forward, weights, x, condition, False),
        lambda weights, z, condition: along(bijection.inverse, weights, z, condition, True),
        train,
    )


def _named(trees: list[PyTree]) -> dict[str, PyTree]:
    return {f"layer_{index}": tree for index, tree in enumerate(trees) if jax.tree.leaves(tree)}


def _member(weights: Weights, index: int) -> Weights:
    name = f"layer_{index}"
    params, state = weights.params or {}, weights.state or {}  # of a chain that holds none, () is passed in
    return Weights(params.get(name, ()), state.get(name, ()))
