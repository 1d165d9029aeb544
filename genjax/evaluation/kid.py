"""Kernel distance between two sets of features: MMD^2 under a cubic kernel, unbiased at any number of examples.

    k(x, y) = (x . y / D + 1)^3

The mean over random blocks of the unbiased estimate, with the spread between blocks beside it. As with FID, the
name KID belongs to Inception's features; with others say which.

Reference: Binkowski et al. 2018, "Demystifying MMD GANs", section 4.
"""

import functools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from genjax.classical.divergences import mmd_squared, polynomial_kernel
from genjax.contract import Array


class KernelDistance(NamedTuple):
    """Kernel distance of two sets.

    mean: over the blocks, of the unbiased MMD^2; may be slightly negative.
    std: standard deviation of the blocks (not of their mean).
    block_size: examples of either set in a block.
    """

    mean: float
    std: float
    block_size: int


def kernel_distance(key: Array, x: Array, y: Array, *, blocks: int = 100, block_size: int = 1000) -> KernelDistance:
    """Estimate MMD^2 between two sets of features on random blocks.

    Args:
        key: which examples fall into which block.
        x: features, [N, D].
        y: features, [M, D].
        blocks: how many.
        block_size: examples of either set in a block, drawn without replacement; at most N and M are taken.

    Returns:
        See KernelDistance.

    Raises:
        ValueError: a block would hold fewer than two examples of a set.
    """
    chex.assert_rank([x, y], 2)
    size = min(block_size, x.shape[0], y.shape[0])
    if size < 2 or blocks < 1:
        raise ValueError(f"{blocks} blocks of {size} examples: there must be at least one, of at least two.")
    values = _blocks(key, jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32), blocks=blocks, size=size)
    return KernelDistance(float(jnp.mean(values)), float(jnp.std(values)), size)


@functools.partial(jax.jit, static_argnames=("blocks", "size"))
def _blocks(key: Array, x: Array, y: Array, *, blocks: int, size: int) -> Array:
    def one(key: Array) -> Array:
        key_x, key_y = jax.random.split(key)
        rows = jax.random.choice(key_x, x.shape[0], (size,), replace=False)
        columns = jax.random.choice(key_y, y.shape[0], (size,), replace=False)
        return mmd_squared(x[rows], y[columns], polynomial_kernel(degree=3))

    return jax.lax.map(one, jax.random.split(key, blocks))
