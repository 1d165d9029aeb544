"""Completion, and the sampler that every faster one is held against.

The family has one rule for completion. Each of its models has a method

    complete(variables, key, x, known, *, condition=None) -> x'

x `[B, ...]` is in the space of batch['x'], `known` is boolean, of the shape of x or of one example. x' equals x where
`known`; the rest is filled in, each dimension drawn in the model's order from its conditional given what stands before
it, whether known or drawn. Where the known dimensions come before all others in the order (the top half of a picture
in raster order) that is a draw from p(x_unknown | x_known) itself; a known dimension that comes later is kept but does
not inform those before it. What x holds at unknown places is not read. With nothing known it is sampling.
"""

from typing import Callable

import jax
import jax.numpy as jnp

from genjax.contract import Array


def top_half(shape: tuple[int, ...]) -> Array:
    """Return the mask of the upper half of a picture, boolean [H, W, C] (the smaller half where H is odd)."""
    rows = jnp.arange(shape[0]) < shape[0] // 2
    return jnp.broadcast_to(rows.reshape(-1, *(1,) * (len(shape) - 1)), shape)


def spread_known(x: Array, known: Array) -> Array:
    """Return `known` for every example.

    Args:
        x: [B, ...].
        known: boolean, of the shape of x or of one example.

    Returns:
        boolean, of the shape of x.

    Raises:
        ValueError: `known` is not boolean or has neither shape.
    """
    if known.dtype != jnp.bool_:
        raise ValueError(f"known has dtype {known.dtype}; it says True where x is given and False where it is drawn.")
    if known.shape not in (x.shape, x.shape[1:]):
        raise ValueError(f"known has shape {known.shape}; it must be that of x, {x.shape}, or of one of its examples.")
    return jnp.broadcast_to(known.reshape((-1, *x.shape[1:])), x.shape)


def naive_sample(
    network: Callable[[Array], Array],
    draw: Callable[[Array, Array], Array],
    uniforms: Array,
    ordering: Array,
    *,
    x: Array,
    known: Array,
) -> Array:
    """Sample by one pass of the whole network a dimension; slow, and evidently right.

    Args:
        network: x [B, D] -> outputs [B, D, n], those of d a function of the dimensions before d alone.
        draw: (uniforms [B, m], outputs [B, n]) -> values [B], of the dtype of x.
        uniforms: [B, D, m] in (0, 1), by dimension.
        ordering: int [D], the dimension at each place.
        x: [B, D], what is known.
        known: boolean [B, D].

    Returns:
        [B, D].
    """

    def step(place: Array, filled: Array) -> Array:
        d = ordering[place]
        drawn = draw(uniforms[:, d], network(filled)[:, d])
        return filled.at[:, d].set(jnp.where(known[:, d], filled[:, d], drawn))

    return jax.lax.fori_loop(0, x.shape[1], step, jnp.where(known, x, jnp.zeros_like(x)))
