"""The variational bound against integration, and against whole trajectories simulated without its decomposition."""

import jax
import numpy as np
import pytest
from scipy.stats import norm

from genjax import processes
from genjax.diffusion import bound_terms, prior_kl, total_bound, transition_kl
from tests.diffusion import exact

FAST_KEY = jax.random.key(0, impl="rbg")  # for many draws: they take a third of the time


def integrated_kl(mean, std, other_mean, other_std):
    x = np.linspace(mean - 12 * std, mean + 12 * std, 20_001)
    p = norm.pdf(x, mean, std)
    return np.trapezoid(p * (norm.logpdf(x, mean, std) - norm.logpdf(x, other_mean, other_std)), x)


@pytest.mark.parametrize("choose", [processes.upper_variance, processes.lower_variance])
def test_transition_is_the_integrated_divergence(choose):
    schedule = processes.linear_schedule(10, first=0.01, last=0.5)
    variance, x0, estimate, x_t = choose(schedule), 0.4, 0.1, -0.6
    full = lambda shape, value: np.full(shape, value, np.float32)
    mean_of = jax.jit(lambda x, t: processes.posterior_mean(schedule, x, full(2, x_t), t))
    divergence = jax.jit(lambda t: transition_kl(full((1, 3), x0), full((1, 3), estimate), t, schedule, variance))
    for t in (2, 5, 10):
        mean, other = np.asarray(mean_of(np.array([x0, estimate], np.float32), np.int32(t)), np.float64)
        std, other_std = np.sqrt(schedule.posterior_variance[t]), np.sqrt(variance[t])
        ours = divergence(np.int32(t))
        np.testing.assert_allclose(ours, [3 * integrated_kl(mean, std, other, other_std)], rtol=1e-3)


def test_prior_is_the_integrated_divergence():
    schedule = processes.linear_schedule(10, first=0.01, last=0.3)
    ours = jax.jit(lambda x: prior_kl(x, schedule))(np.array([[0.4, 0.4], [-1.0, -1.0]], np.float32))
    alpha, sigma = schedule.alpha[-1], schedule.sigma[-1]
    expected = [2 * integrated_kl(alpha * x, sigma, 0.0, 1.0) for x in (0.4, -1.0)]
    np.testing.assert_allclose(ours, expected, rtol=1e-4)


def steps_of(schedule, variance, denoise):
    """Return log q(x_t | x_{t-1}) and log p(x_{t-1} | x_t), each of (x_{t-1}, x_t, t), and log P(level | x_1).

    The mean of p is eq. 11 with the eps that the denoiser's x_0 stands for; the masses are scipy's.
    """
    betas = schedule.betas.astype(np.float64)
    abar = np.cumprod(1.0 - betas)
    edges = np.concatenate([[-np.inf], np.linspace(-1, 1, 2 * exact.LEVELS - 1)[1::2], [np.inf]])
    denoise = jax.jit(denoise)

    def back(x, t):
        estimate = np.asarray(denoise(x.astype(np.float32), np.int32(t)), np.float64)
        eps = (x - np.sqrt(abar[t]) * estimate) / np.sqrt(1.0 - abar[t])
        return (x - betas[t] / np.sqrt(1.0 - abar[t]) * eps) / np.sqrt(1.0 - betas[t])

    def log_q(before, after, t):
        return norm.logpdf(after, np.sqrt(1.0 - betas[t]) * before, np.sqrt(betas[t]))

    def log_p(before, after, t):
        return norm.logpdf(before, back(after, t), np.sqrt(variance[t]))

    def log_level(level, x):
        return np.log(np.diff(norm.cdf(edges[level : level + 2], back(x, 1)[..., None], np.sqrt(variance[1])))[..., 0])

    return log_q, log_p, log_level


@pytest.mark.parametrize("choose", [processes.upper_variance, processes.lower_variance])
def test_bound_of_two_steps_is_the_integral_over_both(choose):
    """Quadrature over (x_1, x_2) of q log(q / p), undecomposed; and of p itself, whose -log lies below it."""
    n, schedule = 40_000, processes.schedule_from_betas(np.array([0.4, 0.7]))
    variance, denoise = choose(schedule), exact.levels_denoiser(schedule)
    log_q, log_p, log_level = steps_of(schedule, variance, denoise)
    grid = np.linspace(-6.0, 6.0, 401)
    first, second = grid[:, None], grid[None, :]
    area = (grid[1] - grid[0]) ** 2
    reverse = norm.logpdf(second) + log_p(first, second, 2)
    bounds = jax.jit(lambda key, x: total_bound(bound_terms(key, x, denoise, schedule, variance, levels=exact.LEVELS)))
    mass = 0.0
    for level, value in enumerate(np.linspace(-1, 1, exact.LEVELS)):
        log_forward, log_reverse = log_q(value, first, 1) + log_q(first, second, 2), reverse + log_level(level, first)
        expected = area * np.sum(np.exp(log_forward) * (log_forward - log_reverse))
        likelihood = area * np.sum(np.exp(log_reverse))
        ours = np.asarray(bounds(jax.random.key(level), np.full((n, 1), level, np.uint8)))
        assert abs(ours.mean() - expected) < 4.5 * ours.std() / np.sqrt(n)
        assert ours.std() / np.sqrt(n) < 0.02 and expected > -np.log(likelihood) + 0.01
        mass += likelihood
    assert mass == pytest.approx(1.0, abs=1e-6)  # the model is a distribution, and the grid is fine enough


