"""Paths as stochastic equations: closed forms, a simulated forward process, the flow of a normal; grids and weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import processes, solvers
from genjax.processes import point_at
from tests.diffusion import exact

KEY = jax.random.key(0)
T = np.linspace(0.05, 0.95, 7)
BETA = 0.1 + T * 19.9
INTEGRAL = 0.1 * T + 0.5 * T**2 * 19.9
CLOSED = {  # path, f, g^2, sigma
    "linear": (processes.linear_path(), -BETA / 2, BETA, np.sqrt(1 - np.exp(-INTEGRAL))),
    "sub-VP": (processes.sub_vp_path(), -BETA / 2, BETA * (1 - np.exp(-2 * INTEGRAL)), 1 - np.exp(-INTEGRAL)),
    "exploding": (
        processes.exploding_path(0.1, 10.0),
        0 * T,
        2 * np.log(100) * (0.1 * 100**T) ** 2,
        np.geomspace(0.1, 10.0, 101)[np.rint(100 * T).astype(int)],
    ),
    "exponential": (processes.exponential_path(25.0), 0 * T, 25.0 ** (2 * T), np.sqrt((25.0 ** (2 * T) - 1) / 2 / np.log(25))),
    "edm": (processes.edm_path(), 0 * T, 2 * T, T),
    "straight": (processes.straight_path(), -1 / (1 - T), 2 * T / (1 - T), T),
    "straight, 0.1": (
        processes.straight_path(0.1),
        -1 / (1 - T),
        2 * (0.1 + 0.9 * T) * (0.9 + (0.1 + 0.9 * T) / (1 - T)),
        0.1 + 0.9 * T,
    ),
}


@pytest.mark.parametrize("name", CLOSED)
def test_drift_diffusion_and_sigma_are_the_papers(name):
    path, f, g2, sigma = CLOSED[name]

    @jax.jit
    def ours(t):
        point = point_at(path, t)
        return point.sigma, processes.drift_rate(point), processes.diffusion_squared(point)

    our_sigma, our_f, our_g2 = ours(T.astype(np.float32))
    np.testing.assert_allclose(our_sigma, sigma, rtol=1e-5)
    np.testing.assert_allclose(our_f, f, rtol=2e-4, atol=1e-6)
    np.testing.assert_allclose(our_g2, g2, rtol=2e-3)


@pytest.mark.parametrize("name", ["linear", "sub-VP", "exploding", "exponential"])
def test_simulated_forward_process_has_the_marginals(name):
    path, num = CLOSED[name][0], 10_000
    at = jax.jit(lambda t: point_at(path, t))
    drift = lambda x, t: processes.drift_rate(at(t)) * x
    diffusion = lambda x, t: jnp.sqrt(processes.diffusion_squared(at(t)))
    start, end = 0.01, 0.6
    first, last = at(np.float32(start)), at(np.float32(end))
    x = float(first.alpha) * 0.7 + float(first.sigma) * np.random.default_rng(0).normal(size=num)
    times = np.linspace(start, end, 301, dtype=np.float32)
    solve = jax.jit(lambda x: solvers.integrate_sde(KEY, drift, diffusion, x, times))
    made = np.asarray(solve(x.astype(np.float32)))
    error = float(last.sigma) / np.sqrt(num)
    assert abs(made.mean() - float(last.alpha) * 0.7) < 5 * error
    assert abs(made.std() / float(last.sigma) - 1.0) < 5 / np.sqrt(2 * num) + 0.01


@pytest.mark.parametrize("name", CLOSED)
def test_the_flow_carries_a_normal_and_the_reverse_equation_leans_on_its_score(name):
    path = CLOSED[name][0]
    normal = exact.Mixture([1.0], [[0.3]], [0.5])
    denoise = normal.denoiser(lambda t: point_at(path, t))
    x, t, h = np.linspace(-1.0, 1.0, 5, dtype=np.float32)[:, None], 0.4, 1e-2
    ahead, behind = (exact.flow_map(path, x, t, t + step, 0.3, 0.5) for step in (h, -h))
    drift, diffusion = processes.reverse_sde(denoise, path)

    @jax.jit
    def everything(x, t):
        point = point_at(path, t)
        equation = processes.drift_rate(point), processes.diffusion_squared(point)
        return processes.probability_flow(denoise, path)(x, t), drift(x, t), diffusion(x, t), equation, point

    velocity, backwards, deviation, (f, g2), point = jax.device_get(everything(x, np.float32(t)))
    np.testing.assert_allclose(velocity, (ahead - behind) / (2 * h), rtol=5e-3, atol=5e-3)
    score = (point.alpha * 0.3 - x) / (point.alpha**2 * 0.25 + point.sigma**2)
    np.testing.assert_allclose(backwards, f * x - g2 * score, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(deviation**2, g2, rtol=1e-4)


def test_grids():
    sigmas = processes.karras_sigmas(5, sigma_min=0.1, sigma_max=10.0, rho=3.0)
    by_hand = [(10 ** (1 / 3) + i / 4 * (0.1 ** (1 / 3) - 10 ** (1 / 3))) ** 3 for i in range(5)] + [0.0]
    np.testing.assert_allclose(sigmas, by_hand, rtol=1e-12)
    path = processes.linear_path()
    point_of = jax.jit(lambda t: point_at(path, t))
    times = processes.log_snr_times(point_of, 8, start=0.9, end=0.01)
    steps = np.diff(np.asarray(processes.log_snr(point_of(times.astype(np.float32)))))
    np.testing.assert_allclose(steps, steps.mean(), rtol=2e-3)
    assert processes.sub_sequence(1000, 4).tolist() == [1000, 750, 500, 250, 0]
    assert processes.sub_sequence(5, 5).tolist() == [5, 4, 3, 2, 1, 0]
    assert processes.leading_sub_sequence(1000, 4).tolist() == [751, 501, 251, 1, 0]
    assert processes.leading_sub_sequence(10, 3).tolist() == [7, 4, 1, 0]
    assert processes.spread_sub_sequence(1000, 4).tolist() == [1000, 667, 334, 1, 0]
    for sub_sequence in (processes.sub_sequence, processes.leading_sub_sequence, processes.spread_sub_sequence):
        assert sub_sequence(5, 5).tolist() == [5, 4, 3, 2, 1, 0]
        with pytest.raises(ValueError, match="6 steps cannot be taken from a schedule of 5"):
            sub_sequence(5, 6)
    np.testing.assert_allclose(processes.uniform_times(4, start=1.0, end=0.2), [1.0, 0.8, 0.6, 0.4, 0.2])


def test_weights_of_one_prediction_are_those_of_another():
    s, off = 0.5, 0.01
    kind, x0 = processes.preconditioned(s), np.array([[0.4], [-0.2], [0.1]], np.float32)
    eps = np.array([[1.0], [-0.5], [0.3]], np.float32)

    @jax.jit
    def edm(t):
        """Return sigma, the weight of the error of x_0, and that error where F is off."""
        point = point_at(processes.edm_path(), t)
        wrong = kind.target(x0, eps, point) + off
        error = kind.to_x0(wrong, processes.diffuse(x0, eps, point), point) - x0
        return point.sigma, processes.times_x0(processes.edm_weight(point, data_std=s), point), error

    # Karras et al. 2022, table 1: lambda = (sigma^2 + s^2) / (sigma s)^2 of |x0 - x0^|^2, and 1 of |F - F^|^2.
    sigma, weight, error = (np.asarray(a) for a in edm(np.float32([0.1, 0.7, 5.0])))
    np.testing.assert_allclose(weight, (sigma**2 + s**2) / (sigma * s) ** 2, rtol=1e-5)
    np.testing.assert_allclose(weight[:, None] * error**2, off**2, rtol=1e-3)

    @jax.jit
    def linear(t):
        vp = point_at(processes.linear_path(), t)
        x0_weight = processes.times_x0(processes.min_snr_weight(vp, gamma=5.0), vp)
        return processes.likelihood_weight(vp), vp.alpha / vp.sigma, x0_weight, processes.simple_weight(vp)

    likelihood, ratio, x0_weight, simple = (np.asarray(a) for a in linear(T.astype(np.float32)))
    np.testing.assert_allclose(likelihood, BETA / (1 - np.exp(-INTEGRAL)), rtol=2e-3)
    np.testing.assert_allclose(x0_weight, np.minimum(ratio**2, 5.0), rtol=1e-4)
    assert np.all(simple == 1.0)

    @jax.jit
    def sub_vp(t):
        sub = point_at(processes.sub_vp_path(), t)
        v = sub.alpha[:, None] * eps - sub.sigma[:, None] * x0 + 0.1
        eps_error = processes.V.to_eps(v, processes.diffuse(x0, eps, sub), sub) - eps
        return processes.v_weight(sub)[:, None] * eps_error**2

    np.testing.assert_allclose(sub_vp(np.float32([0.2, 0.5, 0.8])), 0.1**2, rtol=1e-4)


def test_preconditioning_has_unit_variance_in_and_out():
    """Of data N(0, s^2), on a path with alpha too."""
    s, num = 0.3, 20_000
    kind = processes.preconditioned(s)
    x0, eps = np.random.default_rng(0).normal(size=(2, num, 1)).astype(np.float32)
    x0 *= np.float32(s)
    for path, t in ((processes.edm_path(), 0.8), (processes.cosine_path(), 0.5)):

        @jax.jit
        def everything(t):
            point = point_at(path, t)
            x_t, target = processes.diffuse(x0, eps, point), kind.target(x0, eps, point)
            scaled = processes.input_scale(point, data_std=s) * x_t
            return target, scaled, kind.to_x0(target, x_t, point), kind.to_eps(target, x_t, point)

        target, scaled, again, noise = (np.asarray(a) for a in everything(np.float32(t)))
        assert target.std() == pytest.approx(1.0, abs=5 / np.sqrt(2 * num))
        assert scaled.std() == pytest.approx(1.0, abs=5 / np.sqrt(2 * num))
        np.testing.assert_allclose(again, x0, atol=1e-5)
        np.testing.assert_allclose(noise, eps, atol=1e-4)
    label = jax.jit(lambda t: processes.noise_label(point_at(processes.edm_path(), t)))
    assert float(label(np.float32(2.0))) == pytest.approx(np.log(2) / 4)
