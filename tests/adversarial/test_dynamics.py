"""Gradient play on <x, y>: paths against powers of the linear map's known eigenvalues, in float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.adversarial.dynamics import (
    Players,
    alternating,
    averaged,
    bilinear,
    extragradient,
    play_game,
    simultaneous,
)

ETA, STEPS = 0.3, 40
START = 0.8 - 0.5j  # x + i y


def path_of(step, rate=ETA, steps=STEPS, value=bilinear):
    with jax.enable_x64(True):
        start = Players(jnp.float64(START.real), jnp.float64(START.imag))
        return jax.tree.map(np.asarray, jax.jit(partial(play_game, step, value, steps=steps))(start, rate))


def complex_of(path):
    return path.x + 1j * path.y


def test_simultaneous_steps_spiral_outwards():
    """x - eta y + i (y + eta x) = (1 + i eta) (x + i y)."""
    found = complex_of(path_of(simultaneous))
    np.testing.assert_allclose(found, START * (1 + 1j * ETA) ** np.arange(STEPS + 1), rtol=1e-12)
    np.testing.assert_allclose(np.abs(found[1:]) / np.abs(found[:-1]), np.sqrt(1 + ETA**2), rtol=1e-12)


def test_extragradient_spirals_inwards():
    """x' = x - eta (y + eta x), y' = y + eta (x - eta y)."""
    found = complex_of(path_of(extragradient))
    np.testing.assert_allclose(found, START * (1 - ETA**2 + 1j * ETA) ** np.arange(STEPS + 1), rtol=1e-12)
    np.testing.assert_allclose(np.abs(found[-1]), abs(START) * (1 - ETA**2 + ETA**4) ** (STEPS / 2), rtol=1e-12)


def test_alternating_steps_keep_an_ellipse():
    """(x, y)' = [[1, -eta], [eta, 1 - eta^2]] (x, y), of determinant 1: x^2 + y^2 - eta x y is kept."""
    found = path_of(alternating)
    matrix = np.array([[1, -ETA], [ETA, 1 - ETA**2]])
    powers = [np.linalg.matrix_power(matrix, t) @ [START.real, START.imag] for t in range(STEPS + 1)]
    np.testing.assert_allclose(np.stack([found.x, found.y], axis=1), powers, rtol=1e-10)
    kept = found.x**2 + found.y**2 - ETA * found.x * found.y
    np.testing.assert_allclose(kept, kept[0], rtol=1e-12)


def test_averages_of_a_circling_path_arrive_like_one_over_t():
    """A sum of powers of eigenvalues on the unit circle is bounded, so t times the average is."""
    path = path_of(alternating, steps=2000)
    with jax.enable_x64(True):
        mean = jax.device_get(jax.jit(averaged)(path))
    radius = np.hypot(mean.x, mean.y)
    np.testing.assert_allclose(mean.x[500], path.x[:501].mean(), rtol=1e-9)
    bound = 2 * abs(START) / abs(np.exp(1j * 2 * np.arcsin(ETA / 2)) - 1)  # the eigenvalues are exp(+- 2 i asin(eta/2))
    assert np.all(np.arange(1, 2002) * radius < 1.5 * bound) and radius[-1] < 0.01 * abs(START)
    assert np.hypot(path.x, path.y)[-500:].max() > 0.5 * abs(START)


def test_a_game_with_an_attracting_equilibrium_is_solved_by_all():
    """V = x^2/2 + x y - y^2/2 is convex-concave: every way to play ends at the origin."""
    value = lambda x, y: 0.5 * x**2 + x * y - 0.5 * y**2
    for step in (simultaneous, alternating, extragradient):
        assert np.abs(complex_of(path_of(step, steps=200, value=value)))[-1] < 1e-6


@pytest.mark.parametrize("step", [simultaneous, alternating, extragradient])
def test_vectors_play_their_coordinates_games(step):
    """<x, y> is a sum of games in one coordinate each."""
    start = Players(np.array([0.8, -0.1], np.float32), np.array([-0.5, 0.4], np.float32))
    play = jax.jit(partial(play_game, step, bilinear, steps=5))
    path = jax.device_get(play(start, 0.2))
    for i in range(2):
        alone = play(Players(start.x[i], start.y[i]), 0.2)
        np.testing.assert_allclose(path.x[:, i], alone.x, rtol=1e-6)
        np.testing.assert_allclose(path.y[:, i], alone.y, rtol=1e-6)
