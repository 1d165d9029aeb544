"""Orderings: in which order a model takes the dimensions of x, flattened in raster order (row, column, channel)."""

import math

import numpy as np


def raster_ordering(shape: tuple[int, ...]) -> np.ndarray:
    """Return 0..D-1: row by row, from left to right; int32 [D]."""
    return np.arange(math.prod(shape), dtype=np.int32)


def column_ordering(shape: tuple[int, int, int]) -> np.ndarray:
    """Return the ordering of a picture [H, W, C] column by column, from top to bottom; int32 [D]."""
    return np.arange(math.prod(shape), dtype=np.int32).reshape(shape).swapaxes(0, 1).reshape(-1)


def random_ordering(random: np.random.RandomState, shape: tuple[int, ...]) -> np.ndarray:
    """Draw one of the D! orderings; int32 [D]."""
    return random.permutation(math.prod(shape)).astype(np.int32)
