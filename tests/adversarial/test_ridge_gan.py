"""RidgeGAN's regression against scikit-learn, its indices against scikit-image and counting by hand."""

import jax
import numpy as np
import pytest
from skimage.measure import euler_number
from sklearn.kernel_ridge import KernelRidge

from genjax.adversarial import (
    choose_kernel_ridge,
    fit_kernel_ridge,
    leave_one_out_errors,
    predict_kernel_ridge,
    rbf_gram,
    settlement_indices,
)

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(20, 3)).astype(np.float32) * [1, 5, 0.2] + [0, 2, 1]
X = X.astype(np.float32)
Y = (np.sin(X[:, 0]) + 0.1 * X[:, 1] + 3).astype(np.float32)


def test_the_regression_is_that_of_scikit_learn():
    new = X[:7] + np.float32(0.1)
    fit_and_predict = lambda x, y, new: predict_kernel_ridge(fit_kernel_ridge(x, y, gamma=0.3, alpha=0.2), new)
    found = jax.jit(fit_and_predict)(X, Y, new)
    standard = lambda x: (x - X.mean(0)) / X.std(0)
    theirs = KernelRidge(alpha=0.2, kernel="rbf", gamma=0.3).fit(standard(X), Y - Y.mean())
    expected = theirs.predict(standard(new)) + Y.mean()
    np.testing.assert_allclose(found, expected, rtol=2e-5)


def test_leaving_one_out_is_leaving_one_out():
    gram, y, expected = np.asarray(jax.jit(rbf_gram)(X, X, 0.05)), Y - Y.mean(), []
    for i in range(len(X)):
        rest = np.arange(len(X)) != i
        fitted = KernelRidge(alpha=0.3, kernel="precomputed").fit(gram[np.ix_(rest, rest)], y[rest])
        expected.append(y[i] - fitted.predict(gram[i : i + 1, rest])[0])
    found = jax.jit(leave_one_out_errors)(gram, y, 0.3)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_the_grid_is_searched():
    """A smooth curve without noise is fitted with the least ridge, pure noise with the largest."""
    x = np.linspace(-2, 2, 30, dtype=np.float32)[:, None]
    alphas = lambda y: choose_kernel_ridge(x, y, gammas=(0.3,), alphas=(1e-3, 100.0)).weights
    noise = RANDOM.normal(size=30).astype(np.float32)
    assert np.abs(alphas(np.sin(2 * x[:, 0]))).max() > 1
    assert np.abs(alphas(noise)).max() < 0.1


indices = jax.jit(settlement_indices)


def test_the_indices_of_a_ring_and_a_cell():
    """A ring of 8 cells round a hole and, apart from it, one cell: 9 cells, 20 sides outside and inside, 1 hole."""
    built = np.zeros((1, 6, 6), np.float32)
    built[0, :3, :3] = 1
    built[0, 1, 1] = 0
    built[0, 5, 5] = 1
    found = indices(built)
    sides = 12 + 4 + 4
    cells = np.argwhere(built[0])
    expected = {
        "share": 9 / 36,
        "edges": sides / 36,
        "shape": sides / (4 * 3),
        "patches": (2 - 1) / 9,
        "like_adjacencies": 8 / 18,
        "dispersion": np.sqrt(((cells - cells.mean(0)) ** 2).sum(1).mean()) / 6,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(found, name), [value], rtol=1e-6, err_msg=name)


def test_patches_are_the_euler_number():
    built = RANDOM.integers(0, 2, (12, 7, 9))
    found = np.asarray(indices(built.astype(np.float32)).patches) * built.sum(axis=(1, 2))
    np.testing.assert_allclose(found, [euler_number(one, connectivity=2) for one in built], atol=1e-4)


def test_nothing_built_has_finite_indices():
    assert all(np.all(np.asarray(index) == 0) for index in indices(np.zeros((1, 6, 6), np.float32)))


def test_a_map_without_a_batch_is_refused():
    with pytest.raises(AssertionError):
        settlement_indices(np.zeros((4, 4), np.float32))
