"""Modes covered by samples of a mixture of Gaussians, and how many samples lie near one.

With components at centres c_k and standard deviation sigma in every coordinate, a sample is of high quality if
it lies within 3 sigma of its nearest centre, and a mode is covered if a sample of high quality is nearest to
it (Srivastava et al. 2017). In two dimensions a true sample is of high quality with probability
1 - exp(-9/2) = 0.9889: more than that means modes narrower than the data's.

Reference: Srivastava et al. 2017, "VEEGAN", section 4.1, https://arxiv.org/abs/1705.07761
"""

from typing import NamedTuple

import chex
import jax.numpy as jnp

from genjax.contract import Array


class ModeCoverage(NamedTuple):
    """How samples spread over the modes.

    covered: number of modes with a sample of high quality, int32 scalar.
    high_quality: fraction of samples of high quality, in [0, 1].
    counts: samples of high quality by mode, int32 `[K]`.
    """

    covered: Array
    high_quality: Array
    counts: Array


def mode_coverage(samples: Array, centres: Array, *, std: float, radius: float = 3.0) -> ModeCoverage:
    """Count the modes of a Gaussian mixture that samples cover, and the samples near one.

    Args:
        samples: `[N, D]`.
        centres: of the components, `[K, D]`.
        std: standard deviation of every component in each coordinate.
        radius: how many standard deviations from the nearest centre still count.

    Returns:
        ModeCoverage.

    Reference: Srivastava et al. 2017, section 4.1.
    """
    chex.assert_rank([samples, centres], 2)
    squared = jnp.sum((samples[:, None] - centres[None]) ** 2, axis=-1)  # [N, K]
    nearest = jnp.argmin(squared, axis=1)
    near = jnp.min(squared, axis=1) <= (radius * std) ** 2
    counts = jnp.zeros(centres.shape[0], jnp.int32).at[nearest].add(near.astype(jnp.int32))
    return ModeCoverage(jnp.sum(counts > 0), jnp.mean(near.astype(jnp.float32)), counts)
