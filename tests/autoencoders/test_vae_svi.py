"""Per-example inference against the exact posterior of a linear-Gaussian decoder."""

import jax
import numpy as np
import optax
import pytest

from genjax.autoencoders import Gaussian, elbo, fit_posterior, mean_terms
from tests.autoencoders import linear_gaussian

EXAMPLES, DIMS, LATENTS, STEPS, PARTICLES = 4, 5, 2, 800, 64


AMORTIZED = Gaussian(*np.zeros((2, EXAMPLES, LATENTS), np.float32))  # of an encoder that ignores x


@pytest.fixture(scope="module")
def problem():
    """Return a decoder, examples, and what fits posteriors to examples [4, 5]."""
    rng = np.random.default_rng(0)
    decoder = linear_gaussian.make(rng, dims=DIMS, latents=LATENTS, orthogonal=True)
    decoder = decoder._replace(weights=decoder.weights.astype(np.float32), bias=decoder.bias.astype(np.float32))
    optimizer = optax.adam(optax.cosine_decay_schedule(0.05, STEPS))

    @jax.jit
    def fit(x):
        return fit_posterior(
            jax.random.key(0), AMORTIZED, decoder.log_likelihood(x), optimizer=optimizer, num_steps=STEPS,
            num_particles=PARTICLES,
        )  # fmt: skip

    return decoder, rng.normal(size=(EXAMPLES, DIMS)).astype(np.float32), lambda x: jax.tree.map(np.asarray, fit(x))


def test_finds_the_exact_posterior_and_closes_the_gap(problem):
    decoder, x, fit = problem
    found = fit(x)
    means, covariance = decoder.posterior(x)
    np.testing.assert_allclose(found.posterior.mean, means, atol=0.02)
    stds = np.tile(np.sqrt(np.diag(covariance)), (EXAMPLES, 1))
    np.testing.assert_allclose(np.exp(found.posterior.log_std), stds, rtol=0.03)
    assert (decoder.kl_to_posterior(x, AMORTIZED) > 0.3).all()
    assert (decoder.kl_to_posterior(x, found.posterior) < 2e-3).all()

    @jax.jit
    def bound(q):
        return elbo(mean_terms(jax.random.key(1), q, decoder.log_likelihood(x), num_samples=2000))

    # The amortization gap is the divergence that the encoder had left. Common noise leaves the quadratic part of the
    # likelihood's error: E|e|^2 - Z, which 2000 draws bring to a few hundredths.
    after, before = np.asarray(bound(found.posterior)), np.asarray(bound(AMORTIZED))
    np.testing.assert_allclose(after - before, decoder.kl_to_posterior(x, AMORTIZED), rtol=0.06, atol=0.05)
    np.testing.assert_allclose(after, decoder.log_evidence(x), atol=0.06)


def test_examples_do_not_act_on_one_another(problem):
    _, x, fit = problem
    together, other = fit(x), fit(np.concatenate([x[:1], x[1:2] * 100, x[2:]]))
    np.testing.assert_array_equal(together.posterior.mean[[0, 2, 3]], other.posterior.mean[[0, 2, 3]])
    assert together.elbos.shape == (STEPS, EXAMPLES)
    assert not np.array_equal(together.posterior.mean[1], other.posterior.mean[1])
