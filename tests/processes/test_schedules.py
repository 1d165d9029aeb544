"""Schedules against the steps they are made of, Bayes' rule, the papers' facts and the betas of diffusers."""

import jax
import numpy as np
import pytest

from genjax import processes

SCHEDULES = {
    "linear": processes.linear_schedule(1000),
    "linear, coarse": processes.linear_schedule(50, first=2e-3, last=0.4),
    "cosine": processes.cosine_schedule(1000),
    "cosine, offset": processes.cosine_schedule(40, offset=0.1),
    "arc": processes.arc_schedule(20),
    "sigmoid": processes.sigmoid_schedule(64),
    "sigmoid of betas": processes.sigmoid_beta_schedule(100),
    "log-SNR": processes.log_snr_schedule(50, first=10.0, last=-7.5),
}
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


@each_schedule
def test_marginals_are_the_composed_steps(schedule):
    """x_t = sqrt(1 - beta_t) x_{t-1} + noise of variance beta_t, from x_0 = 1 on."""
    mean, variance = [1.0], [0.0]
    for beta in schedule.betas[1:]:
        mean.append(np.sqrt(1.0 - beta) * mean[-1])
        variance.append((1.0 - beta) * variance[-1] + beta)
    np.testing.assert_allclose(schedule.alpha, mean, rtol=1e-4)
    np.testing.assert_allclose(schedule.sigma ** 2, variance, rtol=1e-5)
    np.testing.assert_allclose(schedule.alphas_bar, np.square(mean), rtol=2e-4)


