"""Any loss with any regularizer with any architecture, by config."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import games
from experiments.configs.common import base
from genjax.errors import UserError


def config_of(**changes):
    config = base("adversarial/any")
    games.points(config)
    games.pictures(config)
    games.choices(config)
    games.tiny(config)
    config.model.update({"architecture": "mlp", "shape": (4, 4, 1), **changes})
    return config.lock()


def traced(config):
    """Return (variables, [metrics of each update]) as shapes."""
    model = games.assemble(config)
    batch = {"x": jax.ShapeDtypeStruct((3, *config.model.shape), jnp.float32)}
    key = jax.eval_shape(lambda: jax.random.key(0))
    variables = jax.eval_shape(model.init, key, batch)
    outputs = [jax.eval_shape(update.loss, variables, batch, key, 0) for update in model.updates]
    assert all(loss.shape == () for loss, _ in outputs)
    return variables, [set(aux.metrics) for _, aux in outputs]


REGULARIZERS = list(config_of().model.regularizers)


@pytest.mark.parametrize("loss", games.LOSSES)
@pytest.mark.parametrize("architecture", ["mlp", "layer_norm"])
def test_any_loss_with_all_regularizers_at_once(loss, architecture):
    changes = {"loss": loss, "architecture": architecture, "regularizers": dict.fromkeys(REGULARIZERS, 0.5)}
    _, (critic, generator) = traced(config_of(**changes))
    assert {*games.GRADIENT_PENALTIES, "consistency", *games.WEIGHT_PENALTIES} <= critic
    assert set(games.WEIGHT_PENALTIES) <= generator and not set(games.GRADIENT_PENALTIES) & generator


@pytest.mark.parametrize("loss", games.LOSSES)
def test_any_loss_alone_with_batch_normalization(loss):
    variables, metrics = traced(config_of(loss=loss, architecture="dcgan", clip=0.1))
    assert "batch_stats" in variables.state["discriminator"]
    assert not set.union(*metrics) & {*REGULARIZERS, *games.WEIGHT_PENALTIES}


def test_a_gradient_penalty_refuses_batch_normalization():
    for name in games.GRADIENT_PENALTIES:
        weights = dict.fromkeys(REGULARIZERS, 0.0) | {name: 1.0}
        with pytest.raises(ValueError, match="batch normalization"):
            traced(config_of(architecture="dcgan", regularizers=weights))


def test_names_that_there_are_not():
    for changes in ({"loss": "cubic"}, {"architecture": "oracle"}, {"architecture": "dcgan", "shape": (2,)}):
        (name, value) = next(iter(changes.items()))
        with pytest.raises(UserError, match=f"model.{name}='{value}'"):
            games.assemble(config_of(**changes))


def test_augmentations():
    """Pictures move by whole pixels, points by noise of standard deviation 0.05."""
    x = np.random.default_rng(0).normal(size=(20, 8, 8, 1)).astype(np.float32)
    found = np.asarray(games.shifted(jax.random.key(0), x))
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    places = [(i, j) for i in range(3) for j in range(3)]
    moved = {next(p for p in places if np.array_equal(padded[b, p[0] :, p[1] :][:8, :8], found[b])) for b in range(20)}
    assert len(moved) > 5
    noise = games.jittered(jax.random.key(1), jnp.zeros((2000, 2)))
    np.testing.assert_allclose(np.std(noise), 0.05, rtol=0.05)
