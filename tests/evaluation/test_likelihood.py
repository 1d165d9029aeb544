"""Held-out likelihoods against scipy, code lengths, and a VAE whose log p(x) is known."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from genjax.autoencoders import fixed_gaussian, vae
from genjax.contract import Variables
from genjax.evaluation import held_out_likelihood
from genjax.evaluation.likelihood import summarize
from tests.autoencoders import linear_gaussian

NOTHING = Variables({})
DIMS, LATENTS = 5, 2


def batches(x, size):
    """Cut x into batches, the last as short as it comes."""
    return [{"x": x[start : start + size]} for start in range(0, len(x), size)]


def test_bits_are_the_length_of_a_code():
    """A code of b bits for an example of 12 entries has probability 2^-b."""
    bits = np.array([24.0, 36.0, 48.0, 36.0, 96.0])
    found = summarize(bits * np.log(0.5), 12)
    assert found.num_examples == 5
    np.testing.assert_allclose(found.bits_per_dim, 48.0 / 12)
    np.testing.assert_allclose(found.bits_per_dim_stderr, scipy.stats.sem(bits / 12))
    np.testing.assert_allclose(found.nll_stderr, scipy.stats.sem(bits * np.log(2)))
    assert math.isnan(summarize(bits[:1], 12).nll_stderr)


def test_standard_error_is_the_spread_over_data_sets():
    """Over many held-out sets drawn from the model, nll scatters around the entropy by the standard error."""
    rng = np.random.default_rng(0)
    covariance = np.array([[2.0, 0.6], [0.6, 0.5]])
    normal = scipy.stats.multivariate_normal([0.3, -1.0], covariance)
    sets, size = 2000, 100
    found = [summarize(nats, 2) for nats in normal.logpdf(normal.rvs((sets, size), random_state=rng))]
    nll, stderr = np.array([f.nll for f in found]), np.array([f.nll_stderr for f in found])
    assert abs(nll.mean() - normal.entropy()) < 4 * nll.std() / math.sqrt(sets)
    # The standard deviation of 2000 draws is known to 1 / sqrt(2 * 2000) = 1.6 %.
    np.testing.assert_allclose(np.sqrt((stderr**2).mean()), nll.std(), rtol=4 * 0.016)


def test_mean_is_over_examples_whatever_the_batches():
    x = np.random.default_rng(0).gamma(1.0, 3.0, (10, 2, 3)).astype(np.float32)
    x[-1] = 50.0  # alone in the last batch of 3, 3, 3, 1: a mean of means would give it 1/4
    traced = []

    def log_prob(variables, key, batch):
        traced.append(batch["x"].shape)
        return -batch["x"].sum((1, 2))

    found = held_out_likelihood(log_prob, NOTHING, jax.random.key(0), batches(x, 3))
    sums = x.astype(np.float64).sum((1, 2))
    np.testing.assert_allclose(found.nll, sums.mean(), rtol=1e-6)
    np.testing.assert_allclose(found.nll_stderr, scipy.stats.sem(sums), rtol=1e-5)
    np.testing.assert_allclose(found.bits_per_dim, sums.mean() / 6 * np.log2(np.e), rtol=1e-6)
    assert found.num_examples == 10
    assert traced == [(3, 2, 3), (1, 2, 3)]  # compiled once for each size


def test_every_batch_draws_its_own_noise():
    def log_prob(variables, key, batch):
        return jax.random.normal(key, batch["x"].shape[:1])

    x = np.zeros((40, 1), np.float32)
    find = lambda seed: held_out_likelihood(log_prob, NOTHING, jax.random.key(seed), batches(x, 1))
    assert find(0) == find(0) != find(1)
    assert 0.7 < find(0).nll_stderr * math.sqrt(40) < 1.3  # standard normals, 40 of them; 0 if they were the same


class LinearEncoder(nn.Module):
    """q(z|x) = N(W x + b, diag(exp(2 l))), l the same for all x."""

    @nn.compact
    def __call__(self, x):
        log_std = self.param("log_std", nn.initializers.zeros, (LATENTS,))
        mean = nn.Dense(LATENTS)(x)
        return mean, jnp.broadcast_to(log_std[None], mean.shape)


def linear_vae(decoder, x):
    """Return a VAE with the decoder's weights and, as its encoder, the exact posterior."""
    model = vae(LinearEncoder(), nn.Dense(DIMS), fixed_gaussian(decoder.std), latent_dim=LATENTS)
    _, covariance = decoder.posterior(x)
    kernel = decoder.weights @ covariance / decoder.std**2
    encoder = {"Dense_0": {"kernel": kernel, "bias": -decoder.bias @ kernel}}
    encoder["log_std"] = 0.5 * np.log(np.diag(covariance))
    params = {"encoder": encoder, "decoder": {"kernel": decoder.weights.T, "bias": decoder.bias}}
    params = jax.tree.map(lambda leaf: leaf.astype(np.float32), params)
    initial = jax.eval_shape(model.init, jax.random.key(0), {"x": np.zeros((1, DIMS), np.float32)})
    assert jax.tree.map(np.shape, params) == jax.tree.map(lambda leaf: leaf.shape, dict(initial.params))
    return model, Variables(params)


