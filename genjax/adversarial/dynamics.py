"""How two players move: gradient play of min_x max_y V(x, y), why it circles, and what makes it arrive.

A game is a function V(x, y) of two arrays; x descends it, y ascends it. Four ways to play, with step size eta:

    simultaneous    x' = x - eta V_x(x, y)        y' = y + eta V_y(x, y)
    alternating     x' = x - eta V_x(x, y)        y' = y + eta V_y(x', y)
    extragradient   the step from (x, y) with the gradients of the point that a simultaneous step would reach
    averaged        the running mean of a path, (1/t) sum_{s <= t} (x_s, y_s)

On the bilinear game V = x y, whose one equilibrium is (0, 0), each is a linear map of (x, y), and its eigenvalues are
known (r^2 = x^2 + y^2 for the first and third):

    simultaneous    1 +- i eta                    r grows by sqrt(1 + eta^2) a step: outward spiral, for every eta > 0
    alternating     modulus 1 for eta < 2         the path stays on the ellipse x^2 + y^2 - eta x y: circles for ever
    extragradient   1 - eta^2 +- i eta            r shrinks by sqrt(1 - eta^2 + eta^4) for eta < 1: inward spiral
    averaged        of the alternating path: r falls like 1 / t; that of the simultaneous path grows with it

A GAN trained by alternating steps is such a game near its equilibrium when the discriminator is linear in what it has
to learn (Mescheder et al. 2018, the Dirac-GAN).

References: Goodfellow 2016, "NIPS tutorial", section 8.2, https://arxiv.org/abs/1701.00160; Gidel et al. 2019, "A
Variational Inequality Perspective on GANs", section 3, https://arxiv.org/abs/1802.10551; Korpelevich 1976.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from genjax.contract import Array

Value = Callable[[Array, Array], Array]  # V: x [...], y [...] -> scalar


class Players(NamedTuple):
    """Where both players stand, or a path of it with a leading axis of steps.

    x: descends V.
    y: ascends V.
    """

    x: Array
    y: Array


Step = Callable[[Value, Players, float], Players]


def simultaneous(value: Value, players: Players, rate: float | Array) -> Players:
    """Return the players after both moved by their gradients at the same point."""
    x, y = players
    by_x, by_y = jax.grad(value, (0, 1))(x, y)
    return Players(x - rate * by_x, y + rate * by_y)


def alternating(value: Value, players: Players, rate: float | Array) -> Players:
    """Return the players after x moved, and y against the x that has moved."""
    x, y = players
    x = x - rate * jax.grad(value, 0)(x, y)
    return Players(x, y + rate * jax.grad(value, 1)(x, y))


def extragradient(value: Value, players: Players, rate: float | Array) -> Players:
    """Return the players moved by the gradients at the point to which a simultaneous step would bring them.

    Reference: Gidel et al. 2019, eq. 16 and 17.
    """
    x, y = players
    by_x, by_y = jax.grad(value, (0, 1))(*simultaneous(value, players, rate))
    return Players(x - rate * by_x, y + rate * by_y)


def play_game(step: Step, value: Value, start: Players, rate: float | Array, *, steps: int) -> Players:
    """Play a game for some steps.

    Args:
        step: `simultaneous`, `alternating` or `extragradient`.
        value: V, (x, y) -> scalar.
        start: x and y, arrays of any shapes.
        rate: eta > 0, traced.
        steps: static.

    Returns:
        The path, start included: x and y with a leading axis of steps + 1.
    """

    def one(players: Players, _: None) -> tuple[Players, Players]:
        moved = step(value, players, rate)
        return moved, moved

    start = Players(*map(jnp.asarray, start))
    _, path = lax.scan(one, start, None, length=steps)
    return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), start, path)


def averaged(path: Players) -> Players:
    """Return the running mean of a path, entry t the mean of its entries 0..t.

    Reference: Gidel et al. 2019, section 3.1 (uniform averaging).
    """

    def running(points: Array) -> Array:
        count = jnp.arange(1, points.shape[0] + 1, dtype=points.dtype)
        return jnp.cumsum(points, axis=0) / count.reshape(-1, *[1] * (points.ndim - 1))

    return jax.tree.map(running, path)


def bilinear(x: Array, y: Array) -> Array:
    """Return V(x, y) = <x, y>, whose one equilibrium is the origin."""
    return jnp.sum(x * y)
