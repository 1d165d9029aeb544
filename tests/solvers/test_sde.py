"""Stochastic steps by their strong order along given Brownian paths, and by stationary laws in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import solvers

FINE, PATHS = 512, 4000
INCREMENTS = np.random.default_rng(0).normal(size=(FINE, PATHS)) / np.sqrt(FINE)
FAST_KEY = jax.random.key(0, impl="rbg")  # for many draws: they take a third of the time


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def strong_slope(step, drift, diffusion, x0, exact):
    """Return the slope of log mean |error at 1| over log h along the same Brownian paths."""
    sizes = 1.0 / np.array([16, 32, 64, 128])

    def end(h, noise):
        one = lambda x, n: (step(x, n[1], jnp.float64(h), n[0], drift, diffusion), None)
        return jax.lax.scan(one, jnp.full(PATHS, x0), (noise, h * jnp.arange(len(noise), dtype=jnp.float64)))[0]

    noises = [INCREMENTS.reshape(-1, round(h * FINE), PATHS).sum(axis=1) / np.sqrt(h) for h in sizes]
    ends = jax.jit(lambda noises: [end(h, noise) for h, noise in zip(sizes, noises)])(noises)
    errors = np.abs(np.stack(ends) - exact(INCREMENTS)).mean(axis=1)
    return np.polyfit(np.log(sizes), np.log(errors), 1)[0]


def test_euler_maruyama_is_of_order_one_half():
    """Geometric Brownian motion: x(1) = x(0) exp(mu - s^2 / 2 + s w(1))."""
    exact = lambda increments: np.exp(0.5 - 0.5 + 1.0 * increments.sum(axis=0))
    slope = strong_slope(solvers.euler_maruyama_step, lambda x, t: 0.5 * x, lambda x, t: x, 1.0, exact)
    assert slope == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("step", [solvers.euler_maruyama_step, solvers.heun_step])
def test_additive_noise_is_of_order_one(step):
    """dx = t dt + (1 + t) dw: x(1) = 1/2 + int (1 + t) dw = 1/2 + 2 w(1) - int w dt, by parts."""

    def exact(increments):
        path = np.cumsum(increments, axis=0)
        middle = path - 0.5 * increments  # the mean of w over a fine step, given its ends
        return 0.5 + 2.0 * path[-1] - middle.mean(axis=0)

    slope = strong_slope(step, lambda x, t: t * jnp.ones_like(x), lambda x, t: 1.0 + t, 0.0, exact)
    assert slope == pytest.approx(1.0, abs=0.15)


def test_without_noise_they_are_euler_and_heun():
    for step, tableau in ((solvers.euler_maruyama_step, solvers.EULER), (solvers.heun_step, solvers.HEUN)):
        drift, t, h, x = lambda x, t: jnp.sin(x) + t, np.float64(0.3), np.float64(0.1), np.array([0.5, 2.0])
        ours = jax.jit(lambda x, t, h: step(x, t, h, jnp.ones(2), drift, lambda x, t: 0.0))
        theirs = jax.jit(lambda x, t, h: solvers.ode_step(drift, x, t, h, tableau=tableau))
        np.testing.assert_allclose(ours(x, t, h), theirs(x, t, h), rtol=1e-12)


@pytest.mark.parametrize("step", [solvers.euler_maruyama_step, solvers.heun_step])
def test_integral_has_the_moments_of_the_equation(step):
    """dx = -x dt + sqrt(2) dw from x = 3: mean 3 exp(-1), variance 1 - exp(-2) at time 1."""
    draw = jax.jit(
        lambda key: solvers.integrate_sde(
            key, lambda x, t: -x, lambda x, t: np.sqrt(2.0), jnp.full(100_000, 3.0), jnp.linspace(0.0, 1.0, 201), step=step
        )
    )
    x, std = np.asarray(draw(FAST_KEY)), np.sqrt(1.0 - np.exp(-2.0))
    bias = 0.01 if step is solvers.euler_maruyama_step else 0.0  # of first order, h = 1 / 200
    assert abs(float(x.mean()) - 3.0 * np.exp(-1.0)) < bias + 5 * std / np.sqrt(1e5)
    assert abs(float(x.std()) - std) < bias + 5 * std / np.sqrt(2e5)


def test_backwards_in_time_undoes_the_spreading():
    """Of dx = dw from N(0, 0.25) the variance is 0.25 + t; the reverse drift is minus the score (Anderson 1982)."""
    n = 30_000  # a standard error of 0.002 of the deviation 0.5
    start = np.sqrt(1.25) * np.random.default_rng(1).normal(size=n)
    drift, times = lambda x, t: x / (0.25 + t), np.linspace(1.0, 0.0, 401)
    x = jax.jit(lambda x: solvers.integrate_sde(FAST_KEY, drift, lambda x, t: 1.0, x, times))(start)
    assert np.asarray(x).std() == pytest.approx(0.5, abs=0.01)


def test_langevin_is_stationary_where_its_chain_is():
    """For N(0, s^2): x' = (1 - e / s^2) x + sqrt(2 e) z, of variance 2 e / (1 - (1 - e / s^2)^2)."""
    e, s, n = 0.1, 0.5, 100_000

    def one(x, key):
        return solvers.langevin_step(x, -x / s**2, jnp.float64(e), jax.random.normal(key, x.shape)), None

    x, _ = jax.jit(lambda key: jax.lax.scan(one, jnp.zeros(n), jax.random.split(key, 60)))(FAST_KEY)
    std = np.sqrt(2 * e / (1 - (1 - e / s**2) ** 2))
    assert abs(np.asarray(x).std() - std) < 5 * std / np.sqrt(2 * n) and abs(std - s) > 0.02
