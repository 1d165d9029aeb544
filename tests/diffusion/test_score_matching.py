"""Score matching losses on a normal whose score is known: all agree up to their constants; Langevin reaches it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.diffusion import (
    denoising_score_loss,
    explicit_score_loss,
    implicit_score_loss,
    langevin_chain,
    sliced_score_loss,
    sliced_score_loss_vr,
)

MEAN = np.array([0.5, -1.0])
COVARIANCE = np.array([[1.0, 0.3], [0.3, 0.5]])
PRECISION = np.linalg.inv(COVARIANCE)
WEIGHT, OFFSET = np.array([[-0.7, 0.4], [0.1, -1.3]]), np.array([0.2, 0.5])  # of a wrong linear score
SIGMA = 0.6
N = 200_000


def linear(weight, offset):
    return lambda x: x @ jnp.asarray(weight.T, jnp.float32) + jnp.asarray(offset, jnp.float32)[None]


def divergence(weight, offset, covariance):
    """Return 1/2 E |s - score|^2 of a linear score under N(MEAN, covariance), in closed form."""
    precision = np.linalg.inv(covariance)
    slope, at_mean = weight + precision, weight @ MEAN + offset
    return 0.5 * (np.trace(slope @ covariance @ slope.T) + at_mean @ at_mean)


def draws(seed=0):
    random = np.random.default_rng(seed)
    x = MEAN + random.normal(size=(N, 2)) @ np.linalg.cholesky(COVARIANCE).T
    return x.astype(np.float32), random.normal(size=(N, 2)).astype(np.float32)


def close(values, expected):
    values = np.asarray(values, np.float64)
    assert values.shape == (N,)
    assert abs(values.mean() - expected) < 5 * values.std() / np.sqrt(N)


def test_every_loss_is_the_divergence_and_its_constant():
    x, normal = draws()
    score, fisher = linear(WEIGHT, OFFSET), 0.5 * np.trace(PRECISION)  # E |grad log p|^2 = Tr of the precision
    expected = divergence(WEIGHT, OFFSET, COVARIANCE)
    explicit = jax.jit(lambda x: explicit_score_loss(score, x, linear(-PRECISION, PRECISION @ MEAN)(x)))
    close(explicit(x), expected)
    close(jax.jit(lambda x: implicit_score_loss(score, x))(x), expected - fisher)
    for loss in (sliced_score_loss, sliced_score_loss_vr):
        sliced = jax.jit(lambda x, direction: loss(score, x, direction))
        for direction in (normal, np.sign(normal)):
            close(sliced(x, direction), expected - fisher)
    noisy = COVARIANCE + SIGMA**2 * np.eye(2)
    constant = 0.5 * (2 / SIGMA**2 - np.trace(np.linalg.inv(noisy)))
    denoising = jax.jit(lambda x, normal: denoising_score_loss(score, x, normal, sigma=SIGMA))
    close(denoising(x, normal), divergence(WEIGHT, OFFSET, noisy) + constant)


def test_the_trace_is_that_of_the_jacobian():
    score = lambda x: jnp.sin(x @ jnp.asarray(WEIGHT, jnp.float32)) * x[:, ::-1]
    differentiated = jax.vmap(jax.jacrev(lambda one: score(one[None])[0]))
    everything = jax.jit(lambda x: (implicit_score_loss(score, x), score(x), differentiated(x)))
    loss, value, jacobian = (np.asarray(a) for a in everything(draws()[0][:3]))
    expected = np.trace(jacobian, axis1=1, axis2=2) + 0.5 * np.sum(value**2, axis=1)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_reduced_variance_has_less_of_it():
    x, normal = draws()
    one = lambda loss: jax.jit(lambda x, normal: loss(linear(WEIGHT, OFFSET), x, normal))
    losses = [np.asarray(one(loss)(x, normal)) for loss in (sliced_score_loss, sliced_score_loss_vr)]
    assert losses[1].var() < 0.8 * losses[0].var()


def test_langevin_reaches_the_normal():
    """x' = (1 - e P) x + ... has the exact stationary covariance (P - e P^2 / 2)^-1."""
    step, num = 0.1, 20_000
    start = 3.0 * draws(1)[1][:num]
    fast_key = jax.random.key(0, impl="rbg")  # for many draws: they take a third of the time
    score = linear(-PRECISION, PRECISION @ MEAN)
    x = np.asarray(jax.jit(lambda x: langevin_chain(fast_key, x, score, step_size=step, num_steps=200))(start))
    stationary = np.linalg.inv(PRECISION - 0.5 * step * PRECISION @ PRECISION)
    np.testing.assert_allclose(x.mean(axis=0), MEAN, atol=5 * np.sqrt(np.diag(stationary).max() / num))
    np.testing.assert_allclose(np.cov(x.T), stationary, atol=8 * np.diag(stationary).max() / np.sqrt(num))


def test_mistakes_are_named():
    score, x = linear(WEIGHT, OFFSET), np.zeros((3, 2), np.float32)
    with pytest.raises(ValueError, match="examples \\[B, ...\\]"):
        implicit_score_loss(score, x[0])
    with pytest.raises(ValueError, match="directions of shape"):
        sliced_score_loss(score, x, x[:2])
    with pytest.raises(ValueError, match="differ"):
        denoising_score_loss(score, x, x[:2], sigma=1.0)
