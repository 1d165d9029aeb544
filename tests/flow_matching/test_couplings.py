"""Assignments against scipy, entropic plans against their optimality conditions and a closed form."""

import jax
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from genjax import flow_matching

KEY = jax.random.key(0)
solve = jax.jit(flow_matching.linear_assignment)
distances = jax.jit(flow_matching.squared_distances)
log_plan_of = jax.jit(flow_matching.sinkhorn_log_plan, static_argnames="iterations")


@pytest.mark.parametrize("kind", ["uniform", "points", "ties", "negative"])
def test_assignment_is_scipys(kind):
    random = np.random.default_rng(0)
    for _ in range(20):
        cost = {
            "uniform": lambda: random.uniform(size=(24, 24)),
            "points": lambda: ((random.normal(size=(24, 1, 2)) - random.normal(size=(24, 2)) - 3.0) ** 2).sum(axis=2),
            "ties": lambda: random.integers(0, 4, size=(24, 24)).astype(float),
            "negative": lambda: random.normal(size=(24, 24)) * 100.0 - 50.0,
        }[kind]().astype(np.float32)
        found = np.asarray(solve(cost))
        assert sorted(found) == list(range(24))
        rows, columns = linear_sum_assignment(cost)
        assert cost[rows, found].sum() == pytest.approx(cost[rows, columns].sum(), rel=1e-5, abs=1e-4)
        if kind != "ties":
            np.testing.assert_array_equal(found, columns)


def test_assignment_of_one_and_of_nonsense():
    assert np.asarray(solve(np.ones((1, 1), np.float32))) == 0
    solve(np.full((24, 24), np.nan, np.float32))  # returns: a run that diverged must reach its guard
    with pytest.raises(ValueError, match="must be a square matrix"):
        solve(np.ones((2, 3), np.float32))


def test_exact_coupling_keeps_the_order_of_the_data():
    random = np.random.default_rng(0)
    x1 = (random.normal(size=(24, 3, 1)) * 5).astype(np.float32)
    x0 = x1[random.permutation(24)] + np.float32(0.01)
    index = np.asarray(jax.jit(flow_matching.exact_coupling)(KEY, x0, x1))
    np.testing.assert_allclose(x0[index], x1, atol=0.011)
    np.testing.assert_array_equal(flow_matching.independent_coupling(KEY, x0, x1), np.arange(24))


def test_distances():
    x, y = np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)
    wanted = ((x[:, None] - y[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(distances(x, y), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("regularization", [0.1, 1.0])
def test_sinkhorn_plan_meets_the_conditions_that_determine_it(regularization):
    """Uniform marginals, and log P + C / r = f_i + g_j; no other matrix has both (Peyre & Cuturi 2019, prop. 4.3)."""
    cost = np.random.default_rng(0).uniform(size=(6, 5)).astype(np.float32)
    log_plan = np.asarray(log_plan_of(cost, regularization, iterations=400), np.float64)
    plan = np.exp(log_plan)
    np.testing.assert_allclose(plan.sum(axis=0), 1 / 5, rtol=1e-5)
    np.testing.assert_allclose(plan.sum(axis=1), 1 / 6, rtol=1e-4)
    potentials = log_plan + cost / regularization
    np.testing.assert_allclose(potentials - potentials[:1] - potentials[:, :1] + potentials[0, 0], 0.0, atol=2e-5)


def test_sinkhorn_between_exact_and_independent():
    random = np.random.default_rng(0)
    x0, x1 = random.normal(size=(2, 12, 2)).astype(np.float32)
    cost = np.asarray(distances(x1, x0))
    least = cost[np.arange(12), np.asarray(jax.jit(flow_matching.exact_coupling)(KEY, x0, x1))].mean()
    plan = np.exp(np.asarray(log_plan_of(cost, 0.05, iterations=1000)))
    # By optimality <C, P> + r KL(P) <= least + r log N, and KL(P) >= 0.
    assert least - 1e-3 <= np.sum(plan * cost) <= least + 0.05 * np.log(12) + 1e-3
    flat = np.exp(np.asarray(log_plan_of(cost, 1e5, iterations=1000)))
    np.testing.assert_allclose(flat, 1 / 144, rtol=1e-3)
    coupling = flow_matching.sinkhorn_coupling(0.05, iterations=1000)
    index = jax.jit(jax.vmap(lambda key: coupling(key, x0, x1)))(jax.random.split(KEY, 2000))
    drawn = np.stack([np.bincount(column, minlength=12) for column in np.asarray(index).T]) / 2000
    np.testing.assert_allclose(drawn, 12 * plan, atol=5 * np.sqrt(0.25 / 2000))


def test_schroedinger_bridge_of_gaussians():
    """N(0, 1) to N(m, b), d x = sigma dw: covariance of the ends (sqrt(4 b + sigma^4) - sigma^2) / 2.

    Janati et al. 2020 (arXiv:2006.02572), theorem 1, in one dimension; r = 2 sigma^2 for squared distances.
    """
    from scipy.stats import norm

    sigma, b, n = 0.8, 0.49, 400
    quantiles = norm.ppf((np.arange(n) + 0.5) / n)
    x0 = quantiles[:, None].astype(np.float32)
    x1 = (1.0 + np.sqrt(b) * quantiles[:, None]).astype(np.float32)
    plan = np.exp(np.asarray(log_plan_of(distances(x1, x0), 2 * sigma**2, iterations=200), np.float64))
    covariance = (x1 - 1.0).T @ plan @ x0
    assert covariance.item() == pytest.approx((np.sqrt(4 * b + sigma**4) - sigma**2) / 2, rel=0.01)
