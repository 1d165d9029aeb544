"""The variational bound against integration, and against whole trajectories simulated without its decomposition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from genjax import processes
from genjax.diffusion import bound_terms, prior_kl, total_bound, transition_kl
from tests.diffusion import exact


def integrated_kl(mean, std, other_mean, other_std):
    x = np.linspace(mean - 12 * std, mean + 12 * std, 20_001)
    p = norm.pdf(x, mean, std)
    return np.trapezoid(p * (norm.logpdf(x, mean, std) - norm.logpdf(x, other_mean, other_std)), x)


@pytest.mark.parametrize("choose", [processes.upper_variance, processes.lower_variance])
def test_transition_is_the_integrated_divergence(choose):
    schedule = processes.linear_schedule(10, first=0.01, last=0.5)
    variance, x0, estimate, x_t = choose(schedule), 0.4, 0.1, -0.6
    for t in (2, 5, 10):
        mean, other = (
            float(processes.posterior_mean(schedule, jnp.full((1,), x), jnp.full((1,), x_t), jnp.int32(t))[0])
            for x in (x0, estimate)
        )
        std, other_std = np.sqrt(schedule.posterior_variance[t]), np.sqrt(variance[t])
        ours = transition_kl(jnp.full((1, 3), x0), jnp.full((1, 3), estimate), jnp.int32(t), schedule, variance)
        np.testing.assert_allclose(ours, [3 * integrated_kl(mean, std, other, other_std)], rtol=1e-3)


def test_prior_is_the_integrated_divergence():
    schedule = processes.linear_schedule(10, first=0.01, last=0.3)
    ours = prior_kl(jnp.array([[0.4, 0.4], [-1.0, -1.0]]), schedule)
    alpha, sigma = schedule.alpha[-1], schedule.sigma[-1]
    expected = [2 * integrated_kl(alpha * x, sigma, 0.0, 1.0) for x in (0.4, -1.0)]
    np.testing.assert_allclose(ours, expected, rtol=1e-4)


def simulated_bound(level, schedule, variance, denoise, n):
    """Return -log p(x_{0:T}) + log q(x_{1:T} | x_0) along n trajectories, of steps alone (Ho et al. 2020, eq. 3)."""
    random = np.random.default_rng(0)
    steps = processes.num_steps(schedule)
    betas = schedule.betas.astype(np.float64)
    abar = np.cumprod(1.0 - betas)
    values = np.linspace(-1, 1, exact.LEVELS)
    x, total = np.full(n, values[level]), np.zeros(n)
    for t in range(1, steps + 1):
        mean, std = np.sqrt(1.0 - betas[t]) * x, np.sqrt(betas[t])
        after = mean + std * random.standard_normal(n)
        total += norm.logpdf(after, mean, std)
        estimate = np.asarray(denoise(jnp.asarray(after, jnp.float32), jnp.int32(t)), np.float64)
        eps = (after - np.sqrt(abar[t]) * estimate) / np.sqrt(1.0 - abar[t])
        back = (after - betas[t] / np.sqrt(1.0 - abar[t]) * eps) / np.sqrt(1.0 - betas[t])  # eq. 11
        if t == 1:
            edges = np.concatenate([[-np.inf], 0.5 * (values[1:] + values[:-1]), [np.inf]])
            mass = norm.cdf(edges[level + 1], back, np.sqrt(variance[1])) - norm.cdf(edges[level], back, np.sqrt(variance[1]))
            total -= np.log(mass)
        else:
            total -= norm.logpdf(x, back, np.sqrt(variance[t]))
        x = after
    return total - norm.logpdf(x)


@pytest.mark.parametrize("choose", [processes.upper_variance, processes.lower_variance])
def test_bound_is_that_of_whole_trajectories(choose):
    n, schedule = 40_000, processes.linear_schedule(4, first=0.2, last=0.6)
    variance, denoise = choose(schedule), exact.levels_denoiser(schedule)
    for level in range(exact.LEVELS):
        x = jnp.full((n, 1), level, jnp.uint8)
        terms = bound_terms(jax.random.key(level), x, denoise, schedule, variance, levels=exact.LEVELS)
        ours = np.asarray(total_bound(terms))
        theirs = simulated_bound(level, schedule, variance, denoise, n)
        assert abs(ours.mean() - theirs.mean()) < 5 * np.hypot(ours.std(), theirs.std()) / np.sqrt(n)


def test_bound_lies_above_the_entropy_and_tends_to_it():
    """With the exact denoiser and the lower variance, right where x_0 is all but known: as it is in the last steps."""
    gaps = []
    x = np.repeat(np.arange(exact.LEVELS), (10_000 * exact.PROBABILITY).astype(int)).astype(np.uint8)[:, None]
    for steps in (40, 160, 640):
        schedule = processes.cosine_schedule(steps, offset=0.1)
        denoise, variance = exact.levels_denoiser(schedule), processes.lower_variance(schedule)
        terms = jax.jit(lambda key: bound_terms(key, jnp.asarray(x), denoise, schedule, variance, levels=exact.LEVELS))
        bound = np.asarray(total_bound(terms(jax.random.key(0))))
        gaps.append(bound.mean() - exact.ENTROPY)
        assert gaps[-1] > -4 * bound.std() / np.sqrt(len(x))
    assert gaps[0] > 3 * gaps[1] > 9 * gaps[2] and gaps[2] < 0.015, gaps


def test_terms_are_named_and_shaped():
    schedule = processes.cosine_schedule(5)
    denoise, variance = exact.levels_denoiser(schedule), processes.lower_variance(schedule)
    x = jnp.zeros((2, 4), jnp.uint8)
    terms = bound_terms(jax.random.key(0), x, denoise, schedule, variance, levels=exact.LEVELS)
    assert terms.prior.shape == terms.decoder.shape == (2,) and terms.transitions.shape == (4, 2)
    np.testing.assert_allclose(total_bound(terms), terms.prior + terms.decoder + terms.transitions.sum(0), rtol=1e-6)
    with pytest.raises(ValueError, match="integer"):
        bound_terms(jax.random.key(0), x.astype(jnp.float32), denoise, schedule, variance, levels=exact.LEVELS)
