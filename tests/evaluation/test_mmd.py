"""The two-sample test: its estimate, its level under the null hypothesis and its power."""

import functools

import jax
import numpy as np
import scipy.stats
from scipy.spatial.distance import pdist
from sklearn.metrics.pairwise import rbf_kernel as sklearn_rbf

from genjax.evaluation import mmd


def test_estimate_equals_the_one_by_sklearns_kernel():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 3)).astype(np.float32), rng.normal(0.5, 1.0, size=(20, 3)).astype(np.float32)
    k = lambda a, b: sklearn_rbf(a, b, gamma=1 / (2 * 1.5**2))
    off_diagonal = lambda g: (g.sum() - np.trace(g)) / (len(g) * (len(g) - 1))
    expected = off_diagonal(k(x, x)) + off_diagonal(k(y, y)) - 2 * k(x, y).mean()
    kernel = mmd.rbf_kernel(bandwidth=1.5)
    result = jax.jit(lambda key, x, y: mmd.two_sample_test(key, x, y, kernel, permutations=20))(jax.random.key(0), x, y)
    np.testing.assert_allclose(result.mmd_squared, expected, rtol=1e-4)
    np.testing.assert_allclose(jax.jit(lambda x, y: mmd.mmd_squared(x, y, kernel))(x, y), expected, rtol=1e-4)


def test_median_distance_equals_scipys():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(13, 2)).astype(np.float32), rng.normal(size=(9, 2)).astype(np.float32)
    found = jax.jit(mmd.median_distance)(x, y)
    np.testing.assert_allclose(found, np.median(pdist(np.concatenate([x, y]))), rtol=1e-5)


@jax.jit
@functools.partial(jax.vmap, in_axes=(0, None))
def p_value(key, shift):
    key_x, key_y, key_test = jax.random.split(key, 3)
    x, y = jax.random.normal(key_x, (20, 2)), shift + jax.random.normal(key_y, (15, 2))
    kernel = mmd.rbf_kernel(bandwidth=mmd.median_distance(x, y))
    return mmd.two_sample_test(key_test, x, y, kernel, permutations=99).p_value


def repeated(shift):
    """p-values of 300 tests between N(0, I) and N(shift, I), bandwidth from the pooled sample."""
    return np.asarray(p_value(jax.random.split(jax.random.key(2), 300), shift))


def test_level_is_kept_under_the_null_hypothesis():
    """p-values of an exact test are uniform on {1/100, ..., 1}."""
    p_values = repeated(0.0)
    for level in (0.05, 0.2, 0.5):
        rejected = int(np.sum(p_values <= level + 1e-6))
        assert scipy.stats.binomtest(rejected, len(p_values), level).pvalue > 1e-3


def test_different_distributions_are_told_apart():
    assert np.mean(repeated(1.5) <= 0.05) > 0.95


def test_equal_samples_are_never_rejected_and_imq_works_alike():
    x, ones = np.random.default_rng(3).normal(size=(12, 2)).astype(np.float32), np.ones((12, 2), np.float32)
    kernel = mmd.imq_kernel(scale=4.0)
    run = jax.jit(lambda key, x, y: mmd.two_sample_test(key, x, y, kernel, permutations=99).p_value)
    assert np.asarray(run(jax.random.key(4), ones, ones)) == 1
    assert np.asarray(run(jax.random.key(4), x, x + 5)) == np.float32(0.01)
