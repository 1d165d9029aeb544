"""The objectives by hand, and beta = 1 as the VAE to the bit."""

import jax
import numpy as np
import pytest

from genjax import autoencoders as ae
from tests.autoencoders.test_autoencoder import train

TERMS = ae.Terms(np.float32([1.0, 5.0, 2.0]), np.float32([10.0, 20.0, 30.0]))


def networks():
    return ae.MLPEncoder(2, (6,)), ae.MLPDecoder((2, 2, 1), hidden=(6,)), ae.bernoulli()


def with_beta(beta):
    return ae.beta_vae(*networks(), latent_dim=2, objective=lambda terms, step: ae.beta_objective(terms, beta=beta))


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(3).binomial(1, 0.4, (16, 2, 2, 1)).astype(np.float32)


def test_objectives_are_those_of_the_papers():
    np.testing.assert_allclose(ae.beta_objective(TERMS, beta=4.0), [14.0, 40.0, 38.0])
    np.testing.assert_allclose(ae.beta_objective(TERMS, beta=1.0), -ae.elbo(TERMS))
    np.testing.assert_allclose(ae.capacity_objective(TERMS, gamma=10.0, capacity=3.0), [30.0, 40.0, 40.0])
    capacity = jax.jit(ae.linear_capacity(12.0, 100))
    np.testing.assert_allclose([capacity(np.int32(step)) for step in (0, 50, 100, 1000)], [0.0, 6.0, 12.0, 12.0])
    with pytest.raises(ValueError, match=r"\[B\]"):
        ae.beta_objective(ae.Terms(np.zeros(()), np.zeros(())), beta=1.0)


def test_beta_one_is_the_vae_to_the_bit(x):
    vae, beta = ae.vae(*networks(), latent_dim=2), with_beta(1.0)
    start, same = (jax.jit(model.init)(jax.random.key(0), {"x": x}) for model in (vae, beta))
    jax.tree.map(np.testing.assert_array_equal, start, same)
    (one, metrics), (other, same) = (train(model, start, x, steps=30, rate=0.02) for model in (vae, beta))
    jax.tree.map(np.testing.assert_array_equal, one.params, other.params)
    np.testing.assert_array_equal(metrics["rate"], same["rate"])
    np.testing.assert_array_equal(metrics["distortion"], same["distortion"])
    changed, _ = train(with_beta(1.01), start, x, steps=30, rate=0.02)
    pairs = zip(jax.tree.leaves(one.params), jax.tree.leaves(changed.params))
    assert any(not np.array_equal(a, b) for a, b in pairs)


def test_rate_falls_and_distortion_rises_with_beta(x):
    start = jax.jit(with_beta(1.0).init)(jax.random.key(0), {"x": x})
    last = [train(with_beta(beta), start, x, steps=600, rate=0.02)[1] for beta in (0.1, 0.5, 2.0)]
    rates, distortions = ([float(np.mean(m[name][-100:])) for m in last] for name in ("rate", "distortion"))
    assert np.diff(rates).max() < -0.1 and np.diff(distortions).min() > 0.1
