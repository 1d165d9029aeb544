"""Coupling layers: one part of x is kept, and moves the other part by a map of its own inverse.

    additive    z_a = x_a,  z_b = x_b + t(x_a)                       log_det = 0             (NICE, eq. 8-10)
    affine      z_a = x_a,  z_b = x_b exp(s(x_a)) + t(x_a)           log_det = sum s(x_a)    (Real NVP, eq. 4-6)
    masked      z = m x + (1 - m) (x exp(s(m x)) + t(m x))           log_det = sum (1 - m) s (Real NVP, eq. 9)

The inverse needs no inverse of s and t, which are any network. A `Partition` says which part is kept; where the parts
are no arrays of their own (a checkerboard) there is the masked form.

A network is given as a function of its number of outputs, `network(features)` -> Linen module, since only the coupling
knows how wide the moved part is. Its module maps (kept, condition) to what the coupling reads; parameters alone.
"""

from typing import Callable, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array, PyTree
from genjax.distributions import per_example
from genjax.flows.bijection import Bijection, Condition, no_change, stateless

Network = Callable[[int], nn.Module]


class Partition(NamedTuple):
    """Two parts of x along its last axis.

    split: x [B, ..., C] -> (kept, moved).
    join: (kept, moved) -> x.
    """

    split: Callable[[Array], tuple[Array, Array]]
    join: Callable[[Array, Array], Array]


def halves(*, swap: bool = False) -> Partition:
    """Part the last axis in the middle; the first half (the shorter, where C is odd) is kept, or moved under `swap`."""
    order = lambda a, b: (b, a) if swap else (a, b)

    def split(x: Array) -> tuple[Array, Array]:
        half = x.shape[-1] // 2
        return order(x[..., :half], x[..., half:])

    return Partition(split, lambda kept, moved: jnp.concatenate(order(kept, moved), axis=-1))


def interleaved(*, swap: bool = False) -> Partition:
    """Part the last axis into even and odd places; even ones are kept, or moved under `swap` (NICE, section 5.1)."""
    order = lambda a, b: (b, a) if swap else (a, b)

    def join(kept: Array, moved: Array) -> Array:
        even, odd = order(kept, moved)
        x = jnp.zeros((*even.shape[:-1], even.shape[-1] + odd.shape[-1]), even.dtype)
        return x.at[..., ::2].set(even).at[..., 1::2].set(odd)

    return Partition(lambda x: order(x[..., ::2], x[..., 1::2]), join)


def checkerboard(shape: tuple[int, ...], *, odd: bool = False) -> np.ndarray:
    """Return the mask of pixels whose row and column add up to an even number (or an odd), all channels alike.

    Args:
        shape: (H, W, C).

    Returns:
        float32 [H, W, C] of zeros and ones.
    """
    rows, columns = np.indices(shape[:2])
    mask = ((rows + columns) % 2 == int(odd)).astype(np.float32)
    return np.broadcast_to(mask[:, :, None], shape).copy()


def additive_coupling(network: Network, partition: Partition) -> Bijection:
    """Make an additive coupling.

    Args:
        network: features -> module (kept, condition) -> t [B, ..., features].
        partition: which part is kept.
    """

    def shift(params: PyTree, kept: Array, features: int, condition: Condition) -> Array:
        return network(features).apply({"params": params}, kept, condition).astype(jnp.float32)

    def init(key: Array, x: Array, condition: Condition) -> PyTree:
        kept, moved = partition.split(x)
        return _params(network(moved.shape[-1]).init(key, kept, condition))

    def forward(params: PyTree, x: Array, condition: Condition) -> tuple[Array, Array]:
        kept, moved = partition.split(x)
        return partition.join(kept, moved + shift(params, kept, moved.shape[-1], condition)), no_change(x)

    def inverse(params: PyTree, z: Array, condition: Condition) -> tuple[Array, Array]:
        kept, moved = partition.split(z)
        return partition.join(kept, moved - shift(params, kept, moved.shape[-1], condition)), no_change(z)

    return stateless(init, forward, inverse)


def affine_coupling(network: Network, partition: Partition) -> Bijection:
    """Make an affine coupling.

    Args:
        network: features -> module (kept, condition) -> (t, s), each [B, ..., features]; see
            `genjax.flows.networks` for how s is bounded.
        partition: which part is kept.
    """

    def read(params: PyTree, kept: Array, features: int, condition: Condition) -> tuple[Array, Array]:
        shift, log_scale = network(features).apply({"params": params}, kept, condition)
        return shift.astype(jnp.float32), log_scale.astype(jnp.float32)

    def init(key: Array, x: Array, condition: Condition) -> PyTree:
        kept, moved = partition.split(x)
        return _params(network(moved.shape[-1]).init(key, kept, condition))

    def forward(params: PyTree, x: Array, condition: Condition) -> tuple[Array, Array]:
        kept, moved = partition.split(x)
        shift, log_scale = read(params, kept, moved.shape[-1], condition)
        return partition.join(kept, moved * jnp.exp(log_scale) + shift), per_example(log_scale)

    def inverse(params: PyTree, z: Array, condition: Condition) -> tuple[Array, Array]:
        kept, moved = partition.split(z)
        shift, log_scale = read(params, kept, moved.shape[-1], condition)
        return partition.join(kept, (moved - shift) * jnp.exp(-log_scale)), -per_example(log_scale)

    return stateless(init, forward, inverse)


def masked_affine_coupling(network: Network, mask: np.ndarray) -> Bijection:
    """Make an affine coupling under a mask.

    Args:
        network: features -> module (m x, condition) -> (t, s), each [B, ..., features]; features is C.
        mask: zeros and ones of the shape of one x, [..., C]; ones are kept.
    """
    kept = np.asarray(mask, np.float32)[None]
    moved = 1.0 - kept

    def read(params: PyTree, x: Array, condition: Condition) -> tuple[Array, Array]:
        shift, log_scale = network(x.shape[-1]).apply({"params": params}, kept * x, condition)
        return moved * shift.astype(jnp.float32), moved * log_scale.astype(jnp.float32)

    def init(key: Array, x: Array, condition: Condition) -> PyTree:
        return _params(network(x.shape[-1]).init(key, kept * x, condition))

    # Where the mask keeps, shift and log_scale are zero, and x * exp(0) + 0 is x to the bit.
    def forward(params: PyTree, x: Array, condition: Condition) -> tuple[Array, Array]:
        shift, log_scale = read(params, x, condition)
        return x * jnp.exp(log_scale) + shift, per_example(log_scale)

    def inverse(params: PyTree, z: Array, condition: Condition) -> tuple[Array, Array]:
        shift, log_scale = read(params, z, condition)
        return (z - shift) * jnp.exp(-log_scale), -per_example(log_scale)

    return stateless(init, forward, inverse)


def _params(variables: PyTree) -> PyTree:
    others = sorted(set(variables) - {"params"})
    if others:
        raise ValueError(f"the network of a coupling keeps collections {others}; it may have parameters alone.")
    return variables["params"]
