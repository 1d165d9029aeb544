"""The likelihoods as they read a decoder's output."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from genjax import autoencoders as ae

SHAPE = (3, 2, 2, 1)
LEVELS = 17


@pytest.fixture
def outputs() -> np.ndarray:
    return np.random.default_rng(0).normal(0.0, 0.7, (3, 2, 2, 2)).astype(np.float32)


def pixels(rng_seed: int = 1) -> np.ndarray:
    return np.random.default_rng(rng_seed).normal(size=SHAPE).astype(np.float32)


def test_bernoulli_is_scipys_summed_over_pixels(outputs):
    x = (pixels() > 0).astype(np.float32)
    logits = np.asarray(outputs[..., :1], np.float64)
    expected = scipy.stats.bernoulli.logpmf(x, scipy.special.expit(logits)).sum((1, 2, 3))
    np.testing.assert_allclose(jax.jit(ae.bernoulli().log_prob)(x, outputs[..., :1]), expected, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(ae.bernoulli().mean)(outputs[..., :1]), scipy.special.expit(logits), rtol=1e-5)


def test_gaussians_are_scipys_summed_over_pixels(outputs):
    x, double = pixels(), np.asarray(outputs, np.float64)
    expected = scipy.stats.norm.logpdf(x, double[..., :1], np.exp(double[..., 1:])).sum((1, 2, 3))
    np.testing.assert_allclose(jax.jit(ae.gaussian().log_prob)(x, outputs), expected, rtol=1e-5)
    expected = scipy.stats.norm.logpdf(x, double[..., :1], 0.3).sum((1, 2, 3))
    np.testing.assert_allclose(jax.jit(ae.fixed_gaussian(0.3).log_prob)(x, outputs[..., :1]), expected, rtol=1e-5)


def test_floor_bounds_the_density_at_a_constant_pixel():
    outputs = np.float32([0.0, -50.0]).reshape(1, 1, 1, 2)
    expected = scipy.stats.norm.logpdf(0.0, 0.0, np.exp(-7.0))
    found = jax.jit(ae.gaussian().log_prob)(np.zeros((1, 1, 1, 1), np.float32), outputs)
    np.testing.assert_allclose(found, [expected], rtol=1e-5)


def test_discretized_logistic_sums_to_one_over_all_images_of_two_pixels():
    outputs = np.random.default_rng(2).normal(0.0, 0.8, (1, 1, 2, 2)).astype(np.float32)
    grid = np.linspace(-1.0, 1.0, LEVELS, dtype=np.float32)
    images = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 1, 2, 1)
    likelihood = ae.discretized_logistic(LEVELS)
    log_prob = jax.jit(likelihood.log_prob)(images, np.tile(outputs, (len(images), 1, 1, 1)))
    np.testing.assert_allclose(np.exp(np.asarray(log_prob, np.float64)).sum(), 1.0, atol=2e-5)


def test_mean_of_the_discretized_logistic_is_the_sum_over_levels(outputs):
    likelihood = ae.discretized_logistic(LEVELS)
    grid = np.linspace(-1.0, 1.0, LEVELS, dtype=np.float32)
    wide = outputs * np.float32([2, 1])  # some locations beyond the ends
    location, log_scale = wide.reshape(12, 2, 1).transpose(1, 0, 2)
    log_mass = jax.jit(
        lambda x: ae.discretized_logistic_log_likelihood(x, location, log_scale=log_scale, levels=LEVELS)
    )
    mass = [np.exp(log_mass(np.full((12, 1), level))) for level in grid]
    np.testing.assert_allclose(np.ravel(jax.jit(likelihood.mean)(wide)), grid @ np.stack(mass), atol=1e-5)


@pytest.mark.parametrize(
    "likelihood", [ae.bernoulli(), ae.fixed_gaussian(0.5), ae.gaussian(), ae.discretized_logistic(LEVELS)]
)
def test_samples_average_to_the_mean(likelihood, outputs):
    outputs = outputs[..., : likelihood.outputs_per_entry]
    draw = jax.jit(jax.vmap(lambda key: likelihood.sample(key, outputs)))
    draws = np.asarray(draw(jax.random.split(jax.random.key(0), 4000)))
    assert draws.shape[1:] == SHAPE and draws.dtype == np.float32
    error = np.std(draws, axis=0) / np.sqrt(4000)
    assert (np.abs(np.mean(draws, axis=0) - np.asarray(jax.jit(likelihood.mean)(outputs))) < 4.5 * error).all()
    assert np.isfinite(jax.jit(likelihood.log_prob)(draws[0], outputs)).all()


@pytest.mark.parametrize(
    "log_likelihood",
    [
        ae.bernoulli_log_likelihood,
        lambda x, y: ae.gaussian_log_likelihood(x, y, log_std=0.0),
        lambda x, y: ae.discretized_logistic_log_likelihood(x, y, log_scale=jnp.zeros_like(y), levels=LEVELS),
    ],
)
def test_one_value_an_example_and_shapes_refused(log_likelihood):
    x = (pixels() > 0).astype(np.float32)
    y = pixels(3)
    values = jax.jit(log_likelihood)(x, y)
    assert values.shape == (3,)
    one_by_one = jax.jit(jax.vmap(lambda x, y: log_likelihood(x[None], y[None])[0]))(x, y)
    np.testing.assert_allclose(values, one_by_one, rtol=1e-6)
    with pytest.raises(ValueError, match="event axis"):
        jax.eval_shape(log_likelihood, *np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match="as x is"):
        jax.eval_shape(log_likelihood, x, y[:1])
    with pytest.raises(ValueError, match="scale or binarize"):
        jax.eval_shape(log_likelihood, x.astype(np.uint8), y)


def test_a_standard_deviation_of_zero_is_refused():
    with pytest.raises(ValueError, match="positive"):
        ae.fixed_gaussian(0.0)
