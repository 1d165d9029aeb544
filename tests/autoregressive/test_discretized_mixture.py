"""The discretized logistic mixture: a distribution over levels, whatever its parameters."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.autoregressive.discretized_mixture import (
    colour_log_probs,
    mixture_draw,
    mixture_log_prob,
    mixture_outputs,
    split_outputs,
)
from genjax.pixels import to_symmetric


def outputs_of(scale, num, components=3, channels=3, seed=0):
    """Return random outputs [num, n], of a normal distribution `scale` wide."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(num, mixture_outputs(components, channels))) * scale).astype(np.float32)


@functools.cache
def log_prob(levels):
    return jax.jit(lambda x, outputs: mixture_log_prob(x, outputs, levels=levels))


@functools.cache
def conditional_log_probs(levels):
    return jax.jit(lambda x, o: colour_log_probs(to_symmetric(x, levels), split_outputs(o, 3), levels=levels))


@pytest.mark.parametrize("scale", [0.0, 1.0, 10.0, 1000.0])
def test_probabilities_of_the_256_levels_sum_to_one_for_each_colour_given_those_before(scale):
    levels, pixels = 256, 20
    outputs = outputs_of(scale, pixels)
    before = np.random.default_rng(1).integers(0, levels, size=(pixels, 3))
    before[0], before[1] = 0, levels - 1  # the edges own the tails
    totals = np.zeros((pixels, 3))
    for level in range(levels):
        for colour in range(3):
            x = before.copy()
            x[:, colour] = level
            nats = conditional_log_probs(levels)(x.astype(np.int32), outputs)
            totals[:, colour] += np.exp(np.asarray(nats, np.float64))[:, colour]
    np.testing.assert_allclose(totals, 1.0, rtol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_probabilities_of_all_pixels_sum_to_one(channels):
    levels = 5
    every = np.array(list(itertools.product(range(levels), repeat=channels)), np.uint8).reshape(-1, 1, 1, channels)
    for scale in (0.5, 3.0):
        outputs = outputs_of(scale, 1, channels=channels).reshape(1, 1, 1, -1)
        nats = log_prob(levels)(every, np.repeat(outputs, len(every), 0))
        np.testing.assert_allclose(np.exp(np.asarray(nats, np.float64)).sum(), 1.0, rtol=1e-5)


def test_the_chain_rule_gives_the_mixture_over_whole_pixels():
    levels, outputs = 256, outputs_of(2.0, 12)
    x = np.random.default_rng(2).integers(0, levels, size=(12, 3), dtype=np.int32)
    terms = np.asarray(conditional_log_probs(levels)(x, outputs))
    whole = log_prob(levels)(x[:, None, None], outputs[:, None, None])
    np.testing.assert_allclose(terms.sum(axis=-1), whole, rtol=1e-5)


def test_one_component_is_eq_3_in_float64():
    """alpha shifts green by red, beta and gamma blue by red and green; logistic distribution functions of scipy."""
    from scipy.stats import logistic

    levels = 256
    outputs = outputs_of(0.5, 1, components=1).astype(np.float64)[0]
    mean, scale, (alpha, beta, gamma) = outputs[1:4], np.exp(outputs[4:7]), np.tanh(outputs[7:])
    x = np.array([200, 30, 120])
    s = 2.0 * x / 255 - 1.0
    centres = [mean[0], mean[1] + alpha * s[0], mean[2] + beta * s[0] + gamma * s[1]]
    mass = [
        logistic.cdf(s[c] + 1 / 255, centres[c], scale[c]) - logistic.cdf(s[c] - 1 / 255, centres[c], scale[c])
        for c in range(3)
    ]
    found = log_prob(levels)(x.astype(np.int32)[None, None, None], outputs.astype(np.float32)[None, None, None])
    np.testing.assert_allclose(found, [np.log(mass).sum()], rtol=1e-4)


def test_draws_follow_the_probabilities_also_where_a_colour_is_given():
    levels, num = 4, 40_000
    outputs = outputs_of(1.0, 1, components=2, seed=4)
    every = np.array(list(itertools.product(range(levels), repeat=3)), np.uint8)
    repeated = np.repeat(outputs, len(every), 0)[:, None, None]
    p = np.exp(np.asarray(log_prob(levels)(every[:, None, None], repeated), np.float64))
    uniforms = np.random.default_rng(0).uniform(1e-6, 1.0 - 1e-6, (num, 6)).astype(np.float32)
    draw = jax.jit(
        lambda given, known: mixture_draw(jnp.repeat(outputs, num, 0), uniforms, given, known, levels=levels)
    )
    for red in (None, 3):
        given = np.full((num, 3), 3, np.int32)
        known = np.zeros((num, 3), bool)
        known[:, 0] = red is not None
        drawn = np.asarray(draw(given, known))
        wanted = p * (every[:, 0] == red) if red is not None else p
        wanted = wanted / wanted.sum()
        found = np.bincount(np.ravel_multi_index(drawn.T, (levels,) * 3), minlength=len(every)) / num
        assert np.all(np.abs(found - wanted) <= 5 * np.sqrt(wanted * (1 - wanted) / num) + 1e-12)


def test_gradients_are_finite_at_extreme_parameters():
    levels = 256
    x = np.random.default_rng(2).integers(0, levels, size=(8, 1, 1, 3), dtype=np.int32)
    gradient_of = jax.jit(jax.grad(lambda outputs: mixture_log_prob(x, outputs, levels=levels).sum()))
    for scale in (0.0, 30.0, 1000.0):
        gradient = gradient_of(outputs_of(scale, 8)[:, None, None])
        assert np.isfinite(gradient).all()


def test_mistakes_are_told():
    with pytest.raises(ValueError, match="no components"):
        split_outputs(np.zeros((2, 11), np.float32), 3)
    with pytest.raises(ValueError, match="must be"):
        mixture_log_prob(np.zeros((2, 3), np.uint8), np.zeros((2, 10), np.float32), levels=4)
