"""Exact and sliced Wasserstein distances against enumeration, linear programming, scipy and closed forms."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from genjax.evaluation import wasserstein as w


def test_exact_distance_is_the_best_of_all_permutations():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 2)), rng.normal(1.0, 2.0, size=(6, 2))
    best = min(np.mean(np.sum((x - y[list(order)]) ** 2, axis=1)) for order in itertools.permutations(range(6)))
    np.testing.assert_allclose(w.wasserstein2(x, y), np.sqrt(best), rtol=1e-12)


def test_exact_distance_of_shifted_and_of_scaled_clouds():
    """The map x -> a x + b is the gradient of a convex function and so optimal: W2^2 = mean |x - a x - b|^2."""
    rng = np.random.default_rng(1)
    x, b = rng.normal(size=(200, 3)), np.array([1.0, -2.0, 0.5])
    y = (2.5 * x + b)[rng.permutation(200)]
    np.testing.assert_allclose(w.wasserstein2(x, y), np.sqrt(np.mean(np.sum((1.5 * x + b) ** 2, axis=1))), rtol=1e-10)
    assert w.wasserstein2(x, x[::-1]) == 0.0


def test_exact_distance_of_large_samples_nears_that_of_their_gaussians():
    """The samples are given the moments of their Gaussians, so that fewer of them do: the cost grows as their cube."""
    standard = scipy.stats.zscore(np.random.default_rng(2).normal(size=(2, 600, 2)), axis=1)
    x, y = standard[0] * [1.0, 0.5] + [5.0, 0.0], standard[1] * [2.0, 1.0]
    np.testing.assert_allclose(w.wasserstein2(x, y), np.sqrt(25.0 + 1.0 + 0.25), rtol=0.01)


def test_floor_of_eight_gaussians_as_recorded():
    """Radius 5, variance 0.316 on each axis: 1.03 at n = 256, measured elsewhere (printed as W2)."""

    @functools.partial(jax.jit, static_argnums=1)
    def draw(key, n):
        key_mode, key_noise = jax.random.split(key)
        angle = jnp.floor(jax.random.uniform(key_mode, (n,), maxval=8.0)) * (jnp.pi / 4)
        return 5 * jnp.stack([jnp.cos(angle), jnp.sin(angle)], 1) + 0.316**0.5 * jax.random.normal(key_noise, (n, 2))

    mean, std = w.wasserstein2_floor(draw, jax.random.key(0), 256, repeats=20)
    assert 0.0 < std < 0.5 and abs(mean - 1.03) < 4 * std / np.sqrt(20)


def test_sliced_distance_in_one_dimension_is_scipys():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(40, 1)).astype(np.float32), rng.normal(1, 2, size=(25, 1)).astype(np.float32)
    value = jax.jit(lambda x, y: w.sliced_wasserstein(jax.random.key(0), x, y, num_directions=4, p=1.0))(x, y)
    np.testing.assert_allclose(value, scipy.stats.wasserstein_distance(x[:, 0], y[:, 0]), rtol=1e-5)


def test_sliced_distance_of_a_shifted_cloud():
    """Every projection is shifted by theta . b, so SW_2^2 = E (theta . b)^2 = |b|^2 / D."""
    x = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    b = np.array([1.0, 2.0, -2.0, 4.0], np.float32)
    distance = jax.jit(
        jax.value_and_grad(lambda b: w.sliced_wasserstein(jax.random.key(1), x, x + b[None], num_directions=4000))
    )
    (one, gradient), (ten, _) = (jax.tree.map(np.asarray, distance(shift)) for shift in (b, 10 * b))
    np.testing.assert_allclose(one, np.sqrt(25.0 / 4), rtol=0.05)
    np.testing.assert_allclose(ten, 10 * one, rtol=1e-4)
    np.testing.assert_allclose(gradient @ b, one, rtol=1e-3)  # Euler's identity


def test_clouds_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match="one N"):
        w.wasserstein2(np.zeros((3, 2)), np.zeros((4, 2)))
