"""Divergences against scipy, scikit-learn, quadrature and closed forms that the code does not use."""

import functools

import jax
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.optimize
import scipy.stats
from scipy.spatial.distance import cdist, jensenshannon
from sklearn.metrics import pairwise

from genjax.classical import divergences as d


def simplex(seed, *shape):
    return np.random.default_rng(seed).dirichlet(np.ones(shape[-1]), shape[:-1]).astype(np.float32)


def covariance(rng, dim):
    factor = rng.normal(size=(dim, dim))
    return factor @ factor.T / dim + 0.3 * np.eye(dim)


def test_discrete_divergences_equal_scipys():
    p, q = simplex(0, 5, 7), simplex(1, 5, 7)
    kl, js, tv = jax.jit(lambda p, q: (d.kl_divergence(p, q), d.js_divergence(p, q), d.total_variation(p, q)))(p, q)
    np.testing.assert_allclose(kl, scipy.stats.entropy(p, q, axis=1), rtol=2e-5)
    np.testing.assert_allclose(js, jensenshannon(p, q, axis=1) ** 2, rtol=2e-5)
    np.testing.assert_allclose(tv, cdist(p, q, "cityblock").diagonal() / 2, rtol=2e-5)


def test_discrete_divergences_at_zeros():
    kl, js, tv = jax.jit(d.kl_divergence), jax.jit(d.js_divergence), jax.jit(d.total_variation)
    p, q = np.float32([0.5, 0.5, 0.0]), np.float32([0.0, 0.5, 0.5])
    assert np.isposinf(kl(p, q))
    np.testing.assert_allclose(kl(p, np.float32([0.25, 0.25, 0.5])), np.log(2.0), rtol=1e-6)
    disjoint = np.eye(2, dtype=np.float32)
    np.testing.assert_allclose(js(disjoint[0], disjoint[1]), np.log(2.0), rtol=1e-6)
    assert float(tv(disjoint[0], disjoint[1])) == 1.0
    assert np.isfinite(jax.jit(jax.grad(d.js_divergence))(p, q)).all()


@pytest.mark.parametrize("dim", [1, 4])
def test_gaussian_kl_is_the_quadrature_or_the_formula_with_inverses(dim):
    rng = np.random.default_rng(dim)
    mean_p, mean_q = rng.normal(size=(2, dim))
    cov_p, cov_q = covariance(rng, dim), covariance(rng, dim)
    if dim == 1:
        p = scipy.stats.norm(mean_p[0], cov_p[0, 0] ** 0.5)
        q = scipy.stats.norm(mean_q[0], cov_q[0, 0] ** 0.5)
        expected = scipy.integrate.quad(lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), -15, 15)[0]
    else:
        # E_p[log p - log q]: the mean of a Gaussian's log-density is its value at the mean less a trace.
        p, q = scipy.stats.multivariate_normal(mean_p, cov_p), scipy.stats.multivariate_normal(mean_q, cov_q)
        expected = -p.entropy() - (q.logpdf(mean_p) - 0.5 * np.trace(np.linalg.inv(cov_q) @ cov_p))
    with jax.enable_x64(True):
        value = jax.jit(d.gaussian_kl)(mean_p, cov_p, mean_q=mean_q, cov_q=cov_q)
    np.testing.assert_allclose(value, expected, rtol=1e-8)


def test_gaussian_wasserstein2_by_sqrtm_and_by_transport_of_the_line():
    rng = np.random.default_rng(0)
    mean_p, mean_q = rng.normal(size=(2, 5))
    cov_p, cov_q = covariance(rng, 5), covariance(rng, 5)
    cross = scipy.linalg.sqrtm(cov_p @ cov_q).real
    expected = np.sum((mean_p - mean_q) ** 2) + np.trace(cov_p + cov_q - 2 * cross)
    with jax.enable_x64(True):
        distance = jax.jit(d.gaussian_wasserstein2)
        value = distance(mean_p, cov_p, mean_q=mean_q, cov_q=cov_q)
        line = [np.array(a) for a in ([1.0], [[4.0]], [-2.0], [[0.25]])]
        on_a_line = distance(line[0], line[1], mean_q=line[2], cov_q=line[3])
    np.testing.assert_allclose(value, np.sqrt(expected), rtol=1e-9)
    np.testing.assert_allclose(on_a_line, np.sqrt(3.0**2 + 1.5**2), rtol=1e-12)


