"""Walks and arithmetic in a generator's latent space.

A latent of d normal coordinates has a norm close to sqrt(d): the straight line between two of them passes
through norms that the generator never saw, the great circle does not (White 2016, "Sampling Generative
Networks"). Radford et al. 2016 average the latents of a few samples that share a look, and add and subtract
such averages (section 6.3.2).
"""

import chex
import jax.numpy as jnp

from genjax.contract import Array


def lerp(start: Array, end: Array, t: Array) -> Array:
    """Return (1 - t) start + t end.

    Args:
        start: `[B, D]`.
        end: `[B, D]`.
        t: position in [0, 1], `[T]`.

    Returns:
        `[B, T, D]`.
    """
    chex.assert_rank([start, end, t], [2, 2, 1])
    weight = t[None, :, None]
    return (1 - weight) * start[:, None] + weight * end[:, None]


def slerp(start: Array, end: Array, t: Array) -> Array:
    """Return points on the great circle: sin((1 - t) w) / sin(w) start + sin(t w) / sin(w) end, w their angle.

    Norms are kept where both ends have the same one. Parallel ends have a straight line for a circle, and
    opposite ends no single one: there it is `lerp`.

    Args:
        start: `[B, D]`, not zero.
        end: `[B, D]`, not zero.
        t: position in [0, 1], `[T]`.

    Returns:
        `[B, T, D]`.
    """
    chex.assert_rank([start, end, t], [2, 2, 1])
    unit = lambda v: v / jnp.linalg.norm(v, axis=-1, keepdims=True)
    apart, along = unit(start) - unit(end), unit(start) + unit(end)
    # 2 atan2(|u - v|, |u + v|) keeps its digits at every angle; arccos(u . v) loses half of them near 0 and pi.
    angle = 2 * jnp.arctan2(jnp.linalg.norm(apart, axis=-1), jnp.linalg.norm(along, axis=-1))[:, None]
    flat = jnp.sin(angle) < 1e-4  # a line this short is within 1e-9 of its circle; near pi rounding picks the circle
    safe = jnp.where(flat, jnp.ones_like(angle), angle)
    weight = t[None, :]
    first = jnp.where(flat, 1 - weight, jnp.sin((1 - weight) * safe) / jnp.sin(safe))
    second = jnp.where(flat, weight, jnp.sin(weight * safe) / jnp.sin(safe))
    return first[..., None] * start[:, None] + second[..., None] * end[:, None]


def latent_arithmetic(base: Array, minus: Array, plus: Array) -> Array:
    """Return mean(base) - mean(minus) + mean(plus), each the average of a few latents that share a look.

    Args:
        base: `[N, D]`.
        minus: `[M, D]`.
        plus: `[K, D]`.

    Returns:
        `[D]`.

    Reference: Radford et al. 2016, section 6.3.2 (they average three).
    """
    chex.assert_rank([base, minus, plus], 2)
    return base.mean(axis=0) - minus.mean(axis=0) + plus.mean(axis=0)