def simulated_bound(level, schedule, variance, denoise, n):
    """Return -log p(x_{0:T}) + log q(x_{1:T} | x_0) along n trajectories, of steps alone (Ho et al. 2020, eq. 3)."""
    random = np.random.default_rng(0)
    log_q, log_p, log_level = steps_of(schedule, variance, denoise)
    x, total = np.full(n, np.linspace(-1, 1, exact.LEVELS)[level]), np.zeros(n)
    for t, beta in enumerate(schedule.betas[1:].astype(np.float64), start=1):
        after = np.sqrt(1.0 - beta) * x + np.sqrt(beta) * random.standard_normal(n)
        total += log_q(x, after, t) - (log_level(level, after) if t == 1 else log_p(x, after, t))
        x = after
    return total - norm.logpdf(x)


@pytest.mark.parametrize("choose", [processes.upper_variance, processes.lower_variance])
def test_bound_is_that_of_whole_trajectories(choose):
    n, schedule = 40_000, processes.linear_schedule(4, first=0.2, last=0.6)
    variance, denoise = choose(schedule), exact.levels_denoiser(schedule)
    bounds = jax.jit(lambda key, x: total_bound(bound_terms(key, x, denoise, schedule, variance, levels=exact.LEVELS)))
    for level in range(exact.LEVELS):
        ours = np.asarray(bounds(jax.random.key(level), np.full((n, 1), level, np.uint8)))
        theirs = simulated_bound(level, schedule, variance, denoise, n)
        assert abs(ours.mean() - theirs.mean()) < 5 * np.hypot(ours.std(), theirs.std()) / np.sqrt(n)


def test_bound_lies_above_the_entropy_and_tends_to_it():
    """With the exact denoiser and the lower variance, right where x_0 is all but known: as it is in the last steps."""
    gaps = []
    x = np.repeat(np.arange(exact.LEVELS), (10_000 * exact.PROBABILITY).astype(int)).astype(np.uint8)[:, None]
    for steps in (40, 160, 640):
        schedule = processes.cosine_schedule(steps, offset=0.1)
        denoise, variance = exact.levels_denoiser(schedule), processes.lower_variance(schedule)
        bounds = jax.jit(lambda key: total_bound(bound_terms(key, x, denoise, schedule, variance, levels=exact.LEVELS)))
        bound = np.asarray(bounds(FAST_KEY))
        gaps.append(bound.mean() - exact.ENTROPY)
        assert gaps[-1] > -4 * bound.std() / np.sqrt(len(x))
    assert gaps[0] > 3 * gaps[1] > 9 * gaps[2] and gaps[2] < 0.015, gaps


def test_terms_are_named_and_shaped():
    schedule = processes.cosine_schedule(5)
    denoise, variance = exact.levels_denoiser(schedule), processes.lower_variance(schedule)
    x = np.zeros((2, 4), np.uint8)
    terms_of = jax.jit(lambda x: bound_terms(jax.random.key(0), x, denoise, schedule, variance, levels=exact.LEVELS))
    terms = jax.device_get(terms_of(x))
    assert terms.prior.shape == terms.decoder.shape == (2,) and terms.transitions.shape == (4, 2)
    np.testing.assert_allclose(total_bound(terms), terms.prior + terms.decoder + terms.transitions.sum(0), rtol=1e-6)
    with pytest.raises(ValueError, match="integer"):
        terms_of(x.astype(np.float32))


SCHEDULE = processes.cosine_schedule(5)
LOWER = processes.lower_variance(SCHEDULE)
zeros = lambda *shape: np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: prior_kl(zeros(), SCHEDULE), "without an axis of examples"),
        (lambda: prior_kl(zeros(2, 3).astype(np.uint8), SCHEDULE), "scale stored levels first"),
        (lambda: transition_kl(zeros(), zeros(), 2, SCHEDULE, LOWER), "without an axis of examples"),
        (lambda: transition_kl(zeros(2, 3), zeros(2, 1), 2, SCHEDULE, LOWER), "differ"),
        (lambda: transition_kl(zeros(2, 3), zeros(2, 3), np.ones(3, np.int32), SCHEDULE, LOWER), "not one an"),
        (lambda: transition_kl(zeros(2, 3), zeros(2, 3), 2, SCHEDULE, LOWER[1:]), "for each t = 0"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
