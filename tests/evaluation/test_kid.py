"""Kernel distance against scikit-learn's polynomial kernel and the closed form for Gaussians."""

import jax
import numpy as np
import pytest
from sklearn.metrics.pairwise import polynomial_kernel

from genjax.evaluation.kid import kernel_distance


def by_sklearn(x, y):
    k = lambda a, b: polynomial_kernel(a, b, degree=3, gamma=1 / x.shape[1], coef0=1.0)
    off_diagonal = lambda g: (g.sum() - np.trace(g)) / (len(g) * (len(g) - 1))
    return off_diagonal(k(x, x)) + off_diagonal(k(y, y)) - 2 * k(x, y).mean()


def test_one_block_of_everything_equals_sklearns_kernel():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 6)), rng.normal(0.5, 1.2, size=(50, 6))
    result = kernel_distance(jax.random.key(0), x, y, blocks=3, block_size=1000)
    assert result.block_size == 50
    np.testing.assert_allclose(result.mean, by_sklearn(x, y), rtol=1e-4)
    assert result.std < 1e-4 * result.mean  # every block is the whole, in another order


def test_blocks_average_to_the_closed_form():
    """On the line, with x ~ N(0, 1) and y ~ N(m, 1): k(x, y) = 1 + 3 xy + 3 x^2 y^2 + x^3 y^3, so MMD^2 is the squared
    gap of moments with weights 3, 3, 1: 3 m^2 + 3 (m^2)^2 + (m^3 + 3 m)^2."""
    rng, m, blocks = np.random.default_rng(1), 0.6, 40  # few and large: each shuffles all examples
    x, y = rng.normal(size=(20_000, 1)), rng.normal(m, 1.0, size=(20_000, 1))
    result = kernel_distance(jax.random.key(0), x, y, blocks=blocks, block_size=500)
    expected = 3 * m**2 + 3 * m**4 + (m**3 + 3 * m) ** 2
    assert abs(result.mean - expected) < 4 * result.std / np.sqrt(blocks)
    assert result.std / np.sqrt(blocks) < 0.1 * expected


def test_same_distribution_gives_zero_within_the_error():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 5000, 8))
    result = kernel_distance(jax.random.key(0), x, y, blocks=40, block_size=250)
    assert abs(result.mean) < 4 * result.std / np.sqrt(40)


def test_blocks_are_refused_that_hold_one_example():
    with pytest.raises(ValueError, match="at least two"):
        kernel_distance(jax.random.key(0), np.zeros((1, 2)), np.zeros((9, 2)))
