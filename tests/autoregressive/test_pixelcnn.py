"""PixelCNN: who sees whom, probabilities that sum to one, and the sampler that remembers."""

import functools

import jax
import numpy as np
import pytest

from genjax.autoregressive.categorical import softmax_head, softmax_log_prob
from genjax.autoregressive.pixelcnn import PixelCNN, pixelcnn
from tests.autoregressive import raster_checks as checks

tiny = functools.partial(PixelCNN, features=4, blocks=2, first_kernel=3, readout=8)


def cone(up, right):
    """With 3 x 3 kernels every row up widens the view to the right by one pixel; the rest is the blind spot."""
    return right <= up


@pytest.mark.parametrize("channels", [1, 3])
def test_it_sees_the_pixels_before_in_its_cone_and_no_other(channels):
    shape, outputs = (4, 4, channels), 2 * channels
    network = PixelCNN(outputs, features=6, blocks=3, first_kernel=3, readout=30)
    before = lambda own, other: other < own
    np.testing.assert_array_equal(
        checks.dependence(network, shape), checks.expected(shape, outputs, cone, before)
    )


def test_probabilities_of_all_pictures_sum_to_one():
    checks.assert_sums_to_one(pixelcnn(tiny, shape=(3, 3, 1), levels=2), 2, (3, 3, 1))
    checks.assert_sums_to_one(pixelcnn(tiny, shape=(1, 2, 3), levels=3), 3, (1, 2, 3))


@pytest.mark.parametrize("shape, levels", [((5, 4, 1), 17), ((3, 4, 3), 4)])
def test_incremental_sampling_is_naive_sampling(shape, levels):
    checks.assert_incremental_is_naive(pixelcnn(tiny, shape=shape, levels=levels), shape, levels)


def test_sampling_is_completion_of_nothing():
    model, key, x = pixelcnn(tiny, shape=(3, 3, 1), levels=5), jax.random.key(1), np.zeros((4, 3, 3, 1), np.uint8)
    variables = checks.random_variables(model, {"x": x})
    drawn = jax.jit(model.sample, static_argnums=2)(variables, key, 4)
    completed = jax.jit(model.methods["complete"])(variables, key, x + 1, np.zeros((3, 3, 1), bool))
    np.testing.assert_array_equal(drawn, completed)


def test_a_class_moves_the_likelihood_of_that_class():
    network = functools.partial(tiny, num_classes=3)
    model = pixelcnn(network, shape=(3, 3, 1), levels=2, condition_of=lambda batch: batch["label"])
    batch = {"x": np.ones((2, 3, 3, 1), np.uint8), "label": np.array([0, 1], np.int32)}
    variables = checks.random_variables(model, batch)
    nats = np.asarray(jax.jit(model.log_prob.fn)(variables, jax.random.key(0), batch))
    assert nats[0] != nats[1]
    with pytest.raises(ValueError, match="give a condition"):
        model.sample(variables, jax.random.key(0), 2)


def test_drawn_levels_follow_the_softmax():
    """One pixel of two colours: frequencies of 20,000 draws within five standard errors of softmax."""
    head = softmax_head(levels=3, channels=2)
    outputs = np.array([0.0, 1.0, -1.0, 2.0, 0.0, 0.0], np.float32)
    num = 20_000
    uniforms = np.random.default_rng(0).uniform(size=(num, head.uniforms)).astype(np.float32)
    nothing = np.zeros((num, 2), np.int32)
    drawn = np.asarray(jax.jit(head.draw)(np.tile(outputs, (num, 1)), uniforms, nothing, nothing > 0))
    for colour in range(2):
        weights = np.exp(outputs[3 * colour : 3 * colour + 3].astype(np.float64))
        p = weights / weights.sum()
        frequencies = np.bincount(drawn[:, colour], minlength=3) / num
        assert np.all(np.abs(frequencies - p) < 5 * np.sqrt(p * (1 - p) / num))


def test_mistakes_are_told():
    logits = np.zeros((2, 3, 4), np.float32)
    with pytest.raises(ValueError, match="integer"):
        softmax_log_prob(np.zeros((2, 3), np.float32), logits)
    assert np.isneginf(jax.jit(softmax_log_prob)(np.full((2, 3), 4, np.int32), logits)).all()
    model = pixelcnn(tiny, shape=(3, 3, 1), levels=2)
    with pytest.raises(ValueError, match="built for"):
        jax.eval_shape(model.init, jax.random.key(0), {"x": np.zeros((2, 4, 3, 1), np.uint8)})
    with pytest.raises(ValueError, match="cannot serve"):
        jax.eval_shape(PixelCNN(6, features=1).init, jax.random.key(0), np.zeros((1, 3, 3, 3), np.float32))


def test_compiled_size_does_not_grow_with_depth():
    def size(blocks):
        network = PixelCNN(2, features=4, blocks=blocks, first_kernel=3, readout=8)
        s = np.zeros((1, 4, 4, 1), np.float32)
        params = jax.eval_shape(lambda: network.init(jax.random.key(0), s, mutable=["params"]))
        return len(jax.jit(network.apply).lower(params, s).as_text())

    assert size(64) < 1.02 * size(4)
