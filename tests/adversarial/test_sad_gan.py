"""SAD-GAN's planes of keys, a drive that feeds on its own frames, and a controller that learns from real frames."""

import functools

import flax.linen as nn
import jax
import numpy as np

from genjax.adversarial import sad_gan, with_key


class Fade(nn.Module):
    """A generator that makes a third of the last frame, a sixth of the one before, and a tenth of the key's number."""

    @nn.compact
    def __call__(self, given, *, train):
        a = self.param("a", nn.initializers.ones_init(), ())
        key = given[..., 3:4] + 2 * given[..., 4:5]
        return a * (given[..., 1:2] / 3 + given[..., :1] / 6 + key / 10)


class Mean(nn.Module):
    """A discriminator that scores pixels."""

    @nn.compact
    def __call__(self, x, given, *, train):
        return self.param("b", nn.initializers.ones_init(), ()) * x[..., 0]


class Brightness(nn.Module):
    """A controller that sees by how much the last frame got brighter."""

    @nn.compact
    def __call__(self, frames, after):
        return nn.Dense(3)((after - frames[..., -1:]).mean(axis=(1, 2)))


planes = jax.jit(with_key, static_argnums=2)


@functools.cache
def model_and_variables():
    model = sad_gan(Fade(), Mean(), Brightness(), num_frames=2, num_keys=3)
    frames = np.random.default_rng(0).normal(size=(2, 4, 4, 2)).astype(np.float32)
    label = np.array([2, 0], np.int32)
    batch = {"x": frames[..., :1], "y": np.asarray(planes(frames, label, 3)), "label": label}
    return model, jax.jit(model.init)(jax.random.key(1), batch), batch, frames


def test_a_key_is_a_plane():
    found = np.asarray(planes(np.full((2, 3, 3, 1), 5, np.float32), np.array([1, 0], np.int32), 2))
    np.testing.assert_array_equal(found[0], np.broadcast_to([5.0, 0.0, 1.0], (3, 3, 3)))
    np.testing.assert_array_equal(found[1], np.broadcast_to([5.0, 1.0, 0.0], (3, 3, 3)))


def test_a_drive_is_the_recursion():
    """x_t = x_{t-1} / 3 + x_{t-2} / 6 + k_t / 10, by a loop in numpy."""
    model, variables, _, frames = model_and_variables()
    keys = np.array([[0, 1, 2], [2, 2, 1]])
    driven = jax.jit(model.methods["drive"])(variables, jax.random.key(2), frames, keys)
    seen = list(np.moveaxis(frames, -1, 0))
    for pressed in keys.T:
        seen.append(seen[-1] / 3 + seen[-2] / 6 + pressed[:, None, None] / 10)
    np.testing.assert_allclose(driven, np.stack(seen[2:], axis=1), rtol=1e-5, atol=1e-6)


def test_the_controller_learns_from_real_frames_alone():
    """Its loss is scikit-learn's log loss of what it says of x, and does not move with the generator."""
    from sklearn.metrics import log_loss

    model, variables, batch, frames = model_and_variables()
    loss, key = jax.jit(model.updates[2].loss), jax.random.key(3)
    assert model.updates[2].players == ("controller",)
    log_p = np.asarray(jax.jit(model.methods["control"])(variables, key, frames, batch["x"]))
    value, _ = loss(variables, batch, key, np.int32(0))
    np.testing.assert_allclose(value, log_loss([2, 0], np.exp(log_p), labels=[0, 1, 2]), rtol=1e-5)
    other = variables._replace(params={**variables.params, "generator": {"a": np.float32(9.0)}})
    np.testing.assert_array_equal(loss(other, batch, key, np.int32(0))[0], value)
