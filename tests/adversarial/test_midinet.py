"""Bars: what a player reads of them, what a melody is made of, and the rule that is learned."""

import functools

import jax
import numpy as np
import pytest

from genjax.adversarial import BarGenerator, midinet, one_hot_bars
from genjax.adversarial.midinet import _double, _halve

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)


@functools.cache
def small():
    model = midinet((4, 3), latent_dim=2, generator_features=5, discriminator_features=5)
    previous = np.eye(3, dtype=np.float32)[RANDOM.integers(0, 3, size=(6, 4))]
    batch = {"x": np.roll(previous, 1, axis=-1), "previous": previous}
    return model, jax.jit(model.init)(KEY, batch), previous


def test_two_steps_side_by_side_are_a_strided_kernel():
    """Halving and a dense layer is a convolution over two steps with stride 2, and doubling undoes halving."""
    x, kernel = RANDOM.normal(size=(2, 6, 3)).astype(np.float32), RANDOM.normal(size=(2, 3, 4)).astype(np.float32)

    @jax.jit
    def run(x):
        wanted = jax.lax.conv_general_dilated(x, kernel, (2,), "VALID", dimension_numbers=("NWC", "WIO", "NWC"))
        return wanted, _halve(x) @ kernel.reshape(6, 4), _double(_halve(x))

    wanted, found, back = run(x)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(back, x)


def test_bars_are_probabilities_and_depend_on_noise_and_on_the_bar_before():
    model, variables, previous = small()
    drawn = jax.jit(model.sample, static_argnums=2)
    sample = lambda key, previous: np.asarray(drawn(variables, key, 6, condition=previous))
    bars = sample(KEY, previous)
    np.testing.assert_allclose(bars.sum(-1), np.ones((6, 4)), rtol=1e-5)
    assert np.any(bars != sample(jax.random.key(1), previous))
    other = previous.copy()
    other[2] = np.roll(other[2], 1, axis=-1)
    changed = np.any(bars != sample(KEY, other), axis=(1, 2))
    np.testing.assert_array_equal(changed, np.arange(6) == 2)
    score = jax.jit(model.methods["score"])
    scores, others = (np.asarray(score(variables, KEY, bars, before)) for before in (previous, other))
    assert scores.shape == (6,) and scores[2] != others[2]


def test_a_melody_is_a_walk_from_silence():
    model, variables, _ = small()
    compose = jax.jit(lambda key: (model.methods["melody"](variables, key, 3, num_bars=3), jax.random.split(key, 3)))
    melody, keys = compose(KEY)
    next_bar = jax.jit(lambda keys, i, before: one_hot_bars(model.sample(variables, keys[i], 3, condition=before)))
    previous = np.zeros((3, 4, 3), np.float32)
    for i, bar in enumerate(np.moveaxis(np.asarray(melody), 1, 0)):
        wanted = next_bar(keys, i, previous)
        np.testing.assert_array_equal(bar, wanted)
        previous = wanted
    np.testing.assert_array_equal(np.unique(np.asarray(melody)), [0, 1])


def test_a_bar_that_cannot_be_halved_is_refused():
    with pytest.raises(ValueError, match="halved twice"):
        zeros = [np.zeros(shape, np.float32) for shape in ((1, 2), (1, 6, 3))]
        jax.eval_shape(functools.partial(BarGenerator((6, 3)).init, train=True), KEY, *zeros)