def test_terms_of_samples_average_to_the_integrals():
    p, q = scipy.stats.norm(0.0, 1.0), scipy.stats.norm(1.0, 1.5)
    middle = lambda x: 0.5 * (p.pdf(x) + q.pdf(x))
    integral = lambda f: scipy.integrate.quad(f, -14, 14, limit=200)[0]
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, 100_000), rng.normal(1, 1.5, 100_000)
    at_x = [g.logpdf(x).astype(np.float32) for g in (p, q)]
    at_y = [g.logpdf(y).astype(np.float32) for g in (q, p)]
    js_integrand = lambda g: lambda t: g.pdf(t) * np.log(g.pdf(t) / middle(t))
    kl_terms, js_terms, tv_terms = jax.jit(d.kl_terms), jax.jit(d.js_terms), jax.jit(d.total_variation_terms)
    cases = [
        (kl_terms(*at_x), integral(lambda t: p.pdf(t) * (p.logpdf(t) - q.logpdf(t)))),
        (js_terms(*at_x), integral(js_integrand(p))),
        (js_terms(*at_y), integral(js_integrand(q))),
        (tv_terms(*at_x), 0.5 * integral(lambda t: abs(p.pdf(t) - q.pdf(t)))),
        (tv_terms(*at_y), 0.5 * integral(lambda t: abs(p.pdf(t) - q.pdf(t)))),
    ]
    for terms, expected in cases:
        terms = np.asarray(terms, np.float64)
        assert abs(terms.mean() - expected) < 4 * terms.std() / np.sqrt(terms.size)


def test_terms_where_one_density_is_zero():
    log_p, log_q = np.float32([-1.0, -90.0]), np.float32([-np.inf, 5.0])
    np.testing.assert_allclose(jax.jit(d.total_variation_terms)(log_p, log_q), [1.0, 0.0], atol=1e-7)
    np.testing.assert_allclose(jax.jit(d.js_terms)(log_p, log_q), [np.log(2.0), np.log(2.0) - 95.0], rtol=1e-6)
    with pytest.raises(AssertionError):
        d.kl_terms(log_p[:, None], log_q[:, None])


@pytest.mark.parametrize("sizes", [(6, 6), (7, 5), (1, 4), (12, 8)])
def test_wasserstein_1d_equals_scipys_for_any_sizes(sizes):
    rng = np.random.default_rng(sum(sizes))
    x, y = rng.normal(size=sizes[0]).astype(np.float32), rng.normal(1, 2, size=sizes[1]).astype(np.float32)
    np.testing.assert_allclose(jax.jit(d.wasserstein_1d)(x, y), scipy.stats.wasserstein_distance(x, y), rtol=1e-5)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.5])
