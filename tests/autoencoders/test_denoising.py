"""The denoising autoencoder on a Gaussian, whose score is known, and the corruptions."""

import jax
import numpy as np
import pytest
import scipy.stats

from genjax import autoencoders as ae
from tests.autoencoders.test_autoencoder import train

STD = 0.5
MEAN, COVARIANCE = np.array([1.0, -0.5]), np.array([[1.0, 0.6], [0.6, 0.8]])


@pytest.fixture(scope="module")
def denoiser():
    """An affine one, in which the best reconstruction of a Gaussian lies."""
    encoder, decoder = ae.MLPCoder(2, ()), ae.MLPDecoder((2,), hidden=())
    options = dict(latent_dim=2, corrupt=ae.gaussian_corruption(STD), shape=(2,))
    model = ae.denoising_autoencoder(encoder, decoder, ae.fixed_gaussian(1.0), **options)
    x = np.random.default_rng(0).multivariate_normal(MEAN, COVARIANCE, 4096)
    # The sample is given exactly the moments that the score is computed from.
    x = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T, bias=True))).T
    x = (x @ np.linalg.cholesky(COVARIANCE).T + MEAN).astype(np.float32)
    return model, train(model, jax.jit(model.init)(jax.random.key(0), {"x": x}), x, steps=400, rate=0.05)[0]


def test_reconstruction_gives_the_score_of_the_convolved_gaussian(denoiser):
    model, variables = denoiser
    points = np.random.default_rng(1).multivariate_normal(MEAN, COVARIANCE, 50).astype(np.float32)
    reconstruct = lambda points: model.methods["reconstruct"](variables, None, points)
    score = jax.jit(lambda points: ae.denoising_score(points, reconstruct(points), std=STD))(points)
    density = scipy.stats.multivariate_normal(MEAN, COVARIANCE + STD**2 * np.eye(2))
    step = 1e-5
    exact = np.stack(
        [(density.logpdf(points + h) - density.logpdf(points - h)) / (2 * step) for h in step * np.eye(2)], 1
    )
    assert np.std(exact) > 0.5
    np.testing.assert_allclose(score, exact, atol=0.05)


def test_chain_keeps_a_gaussian_when_its_steps_are_exact():
    """With r(x') = E[x | x'] and the conditional's own variance, data ~ N(0, v) stay so."""
    variance = 0.8
    gain, spread = variance / (variance + STD**2), np.sqrt(variance * STD**2 / (variance + STD**2))
    encoder, decoder = ae.MLPCoder(1, ()), ae.MLPDecoder((1,), hidden=())
    options = dict(latent_dim=1, corrupt=ae.gaussian_corruption(STD), shape=(1,))
    model = ae.denoising_autoencoder(encoder, decoder, ae.fixed_gaussian(spread), **options)
    variables = jax.jit(model.init)(jax.random.key(0), {"x": np.zeros((2, 1), np.float32)})
    kernels = {"encoder": gain, "decoder": 1.0}
    params = {
        name: {"MLP_0": {"Dense_0": {"kernel": np.full((1, 1), value, np.float32), "bias": np.zeros(1, np.float32)}}}
        for name, value in kernels.items()
    }
    # Far from the stationary distribution at first: N(1/2, 1/4) noise that is moved to 3.
    start = np.full((20_000, 1), 3.0, np.float32)
    chain = jax.jit(model.methods["chain"], static_argnames="num_steps")
    means = np.asarray(chain(variables._replace(params=params), jax.random.key(1), start, num_steps=40))
    assert np.mean(means[0]) > 1.5
    expected = np.sqrt(variance * gain)  # of E[x|x'], Var = variance^2 / (variance + std^2)
    np.testing.assert_allclose(np.std(means[-1]), expected, rtol=0.03)
    assert abs(np.mean(means[-1])) < 4 * expected / np.sqrt(20_000)


def test_corruptions_do_what_they_are_called():
    x = np.full((200, 10, 10, 1), 0.25, np.float32)
    corrupted = lambda corruption: np.ravel(np.asarray(jax.jit(corruption)(jax.random.key(0), x)))
    noise = corrupted(ae.gaussian_corruption(0.3)) - x.ravel()
    assert scipy.stats.kstest(noise, "norm", (0.0, 0.3)).pvalue > 1e-3
    masked = corrupted(ae.masking_corruption(0.4))
    assert set(np.unique(masked)) == {0.0, 0.25}
    assert scipy.stats.binomtest(int((masked == 0.0).sum()), masked.size, 0.4).pvalue > 1e-3
    salted = corrupted(ae.salt_and_pepper_corruption(0.4))
    assert set(np.unique(salted)) == {0.0, 0.25, 1.0}
    for value in (0.0, 1.0):
        assert scipy.stats.binomtest(int((salted == value).sum()), salted.size, 0.2).pvalue > 1e-3


def test_wrong_shapes_are_refused(denoiser):
    model, _ = denoiser
    with pytest.raises(ValueError, match="must be the same"):
        ae.denoising_score(np.zeros((2, 3)), np.zeros((2, 1)), std=1.0)
    with pytest.raises(ValueError, match="was built for"):
        jax.eval_shape(model.init, jax.random.key(0), {"x": np.zeros((4, 3), np.float32)})
