"""Skewing: row i of a map moved i columns to the right, so that diagonals become columns.

A map [B, H, W, C] becomes [B, H, W + H - 1, C], x'[i, i + j] = x[i, j] and zero elsewhere. In the skewed map, one
column to the left lie (i, j - 1) in the same row and (i - 1, j) in the row above: both predecessors of a pixel on its
diagonal (van den Oord et al. 2016, arXiv:1601.06759, section 3.2 and figure 3).
"""

import jax.numpy as jnp
import numpy as np

from genjax.contract import Array


def skew(x: Array) -> Array:
    """Move row i by i columns to the right, zeros filling up.

    Args:
        x: [B, H, W, C].

    Returns:
        [B, H, W + H - 1, C].

    Raises:
        ValueError: x is no batch of maps.
    """
    if x.ndim != 4:
        raise ValueError(f"x has shape {x.shape}; skewing takes maps [B, H, W, C].")
    batch, height, width, channels = x.shape
    # Rows of W + H, read as rows of one less: each begins one column later than the one before.
    padded = jnp.pad(x, ((0, 0), (0, 0), (0, height), (0, 0))).reshape(batch, height * (width + height), channels)
    return padded[:, : height * (width + height - 1)].reshape(batch, height, width + height - 1, channels)


def unskew(x: Array) -> Array:
    """Undo `skew`: [B, H, W + H - 1, C] -> [B, H, W, C].

    Raises:
        ValueError: x is no batch of skewed maps.
    """
    if x.ndim != 4 or x.shape[2] < x.shape[1]:
        raise ValueError(f"x has shape {x.shape}; a skewed map is [B, H, W + H - 1, C].")
    batch, height, length, channels = x.shape
    flat = jnp.pad(x.reshape(batch, height * length, channels), ((0, 0), (0, height), (0, 0)))
    return flat.reshape(batch, height, length + 1, channels)[:, :, : length + 1 - height]


def inside(height: int, width: int) -> np.ndarray:
    """Return where a skewed map holds entries of the map, bool [H, W + H - 1]."""
    column = np.arange(width + height - 1)[None] - np.arange(height)[:, None]
    return (column >= 0) & (column < width)
