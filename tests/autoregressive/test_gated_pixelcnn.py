"""Gated PixelCNN: no blind spot, both kinds of condition, and the sampler that remembers."""

import functools

import jax
import numpy as np
import pytest

from genjax.autoregressive.gated_pixelcnn import GatedPixelCNN, gate, gated_pixelcnn
from tests.autoregressive import raster_checks as checks

tiny = functools.partial(GatedPixelCNN, features=4, layers=3, first_kernel=3, readout=8)
LABEL = np.array([0, 1, 2], np.int32)


@pytest.mark.parametrize("channels", [1, 3])
def test_it_sees_every_pixel_before_and_no_other(channels):
    shape, outputs = (4, 4, channels), 2 * channels
    network = GatedPixelCNN(outputs, features=6, layers=4, first_kernel=3, readout=30)
    before = lambda own, other: other < own
    everything = lambda up, right: True
    np.testing.assert_array_equal(
        checks.dependence(network, shape), checks.expected(shape, outputs, everything, before)
    )


def test_probabilities_of_all_pictures_sum_to_one():
    checks.assert_sums_to_one(gated_pixelcnn(tiny, shape=(3, 3, 1), levels=2), 2, (3, 3, 1))


def test_incremental_sampling_is_naive_sampling_given_a_class():
    shape, label = (5, 4, 1), LABEL
    network = functools.partial(tiny, num_classes=3)
    model = gated_pixelcnn(network, shape=shape, levels=17, condition_of=lambda batch: batch["label"])
    checks.assert_incremental_is_naive(model, shape, 17, condition=label, batch={"label": label})


def test_incremental_sampling_is_naive_sampling_given_a_map():
    shape, maps = (3, 4, 3), np.random.default_rng(4).normal(size=(3, 3, 4, 2)).astype(np.float32)
    model = gated_pixelcnn(tiny, shape=shape, levels=4, condition_of=lambda batch: batch["map"])
    checks.assert_incremental_is_naive(model, shape, 4, condition=maps, batch={"map": maps})


def test_a_class_moves_the_likelihood():
    label, x = LABEL, np.zeros((3, 4, 4, 1), np.uint8)
    network = functools.partial(tiny, num_classes=3)
    model = gated_pixelcnn(network, shape=(4, 4, 1), levels=5, condition_of=lambda batch: batch["label"])
    variables = checks.random_variables(model, {"x": x, "label": label})
    assert len(np.unique(jax.jit(model.log_prob.fn)(variables, jax.random.key(0), {"x": x, "label": label}))) == 3
    for wrong, words in ((None, "give a condition"), (np.ones(3, np.float32), "int classes")):
        with pytest.raises(ValueError, match=words):
            jax.eval_shape(lambda condition: model.sample(variables, jax.random.key(0), 3, condition=condition), wrong)


def test_a_map_is_seen_where_it_lies_and_never_from_rows_above():
    network, s = tiny(5), np.zeros((1, 4, 4, 1), np.float32)
    maps = np.random.default_rng(4).normal(size=(6, 4, 4, 2)).astype(np.float32)
    params = checks.random_params(network, s, maps[:1])
    output = lambda maps: network.apply({"params": params}, s, maps[None])[0]
    jacobians = jax.jit(lambda maps: jax.lax.map(jax.jacfwd(output), maps))(maps)
    moved = np.any(np.asarray(jacobians) != 0, axis=(0, 3, 6))  # [H, W, H, W]
    for i in range(4):
        assert not moved[i, :, i + 1 :].any()
        assert all(moved[i, j, i, j] for j in range(4))
    with pytest.raises(ValueError, match="give a map"):
        jax.eval_shape(network.apply, {"params": params}, s, maps[:1, :2])


def test_gate_is_tanh_times_sigmoid():
    found = jax.jit(gate)(np.float32([[0.5, -2.0, 1.0, 3.0]]))
    np.testing.assert_allclose(found, [np.tanh([0.5, -2.0]) / (1 + np.exp([-1.0, -3.0]))], rtol=1e-6)
