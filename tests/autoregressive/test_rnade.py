"""RNADE: its density over the plane, its samples through its own distribution functions, its order by autodiff."""

import functools

import jax
import numpy as np
import pytest
from scipy import special, stats

from genjax.autoregressive import ScanWeights, rnade, rnade_log_prob
from tests.autoregressive.enumeration import compiled


@functools.cache
def small(shape=(2,), ordering=None, num_classes=0):
    """Return an RNADE with random biases and smaller kernels: standard deviations that a grid can resolve."""
    model = compiled(rnade(shape, hidden=8, components=3, spread=1.5, ordering=ordering, num_classes=num_classes))
    batch = {"x": np.zeros((2, *shape), np.float32), "label": np.zeros(2, np.int32)}
    variables = model.init(jax.random.key(0), batch)
    noise = np.random.RandomState(1).standard_normal
    bump = lambda w: (0.4 * np.asarray(w) + 0.2 * noise(w.shape)).astype(np.float32)
    return model, variables._replace(params=jax.tree.map(bump, variables.params))


@pytest.mark.parametrize("ordering", [(0, 1), (1, 0)])
@pytest.mark.parametrize("num_classes", [0, 2])
def test_the_density_integrates_to_one(ordering, num_classes):
    model, variables = small(ordering=ordering, num_classes=num_classes)
    side = np.linspace(-14, 14, 701, dtype=np.float32)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    batch = {"x": grid, "label": np.ones(len(grid), np.int32)}
    density = np.exp(np.asarray(model.log_prob.fn(variables, None, batch), np.float64))
    np.testing.assert_allclose(density.sum() * (side[1] - side[0]) ** 2, 1.0, atol=1e-4)
    assert density.max() > 2 * np.median(density[density > 1e-3])


def test_outputs_see_exactly_what_stands_before():
    ordering = (2, 0, 3, 1)
    model, variables = small((4,), ordering)
    x = np.random.default_rng(1).normal(size=4).astype(np.float32)
    jacobian = jax.jit(jax.jacrev(lambda x: model.methods["outputs"](variables, None, x[None])[0]))(x)
    place = np.argsort(ordering)
    np.testing.assert_array_equal(np.abs(jacobian).max(axis=1) > 0, place[None, :] < place[:, None])


def test_samples_pass_through_their_distribution_functions_as_uniforms():
    """F(x_1) and F(x_2 | x_1), by scipy, are independent and uniform (Rosenblatt 1952)."""
    model, variables = small(ordering=(1, 0))
    x = model.sample(variables, jax.random.key(2), 5_000)
    outputs = np.asarray(model.methods["outputs"](variables, None, x), np.float64)
    logits, means, log_stds = np.split(outputs, 3, axis=-1)
    parts = stats.norm(means, np.exp(log_stds)).cdf(np.asarray(x, np.float64)[..., None])
    u = (special.softmax(logits, axis=-1) * parts).sum(axis=-1)
    assert min(stats.kstest(u[:, d], "uniform").pvalue for d in range(2)) > 1e-3
    assert abs(stats.spearmanr(u[:, 0], u[:, 1]).statistic) < 4 / np.sqrt(5_000)


def test_samples_are_those_of_the_naive_sampler():
    model, variables = small((4,), (2, 0, 3, 1), 2)
    condition = np.arange(32, dtype=np.int32) % 2
    fast = np.asarray(model.sample(variables, jax.random.key(3), 32, condition=condition))
    slow = model.methods["sample_naive"](variables, jax.random.key(3), 32, condition=condition)
    np.testing.assert_allclose(fast, slow, rtol=1e-4, atol=1e-5)
    assert fast.std() > 0.1


def test_completion_keeps_what_is_known():
    model, variables = small()
    x, known = np.float32([[1.5, 7.0], [-0.5, 7.0]]), np.array([True, False])
    drawn = np.asarray(model.methods["complete"](variables, jax.random.key(4), x, known))
    np.testing.assert_array_equal(drawn[:, 0], x[:, 0])
    assert (drawn[:, 1] != 7.0).all()


def test_one_dimension_is_a_gaussian_mixture():
    """With one dimension all weights but b drop out, h = 0 for c = 0: a mixture that scipy has."""
    outputs = np.array([[0.2, -0.4, -1.0, 2.0, 0.3, -0.5]], np.float32)
    zeros, ones = (functools.partial(make, dtype=np.float32) for make in (np.zeros, np.ones))
    weights = ScanWeights(zeros((1, 4)), zeros(4), ones(1), ones((1, 4, 6)), outputs, zeros((0, 4)))
    x = np.linspace(-3, 4, 15, dtype=np.float32)
    found = jax.jit(rnade_log_prob)(x[:, None], weights, np.zeros(1, np.int32))
    parts = stats.norm([-1.0, 2.0], np.exp([0.3, -0.5])).pdf(x[:, None])
    np.testing.assert_allclose(found, np.log((special.softmax([0.2, -0.4]) * parts).sum(axis=1)), rtol=1e-5)
