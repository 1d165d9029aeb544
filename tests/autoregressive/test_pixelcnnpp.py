"""PixelCNN++: two stacks over several resolutions that leak nothing and miss nothing, and the sampler that remembers."""

import functools

import jax
import numpy as np
import pytest

from genjax.autoregressive.pixelcnnpp import PixelCNNPP, pixelcnnpp
from tests.autoregressive import raster_checks as checks

tiny = functools.partial(PixelCNNPP, features=4, blocks=1, resolutions=2, dropout=0.0)


@pytest.mark.parametrize("shape, resolutions", [((6, 6, 1), 2), ((4, 4, 2), 3)])
def test_it_sees_every_pixel_before_and_no_other(shape, resolutions):
    network = PixelCNNPP(2, features=4, blocks=2, resolutions=resolutions, dropout=0.0)
    everything = lambda up, right: True
    nothing_here = lambda own, other: False
    np.testing.assert_array_equal(
        checks.dependence(network, shape), checks.expected(shape, 2, everything, nothing_here)
    )


def test_probabilities_of_all_pictures_sum_to_one():
    checks.assert_sums_to_one(pixelcnnpp(tiny, shape=(2, 2, 2), levels=2, components=2), 2, (2, 2, 2))


def test_incremental_sampling_is_naive_sampling():
    """Over three resolutions, so that a coarse place is due when another coarse place is not, and given a class."""
    shape, label = (4, 8, 2), np.array([0, 1, 2], np.int32)
    network = functools.partial(tiny, resolutions=3, num_classes=3)
    model = pixelcnnpp(network, shape=shape, levels=16, components=2, condition_of=lambda batch: batch["label"])
    checks.assert_incremental_is_naive(model, shape, 16, condition=label, batch={"label": label})


def test_dropout_is_on_while_training_alone():
    network = tiny(3, resolutions=1, dropout=0.5)
    s = np.random.default_rng(0).normal(size=(1, 4, 4, 1)).astype(np.float32)
    params = {"params": checks.random_params(network, s)}
    train = jax.jit(lambda key: network.apply(params, s, train=True, rngs={"dropout": key}))
    assert not np.array_equal(train(jax.random.key(0)), train(jax.random.key(1)))
    jax.eval_shape(network.apply, params, s)  # needs no key


def test_mistakes_are_told():
    model = pixelcnnpp(tiny, shape=(5, 4, 1), levels=4)
    with pytest.raises(ValueError, match="halved"):
        jax.eval_shape(model.init, jax.random.key(0), {"x": np.zeros((1, 5, 4, 1), np.uint8)})
