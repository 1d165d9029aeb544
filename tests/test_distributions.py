"""Distributions against scipy in float64, against sums over the support, and at the extremes of float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from genjax import distributions

LEVELS = 17


def grid(levels: int) -> np.ndarray:
    return np.linspace(-1.0, 1.0, levels).astype(np.float32)


def edges() -> np.ndarray:
    """The bins' ends: midway between levels, and infinity."""
    levels = np.linspace(-1.0, 1.0, LEVELS)
    return np.concatenate([[-np.inf], (levels[1:] + levels[:-1]) / 2, [np.inf]])


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_bernoulli_is_scipys(rng):
    x = rng.integers(0, 2, (5, 7)).astype(np.float32)
    logits = rng.normal(0.0, 3.0, (5, 7)).astype(np.float32)
    expected = scipy.stats.bernoulli.logpmf(x, scipy.special.expit(logits.astype(np.float64)))
    np.testing.assert_allclose(distributions.bernoulli_log_prob(x, logits), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("logit", [88.0, 200.0, 1e4])
def test_bernoulli_survives_large_logits(logit):
    # s(88) is exactly 1 in float32 and exp(-104) is 0: both are lost by way of the probability.
    logits = jnp.array([logit, -logit, logit, -logit])
    x = jnp.array([1.0, 0.0, 0.0, 1.0])
    np.testing.assert_allclose(distributions.bernoulli_log_prob(x, logits), [0.0, 0.0, -logit, -logit], rtol=1e-6)
    gradient = jax.grad(lambda l: jnp.sum(distributions.bernoulli_log_prob(x, l)))(logits)
    np.testing.assert_allclose(gradient, [0.0, 0.0, -1.0, 1.0], atol=1e-6)  # x - s(l)


def test_bernoulli_outside_the_unit_interval_is_impossible_also_under_jit():
    logits = jnp.zeros(4)
    values = jax.jit(distributions.bernoulli_log_prob)(jnp.array([-0.5, 0.0, 1.0, 16.0]), logits)
    np.testing.assert_allclose(values, [-np.inf, -np.log(2.0), -np.log(2.0), -np.inf], rtol=1e-6)


def test_normal_is_scipys(rng):
    x, mean = rng.normal(0.0, 2.0, (2, 4, 3)).astype(np.float32)
    log_std = rng.normal(0.0, 1.0, (4, 3)).astype(np.float32)
    expected = scipy.stats.norm.logpdf(*(a.astype(np.float64) for a in (x, mean)), np.exp(log_std.astype(np.float64)))
    np.testing.assert_allclose(distributions.normal_log_prob(x, mean, log_std=log_std), expected, rtol=1e-5, atol=1e-5)
    expected = scipy.stats.norm.logpdf(x.astype(np.float64), 0.5, np.exp(-1.0))
    np.testing.assert_allclose(distributions.normal_log_prob(x, 0.5, log_std=-1.0), expected, rtol=1e-5, atol=1e-5)


def test_normal_kl_is_the_integral(rng):
    z = np.linspace(-25.0, 25.0, 40001)  # the trapezoidal rule converges geometrically for such integrands
    for mean, log_std, other_mean, other_log_std in rng.normal(0.0, 0.7, (6, 4)):
        log_q = scipy.stats.norm.logpdf(z, mean, np.exp(log_std))
        log_p = scipy.stats.norm.logpdf(z, other_mean, np.exp(other_log_std))
        expected = np.trapezoid(np.exp(log_q) * (log_q - log_p), z)
        kl = distributions.normal_kl(
            jnp.float32(mean), jnp.float32(log_std), other_mean=float(other_mean), other_log_std=float(other_log_std)
        )
        np.testing.assert_allclose(kl, expected, rtol=2e-5, atol=1e-6)


def test_normal_kl_defaults_to_the_standard_normal_and_keeps_its_digits_near_zero():
    # KL = m^2 / 2 + l^2 + 2 l^3 / 3 + l^4 / 3 + O(l^5); e^{2l} - 1 without expm1 has four digits left at l = 0.02.
    np.testing.assert_allclose(distributions.normal_kl(jnp.float32(1.5), jnp.float32(0.0)), 1.125, rtol=1e-6)
    np.testing.assert_allclose(distributions.normal_kl(jnp.float32(1e-3), jnp.float32(0.0)), 5e-7, rtol=1e-5)
    np.testing.assert_allclose(distributions.normal_kl(jnp.float32(0.0), jnp.float32(2e-2)), 4.05387e-4, rtol=2e-5)


@pytest.mark.parametrize("levels", [2, LEVELS, 256])
def test_discretized_logistic_sums_to_one(levels, rng):
    mean = rng.uniform(-1.5, 1.5, 20).astype(np.float32)
    log_scale = rng.uniform(-6.0, 2.0, 20).astype(np.float32)
    x, mean, log_scale = np.broadcast_arrays(grid(levels)[:, None], mean[None], log_scale[None])
    log_prob = distributions.discretized_logistic_log_prob(x, mean, log_scale=log_scale, levels=levels)
    np.testing.assert_allclose(np.exp(np.asarray(log_prob, np.float64)).sum(0), 1.0, atol=2e-5)


def test_discretized_logistic_is_a_difference_of_scipys_cdf(rng):
    mean = rng.uniform(-0.8, 0.8, (9, 1))
    scale = np.exp(rng.uniform(-2.5, 0.5, (9, 1)))
    expected = np.log(np.diff(scipy.stats.logistic.cdf(edges()[None], mean, scale), axis=1))
    x, mean, log_scale = (
        np.broadcast_to(a, (9, LEVELS)).astype(np.float32) for a in (grid(LEVELS)[None], mean, np.log(scale))
    )
    log_prob = distributions.discretized_logistic_log_prob(x, mean, log_scale=log_scale, levels=LEVELS)
    np.testing.assert_allclose(log_prob, expected, rtol=2e-5, atol=1e-5)


def test_discretized_logistic_is_finite_with_its_gradients_however_far():
    extremes = np.meshgrid(grid(LEVELS), [-50.0, -1.0, 0.03, 1.0, 50.0], [-60.0, -20.0, -7.0, 0.0, 20.0, 60.0])
    x, mean, log_scale = (jnp.asarray(a.ravel(), jnp.float32) for a in extremes)

    def log_prob(mean, log_scale):
        return distributions.discretized_logistic_log_prob(x, mean, log_scale=log_scale, levels=LEVELS)

    gradients = jax.grad(lambda m, s: jnp.sum(log_prob(m, s)), argnums=(0, 1))(mean, log_scale)
    for values in (log_prob(mean, log_scale), *gradients):
        assert np.isfinite(values).all()


def test_discretized_logistic_refuses_unscaled_levels():
    levels = jnp.array([0.0, 1.0, 16.0])
    zeros = jnp.zeros(3)
    log_prob = distributions.discretized_logistic_log_prob(levels, zeros, log_scale=zeros, levels=LEVELS)
    assert np.isneginf(log_prob[2]) and np.isfinite(log_prob[:2]).all()


def test_samplers_draw_from_their_distributions():
    keys = jax.random.split(jax.random.key(0), 3)
    shape = (20_000,)
    normal = distributions.normal_sample(keys[0], jnp.full(shape, 0.7), log_std=-0.5)
    assert scipy.stats.kstest(normal, scipy.stats.norm(0.7, np.exp(-0.5)).cdf).pvalue > 1e-3

    binary = np.asarray(distributions.bernoulli_sample(keys[1], jnp.full(shape, 1.0)))
    assert set(np.unique(binary)) == {0.0, 1.0}
    assert scipy.stats.binomtest(int(binary.sum()), shape[0], scipy.special.expit(1.0)).pvalue > 1e-3

    mean, log_scale = 0.6, -1.2
    drawn = distributions.discretized_logistic_sample(
        keys[2], jnp.full(shape, mean), log_scale=jnp.full(shape, log_scale), levels=LEVELS
    )
    counts = (np.abs(np.asarray(drawn)[:, None] - grid(LEVELS)) < 1e-6).sum(0)
    assert counts.sum() == shape[0]  # every draw is on the grid
    expected = np.diff(scipy.stats.logistic.cdf(edges(), mean, np.exp(log_scale))) * shape[0]
    assert expected.min() > 5  # a cell, for the chi-squared approximation
    assert scipy.stats.chisquare(counts, expected).pvalue > 1e-3


def test_normal_sample_is_reparameterized():
    key = jax.random.key(0)
    mean, log_std = jnp.float32(0.3), jnp.float32(-0.4)
    sample, (d_mean, d_log_std) = jax.value_and_grad(
        lambda m, l: distributions.normal_sample(key, m, log_std=l), argnums=(0, 1)
    )(mean, log_std)
    np.testing.assert_allclose([d_mean, d_log_std], [1.0, sample - mean], rtol=1e-5)


def test_log_mean_exp_is_stable_and_reduces_one_axis():
    values = jnp.array([[1000.0, -1000.0], [1000.0 + np.log(3.0), -1000.0]])
    np.testing.assert_allclose(distributions.log_mean_exp(values), [1000.0 + np.log(2.0), -1000.0], rtol=1e-6)
    assert distributions.per_example(jnp.ones((2, 3, 4))).tolist() == [12.0, 12.0]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: distributions.bernoulli_log_prob(jnp.zeros(3, jnp.uint8), jnp.zeros(3)), "scale or binarize"),
        (
            lambda: distributions.discretized_logistic_log_prob(
                jnp.zeros(3, jnp.uint8), jnp.zeros(3), log_scale=jnp.zeros(3), levels=17
            ),
            "scale or binarize",
        ),
        (
            lambda: distributions.discretized_logistic_log_prob(
                jnp.zeros(3), jnp.zeros(3), log_scale=jnp.zeros(3), levels=1
            ),
            "at least 2",
        ),
        (lambda: distributions.normal_log_prob(jnp.zeros((2, 3)), jnp.zeros(3), log_std=0.0), "must be a scalar or"),
        (lambda: distributions.normal_kl(jnp.zeros(3), jnp.zeros(3), other_mean=jnp.zeros(2)), "must be a scalar or"),
    ],
)
def test_bad_inputs_are_refused_with_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