@pytest.fixture
def problem():
    rng = np.random.default_rng(1)
    decoder = linear_gaussian.make(rng, dims=DIMS, latents=LATENTS, orthogonal=True)
    x = rng.normal(size=(2000, DIMS)).astype(np.float32)
    return decoder, x, *linear_vae(decoder, x)


def test_bound_and_estimate_of_a_linear_vae_at_the_exact_posterior(problem):
    """Importance weights are constant there: both equal the scipy density's mean for any k and any chunk."""
    decoder, x, model, variables = problem
    exact = decoder.log_evidence(x)
    for chunk in (1, 3, 6):

        def estimate(variables, key, batch, chunk=chunk):
            return model.methods["importance_weighted"](variables, key, batch["x"], num_samples=6, chunk=chunk)

        found = held_out_likelihood(estimate, variables, jax.random.key(0), batches(x, 300))  # the last holds 200
        np.testing.assert_allclose(found.nll, -exact.mean(), rtol=1e-5)
        np.testing.assert_allclose(found.nll_stderr, scipy.stats.sem(exact), rtol=1e-4)
        np.testing.assert_allclose(found.bits_per_dim, -exact.mean() / DIMS / np.log(2), rtol=1e-5)


def test_bound_falls_to_the_exact_likelihood_as_k_grows(problem):
    decoder, x, model, variables = problem
    log_std = variables.params["encoder"]["log_std"]
    encoder = variables.params["encoder"] | {"log_std": log_std + 0.5}  # too wide: the weights' variance is finite
    wide = Variables(variables.params | {"encoder": encoder})

    def nll(k):
        def estimate(variables, key, batch):
            return model.methods["importance_weighted"](variables, key, batch["x"], num_samples=k, chunk=min(k, 20))

        return held_out_likelihood(estimate, wide, jax.random.key(0), batches(x, 500)).nll

    found, exact = [nll(k) for k in (1, 4, 500)], -decoder.log_evidence(x).mean()
    # Two latents, each with e times the posterior's variance: KL = 2 (e / 2 - 1 / 2 - 1 / 2) = e - 2 nats at k = 1;
    # log w there is a constant - (e - 1) / 2 times a chi-squared of two degrees, of standard deviation e - 1.
    assert abs(found[0] - exact - (np.e - 2)) < 4 * (np.e - 1) / math.sqrt(len(x))
    assert found[0] - 0.3 > found[1] > found[2] + 0.03
    assert abs(found[2] - exact) < 0.005


@pytest.mark.parametrize(
    "log_prob, x, message",
    [
        (lambda v, k, b: b["x"].sum((1,)), np.zeros((0, 3), np.float32), "no batches"),
        (lambda v, k, b: b["x"], np.zeros((4, 3), np.float32), "one value an example"),
        (lambda v, k, b: b["x"].mean(), np.zeros((4, 3), np.float32), "one value an example"),
    ],
)
def test_mistakes_are_refused_with_a_sentence(log_prob, x, message):
    with pytest.raises(ValueError, match=message):
        held_out_likelihood(log_prob, NOTHING, jax.random.key(0), batches(x, 2))


@pytest.mark.parametrize("nats", [np.zeros(0), np.zeros((3, 1)), np.float64(0.0)])
def test_what_is_no_list_of_examples_is_refused(nats):
    with pytest.raises(ValueError, match=r"averages \[N\], N > 0"):
        summarize(nats, 3)
