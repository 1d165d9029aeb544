"""Paths against the papers' own formulas, and the velocity along a path against the field seen from x."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import flow_matching, processes
from genjax.processes import like

SIGMA_MIN, SIGMA = 0.1, 0.7
RANDOM = np.random.default_rng(0)
X0, X1, NOISE = (RANDOM.normal(size=(6, 3)).astype(np.float32) for _ in range(3))
T = np.array([0.05, 0.2, 0.4, 0.6, 0.8, 0.95], np.float32)
COLUMN = T.astype(np.float64)[:, None]


def transport_field(x, x1):
    """Lipman et al. 2023, eq. 21."""
    return (x1 - (1 - SIGMA_MIN) * x) / (1 - (1 - SIGMA_MIN) * COLUMN)


def diffusion_field(x, x1):
    """Lipman et al. 2023, eq. 19, with T(s) = 0.1 s + 19.9 s^2 / 2 at s = 1 - t."""
    s = 1 - COLUMN
    total, rate = 0.1 * s + 19.9 * s**2 / 2, 0.1 + 19.9 * s
    return -rate / 2 * (np.exp(-total) * x - np.exp(-total / 2) * x1) / (1 - np.exp(-total))


def bridge_field(x, x1):
    """Tong et al. 2024 (SB-CFM): the field of a Brownian bridge."""
    x0 = X0.astype(np.float64)
    mean = COLUMN * x1 + (1 - COLUMN) * x0
    return (1 - 2 * COLUMN) / (2 * COLUMN * (1 - COLUMN)) * (x - mean) + x1 - x0


CASES = {
    "transport": (flow_matching.gaussian_interpolant(processes.straight_path(SIGMA_MIN)), transport_field),
    "diffusion": (flow_matching.gaussian_interpolant(processes.linear_path()), diffusion_field),
    "bridge": (flow_matching.bridge_interpolant(SIGMA), bridge_field),
    "line": (flow_matching.straight_interpolant(SIGMA), lambda x, x1: x1 - X0.astype(np.float64)),
}


def interpolated(interpolant):
    return jax.device_get(jax.jit(lambda t: flow_matching.interpolate(interpolant, X0, X1, NOISE, t))(T))


@pytest.mark.parametrize("interpolant, field", CASES.values(), ids=CASES)
def test_velocity_along_the_path_is_the_papers_field_at_it(interpolant, field):
    x, velocity = interpolated(interpolant)
    wanted = field(x.astype(np.float64), X1.astype(np.float64))
    np.testing.assert_allclose(velocity, wanted, rtol=2e-4, atol=2e-4)


def test_any_mean_and_standard_deviation():
    """The flow's derivative by jvp is the conditional field, eq. 15, where mean and deviation bend and know x_1."""
    mean = lambda x1, t: jnp.sin(like(t, x1) * x1) + like(t**2, x1)
    std = lambda x1, t: jnp.exp(-t) * (1.0 + 0.1 * jnp.sum(x1**2, axis=1))
    x, velocity = interpolated(flow_matching.affine_interpolant(mean, std))
    place = jax.jit(lambda t: mean(X1, t) + like(std(X1, t), X0) * X0)
    np.testing.assert_allclose(x, place(T), rtol=1e-6)
    conditional = lambda x, t: flow_matching.conditional_velocity(x, t, lambda t: mean(X1, t), lambda t: std(X1, t))
    np.testing.assert_allclose(jax.jit(conditional)(x, T), velocity, rtol=1e-4, atol=1e-4)
    step = 1e-3
    ahead, behind = (np.asarray(place(T + np.float32(h))) for h in (step, -step))
    np.testing.assert_allclose(velocity, (ahead - behind) / (2 * step), rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize("name", ["transport", "diffusion", "line"])
def test_paths_begin_and_end_where_they_should(name):
    interpolant = CASES[name][0]
    at = jax.jit(lambda t: (interpolant.mean(X0, X1, jnp.full(6, t)), interpolant.std(jnp.full(6, t))[0]))
    (start, first), (end, last) = ((mean, float(spread)) for mean, spread in map(at, (0.0, 1.0 - 1e-6)))
    wanted_end = SIGMA_MIN * X0 + X1 if name == "transport" else X1
    np.testing.assert_allclose(start, X0, atol=0.03)  # alpha of the diffusion path is 0.007 at the noise
    np.testing.assert_allclose(end, wanted_end, atol=2e-3)
    assert first == last == pytest.approx(SIGMA if name == "line" else 0.0)


def test_times():
    """Logit-normal times have a normal logit; Kolmogorov-Smirnov against scipy."""
    from scipy import stats

    drawn = lambda times: np.asarray(jax.jit(times, static_argnums=1)(jax.random.key(0), 4000))
    t = drawn(flow_matching.logit_normal_time(0.5, 0.8)).astype(np.float64)
    assert stats.kstest(np.log(t / (1 - t)), "norm", args=(0.5, 0.8)).pvalue > 0.01
    t = drawn(flow_matching.uniform_time(0.2, 0.6))
    assert stats.kstest(t, "uniform", args=(0.2, 0.4)).pvalue > 0.01
    np.testing.assert_array_equal(flow_matching.constant_time(0.0)(jax.random.key(0), 3), np.zeros(3, np.float32))


def test_grid_of_equal_logit():
    """On straight lines the steps between its inner times are equal in log-SNR."""
    grid = flow_matching.logit_grid(20, low=0.02, high=0.999)
    assert grid.shape == (21,) and grid[0] == 0.0 and grid[-1] == 1.0
    assert grid[1] == pytest.approx(0.02) and grid[-2] == pytest.approx(0.999)
    path = processes.straight_path()
    inner = np.array(2.0 * np.log(path.alpha(1.0 - grid[1:-1]) / path.sigma(1.0 - grid[1:-1])))
    np.testing.assert_allclose(np.diff(inner), np.diff(inner)[0], rtol=1e-6)
    for wrong in ({"num": 2}, {"num": 9, "low": 0.0}, {"num": 9, "low": 0.6, "high": 0.5}):
        with pytest.raises(ValueError, match="it takes 3 steps and 0 < low < high < 1"):
            flow_matching.logit_grid(**wrong)


def test_mistakes():
    line = flow_matching.straight_interpolant()
    with pytest.raises(ValueError, match="must share a shape"):
        flow_matching.interpolate(line, X0, X1[:, :2], NOISE, T)
    with pytest.raises(ValueError, match="t \\(6, 1\\) be \\[B\\]"):
        flow_matching.interpolate(line, X0, X1, NOISE, T[:, None])
    with pytest.raises(ValueError, match="must hold reals, got uint8"):
        flow_matching.interpolate(line, X0, np.zeros((6, 3), np.uint8), NOISE, T)