def test_wasserstein_1d_is_the_cheapest_transport_plan(p):
    """Optimal transport between 4 and 6 points as a linear programme."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=4), rng.normal(size=6)
    cost = np.abs(x[:, None] - y[None, :]) ** p
    rows = np.kron(np.eye(4), np.ones(6))
    columns = np.kron(np.ones(4), np.eye(6))
    plan = scipy.optimize.linprog(
        cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([np.full(4, 1 / 4), np.full(6, 1 / 6)])
    )
    value = jax.jit(functools.partial(d.wasserstein_1d, p=p))(x.astype(np.float32), y.astype(np.float32))
    np.testing.assert_allclose(value, plan.fun ** (1 / p), rtol=1e-5)


def test_wasserstein_1d_of_equal_samples_is_zero_and_of_large_ones_finite():
    x = np.linspace(-1.0, 1.0, 9, dtype=np.float32)
    distance = jax.jit(functools.partial(d.wasserstein_1d, p=2.0))
    assert float(distance(x, x[::-1])) == 0.0
    np.testing.assert_allclose(distance(x, x + np.float32(1e30)), 1e30, rtol=1e-6)
    assert np.isfinite(jax.jit(jax.grad(distance))(x, x + 1)).all()
    with pytest.raises(ValueError, match="p >= 1"):
        d.wasserstein_1d(x, x, p=0.5)


def test_kernels_equal_scikit_learns():
    rng = np.random.default_rng(0)
    x, y = (rng.normal(30.0, 1.0, size=(n, 5)).astype(np.float32) for n in (6, 4))
    expected = pairwise.rbf_kernel(x, y, gamma=1 / (2 * 1.7**2))
    np.testing.assert_allclose(jax.jit(d.rbf_kernel(bandwidth=1.7))(x, y), expected, rtol=1e-4)
    expected = 10.0 / (10.0 + pairwise.euclidean_distances(x, y, squared=True))
    np.testing.assert_allclose(jax.jit(d.imq_kernel(scale=10.0))(x, y), expected, rtol=1e-5)
    expected = pairwise.polynomial_kernel(x, y, degree=3, gamma=1 / 5, coef0=1.0)
    np.testing.assert_allclose(jax.jit(d.polynomial_kernel())(x, y), expected, rtol=1e-5)


def test_mmd_equals_loops_over_pairs():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 2)), rng.normal(1.0, 1.0, size=(4, 2))
    k = lambda a, b: np.exp(-np.sum((a - b) ** 2) / 2)
    pairs = lambda a, b, skip: [k(u, v) for i, u in enumerate(a) for j, v in enumerate(b) if not (skip and i == j)]
    both = np.mean(pairs(x, y, False))
    unbiased = np.mean(pairs(x, x, True)) + np.mean(pairs(y, y, True)) - 2 * both
    biased = np.mean(pairs(x, x, False)) + np.mean(pairs(y, y, False)) - 2 * both
    x, y, kernel = x.astype(np.float32), y.astype(np.float32), d.rbf_kernel(bandwidth=1.0)
    both = jax.jit(lambda x, y: (d.mmd_squared(x, y, kernel), d.mmd_squared_biased(x, y, kernel)))(x, y)
    np.testing.assert_allclose(both, (unbiased, biased), rtol=1e-5)
    with pytest.raises(ValueError, match="two samples"):
        d.mmd_squared(x[:1], y, kernel)


def test_unbiased_mmd_averages_to_the_closed_form_of_gaussians():
    """E k of the RBF kernel with bandwidth s between N(a, v I) and N(b, w I) is a Gaussian density of a - b:
    (s^2 / (s^2 + v + w))^(D/2) exp(-|a - b|^2 / (2 (s^2 + v + w)))."""
    dim, s2, v, w, shift = 2, 1.5**2, 1.0, 4.0, np.array([0.7, -0.4])
    mean_k = lambda a, b, gap: (s2 / (s2 + a + b)) ** (dim / 2) * np.exp(-gap / (2 * (s2 + a + b)))
    expected = mean_k(v, v, 0.0) + mean_k(w, w, 0.0) - 2 * mean_k(v, w, shift @ shift)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 50, dim)).astype(np.float32)
    y = (shift + 2.0 * rng.normal(size=(400, 40, dim))).astype(np.float32)
    one = lambda x, y: d.mmd_squared(x, y, d.rbf_kernel(bandwidth=1.5))
    values = np.asarray(jax.jit(jax.vmap(one))(x, y), np.float64)
    assert abs(values.mean() - expected) < 4 * values.std() / np.sqrt(len(values))
    assert values.std() / np.sqrt(len(values)) < 0.05 * expected  # the check above could fail
