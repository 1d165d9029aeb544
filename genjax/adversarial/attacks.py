"""Adversarial examples: small moves of an input that raise a loss most.

For a loss L(x) of each example (its label held fixed) and a budget eps, an attack looks for

    max_{|delta|_p <= eps} L(x + delta)                                  (the inner problem, Madry et al. 2018, eq. 2.1)

A linear L(x) = w . x + b has the exact answer, by Hoelder: eps times the direction dual to w,

    p = inf    delta = eps sign(w)        L rises by eps |w|_1
    p = 2      delta = eps w / |w|_2      L rises by eps |w|_2

The fast gradient sign method (Goodfellow et al. 2015) takes it once, with the gradient for w. Projected gradient
descent (Madry et al. 2018) takes n smaller steps of size alpha along it, from a random start, and comes back into the
ball (and into the range of pictures) after each,

    x <- project( x + alpha dual(grad L(x)) )

All are functions of the loss alone: it closes over the network and the labels. Nothing of an attack is differentiated
further: the result is a constant of whatever is computed with it.

References: Goodfellow et al. 2015, "Explaining and Harnessing Adversarial Examples", https://arxiv.org/abs/1412.6572;
Madry et al. 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks", https://arxiv.org/abs/1706.06083
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from genjax.contract import Array

Loss = Callable[[Array], Array]  # x [B, ...] -> [B], the loss of each example by itself


class Ball(NamedTuple):
    """A norm, as an attack needs it; every function takes examples `[B, ...]` one by one.

    dual: gradient -> the unit move that raises a linear function most.
    project: (delta, eps) -> the nearest move of norm at most eps.
    draw: (key, shape, eps) -> moves uniform in the ball of radius eps.
    """

    dual: Callable[[Array], Array]
    project: Callable[[Array, Array], Array]
    draw: Callable[[Array, tuple[int, ...], Array], Array]


def l_inf() -> Ball:
    """Return the ball of the largest absolute entry: each pixel may move by eps."""
    return Ball(
        dual=jnp.sign,
        project=lambda delta, eps: jnp.clip(delta, -eps, eps),
        draw=lambda key, shape, eps: eps * jax.random.uniform(key, shape, minval=-1.0, maxval=1.0),
    )


def l_2() -> Ball:
    """Return the Euclidean ball: the whole picture may move by eps."""
    return Ball(dual=_unit, project=_shorten, draw=_draw_in_euclidean_ball)


def fgsm(loss: Loss, x: Array, eps: float | Array, *, low: float | None = None, high: float | None = None) -> Array:
    """Move each example once by eps along the sign of its gradient.

    Args:
        loss: x `[B, ...]` -> `[B]`; an example's loss depends on that example alone.
        x: `[B, ...]`.
        eps: budget of each entry, >= 0, traced.
        low, high: range of the entries, into which the result is clipped; None for none.

    Returns:
        Adversarial examples `[B, ...]`, a constant of later differentiation.

    Raises:
        ValueError: the loss is not one value an example.

    Reference: Goodfellow et al. 2015, section 3.
    """
    x = lax.stop_gradient(x)
    return _into_range(x + eps * jnp.sign(_gradient(loss, x)), low, high)


def pgd(
    key: Array,
    loss: Loss,
    x: Array,
    eps: float | Array,
    *,
    ball: Ball,
    step_size: float | Array,
    steps: int,
    low: float | None = None,
    high: float | None = None,
) -> Array:
    """Climb a loss by projected gradient steps from a random point of the ball around each example.

    Args:
        key: of the start.
        loss: as in `fgsm`.
        x: `[B, ...]`.
        eps: budget in the ball's norm, >= 0, traced.
        ball: `l_inf()` or `l_2()`.
        step_size: alpha, the norm of one step.
        steps: static.
        low, high: range of the entries; None for none.

    Returns:
        Adversarial examples `[B, ...]` within eps of x, a constant of later differentiation.

    Raises:
        ValueError: the loss is not one value an example.

    Reference: Madry et al. 2018, section 2.1.
    """
    x = lax.stop_gradient(x)

    def climb(moved: Array, _: None) -> tuple[Array, None]:
        delta = moved + step_size * ball.dual(_gradient(loss, moved)) - x
        return _into_range(x + ball.project(delta, eps), low, high), None

    # Clipping into a box that holds x brings every entry nearer to x: the result stays in the ball.
    start = _into_range(x + ball.draw(key, x.shape, eps), low, high)
    return lax.scan(climb, start, None, length=steps)[0]


def _gradient(loss: Loss, x: Array) -> Array:
    """Return the gradient of each example's loss by that example."""

    def total(x: Array) -> Array:
        each = loss(x)
        if each.shape != x.shape[:1]:
            raise ValueError(f"an attack needs one loss an example, [{x.shape[0]}]; this one gives {each.shape}.")
        return jnp.sum(each)

    return lax.stop_gradient(jax.grad(total)(x))


def _into_range(x: Array, low: float | None, high: float | None) -> Array:
    return lax.stop_gradient(x if low is None and high is None else jnp.clip(x, low, high))


def _norm(delta: Array) -> Array:
    """Return Euclidean norms, `[B, 1, ...]`, of the rank of delta."""
    return jnp.sqrt(jnp.sum(delta**2, axis=tuple(range(1, delta.ndim)), keepdims=True))


def _unit(gradient: Array) -> Array:
    # A gradient of exactly zero has no direction: stay.
    norm = _norm(gradient)
    return jnp.where(norm > 0, gradient / jnp.where(norm > 0, norm, jnp.ones_like(norm)), jnp.zeros_like(gradient))


def _shorten(delta: Array, eps: float | Array) -> Array:
    norm = _norm(delta)
    return delta * jnp.where(norm > eps, eps / jnp.maximum(norm, jnp.finfo(delta.dtype).tiny), jnp.ones_like(norm))


def _draw_in_euclidean_ball(key: Array, shape: tuple[int, ...], eps: float | Array) -> Array:
    """Draw a direction from a Gaussian and a radius eps u^(1/D), the law of the uniform ball."""
    direction_key, radius_key = jax.random.split(key)
    num_entries = 1
    for side in shape[1:]:
        num_entries *= side
    radius = jax.random.uniform(radius_key, (shape[0], *[1] * (len(shape) - 1))) ** (1.0 / num_entries)
    return eps * radius * _unit(jax.random.normal(direction_key, shape))
