"""The one-dimensional conditionals against scipy, and their draws against their own probabilities."""

import jax
import numpy as np
import pytest
from scipy import special, stats

from genjax.autoregressive import conditionals

GRID = ((np.arange(100_000) + 0.5) / 100_000).astype(np.float32)  # uniforms, evenly spread: a draw without noise
OUTPUTS = np.array([0.3, -1.0, 2.0, -2.0, 0.1, 1.5, -0.7, 0.2, -1.2], np.float32)  # three logits, means, log stds


def spread(outputs, num):
    return np.tile(outputs, (num, 1))


def test_uniforms_never_touch_the_ends():
    u = np.asarray(conditionals.draw_uniforms(jax.random.key(0), (1 << 22,)))
    assert 0 < u.min() < 1e-6 and 1 - 1e-6 < u.max() < 1
    assert stats.kstest(u[:20_000], "uniform").pvalue > 1e-3


@pytest.mark.parametrize("num_levels", [2, 17])
def test_categorical(num_levels):
    logits = 2 * np.random.RandomState(0).standard_normal(num_levels).astype(np.float32)
    levels = np.arange(num_levels, dtype=np.uint8)
    one = conditionals.categorical(num_levels)
    p = special.softmax(logits.astype(np.float64))
    found = jax.jit(one.log_prob)(levels, spread(logits, num_levels))
    np.testing.assert_allclose(found, np.log(p), rtol=1e-5, atol=1e-6)
    drawn = jax.jit(one.draw)(GRID[:, None], spread(logits, len(GRID)))
    assert drawn.dtype == one.dtype == np.int32
    np.testing.assert_allclose(np.bincount(drawn, minlength=num_levels) / len(GRID), p, atol=3e-5)


def test_categories_that_are_not_there_are_impossible():
    found = jax.jit(conditionals.categorical_log_prob)(np.array([-1, 4, 5], np.int32), np.zeros((3, 5), np.float32))
    np.testing.assert_array_equal(np.isneginf(found), [True, False, True])


def test_the_largest_uniform_draws_a_category_that_is_possible():
    logits = np.float32([[0.0, 0.0, -200.0]])
    assert np.asarray(jax.jit(conditionals.categorical_draw)(np.float32([1 - 2.0**-24]), logits)) == [1]


def test_bernoulli():
    one, logits = conditionals.bernoulli(), np.array([-1.3], np.float32)
    drawn = np.asarray(jax.jit(one.draw)(GRID[:, None], spread(logits, len(GRID))))
    np.testing.assert_allclose(drawn.mean(dtype=np.float64), special.expit(-1.3), atol=2e-5)
    log_p = jax.jit(one.log_prob)(np.float32([0.0, 1.0]), spread(logits, 2))
    np.testing.assert_allclose(log_p, stats.bernoulli(special.expit(-1.3)).logpmf([0, 1]), rtol=1e-5)


def mixture_parts():
    logits, means, log_stds = OUTPUTS.astype(np.float64).reshape(3, 3)
    return special.softmax(logits), stats.norm(means, np.exp(log_stds))


def test_gaussian_mixture_log_prob():
    weights, parts = mixture_parts()
    x = np.linspace(-8, 8, 41)
    expected = np.log((weights * parts.pdf(x[:, None])).sum(axis=1))
    found = jax.jit(conditionals.gaussian_mixture(3).log_prob)(x.astype(np.float32), spread(OUTPUTS, 41))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_gaussian_mixture_draw():
    weights, parts = mixture_parts()
    one = conditionals.gaussian_mixture(3)

    @jax.jit
    def draw(key):
        return one.draw(conditionals.draw_uniforms(key, (20_000, 2)), spread(OUTPUTS, 20_000))

    drawn = np.asarray(draw(jax.random.key(0)))
    cdf = lambda x: (weights * parts.cdf(np.asarray(x)[..., None])).sum(axis=-1)
    assert stats.kstest(drawn, cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: conditionals.categorical_log_prob(np.zeros(3), np.zeros((3, 2))), "a category is an integer"),
        (lambda: conditionals.categorical_log_prob(np.zeros(4, int), np.zeros((3, 2))), "are of categories"),
        (lambda: conditionals.gaussian_mixture_log_prob(np.zeros(3), np.zeros((3, 4))), "come in threes"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
