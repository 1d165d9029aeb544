"""Per-example inference against the exact posterior of a linear-Gaussian decoder."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.autoencoders import Gaussian, elbo, fit_posterior, mean_terms
from tests.autoencoders import linear_gaussian

EXAMPLES, DIMS, LATENTS, STEPS, PARTICLES = 4, 5, 2, 800, 64


def fit(decoder, x, initial: Gaussian):
    optimizer = optax.adam(optax.cosine_decay_schedule(0.05, STEPS))
    return jax.jit(
        lambda key, initial, x: fit_posterior(
            key, initial, decoder.log_likelihood(x), optimizer=optimizer, num_steps=STEPS, num_particles=PARTICLES
        )
    )(jax.random.key(0), initial, x)


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    decoder = linear_gaussian.make(rng, dims=DIMS, latents=LATENTS, orthogonal=True)
    decoder = decoder._replace(weights=decoder.weights.astype(np.float32), bias=decoder.bias.astype(np.float32))
    return decoder, rng.normal(size=(EXAMPLES, DIMS)).astype(np.float32)


def test_finds_the_exact_posterior_and_closes_the_gap(problem):
    decoder, x = problem
    amortized = Gaussian(jnp.zeros((EXAMPLES, LATENTS)), jnp.zeros((EXAMPLES, LATENTS)))  # an encoder that ignores x
    found = fit(decoder, x, amortized)
    means, covariance = decoder.posterior(x)
    np.testing.assert_allclose(found.posterior.mean, means, atol=0.02)
    stds = np.tile(np.sqrt(np.diag(covariance)), (EXAMPLES, 1))
    np.testing.assert_allclose(np.exp(found.posterior.log_std), stds, rtol=0.03)
    assert (decoder.kl_to_posterior(x, amortized) > 0.3).all()
    assert (decoder.kl_to_posterior(x, found.posterior) < 2e-3).all()

    def bound(q):
        return elbo(mean_terms(jax.random.key(1), q, decoder.log_likelihood(x), num_samples=2000))

    # The amortization gap is the divergence that the encoder had left. Common noise leaves the quadratic part of the
    # likelihood's error: E|e|^2 - Z, which 2000 draws bring to a few hundredths.
    gap = bound(found.posterior) - bound(amortized)
    np.testing.assert_allclose(gap, decoder.kl_to_posterior(x, amortized), rtol=0.06, atol=0.05)
    np.testing.assert_allclose(bound(found.posterior), decoder.log_evidence(x), atol=0.06)


def test_examples_do_not_act_on_one_another(problem):
    decoder, x = problem
    start = Gaussian(jnp.zeros((2, LATENTS)), jnp.zeros((2, LATENTS)))
    together = fit(decoder, x[:2], start)
    other = fit(decoder, np.stack([x[0], x[1] * 100.0]), start)
    np.testing.assert_array_equal(together.posterior.mean[0], other.posterior.mean[0])
    assert together.elbos.shape == (STEPS, 2)
    assert not np.array_equal(together.posterior.mean[1], other.posterior.mean[1])
