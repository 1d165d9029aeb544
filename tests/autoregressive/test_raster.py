"""The frame of the models pixel by pixel: compute dtype, likelihood as drawn, and mistakes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.autoregressive import (
    DiagonalBiLSTM,
    GatedPixelCNN,
    PixelCNN,
    PixelCNNPP,
    PixelRNN,
    RowLSTM,
    gated_pixelcnn,
    pixelcnn,
    pixelcnnpp,
    pixelrnn,
)
from tests.autoregressive import raster_checks as checks

SHAPE = (4, 4, 1)
MODELS = {
    "pixelcnn": (pixelcnn, functools.partial(PixelCNN, features=4, blocks=2, readout=8)),
    "gated_pixelcnn": (gated_pixelcnn, functools.partial(GatedPixelCNN, features=4, layers=3, readout=8)),
    "located_pixelcnn": (pixelcnn, functools.partial(PixelCNN, features=4, blocks=2, readout=8, locate=True)),
    "located_gated": (gated_pixelcnn, functools.partial(GatedPixelCNN, features=4, layers=3, readout=8, locate=True)),
    "pixelcnnpp": (pixelcnnpp, functools.partial(PixelCNNPP, features=4, blocks=1, resolutions=2)),
    "row": (pixelrnn, functools.partial(PixelRNN, layer=RowLSTM, features=4, layers=2, readout=8)),
    "diagonal": (pixelrnn, functools.partial(PixelRNN, layer=DiagonalBiLSTM, features=4, layers=2, readout=8)),
}


@pytest.mark.parametrize("name", MODELS)
def test_bfloat16_keeps_the_dtypes_of_what_is_handed_out(name):
    """Traced alone: every scan's carry, the cache's too, must keep its dtype."""
    build, network = MODELS[name]
    model = build(functools.partial(network, dtype=jnp.bfloat16), shape=SHAPE, levels=5)
    batch = {"x": np.zeros((2, *SHAPE), np.uint8)}
    variables = jax.eval_shape(model.init, jax.random.key(0), batch)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype("float32")}
    drawn = jax.eval_shape(lambda variables, key: model.sample(variables, key, 3), variables, jax.random.key(0))
    assert drawn.shape == (3, *SHAPE) and drawn.dtype == np.uint8
    outputs = jax.eval_shape(model.methods["outputs"], variables, jax.random.key(0), batch["x"])
    nats = jax.eval_shape(model.log_prob.fn, variables, jax.random.key(0), batch)
    assert outputs.dtype == nats.dtype == np.float32 and nats.shape == (2,)


@pytest.mark.parametrize("name", ["located_pixelcnn", "located_gated"])
def test_a_located_network_knows_its_place_and_samples_as_the_naive_way(name):
    build, network = MODELS[name]
    checks.assert_incremental_is_naive(build(network, shape=(4, 3, 1), levels=17), (4, 3, 1), 17)


def test_pictures_are_drawn_as_often_as_they_are_likely():
    """All 16 binary pictures of 2 x 2: frequencies of 20,000 draws within five standard errors of exp(log_prob)."""
    num, shape = 20_000, (2, 2, 1)
    build, network = MODELS["gated_pixelcnn"]
    model = build(network, shape=shape, levels=2)
    every = (np.arange(16)[:, None] >> np.arange(4) & 1).astype(np.uint8).reshape(16, *shape)
    variables = checks.random_variables(model, {"x": every})
    p = np.exp(np.asarray(jax.jit(model.log_prob.fn)(variables, jax.random.key(0), {"x": every}), np.float64))
    drawn = np.asarray(jax.jit(model.sample, static_argnums=2)(variables, jax.random.key(1), num))
    found = np.bincount(drawn.reshape(num, 4) @ (1 << np.arange(4)), minlength=16) / num
    assert np.all(np.abs(found - p) <= 5 * np.sqrt(p * (1 - p) / num))


def test_mistakes_are_told():
    build, network = MODELS["pixelcnn"]
    x = np.zeros((2, *SHAPE), np.uint8)
    with pytest.raises(ValueError, match="the head takes 5 a pixel"):
        wrong = build(lambda outputs: network(outputs + 1), shape=SHAPE, levels=5)
        jax.eval_shape(wrong.init, jax.random.key(0), {"x": x})
    model = build(network, shape=SHAPE, levels=5)
    variables = checks.random_variables(model, {"x": x})
    with pytest.raises(ValueError, match="unconditional"):
        model.sample(variables, jax.random.key(0), 2, condition=np.zeros(2, np.int32))
    with pytest.raises(ValueError, match="integer"):
        jax.eval_shape(model.log_prob.fn, variables, jax.random.key(0), {"x": x.astype(np.float32)})
