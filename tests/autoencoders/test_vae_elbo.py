"""The bounds against a decoder whose log p(x) and posterior are known (see linear_gaussian), in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from genjax.autoencoders import (
    Gaussian,
    active_units,
    analytic_rate,
    elbo,
    elbo_terms,
    importance_weighted_bound,
    importance_weighted_estimate,
    log_weights,
    mean_terms,
    sampled_rate,
)
from tests.autoencoders import linear_gaussian

EXAMPLES, DIMS, LATENTS = 5, 4, 2


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def posterior_of(decoder, x) -> Gaussian:
    means, covariance = decoder.posterior(x)
    log_std = 0.5 * np.log(np.diag(covariance))
    return Gaussian(means, np.tile(log_std, (len(x), 1)))


def any_gaussian(rng) -> Gaussian:
    return Gaussian(*(rng.normal(0.0, 0.7, (EXAMPLES, LATENTS)) for _ in range(2)))


def jitted(function, *args):
    """Return what the function does as one program, in NumPy; eagerly each of its operations would be one."""
    return jax.tree.map(np.asarray, jax.jit(function)(*args))


def exact_distortion(decoder, x, q: Gaussian) -> np.ndarray:
    """Integrate the quadratic log p(x|z) exactly: the mean over the 2 Z points m +- sqrt(Z) s_j e_j."""
    offsets = np.sqrt(LATENTS) * np.concatenate([np.eye(LATENTS), -np.eye(LATENTS)])
    points = q.mean + np.exp(q.log_std) * offsets[:, None]
    return -jitted(jax.vmap(decoder.log_likelihood(x)), points).mean(axis=0)


def test_every_sample_gives_log_evidence_at_the_exact_posterior(rng):
    decoder = linear_gaussian.make(rng, dims=DIMS, latents=LATENTS, orthogonal=True)
    x = rng.normal(size=(EXAMPLES, DIMS))
    q, log_likelihood = posterior_of(decoder, x), decoder.log_likelihood(x)
    bound = jitted(lambda key: elbo(elbo_terms(key, q, log_likelihood, rate=sampled_rate)), jax.random.key(0))
    np.testing.assert_allclose(bound, decoder.log_evidence(x), rtol=1e-10)


@pytest.mark.parametrize("orthogonal", [True, False])
def test_gap_is_the_divergence_to_the_posterior(rng, orthogonal):
    decoder = linear_gaussian.make(rng, dims=DIMS, latents=LATENTS, orthogonal=orthogonal)
    x, q = rng.normal(size=(EXAMPLES, DIMS)), any_gaussian(rng)
    bound = -jitted(analytic_rate, q, q.mean) - exact_distortion(decoder, x, q)
    gap = decoder.kl_to_posterior(x, q)
    assert gap.min() > 0.1  # so that the next line says something
    np.testing.assert_allclose(decoder.log_evidence(x) - bound, gap, rtol=1e-10)


def test_terms_are_unbiased_for_both_rates(rng):
    decoder = linear_gaussian.make(rng, dims=DIMS, latents=LATENTS, orthogonal=False)
    x, q = rng.normal(size=(EXAMPLES, DIMS)), any_gaussian(rng)
    log_likelihood, n = decoder.log_likelihood(x), 40_000

    def draw(key):
        z = q.sample(key)
        return sampled_rate(q, z), log_likelihood(z)

    rates, likelihoods = jitted(lambda key: jax.vmap(draw)(jax.random.split(key, n)), jax.random.key(1))
    analytic = jitted(analytic_rate, q, q.mean)
    error = rates.std(axis=0) / np.sqrt(n)
    assert (np.abs(rates.mean(axis=0) - analytic) < 4 * error).all()

    averaged = jitted(lambda key: mean_terms(key, q, log_likelihood, num_samples=n), jax.random.key(2))
    error = likelihoods.std(axis=0) / np.sqrt(n)
    assert (np.abs(averaged.distortion - exact_distortion(decoder, x, q)) < 4 * error).all()
    np.testing.assert_allclose(averaged.rate, analytic, rtol=1e-12)


def test_rate_is_scipys_divergence_and_knows_its_direction(rng):
    q = any_gaussian(rng)
    means, stds = q.mean, np.exp(q.log_std)
    # KL = cross-entropy - entropy, and the cross-entropy against N(0, I) is (Z log 2 pi + E|z|^2) / 2.
    cross_entropy = 0.5 * (LATENTS * np.log(2 * np.pi) + (means**2 + stds**2).sum(1))
    entropy = [scipy.stats.multivariate_normal(m, np.diag(s**2)).entropy() for m, s in zip(means, stds, strict=True)]
    expected = cross_entropy - entropy
    np.testing.assert_allclose(jitted(analytic_rate, q, q.mean), expected, rtol=1e-10)


def test_one_sample_of_the_importance_weighted_bound_is_the_elbo(rng):
    decoder = linear_gaussian.make(rng, dims=DIMS, latents=LATENTS, orthogonal=False)
    x, q, key = rng.normal(size=(EXAMPLES, DIMS)), any_gaussian(rng), jax.random.key(3)
    log_likelihood = decoder.log_likelihood(x)
    weighted = lambda key: importance_weighted_bound(log_weights(key, q, log_likelihood, num_samples=1))
    plain = lambda key: elbo(elbo_terms(jax.random.split(key, 1)[0], q, log_likelihood, rate=sampled_rate))
    np.testing.assert_allclose(jitted(weighted, key), jitted(plain, key), rtol=1e-12)


def test_importance_weighted_bound_rises_with_k_to_log_evidence(rng):
    decoder = linear_gaussian.make(rng, dims=DIMS, latents=LATENTS, orthogonal=False)
    x = rng.normal(size=(EXAMPLES, DIMS))
    means, _ = decoder.posterior(x)
    # Off the posterior and wider than it, so that the weights have a finite variance.
    q, log_likelihood = Gaussian(means + 0.4, np.zeros((EXAMPLES, LATENTS))), decoder.log_likelihood(x)
    weights = jitted(lambda key: log_weights(key, q, log_likelihood, num_samples=2**14), jax.random.key(4))
    bounds = []
    for k in (1, 8, 128, 2**14):  # the mean over disjoint groups of k: an unbiased estimate of L_k
        groups = weights.reshape(-1, k, EXAMPLES).transpose(1, 0, 2).reshape(k, -1)
        bounds.append(jitted(importance_weighted_bound, groups).reshape(-1, EXAMPLES).mean(axis=0))
    assert (np.diff(bounds, axis=0) > 0).all()
    assert (decoder.log_evidence(x) - bounds[0] > 0.2).all()
    np.testing.assert_allclose(bounds[-1], decoder.log_evidence(x), atol=0.03)


def test_weights_average_to_the_evidence(rng):
    decoder = linear_gaussian.make(rng, dims=DIMS, latents=LATENTS, orthogonal=False)
    x = rng.normal(size=(EXAMPLES, DIMS))
    q, log_likelihood = Gaussian(decoder.posterior(x)[0], np.zeros((EXAMPLES, LATENTS))), decoder.log_likelihood(x)
    weights = jitted(lambda key: log_weights(key, q, log_likelihood, num_samples=2**14), jax.random.key(5))
    relative = np.exp(weights) / np.exp(decoder.log_evidence(x))
    error = relative.std(0) / np.sqrt(len(relative))
    assert (np.abs(relative.mean(0) - 1.0) < 4 * error).all() and error.max() < 0.02


def test_chunks_do_not_change_the_estimate(rng):
    decoder = linear_gaussian.make(rng, dims=DIMS, latents=LATENTS, orthogonal=False)
    x, q, key = rng.normal(size=(EXAMPLES, DIMS)), any_gaussian(rng), jax.random.key(6)
    log_likelihood = decoder.log_likelihood(x)
    estimate = jitted(lambda key: importance_weighted_estimate(key, q, log_likelihood, num_samples=60, chunk=20), key)
    part = lambda key: log_weights(key, q, log_likelihood, num_samples=20)
    parts = jitted(lambda key: jax.vmap(part)(jax.random.split(key, 3)), key)
    # The mean weight in linear space, by NumPy.
    expected = np.log(np.exp(np.concatenate(parts)).mean(0))
    np.testing.assert_allclose(estimate, expected, rtol=1e-10)
    with pytest.raises(ValueError, match="multiple"):
        importance_weighted_estimate(key, q, log_likelihood, num_samples=50, chunk=20)


def test_memory_of_the_estimate_is_bounded_by_the_chunk():
    q = Gaussian(*np.zeros((2, 8, 2)))

    def temporary_bytes(num_samples: int) -> int:
        estimate = jax.jit(
            lambda key: importance_weighted_estimate(
                key, q, lambda z: jnp.sum(jnp.tile(z, (1, 50)), axis=1), num_samples=num_samples, chunk=10
            )
        )
        return estimate.lower(jax.random.key(0)).compile().memory_analysis().temp_size_in_bytes

    small, large = temporary_bytes(100), temporary_bytes(10_000)
    keys = 10_000 // 10 * 8  # one raw key a chunk
    assert large < small + 4 * keys


def test_wrong_shapes_are_refused_with_a_sentence():
    q = Gaussian(*np.zeros((2, 3, 2)))
    with pytest.raises(ValueError, match="one value an example"):
        jax.eval_shape(lambda key: elbo_terms(key, q, lambda z: z), jax.random.key(0))
    with pytest.raises(ValueError, match=r"must be \[B, Z\]"):
        analytic_rate(Gaussian(*np.zeros((2, 3))), np.zeros(3))
    with pytest.raises(ValueError, match=r"takes \[k, B\]"):
        importance_weighted_bound(np.zeros(3))
    with pytest.raises(ValueError, match=r"over \[N, Z\]"):
        active_units(np.zeros(3))


def test_active_units_are_those_that_move():
    means = np.stack([np.linspace(-1.0, 1.0, 50), np.linspace(-0.1, 0.1, 50), np.full(50, 3.0)], axis=1)
    assert jitted(active_units, means) == 1  # variances 0.35, 0.0035 and 0 against 0.01
