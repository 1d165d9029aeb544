"""pix2pix: the two objectives against networks whose scores and pictures are known, noise, gallery and conditions."""

import functools

import flax.linen as nn
import jax
import numpy as np
import pytest

from genjax.adversarial import (
    PatchGAN,
    UNetGenerator,
    pix2pix,
    r1_penalty,
    wasserstein_discriminator_loss,
    wasserstein_generator_loss,
)

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
BATCH = {
    "x": RNG.uniform(-1, 1, (5, 4, 4, 1)).astype(np.float32),
    "y": RNG.uniform(-1, 1, (5, 4, 4, 2)).astype(np.float32),
}


class Scaled(nn.Module):
    """a times the first channel of what is given."""

    @nn.compact
    def __call__(self, given, *, train):
        return self.param("a", nn.initializers.constant(0.5), ()) * given[..., :1]


class Matched(nn.Module):
    """A score of each pixel: w x (first channel of what is given), so that a pair of equal signs looks real."""

    @nn.compact
    def __call__(self, x, given, *, train):
        return self.param("w", nn.initializers.constant(2.0), ()) * (x * given[..., :1])[..., 0]


def test_objectives_are_those_of_the_paper():
    model = pix2pix(Scaled(), Matched(), l1_weight=7.0)

    @jax.jit
    def losses(batch):
        variables = model.init(KEY, batch)
        return [update.loss(variables, batch, KEY, 0) for update in model.updates]

    (judged, _), (value, aux) = losses(BATCH)
    x, y = np.asarray(BATCH["x"], np.float64)[..., 0], np.asarray(BATCH["y"], np.float64)[..., 0]
    sigmoid = lambda s: 1 / (1 + np.exp(-s))
    real, fake = sigmoid(2 * x * y), sigmoid(2 * 0.5 * y * y)  # D(x, y), D(G(y), y)
    np.testing.assert_allclose(judged, -0.5 * (np.log(real).mean() + np.log(1 - fake).mean()), rtol=1e-5)
    np.testing.assert_allclose(value, -np.log(fake).mean() + 7 * np.abs(0.5 * y - x).mean(), rtol=1e-5)
    np.testing.assert_allclose(aux.metrics["l1"], 7 * np.abs(0.5 * y - x).mean(), rtol=1e-5)


def test_another_loss_and_a_penalty_are_played():
    """Wasserstein with R1: the mean score's gradient by a pixel is w y / 16."""
    losses = {"generator_loss": wasserstein_generator_loss, "discriminator_loss": wasserstein_discriminator_loss}
    model = pix2pix(Scaled(), Matched(), l1_weight=0.0, regularizers={"r1": r1_penalty}, **losses)

    @jax.jit
    def values(batch):
        variables = model.init(KEY, batch)
        return [update.loss(variables, batch, KEY, 0)[0] for update in model.updates]

    judged, made = values(BATCH)
    x, y = np.asarray(BATCH["x"], np.float64)[..., 0], np.asarray(BATCH["y"], np.float64)[..., 0]
    r1 = 5 * np.mean(np.sum((2 * y / 16) ** 2, axis=(1, 2)))
    np.testing.assert_allclose(judged, 0.5 * (np.mean(2 * 0.5 * y * y) - np.mean(2 * x * y)) + r1, rtol=1e-5)
    np.testing.assert_allclose(made, -np.mean(2 * 0.5 * y * y), rtol=1e-5)


@functools.cache
def small():
    model = pix2pix(UNetGenerator((3, 4), 1), PatchGAN((3, 4), (2, 1), 3))
    return model, jax.jit(model.init)(KEY, BATCH)


def test_each_update_reaches_every_weight_of_its_player_alone():
    model, variables = small()
    for update in model.updates:
        own = {player: variables.params[player] for player in update.players}

        def loss(own, update=update):
            return update.loss(variables._replace(params={**variables.params, **own}), BATCH, KEY, 0)[0]

        gradient = jax.jit(jax.grad(loss))(own)
        assert len(own) == 1 and all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient)), update.name


def test_samples_are_of_what_is_given_and_of_the_first_batch_otherwise():
    model, variables = small()
    sample = jax.jit(model.sample, static_argnums=2)
    drawn = lambda seed, **condition: np.asarray(sample(variables, jax.random.key(seed), 5, **condition))
    one, two = (drawn(seed, condition=BATCH["y"]) for seed in (1, 2))
    assert one.shape == BATCH["x"].shape and np.abs(one - two).max() > 0
    other = drawn(1, condition=BATCH["y"][::-1])
    assert np.abs(one - other).max() > 0
    assert np.isfinite(drawn(1)).all()
    np.testing.assert_array_equal(variables.state["gallery"], BATCH["y"])
    with pytest.raises(ValueError, match="One picture a sample"):
        model.sample(variables, KEY, 3, condition=BATCH["y"])


def test_a_generator_of_another_shape_is_refused():
    model = pix2pix(UNetGenerator((3, 4), 2), PatchGAN((3,), (2,), 3))
    with pytest.raises(ValueError, match="The generator makes pictures"):
        jax.eval_shape(model.init, KEY, BATCH)
