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
    return jnp.asarray(x, jnp.float32), jnp.asarray(random.normal(size=(N, 2)), jnp.float32)


def close(values, expected):
    values = np.asarray(values, np.float64)
    assert values.shape == (N,)
    assert abs(values.mean() - expected) < 5 * values.std() / np.sqrt(N)


def test_every_loss_is_the_divergence_and_its_constant():
    x, normal = draws()
    score, fisher = linear(WEIGHT, OFFSET), 0.5 * np.trace(PRECISION)  # E |grad log p|^2 = Tr of the precision
    expected = divergence(WEIGHT, OFFSET, COVARIANCE)
    close(explicit_score_loss(score, x, linear(-PRECISION, PRECISION @ MEAN)(x)), expected)
    close(implicit_score_loss(score, x), expected - fisher)
    signs = jnp.sign(normal)
    for direction in (normal, signs):
        close(sliced_score_loss(score, x, direction), expected - fisher)
        close(sliced_score_loss_vr(score, x, direction), expected - fisher)
    noisy = COVARIANCE + SIGMA**2 * np.eye(2)
    constant = 0.5 * (2 / SIGMA**2 - np.trace(np.linalg.inv(noisy)))
    close(denoising_score_loss(score, x, normal, sigma=SIGMA), divergence(WEIGHT, OFFSET, noisy) + constant)


def test_the_trace_is_that_of_the_jacobian():
    score = lambda x: jnp.sin(x @ jnp.asarray(WEIGHT, jnp.float32)) * x[:, ::-1]
    x = draws()[0][:3]
    jacobian = jax.vmap(jax.jacrev(lambda one: score(one[None])[0]))(x)
    expected = np.trace(jacobian, axis1=1, axis2=2) + 0.5 * np.sum(np.asarray(score(x)) ** 2, axis=1)
    np.testing.assert_allclose(implicit_score_loss(score, x), expected, rtol=1e-5)


def test_reduced_variance_has_less_of_it():
    x, normal = draws()
    losses = [np.asarray(f(linear(WEIGHT, OFFSET), x, normal)) for f in (sliced_score_loss, sliced_score_loss_vr)]
    assert losses[1].var() < 0.8 * losses[0].var()


def test_langevin_reaches_the_normal():
    """x' = (1 - e P) x + ... has the exact stationary covariance (P - e P^2 / 2)^-1."""
    step, num = 0.1, 20_000
    start = 3.0 * draws(1)[1][:num]
    x = np.asarray(
        langevin_chain(jax.random.key(0), start, linear(-PRECISION, PRECISION @ MEAN), step_size=step, num_steps=200)
    )
    stationary = np.linalg.inv(PRECISION - 0.5 * step * PRECISION @ PRECISION)
    np.testing.assert_allclose(x.mean(axis=0), MEAN, atol=5 * np.sqrt(np.diag(stationary).max() / num))
    np.testing.assert_allclose(np.cov(x.T), stationary, atol=8 * np.diag(stationary).max() / np.sqrt(num))


def test_mistakes_are_named():
    score, x = linear(WEIGHT, OFFSET), jnp.zeros((3, 2))
    with pytest.raises(ValueError, match="examples \\[B, ...\\]"):
        implicit_score_loss(score, x[0])
    with pytest.raises(ValueError, match="directions of shape"):
        sliced_score_loss(score, x, x[:2])
    with pytest.raises(ValueError, match="differ"):
        denoising_score_loss(score, x, x[:2], sigma=1.0)
