"""Maximum mean discrepancy between two samples, and a test of whether they have one distribution.

The estimates and kernels are those of `genjax.classical.divergences`. The test asks how often a random relabelling of
the pooled sample gives an estimate at least as large as the one seen: under the null hypothesis that both have one
distribution all labellings are equally likely, so

    p-value = (1 + #{relabellings with MMD^2 >= the one seen}) / (1 + #relabellings)

rejects at level alpha with probability at most alpha, for every kernel and every number of examples.

References: Gretton et al. 2012, sections 2 and 5; Phipson & Smyth 2010 (the ones in the p-value).
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from genjax.classical.divergences import (
    Kernel,
    imq_kernel,
    mmd_squared,
    mmd_squared_biased,
    rbf_kernel,
    squared_distances,
)
from genjax.contract import Array

__all__ = [
    "TwoSampleTest",
    "imq_kernel",
    "median_distance",
    "mmd_squared",
    "mmd_squared_biased",
    "rbf_kernel",
    "two_sample_test",
]


class TwoSampleTest(NamedTuple):
    """Outcome of a permutation test.

    mmd_squared: the unbiased estimate, scalar.
    p_value: in (0, 1], scalar.
    """

    mmd_squared: Array
    p_value: Array


def median_distance(x: Array, y: Array) -> Array:
    """Return the median distance between two different points of the pooled sample: a bandwidth for the RBF kernel.

    Args:
        x: [N, D].
        y: [M, D].

    Returns:
        Scalar, in the unit of x.

    Reference: Gretton et al. 2012, section 8.
    """
    pooled = jnp.concatenate([x, y])
    squared = squared_distances(pooled, pooled)
    rows, columns = jnp.triu_indices(pooled.shape[0], k=1)
    return jnp.sqrt(jnp.median(squared[rows, columns]))


def two_sample_test(key: Array, x: Array, y: Array, kernel: Kernel, *, permutations: int = 500) -> TwoSampleTest:
    """Test by permutation whether two samples have one distribution.

    Args:
        key: of the relabellings.
        x: [N, D], N >= 2.
        y: [M, D], M >= 2.
        kernel: fixed beforehand, or a symmetric function of the pooled sample (as with `median_distance`), else
            the level is not kept.
        permutations: how many relabellings (static).

    Returns:
        See TwoSampleTest.
    """
    chex.assert_rank([x, y], 2)
    n, m = x.shape[0], y.shape[0]
    pooled = jnp.concatenate([x, y])
    gram = jnp.where(jnp.eye(n + m, dtype=bool), 0.0, kernel(pooled, pooled))
    labels = jnp.arange(n + m) < n
    shuffled = jax.vmap(lambda k: jax.random.permutation(k, labels))(jax.random.split(key, permutations))
    values = _estimates(gram, jnp.concatenate([labels[None], shuffled]), n, m)
    seen, relabelled = values[0], values[1:]
    # A relabelling that swaps nothing must count as equal: a rounding error below must not decide.
    tolerance = 1e-6 * jnp.max(jnp.abs(gram))
    exceed = jnp.sum(relabelled >= seen - tolerance, dtype=jnp.float32)
    return TwoSampleTest(seen, (1.0 + exceed) / (1.0 + permutations))


def _estimates(gram: Array, labels: Array, n: int, m: int) -> Array:
    """Return the unbiased MMD^2 for each labelling.

    Args:
        gram: pooled kernel values with a zero diagonal, [N + M, N + M].
        labels: True for the first sample, [P, N + M].
        n: N.
        m: M.

    Returns:
        [P].
    """
    first = labels.astype(gram.dtype)
    second = 1.0 - first
    towards_first = jnp.matmul(first, gram, precision=jax.lax.Precision.HIGHEST)
    towards_second = jnp.matmul(second, gram, precision=jax.lax.Precision.HIGHEST)
    within_first = jnp.sum(towards_first * first, axis=1) / (n * (n - 1))
    within_second = jnp.sum(towards_second * second, axis=1) / (m * (m - 1))
    across = jnp.sum(towards_first * second, axis=1) / (n * m)
    return within_first + within_second - 2.0 * across
