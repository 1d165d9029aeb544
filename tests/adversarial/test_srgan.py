"""SRGAN: the pixel shuffle by its definition, content losses, objectives of known networks, and what is given."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.adversarial import SRGANDiscriminator, SRGANGenerator, feature_loss, pixel_loss, pixel_shuffle, srgan
from genjax.adversarial.srgan import PReLU, enlarged, low_resolution

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (5, 4, 4, 1)).astype(np.float32)
BATCH = {"x": X}


@pytest.mark.parametrize("factor, channels", [(2, 3), (3, 1)])
def test_pixel_shuffle_is_its_definition(factor, channels):
    x = RNG.normal(size=(2, 3, 2, factor**2 * channels)).astype(np.float32)
    found = np.asarray(jax.jit(pixel_shuffle, static_argnums=1)(x, factor))
    assert found.shape == (2, 3 * factor, 2 * factor, channels)
    for row, column, channel in np.ndindex(*found.shape[1:]):
        place = channels * factor * (row % factor) + channels * (column % factor) + channel
        np.testing.assert_array_equal(found[:, row, column, channel], x[:, row // factor, column // factor, place])
    with pytest.raises(ValueError, match="not divisible by"):
        pixel_shuffle(np.zeros((1, 2, 2, 3), np.float32), 2)


def test_the_low_resolution_is_the_mean_over_blocks():
    shrunk = jax.jit(low_resolution, static_argnums=1)
    low, lowest = np.asarray(shrunk(X, 1)), np.asarray(shrunk(X, 2))
    blocks = [[X[:, r : r + 2, c : c + 2].mean(axis=(1, 2)) for c in (0, 2)] for r in (0, 2)]
    np.testing.assert_allclose(low, np.moveaxis(np.array(blocks), 2, 0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(lowest[:, 0, 0], X.mean(axis=(1, 2)), atol=1e-6)
    assert jax.eval_shape(functools.partial(enlarged, doublings=1), low).shape == X.shape


def test_features_count_summed_over_channels_and_averaged_over_places():
    features, others = RNG.normal(size=(2, 5, 3, 2, 4)).astype(np.float32)
    expected = [np.linalg.norm((a - b).reshape(-1)) ** 2 / 6 for a, b in zip(features, others)]
    np.testing.assert_allclose(jax.jit(feature_loss)(features, others), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="Features of two pictures"):
        feature_loss(np.zeros((1, 2, 2, 3), np.float32), np.zeros((1, 2, 2, 1), np.float32))


def test_prelu_has_its_slope_below_zero_alone():
    gradient = jax.jit(jax.vmap(jax.grad(lambda x: PReLU().apply({"params": {"slope": np.float32(0.25)}}, x))))
    np.testing.assert_array_equal(gradient(np.array([-3, -1e-3, 1e-3, 2], np.float32)), [0.25, 0.25, 1.0, 1.0])


class Repeated(nn.Module):
    """a times every pixel, four times over."""

    @nn.compact
    def __call__(self, given, *, train):
        a = self.param("a", nn.initializers.constant(0.5), ())
        return a * jnp.repeat(jnp.repeat(given, 2, axis=1), 2, axis=2)


class Summed(nn.Module):
    """w times the sum of the pixels; what was given is not looked at."""

    @nn.compact
    def __call__(self, x, given, *, train):
        return self.param("w", nn.initializers.constant(0.3), ()) * x.sum(axis=(1, 2, 3))


def test_objectives_are_those_of_the_paper():
    content = {
        "pixels": lambda frozen, made, x: pixel_loss(made, x),
        "features": lambda frozen, made, x: 0.1 * feature_loss(frozen["w"] * made, frozen["w"] * x),
    }
    frozen = lambda: {"w": np.float32(3.0)}
    model = srgan(Repeated(), Summed(), doublings=1, content=content, frozen=frozen, adversarial_weight=0.2)

    @jax.jit
    def losses(batch):
        variables = model.init(KEY, batch)
        return [update.loss(variables, batch, KEY, 0)[0] for update in model.updates]

    judge, make = losses(BATCH)
    x = X.astype(np.float64)
    low = x.reshape(5, 2, 2, 2, 2, 1).mean(axis=(2, 4))
    made = 0.5 * np.kron(low[..., 0], np.ones((1, 2, 2)))[..., None]
    log_d = lambda x: -np.log1p(np.exp(-0.3 * x.sum(axis=(1, 2, 3))))
    log_not_d = lambda x: -np.log1p(np.exp(0.3 * x.sum(axis=(1, 2, 3))))
    np.testing.assert_allclose(judge, -(log_d(x) + log_not_d(made)).mean(), rtol=1e-5)
    # One channel: summed over channels and averaged over places is the mean.
    expected = ((made - x) ** 2).mean() * (1 + 0.1 * 3**2) - 0.2 * log_d(made).mean()
    np.testing.assert_allclose(make, expected, rtol=1e-5)


@functools.cache
def small():
    content = {"pixels": lambda frozen, made, x: pixel_loss(made, x)}
    networks = SRGANGenerator(1, 3, 1, 1, 1), SRGANDiscriminator((3,), 4)
    model = srgan(*networks, doublings=1, content=content)
    return model, jax.jit(model.init)(KEY, BATCH)


def test_each_update_reaches_every_weight_of_its_player():
    model, variables = small()
    for update in model.updates:
        own = {player: variables.params[player] for player in update.players}

        def loss(own, update=update):
            return update.loss(variables._replace(params={**variables.params, **own}), BATCH, KEY, 0)[0]

        gradient = jax.jit(jax.grad(loss))(own)
        assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient)), update.name


def test_samples_are_of_the_low_resolution_given():
    model, variables = small()
    low = np.asarray(jax.jit(low_resolution, static_argnums=1)(X, 1))
    np.testing.assert_array_equal(variables.state["gallery"], low)
    drawn = jax.jit(model.sample, static_argnums=2)
    made = np.asarray(drawn(variables, KEY, 5, condition=low))
    assert made.shape == X.shape
    np.testing.assert_allclose(drawn(variables, KEY, 5, condition=low[::-1]), made[::-1], atol=1e-6)
    assert np.isfinite(np.asarray(drawn(variables, KEY, 7))).all()
