"""Factorizations against scikit-learn, and the promises of their theorems."""

import jax
import numpy as np
import pytest
from sklearn import decomposition

from genjax import classical

NMF = {
    "frobenius": (classical.least_squares_step, classical.squared_residual),
    "kullback-leibler": (classical.divergence_step, classical.generalized_kl),
}


def data(rows=30, columns=6, seed=0):
    random = np.random.default_rng(seed)
    return (random.normal(size=(rows, columns)) @ random.normal(size=(columns, columns)) + 3.0).astype(np.float32)


def test_principal_components_are_scikit_learns():
    x = data()
    ours = jax.tree.map(np.asarray, jax.jit(classical.pca, static_argnums=1)(x, 3))
    theirs = decomposition.PCA(3, svd_solver="full").fit(x.astype(np.float64))
    signs = np.sign((ours.components * theirs.components_).sum(1))
    np.testing.assert_allclose(ours.components, signs[:, None] * theirs.components_, atol=1e-4)
    np.testing.assert_allclose(ours.variances, theirs.explained_variance_, rtol=1e-4)
    codes = jax.jit(classical.pca_encode)(x, ours)
    np.testing.assert_allclose(codes, signs * theirs.transform(x), atol=1e-3)
    rebuilt = jax.jit(classical.pca_decode)(codes, ours)
    np.testing.assert_allclose(rebuilt, theirs.inverse_transform(theirs.transform(x)), atol=1e-3)
    assert (np.take_along_axis(ours.components, np.abs(ours.components).argmax(1)[:, None], 1) > 0).all()


def test_components_are_batched_by_vmap():
    x = np.stack([data(seed=seed) for seed in (0, 1)])
    components = lambda x: classical.pca(x, 2).components
    together = np.asarray(jax.jit(jax.vmap(components))(x))
    np.testing.assert_allclose(together[1], jax.jit(components)(x[1]), atol=1e-5)


@pytest.mark.parametrize("loss", NMF)
def test_updates_are_scikit_learns(loss):
    random = np.random.default_rng(0)
    x = random.uniform(0.1, 2.0, (20, 7)).astype(np.float32)
    weights, components = (random.uniform(0.5, 1.5, shape) for shape in ((20, 3), (3, 7)))
    start = classical.Factors(weights.astype(np.float32), components.astype(np.float32))
    step = jax.jit(NMF[loss][0])
    ours = step(x, step(x, step(x, start)))
    options = dict(init="custom", solver="mu", beta_loss=loss, max_iter=3, tol=0.0)
    theirs = decomposition.non_negative_factorization(
        x.astype(np.float64), W=weights.copy(), H=components.copy(), n_components=3, **options
    )
    np.testing.assert_allclose(ours.weights, theirs[0], rtol=2e-4)
    np.testing.assert_allclose(ours.components, theirs[1], rtol=2e-4)


@pytest.mark.parametrize("loss", NMF)
def test_objective_never_rises_and_factors_stay_non_negative(loss):
    x = np.random.default_rng(1).poisson(2.0, (25, 8)).astype(np.float32)
    step, objective = NMF[loss]
    fit = jax.jit(lambda key: classical.nmf(key, x, 4, num_steps=60, step=step, objective=objective))
    factors, trace = jax.tree.map(np.asarray, fit(jax.random.key(0)))
    assert (np.diff(trace) < 1e-5 * trace[0]).all() and trace[-1] < 0.8 * trace[0]
    assert (factors.weights >= 0).all() and (factors.components >= 0).all()


def test_divergence_is_the_sum_of_poisson_deviances():
    from sklearn.metrics import mean_poisson_deviance

    random = np.random.default_rng(2)
    x = random.poisson(1.0, (6, 5)).astype(np.float32)
    factors = classical.Factors(*(random.uniform(0.2, 1.0, shape).astype(np.float32) for shape in ((6, 2), (2, 5))))
    product = (factors.weights @ factors.components).ravel()
    expected = 0.5 * x.size * mean_poisson_deviance(x.ravel(), product)
    np.testing.assert_allclose(jax.jit(classical.generalized_kl)(x, factors), expected, rtol=1e-5)


def test_wrong_shapes_are_refused_with_a_sentence():
    with pytest.raises(ValueError, match=r"\[N, D\]"):
        classical.pca(np.zeros(3, np.float32), 1)
    with pytest.raises(ValueError, match="1 to 4"):
        classical.pca(np.zeros((5, 4), np.float32), 5)
