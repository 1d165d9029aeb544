"""The reverse process against the chain of normals that it is where data are normal, and the paper's eq. 11."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import processes
from genjax.diffusion import ancestral, ancestral_step, draw, draw_trajectory
from tests.diffusion import exact

KEY = jax.random.key(0)
VARIANCES = (processes.upper_variance, processes.lower_variance)


def chain(schedule, variance):
    """Return mean and standard deviation of x_0 drawn with the exact denoiser, step by step in float64.

    With x_0(x_t) = MEAN + g (x_t - alpha MEAN), every step maps a normal to a normal.
    """
    alpha, sigma = schedule.alpha.astype(np.float64), schedule.sigma.astype(np.float64)
    mean, spread = 0.0, 1.0
    for t in range(processes.num_steps(schedule), 0, -1):
        gain = alpha[t] * exact.STD**2 / (alpha[t] ** 2 * exact.STD**2 + sigma[t] ** 2)
        step, before = np.sqrt(1.0 - float(schedule.betas[t])), sigma[t - 1] ** 2
        # q(x_{t-1} | x_t, x_0), by conditioning N(alpha_{t-1} x_0, before) on x_t = step x_{t-1} + noise.
        weight = step * before / (step**2 * before + float(schedule.betas[t]))
        of_x0 = alpha[t - 1] - weight * step * alpha[t - 1]
        slope = weight + of_x0 * gain
        mean = slope * mean + of_x0 * (exact.MEAN - gain * alpha[t] * exact.MEAN)
        spread = slope**2 * spread + (variance[t] if t > 1 else 0.0)
    return mean, np.sqrt(spread)


@pytest.mark.parametrize("variance", VARIANCES)
def test_samples_have_the_moments_of_the_chain(variance):
    n, schedule = 100_000, processes.cosine_schedule(8)
    mean, std = chain(schedule, variance(schedule))
    denoise = exact.normal_denoiser(schedule)
    x = np.asarray(jax.jit(lambda key: draw(ancestral(denoise, schedule, variance(schedule)), key, (n,)))(KEY))
    assert abs(float(x.mean()) - mean) < 5 * std / np.sqrt(n)
    assert abs(float(x.std()) - std) < 5 * std / np.sqrt(2 * n)
    assert abs(std - exact.STD) > 0.01  # eight steps are too few to be right: the test tells chain from data


@pytest.mark.parametrize("variance", VARIANCES)
def test_the_chain_tends_to_the_data_as_steps_grow(variance):
    errors = []
    for steps in (100, 200, 400):
        schedule = processes.cosine_schedule(steps)
        mean, std = chain(schedule, variance(schedule))
        assert mean == pytest.approx(exact.MEAN, abs=5e-3)
        errors.append(abs(std - exact.STD))
    np.testing.assert_allclose([errors[0] / errors[1], errors[1] / errors[2]], 2.0, rtol=0.1)  # first order


def test_a_known_point_is_found():
    schedule = processes.linear_schedule(30, first=1e-3, last=0.3)
    point = np.array([0.2, -0.7], np.float32)
    denoise = lambda x_t, t: jnp.broadcast_to(point, x_t.shape)
    x = jax.jit(lambda key: draw(ancestral(denoise, schedule, processes.lower_variance(schedule)), key, (4, 2)))(KEY)
    np.testing.assert_allclose(x, np.broadcast_to(point, (4, 2)), rtol=1e-6)


@pytest.mark.parametrize("t", [2, 7, 20])
def test_the_step_is_that_of_equation_11(t):
    """(x_t - beta_t eps / sqrt(1 - abar_t)) / sqrt(1 - beta_t), where the denoiser is a prediction of eps."""
    schedule = processes.linear_schedule(20, first=1e-3, last=0.3)
    x_t, eps = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    denoise = processes.denoiser(lambda x, t: eps, processes.EPS, lambda t: processes.marginal(schedule, t))
    step = jax.jit(lambda x, t: ancestral_step(KEY, x, t, denoise, schedule, np.zeros(21, np.float32)))
    ours, _ = step(x_t, np.int32(t))
    betas = schedule.betas.astype(np.float64)
    noise = np.sqrt(1.0 - np.cumprod(1.0 - betas)[t])
    np.testing.assert_allclose(ours, (x_t - betas[t] / noise * eps) / np.sqrt(1.0 - betas[t]), rtol=1e-4, atol=1e-5)


def test_noise_has_the_variance_given_and_none_at_the_end():
    schedule = processes.cosine_schedule(10)
    variance, x_t = processes.upper_variance(schedule), np.zeros(100_000, np.float32)
    step = jax.jit(lambda x, t: ancestral_step(KEY, x, t, lambda x, t: jnp.zeros_like(x), schedule, variance)[0])
    assert np.asarray(step(x_t, np.int32(5))).std() == pytest.approx(np.sqrt(schedule.betas[5]), rel=0.01)
    assert np.all(np.asarray(step(x_t, np.int32(1))) == 0.0)


def test_trajectory_ends_in_the_sample():
    schedule = processes.cosine_schedule(12)
    sampler = ancestral(exact.normal_denoiser(schedule), schedule, processes.lower_variance(schedule))
    sample = draw(sampler, KEY, (5,))  # not under jit: inside a larger program the last bit may differ
    path = draw_trajectory(sampler, KEY, (5,), frames=4)
    assert path.x.shape == (5, 5) and path.x0.shape == (4, 5)
    assert path.times.tolist() == [12, 9, 6, 3, 0]
    np.testing.assert_array_equal(path.x[-1], sample)
    np.testing.assert_array_equal(path.x0[-1], sample)  # the last step returns the estimate
    assert np.abs(sample - draw(sampler, jax.random.key(1), (5,))).min() > 0
    with pytest.raises(ValueError, match="5 frames do not divide 12 steps"):
        draw_trajectory(sampler, KEY, (5,), frames=5)


def test_a_variance_without_the_entry_of_the_data_is_refused():
    """[T] instead of [T + 1] would be the neighbouring step's, silently."""
    schedule = processes.cosine_schedule(4)
    with pytest.raises(ValueError, match=r"shape \(4,\); the schedule needs one for each t"):
        ancestral_step(KEY, np.zeros(3, np.float32), np.int32(2), lambda x, t: x, schedule, schedule.betas[1:])