@each_schedule
def test_posterior_is_that_of_the_joint_normal(schedule):
    """Condition the joint normal of (x_{t-1}, x_t) given x_0 on x_t, by its covariance matrix."""
    x0, x_t = 0.7, -1.3
    posterior_mean = jax.jit(lambda x0, x_t, t: processes.posterior_mean(schedule, x0, x_t, t))
    for t in sorted({1, 2, 3, processes.num_steps(schedule) // 2, processes.num_steps(schedule)}):
        beta, step = float(schedule.betas[t]), np.sqrt(1.0 - float(schedule.betas[t]))
        before, spread = float(schedule.alpha[t - 1]) * x0, float(schedule.sigma[t - 1]) ** 2
        covariance = np.array([[spread, step * spread], [step * spread, step**2 * spread + beta]])
        gain = covariance[0, 1] / covariance[1, 1]
        mean, variance = before + gain * (x_t - step * before), spread - gain * covariance[0, 1]
        ours = posterior_mean(*(np.full((1, 2), x, np.float32) for x in (x0, x_t)), np.int32(t))
        np.testing.assert_allclose(ours, np.full((1, 2), mean), rtol=2e-3, atol=2e-5)
        np.testing.assert_allclose(schedule.posterior_variance[t], variance, rtol=2e-3, atol=1e-9)


@each_schedule
def test_variances_are_right_for_normal_and_for_known_data(schedule):
    """Given x_t alone, x_{t-1} of x_0 ~ N(0, 1) has variance beta_t; given x_0 as well, btilde_t."""
    upper, lower = processes.upper_variance(schedule), processes.lower_variance(schedule)
    # Both x_{t-1} and x_t have variance 1 and their covariance is sqrt(1 - beta_t).
    np.testing.assert_allclose(upper[2:], 1.0 - (1.0 - schedule.betas[2:]), rtol=1e-6)
    precision = (1.0 - schedule.betas[2:]) / schedule.betas[2:] + 1.0 / schedule.sigma[1:-1] ** 2
    np.testing.assert_allclose(lower[2:], 1.0 / precision, rtol=1e-4)
    assert upper[1] == lower[1] == schedule.posterior_variance[2]
    assert np.all(lower[1:] <= upper[1:])


def test_facts_of_the_papers():
    linear, cosine = SCHEDULES["linear"], processes.cosine_schedule(4000)
    np.testing.assert_allclose(linear.betas[[1, 1000]], [1e-4, 0.02], rtol=1e-12)
    # Ho et al. 2020, section 4: L_T = KL(q(x_T | x_0) || N(0, I)) is about 1e-5 bits a dimension, for data in [-1, 1].
    assert linear.alphas_bar[1000] == pytest.approx(4.04e-5, rel=1e-2)
    # Nichol & Dhariwal 2021, section 3.2: sqrt(beta_1) is slightly smaller than 1/127.5, and no beta above 0.999.
    assert 0.3 / 127.5 < np.sqrt(cosine.betas[1]) < 1 / 127.5
    assert cosine.betas.max() == 0.999 and np.argmax(cosine.betas) == 4000
    # Its figure 5: half-way, cosine keeps about half of the data's variance, linear less than a tenth.
    assert cosine.alphas_bar[2000] == pytest.approx(0.5, abs=0.02) and linear.alphas_bar[500] < 0.1


def test_arc_turns_evenly():
    angle = np.arctan2(SCHEDULES["arc"].sigma, SCHEDULES["arc"].alpha)[:-1]  # the last step is capped
    np.testing.assert_allclose(np.diff(angle), np.pi / 40, rtol=1e-4)


def test_cosine_turns_evenly_from_its_offset_to_a_right_angle():
    """Undone: the angle whose squared cosine is abar_t cos^2(first) grows by the same from t to t + 1."""
    first = 0.008 / 1.008 * np.pi / 2
    angle = np.arccos(SCHEDULES["cosine"].alpha[:-1] * np.cos(first))  # the last step is capped
    np.testing.assert_allclose(angle, np.linspace(first, np.pi / 2, 1001)[:-1], atol=1e-5)


def test_log_snr_falls_evenly_and_costs_what_is_said():
    """Known no closer than x_t / alpha_t: with the lower variance a KL is (e^d - 1) / 2, d / 2 of it information."""
    schedule = SCHEDULES["log-SNR"]
    log_snr = 2.0 * np.log(schedule.alpha[1:] / schedule.sigma[1:])
    np.testing.assert_allclose(log_snr, np.linspace(10.0, -7.5, 50), atol=1e-9)
    error = schedule.posterior_x0[2:] * schedule.sigma[2:] / schedule.alpha[2:]
    kl = 0.5 * error**2 / processes.lower_variance(schedule)[2:]
    np.testing.assert_allclose(kl, 0.5 * np.expm1(17.5 / 49), rtol=1e-9)


def test_sigmoid_of_betas_is_symmetric_between_its_ends():
    betas = SCHEDULES["sigmoid of betas"].betas[1:]
    np.testing.assert_allclose(betas + betas[::-1], 1e-4 + 0.02, rtol=1e-5)
    logits = np.log((betas - 1e-4) / (0.02 - betas))
    np.testing.assert_allclose(logits, np.linspace(-6.0, 6.0, 100), atol=1e-3)


def test_sigmoid_schedule_samples_its_path():
    schedule, path = SCHEDULES["sigmoid"], processes.sigmoid_path()
    point = jax.jit(lambda t: processes.point_at(path, t))(np.arange(1, 64, dtype=np.float32) / 64)
    np.testing.assert_allclose(schedule.alpha[1:-1], point.alpha, rtol=1e-4)
    np.testing.assert_allclose(schedule.sigma[1:-1], point.sigma, rtol=1e-4)


def test_a_subsequence_of_a_schedule_has_its_marginals():
    whole, kept = SCHEDULES["linear"], np.arange(0, 1001, 50)
    part = processes.schedule_from_alphas_bar(np.cumprod(1.0 - whole.betas)[kept])
    np.testing.assert_allclose(part.alpha, whole.alpha[kept], rtol=1e-4)


@pytest.mark.parity
@pytest.mark.parametrize(
    "name, ours",
    [
        ("linear", processes.linear_schedule(100)),
        ("squaredcos_cap_v2", processes.cosine_schedule(100)),
        ("sigmoid", processes.sigmoid_beta_schedule(100)),
    ],
)
def test_betas_are_those_of_diffusers(name, ours):
    pytest.importorskip("torch", reason="parity with diffusers needs the extra 'parity'")
    diffusers = pytest.importorskip("diffusers", reason="parity with diffusers needs the extra 'parity'")
    theirs = diffusers.DDPMScheduler(num_train_timesteps=100, beta_schedule=name)
    np.testing.assert_allclose(ours.betas[1:], theirs.betas.numpy(), rtol=1e-4)
    np.testing.assert_allclose(ours.alphas_bar[1:], theirs.alphas_cumprod.numpy(), rtol=1e-4)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: processes.schedule_from_betas(np.array([0.1])), "T at least 2"),
        (lambda: processes.schedule_from_betas(np.array([0.1, 1.0])), "inside \\(0, 1\\)"),
        (lambda: processes.schedule_from_betas(np.array([0.0, 0.5])), "inside \\(0, 1\\)"),
        (lambda: processes.schedule_from_alphas_bar(np.array([0.9, 0.5, 0.1])), "decrease from 1"),
        (lambda: processes.schedule_from_alphas_bar(np.array([1.0, 0.5, 0.5])), "decrease from 1"),
        (lambda: processes.log_snr_schedule(10, first=-8.0, last=12.0), "must fall"),
        (lambda: processes.marginal(SCHEDULES["arc"], np.float32(0.5)), "integers 0 ... T"),
    ],
)
def test_what_is_no_schedule_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
