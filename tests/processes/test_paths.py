"""Continuous paths against the differential equation, the discrete schedule they are the limit of, and simulation."""

import jax
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from genjax import processes

PATHS = {"cosine": processes.cosine_path(), "linear": processes.linear_path(), "sigmoid": processes.sigmoid_path()}
each_path = pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)


def at(path):
    """Return a jitted t -> alpha, sigma and log(alpha^2 / sigma^2)."""

    @jax.jit
    def values(t):
        point = processes.point_at(path, t)
        return point.alpha, point.sigma, processes.log_snr(point)

    return values


@each_path
def test_variance_is_kept_from_data_to_noise(path):
    alpha, sigma, log_snr = (np.asarray(a) for a in at(path)(np.linspace(0.01, 0.99, 21, dtype=np.float32)))
    np.testing.assert_allclose(alpha**2 + sigma**2, np.ones(21), rtol=1e-5)
    assert np.all(np.diff(log_snr) < 0)
    start, end = np.asarray(at(path)(np.float32([0.0, 1.0]))[0])
    assert start == pytest.approx(1.0, abs=1e-6) and end < 0.01


@each_path
def test_rates_are_slopes(path):
    """The slope of a chord, taken in float64, at the chord's middle."""
    t, h = np.linspace(0.1, 0.9, 9), 1e-4
    with jax.enable_x64(True):
        point_at = jax.jit(lambda t: processes.point_at(path, t))
        behind, here, ahead = (jax.device_get(point_at(t + step)) for step in (-h, 0.0, h))
    np.testing.assert_allclose(here.alpha_rate, (ahead.alpha - behind.alpha) / (2 * h), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(here.sigma_rate, (ahead.sigma - behind.sigma) / (2 * h), rtol=1e-5, atol=1e-7)


def test_linear_path_solves_its_differential_equation():
    """d alpha / dt = -beta(t) alpha / 2 and d sigma^2 / dt = beta(t) (1 - sigma^2)."""
    beta = lambda t: 0.1 + t * 19.9
    right = lambda t, y: [-0.5 * beta(t) * y[0], beta(t) * (1.0 - y[1])]
    times = np.linspace(0.0, 1.0, 11)
    alpha, variance = solve_ivp(right, (0.0, 1.0), [1.0, 0.0], t_eval=times, rtol=1e-9, atol=1e-12).y
    ours, sigma, _ = at(PATHS["linear"])(times.astype(np.float32))
    np.testing.assert_allclose(ours, alpha, rtol=1e-4)
    np.testing.assert_allclose(np.asarray(sigma) ** 2, variance, rtol=1e-4, atol=1e-7)


def test_linear_path_is_the_limit_of_the_schedule():
    errors = []
    for steps in (500, 1000):
        schedule = processes.linear_schedule(steps, first=0.1 / steps, last=20.0 / steps)
        path = jax.jit(PATHS["linear"].alpha)((np.arange(steps + 1) / steps).astype(np.float32))
        errors.append(np.abs(schedule.alpha - np.asarray(path)).max())
    assert errors[1] < 5e-3 and errors[0] / errors[1] == pytest.approx(2.0, rel=0.1)


def test_sigmoid_path_bends_with_its_temperature():
    """Symmetric about the middle; a low temperature is a step there, a high one a straight line of alpha^2."""
    t, shares = np.array([0.25, 0.5, 0.75], np.float32), {}
    for temperature in (0.05, 1.0, 50.0):
        share = np.asarray(jax.jit(processes.sigmoid_path(temperature=temperature).alpha)(t)) ** 2
        np.testing.assert_allclose([share[1], share[0] + share[2]], [0.5, 1.0], atol=1e-4)
        shares[temperature] = share
    assert shares[0.05][0] > 0.999
    np.testing.assert_allclose(shares[50.0], 1.0 - t, atol=1e-3)


def test_forward_draws_the_marginal():
    x0 = np.full(100_000, 0.7, np.float32)
    point = processes.Point(np.float32(0.8), np.float32(0.6))
    # Not under jit, which may round the product and the sum at once.
    x_t, eps = (np.asarray(a) for a in processes.forward(jax.random.key(0), x0, point))
    assert abs(x_t.mean() - 0.56) < 5 * 0.6 / np.sqrt(1e5) and abs(x_t.std() - 0.6) < 5 * 0.6 / np.sqrt(2e5)
    np.testing.assert_allclose(x_t, 0.8 * x0 + 0.6 * eps, rtol=1e-5)
    one_each = processes.Point(np.linspace(0, 1, 4, dtype=np.float32), np.zeros(4, np.float32))
    moved = jax.jit(processes.diffuse)(np.ones((4, 2), np.float32), np.ones((4, 2), np.float32), one_each)
    np.testing.assert_allclose(np.asarray(moved)[:, 0], np.linspace(0, 1, 4))
