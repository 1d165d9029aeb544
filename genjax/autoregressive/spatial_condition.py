"""What a raster network is told beside the pixels before: a class, or a map of the picture's size.

Both enter a layer as a linear map added to its pre-activations (Gated PixelCNN, van den Oord et al. 2016,
arXiv:1606.05328, eq. 4 and 5):

    W * x + V^T h           a class h, one-hot: the same at every pixel
    W * x + V * s           a spatial map s: V is a 1 x 1 convolution

A condition is held with the rank of maps, [B, 1, 1, E] or [B, H, W, E], and cut to a place where a sampler needs it.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from genjax.contract import Array
from genjax.nn.row_buffer import Place


def encode_condition(condition: Array | None, num_classes: int, shape: tuple[int, ...]) -> Array | None:
    """Return a condition with the rank of maps.

    Args:
        condition: integer classes [B] in 0 ... num_classes - 1; a floating map [B, H, W, E]; or None.
        num_classes: 0 where the condition is no class.
        shape: of the pictures, (B, H, W, C).

    Returns:
        float32 [B, 1, 1, num_classes] or [B, H, W, E]; None for None.

    Raises:
        ValueError: classes are given to a network without, are missing, or the map is of another size.
    """
    if condition is None:
        if num_classes:
            raise ValueError(f"the network is conditioned on one of {num_classes} classes; give int classes [B].")
        return None
    if condition.ndim == 1 and jnp.issubdtype(condition.dtype, jnp.integer):
        if not num_classes:
            raise ValueError("the network has no classes, but was given some; build it with num_classes.")
        return jax.nn.one_hot(condition, num_classes)[:, None, None, :]
    if num_classes or condition.ndim != 4 or condition.shape[:3] != tuple(shape[:3]):
        wanted = "int classes [B]" if num_classes else f"a map [{shape[0]}, {shape[1]}, {shape[2]}, E]"
        raise ValueError(f"the condition has shape {condition.shape} and dtype {condition.dtype}; give {wanted}.")
    return condition.astype(jnp.float32)


def at_place(maps: Array, at: Place | None) -> Array:
    """Cut maps [B, 1 or H, 1 or W, E] to a place: [B, E] at a pixel, [B, 1 or W, E] of a row, all of them for None."""
    if at is None:
        return maps
    row = maps[:, 0] if maps.shape[1] == 1 else lax.dynamic_index_in_dim(maps, at.row, 1, keepdims=False)
    if at.column is None:
        return row
    return row[:, 0] if row.shape[1] == 1 else lax.dynamic_index_in_dim(row, at.column, 1, keepdims=False)


class ConditionBias(nn.Module):
    """x + V h, or x itself where there is no condition.

    dtype: compute dtype.
    """

    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, condition: Array | None, at: Place | None = None) -> Array:
        """Add to x [..., F] what a condition from `encode_condition` says; x is of all maps, or of the place `at`."""
        if condition is None:
            return x
        told = nn.Dense(x.shape[-1], use_bias=False, dtype=self.dtype, name="project")(at_place(condition, at))
        return x + told.astype(x.dtype)


class PlaceBias(nn.Module):
    """x + r_i + c_j, learned for every row i and column j; zero at first.

    Convolutions know where they are from the edges alone, as far as these are in reach. This tells a small network on a
    large picture how much of it is still to come.

    shape: (H, W) of the pictures.
    dtype: compute dtype.
    """

    shape: tuple[int, int]
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, at: Place | None = None) -> Array:
        """Add to x, of all maps [B, H, W, F], a row [B, W, F] or a pixel [B, F]."""
        zeros = nn.initializers.zeros_init()
        rows = self.param("rows", zeros, (self.shape[0], x.shape[-1]), jnp.float32)[:, None]
        columns = self.param("columns", zeros, (self.shape[1], x.shape[-1]), jnp.float32)[None]
        return x + at_place(rows[None], at).astype(x.dtype) + at_place(columns[None], at).astype(x.dtype)
