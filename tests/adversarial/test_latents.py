"""Paths in the latent space against the geometry of the sphere."""

import jax
import numpy as np
import pytest

from genjax.adversarial import latent_arithmetic, lerp, slerp

T = np.linspace(0, 1, 7, dtype=np.float32)


@jax.jit
def paths(start, end):
    return slerp(start, end, T), lerp(start, end, T)


def on_sphere(seed, num=6, dim=5, radius=3.0):
    v = np.random.default_rng(seed).normal(size=(num, dim))
    return (radius * v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)


def test_slerp_walks_the_great_circle_at_constant_speed():
    start, end = on_sphere(0), on_sphere(1)
    path = np.asarray(paths(start, end)[0], np.float64)
    assert path.shape == (6, 7, 5)
    np.testing.assert_allclose(np.linalg.norm(path, axis=-1), 3.0, rtol=1e-6)
    angle = lambda a, b: np.arccos(np.clip(np.sum(a * b, -1) / 9.0, -1, 1))
    whole = angle(np.asarray(start, np.float64), np.asarray(end, np.float64))
    # One arccos near 0 and pi keeps half of its digits only, hence the middle of the path.
    np.testing.assert_allclose(angle(path[:, 1:-1], path[:, :1]), whole[:, None] * np.asarray(T)[None, 1:-1], rtol=1e-4)
    np.testing.assert_allclose(path[:, 0], start, atol=1e-6)
    np.testing.assert_allclose(path[:, -1], end, atol=2e-6)


def test_lerp_is_straight_and_shorter():
    start, end = on_sphere(0), on_sphere(1)
    path = np.asarray(paths(start, end)[1])
    np.testing.assert_allclose(path[:, 3], 0.5 * (start + end), rtol=1e-6)
    assert (np.linalg.norm(path[:, 3], axis=-1) < 3.0 - 0.01).all()


@pytest.mark.parametrize("end", [[2.0, 0.0], [1.0 + 1e-6, 1e-7], [-1.0, 0.0], [1.0, 1e-3]])
def test_slerp_of_nearly_parallel_ends_stays_finite_and_between(end):
    start, end = np.array([[1, 0]], np.float32), np.array([end], np.float32)
    path, straight = map(np.asarray, paths(start, end))
    np.testing.assert_allclose(path[:, 0], start, atol=1e-6)
    np.testing.assert_allclose(path[:, -1], end, atol=1e-6)
    np.testing.assert_allclose(path, straight, atol=1e-6)


def test_arithmetic_takes_averages():
    rng = np.random.default_rng(0)
    base, minus, plus = (rng.normal(size=(n, 4)).astype(np.float32) for n in (3, 2, 5))
    expected = np.average(base, axis=0) - np.average(minus, axis=0) + np.average(plus, axis=0)
    np.testing.assert_allclose(jax.jit(latent_arithmetic)(base, minus, plus), expected, rtol=1e-5)


@pytest.mark.parametrize("function", [lerp, slerp, latent_arithmetic])
def test_wrong_ranks_are_refused(function):
    with pytest.raises(AssertionError, match="rank"):
        function(*(np.ones(shape, np.float32) for shape in (3, (2, 3), 2)))
