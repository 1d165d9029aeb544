"""Inpainting by gradient ascent on the log-density (Dinh et al. 2014, NICE, section 5.2).

What is known is held fixed; what is hidden starts from noise and follows

    y_H <- y_H + a_i (d log p(y_O, y_H) / d y_H + e),    e ~ N(0, I),    a_i = a 100 / (100 + i),

in the paper with a = 0.1. An ascent is stable while a is below twice the density's smallest variance: a flow that has
learned the narrow gaps between levels needs a far smaller one.
"""

from typing import Callable

import jax
import jax.numpy as jnp
from jax import lax

from genjax.contract import Array


def ascend(
    key: Array,
    y: Array,
    known: Array,
    log_density: Callable[[Array], Array],
    *,
    num_steps: int,
    rate: Array | float = 0.1,
    max_norm: float = 100.0,
) -> Array:
    """Fill the hidden entries of y by noisy gradient ascent.

    Args:
        key: of the start and of the noise.
        y: [B, ...], the data; hidden entries are not read.
        known: bool, broadcast to y; False marks what is hidden.
        log_density: y -> log p(y) [B], nats, each of its own example alone.
        num_steps: how many.
        rate: a, positive.
        max_norm: largest norm of one example's gradient; longer ones are shortened, since far from the data a deep
            flow's gradients overflow any step.

    Returns:
        [B, ...], equal to y where known.
    """
    known = jnp.broadcast_to(known, y.shape)
    start_key, noise_key = jax.random.split(key)
    # The hidden part starts as noise around the middle of what is known.
    middle = jnp.sum(jnp.where(known, y, 0.0)) / jnp.maximum(jnp.sum(known, dtype=y.dtype), 1.0)
    start = jnp.where(known, y, middle + 0.1 * jax.random.normal(start_key, y.shape, y.dtype))
    gradient = jax.grad(lambda y: jnp.sum(log_density(y)))

    def step(y: Array, i: Array) -> tuple[Array, None]:
        slope = _shortened(jnp.where(known, 0.0, gradient(y)), max_norm)
        noise = jax.random.normal(jax.random.fold_in(noise_key, i), y.shape, y.dtype)
        step_size = rate * 100.0 / (100.0 + i.astype(y.dtype))
        return jnp.where(known, y, y + step_size * (slope + noise)), None

    return lax.scan(step, start, jnp.arange(num_steps))[0]


def _shortened(slope: Array, max_norm: float) -> Array:
    """Scale the gradient of each example [B, ...] down to `max_norm`."""
    flat = slope.reshape(slope.shape[0], -1)
    norm = jnp.linalg.norm(flat, axis=1, keepdims=True)
    return (flat * jnp.minimum(1.0, max_norm / jnp.maximum(norm, 1e-12))).reshape(slope.shape)
