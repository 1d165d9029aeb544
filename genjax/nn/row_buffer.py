"""What a causal network must remember of a map in order to make its next pixel.

A layer of such a network looks from pixel (i, j) at offsets (dy, dx), its *taps*, that lie at or before it in raster
order. Whole maps are needed for training alone; a sampler, which comes by the pixels one by one, needs for each layer
the last R = 1 + max(-dy) rows of its input. They are kept in a ring: row i lies at i mod R,

    rows [B, R, left + W + right, C],   left = max(-dx), right = max(dx) columns of zeros at the edges,

and zeros stand for the rows above the picture until they are overwritten. What row i - R left in the part of row i
that is yet to come is never read: no tap points there.

Taps are read in three ways, in one order (tap after tap along the last axis), so that one kernel serves all:

    neighbours      every pixel of whole maps           [B, H, W, C] -> [B, H', W', T C]
    look            a pixel or a row of whole maps      [B, H, W, C] -> [B, T C] or [B, W, T C]
    read_rows       a pixel or a row of a ring          [B, R, ., C] -> [B, T C] or [B, W, T C]
"""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from genjax.contract import Array

Taps = tuple[tuple[int, int], ...]


class Place(NamedTuple):
    """Where a sampler is.

    row: int32 scalar.
    column: int32 scalar, or None for the whole row at once.
    """

    row: Array
    column: Array | None = None


def margins(taps: Taps) -> tuple[int, int, int]:
    """Return how far taps reach up, left and right, each at least 0."""
    return max(-dy for dy, _ in taps), max(0, *(-dx for _, dx in taps)), max(0, *(dx for _, dx in taps))


def neighbours(x: Array, taps: Taps, *, stride: int = 1) -> Array:
    """Gather the taps of every `stride`-th pixel of whole maps, zeros outside.

    Args:
        x: [B, H, W, C].
        taps: T offsets (dy, dx), dy <= 0.
        stride: distance of the pixels, along both axes.

    Returns:
        [B, ceil(H / stride), ceil(W / stride), T C].
    """
    _, height, width, _ = x.shape
    up, left, right = margins(taps)
    x = jnp.pad(x, ((0, 0), (up, 0), (left, right), (0, 0)))
    shifted = [
        x[:, up + dy : up + dy + height : stride, left + dx : left + dx + width : stride] for dy, dx in taps
    ]
    return jnp.concatenate(shifted, axis=-1)


def look(x: Array, at: Place, taps: Taps) -> Array:
    """Gather the taps of one pixel, or of each pixel of one row, of whole maps; zeros outside.

    Args:
        x: [B, H, W, C].
        at: where.
        taps: T offsets.

    Returns:
        [B, T C] at a pixel, [B, W, T C] of a row.
    """
    _, height, width, _ = x.shape
    columns = jnp.arange(width) if at.column is None else at.column[None]
    parts = []
    for dy, dx in taps:
        row, column = at.row + dy, columns + dx
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        line = lax.dynamic_index_in_dim(x, jnp.clip(row, 0, height - 1), 1, keepdims=False)
        values = jnp.take(line, jnp.clip(column, 0, width - 1), axis=1)
        parts.append(jnp.where(inside[None, :, None], values, jnp.zeros((), x.dtype)))
    gathered = jnp.concatenate(parts, axis=-1)
    return gathered if at.column is None else gathered[:, 0]


def empty_rows(x: Array, taps: Taps) -> Array:
    """Return the ring of whole maps x [B, H, W, C] before any pixel is known."""
    up, left, right = margins(taps)
    batch, _, width, channels = x.shape
    return jnp.zeros((batch, up + 1, left + width + right, channels), x.dtype)


def write_rows(rows: Array, x: Array, at: Place, taps: Taps) -> Array:
    """Put a pixel x [B, C] or a row x [B, W, C] into its ring."""
    up, left, _ = margins(taps)
    ring, column = at.row % (up + 1), left if at.column is None else at.column + left
    x = x[:, None] if at.column is None else x[:, None, None]
    return lax.dynamic_update_slice(rows, x.astype(rows.dtype), (0, ring, column, 0))


def read_rows(rows: Array, at: Place, taps: Taps) -> Array:
    """Gather the taps of one pixel, or of each pixel of one row, from a ring.

    Args:
        rows: the ring, [B, R, left + W + right, C].
        at: where. At a pixel, no tap may lie behind it in its own row.
        taps: the T offsets for which the ring was made.

    Returns:
        [B, T C] at a pixel, [B, W, T C] of a row.
    """
    up, left, right = margins(taps)
    batch, _, padded, channels = rows.shape
    width = padded - left - right
    start, size = (0, padded) if at.column is None else (at.column, left + right + 1)
    lines = {
        dy: lax.dynamic_slice(rows, (0, (at.row + dy) % (up + 1), start, 0), (batch, 1, size, channels))[:, 0]
        for dy in {dy for dy, _ in taps}
    }
    if at.column is None:
        return jnp.concatenate([lines[dy][:, left + dx : left + dx + width] for dy, dx in taps], axis=-1)
    return jnp.concatenate([lines[dy][:, left + dx] for dy, dx in taps], axis=-1)


def keep(module: nn.Module, name: str, value: Array) -> None:
    """Store what a module is to remember, in the collection 'cache'."""
    module.put_variable("cache", name, value)


def recall(module: nn.Module, name: str) -> Array:
    """Return what a module remembers.

    Raises:
        ValueError: the cache was not made before the first pixel.
    """
    if not module.has_variable("cache", name):
        raise ValueError("a network at one place needs the collection 'cache' that `empty_cache` makes.")
    return module.get_variable("cache", name)


def declare(module: nn.Module, name: str, initial: Callable[[], Array]) -> None:
    """Make what a module is to remember, where the cache is being made and not elsewhere."""
    if module.is_mutable_collection("cache"):
        keep(module, name, initial())


def remembered_row(module: nn.Module, name: str, x: Array | None, at: Place | None) -> Array:
    """Keep the row of a map that was made at once, for the pixels of that row to read.

    Args:
        module: that keeps it.
        name: of what is kept.
        x: whole maps [B, H, W, C] where `at` is None, a row [B, W, C] to keep, or None at a pixel.
        at: where.

    Returns:
        x, or at a pixel what was kept at its column, [B, C].
    """
    if at is None:
        declare(module, name, lambda: jnp.zeros((x.shape[0], *x.shape[2:]), x.dtype))
        return x
    if at.column is None:
        keep(module, name, x)
        return x
    return lax.dynamic_index_in_dim(recall(module, name), at.column, 1, keepdims=False)


def empty_cache(network: nn.Module, params: object, *arguments: object) -> object:
    """Return the cache of a network before its first pixel: zeros.

    Args:
        network: built of layers that keep their rows in the collection 'cache'.
        params: its parameters.
        *arguments: those of its call on whole maps, of the shapes and dtypes that sampling will have.

    Returns:
        The collection, {} for a network that remembers nothing.
    """
    call = lambda: network.apply({"params": params}, *arguments, mutable=["cache"])[1].get("cache", {})
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(call))
