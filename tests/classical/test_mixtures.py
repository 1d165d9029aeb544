"""Mixtures against scikit-learn step for step, and the promise of EM."""

import warnings

import jax
import numpy as np
import pytest
import scipy.stats
from sklearn import mixture

from genjax import classical

KINDS = {
    "full": (classical.full_expectation, classical.full_maximization, classical.fit_full_mixture),
    "diag": (classical.diagonal_expectation, classical.diagonal_maximization, classical.fit_diagonal_mixture),
}


@pytest.fixture(scope="module")
def x():
    random = np.random.default_rng(0)
    factors = random.normal(size=(3, 2, 2))
    which = random.choice(3, 200, p=[0.5, 0.3, 0.2])
    middles = np.array([[-2.0, 0.0], [2.0, 1.0], [0.0, -3.0]])
    return (middles[which] + np.einsum("nij,nj->ni", factors[which], random.normal(size=(200, 2)))).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_scikit_learns(x, kind):
    expect, maximize, _ = KINDS[kind]
    shares = np.random.default_rng(1).dirichlet([0.3, 0.3, 0.3], 200).astype(np.float32)
    start = jax.tree.map(np.asarray, jax.jit(maximize)(x, shares))
    steps = jax.jit(
        lambda x, start: classical.expectation_maximization(x, start, expect=expect, maximize=maximize, num_steps=15)
    )
    ours, trace = jax.tree.map(np.asarray, steps(x, start))
    spread = start[2].astype(np.float64)
    precisions = np.linalg.inv(spread) if kind == "full" else 1.0 / spread
    theirs = mixture.GaussianMixture(
        3,
        covariance_type=kind,
        tol=0.0,
        reg_covar=1e-6,
        max_iter=15,
        weights_init=np.float64(start.weights) / np.sum(start.weights, dtype=np.float64),
        means_init=start.means,
        precisions_init=precisions,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fifteen steps are not until convergence
        theirs.fit(x.astype(np.float64))
    assert np.abs(ours.means - start.means).max() > 0.3
    np.testing.assert_allclose(ours.weights, theirs.weights_, atol=2e-4)
    np.testing.assert_allclose(ours.means, theirs.means_, atol=1e-3)
    np.testing.assert_allclose(ours[2], theirs.covariances_, atol=3e-3)
    np.testing.assert_allclose(trace[-1], theirs.lower_bound_, atol=1e-4)
    found = jax.jit(expect)(x, ours)
    np.testing.assert_allclose(found.log_evidence, theirs.score_samples(x), atol=2e-3)
    np.testing.assert_allclose(found.responsibilities, theirs.predict_proba(x), atol=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_likelihood_never_falls(x, kind):
    fit = jax.jit(lambda key: KINDS[kind][2](key, x, 4, num_steps=60, floor=0.0))
    for seed in (0, 1):
        trace = np.asarray(fit(jax.random.key(seed))[1])
        assert (np.diff(trace) > -3e-6).all() and trace[-1] > trace[0] + 1e-3


def test_covariances_of_one_component_are_the_samples_own(x):
    for kind, expected in (("full", np.cov(x.T, bias=True)), ("diag", x.var(0))):
        fit = jax.jit(lambda key, x, fit=KINDS[kind][2]: fit(key, x, 1, num_steps=2)[0])
        fitted = jax.tree.map(np.asarray, fit(jax.random.key(0), x))
        np.testing.assert_allclose(fitted[2][0], expected, rtol=1e-4)
        np.testing.assert_allclose(fitted.means[0], x.mean(0), atol=1e-4)


def test_samples_have_the_mixtures_distribution():
    weights, means = np.float32([0.3, 0.7]), np.float32([[-2.0, 1.0], [1.0, 0.0]])
    covariances = np.float32([[[1.0, 0.6], [0.6, 0.5]], [[0.2, 0.0], [0.0, 2.0]]])
    variances = np.float32([[1.0, 0.5], [0.2, 2.0]])
    along = np.array([0.8, -0.6])
    draw = lambda sample, mixture: jax.jit(sample, static_argnums=2)(jax.random.key(0), mixture, 4000)
    full = draw(classical.sample_full_mixture, classical.FullMixture(weights, means, covariances))
    diagonal = draw(classical.sample_diagonal_mixture, classical.DiagonalMixture(weights, means, variances))
    for drawn, spreads in ((full, covariances), (diagonal, [np.diag(v) for v in variances])):
        parts = [(w, along @ m, np.sqrt(along @ s @ along)) for w, m, s in zip(weights, means, spreads)]
        cdf = lambda value: sum(float(w) * scipy.stats.norm.cdf(value, m, s) for w, m, s in parts)
        assert scipy.stats.kstest(np.asarray(drawn) @ along, cdf).pvalue > 1e-3


def test_wrong_shapes_are_refused_with_a_sentence(x):
    wrong = classical.DiagonalMixture(np.ones(1), np.zeros((1, 3)), np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"\[N, D\] and \[K, D\]"):
        classical.diagonal_expectation(x, wrong)
