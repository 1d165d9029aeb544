"""A bank of masks: the orderings and connectivities that one MADE is trained under (Germain et al. 2015, section 4).

Masks are made before training from a seed of their own, by numpy: how many hidden units share a degree decides the
shapes in the incremental sampler and has to be known when a program is compiled. The bank itself travels in the
model's state.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.autoregressive.orderings import random_ordering, raster_ordering
from genjax.contract import Array
from genjax.nn.masked_dense import Degrees, random_degrees


class MaskBank(NamedTuple):
    """M sets of degrees.

    degrees: inputs [M, D], hidden a tuple of [M, H_l].
    largest: for each hidden layer the most units of one degree in any of the sets.
    """

    degrees: Degrees
    largest: tuple[int, ...]


def mask_bank(
    shape: tuple[int, ...],
    hidden: Sequence[int],
    *,
    num_masks: int = 1,
    num_orderings: int = 1,
    seed: int = 0,
    conditioned: bool = False,
) -> MaskBank:
    """Draw a bank of masks.

    Args:
        shape: of one x, D entries.
        hidden: widths of the hidden layers.
        num_masks: M, sets of hidden degrees; above 1 training is connectivity-agnostic.
        num_orderings: R <= M; set i takes ordering i mod R, the first of which is raster order and the others drawn;
            above 1 training is order-agnostic.
        seed: of numpy's generator.
        conditioned: whether the network has a condition.

    Returns:
        MaskBank of numpy arrays.

    Raises:
        ValueError: more orderings than masks, or none.
    """
    if not 1 <= num_orderings <= num_masks:
        raise ValueError(f"{num_masks} masks cannot have {num_orderings} orderings: it takes 1 <= orderings <= masks.")
    random = np.random.RandomState(seed)
    orderings = [raster_ordering(shape), *(random_ordering(random, shape) for _ in range(num_orderings - 1))]
    sets = [
        random_degrees(random, orderings[i % num_orderings], hidden, conditioned=conditioned) for i in range(num_masks)
    ]
    inputs = np.stack([one.inputs for one in sets])
    layers = tuple(np.stack(layer) for layer in zip(*(one.hidden for one in sets)))
    largest = tuple(max(int(np.bincount(row).max()) for row in layer) for layer in layers)
    return MaskBank(Degrees(inputs, layers), largest)


def one_of(degrees: Degrees, index: Array) -> Degrees:
    """Return the set `index`, a traced integer, of stacked degrees."""
    return jax.tree.map(lambda stacked: jnp.asarray(stacked)[index], degrees)


def units_by_degree(degrees: Array, num_degrees: int, largest: int) -> Array:
    """List the hidden units of each degree.

    Args:
        degrees: int [H], each in 0..num_degrees-1.
        num_degrees: static.
        largest: the most units of one degree, static.

    Returns:
        int32 [num_degrees, largest]; a row holds the units of its degree and is filled up with H, which is no unit.
    """
    width = degrees.shape[0]
    by_degree = jnp.argsort(degrees).astype(jnp.int32)
    edges = jnp.searchsorted(degrees[by_degree], jnp.arange(num_degrees + 1, dtype=degrees.dtype))
    place = edges[:-1, None] + jnp.arange(largest, dtype=edges.dtype)[None]
    units = by_degree.at[place].get(mode="fill", fill_value=width)
    return jnp.where(place < edges[1:, None], units, width)
