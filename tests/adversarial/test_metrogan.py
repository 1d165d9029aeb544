"""MetroGAN's growing view against scikit-image's block means, what is built on water by hand, and what it weighs."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from skimage.measure import block_reduce

from genjax.adversarial import Growth, geographical_loss, metrogan, seen_at_level

X = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype(np.float32)


class Tinted(nn.Module):
    """A generator that makes tanh(a y)."""

    @nn.compact
    def __call__(self, given, *, train):
        return jnp.tanh(self.param("a", nn.initializers.constant(0.3), ()) * given)


class Pixels(nn.Module):
    """A discriminator that scores every cell by b x."""

    @nn.compact
    def __call__(self, x, given, *, train):
        return self.param("b", nn.initializers.ones_init(), ()) * x.reshape(x.shape[0], -1)


seen = jax.jit(lambda x, level: seen_at_level(x, level, 2))


def test_a_map_is_seen_in_blocks():
    for level, side in ((0, 4), (1, 2), (2, 1)):
        expected = np.kron(block_reduce(X, (1, side, side, 1), np.mean), np.ones((1, side, side, 1)))
        np.testing.assert_allclose(seen(X, level), expected, rtol=1e-4, atol=1e-6)


def test_levels_fade_into_one_another():
    zero, one, between = (np.asarray(seen(X, level)) for level in (0, 1, 0.25))
    np.testing.assert_allclose(between, 0.75 * zero + 0.25 * one, rtol=1e-4, atol=1e-6)


def test_what_is_built_on_water():
    made, water = np.full((3, 2, 2, 1), -1.0, np.float32), np.zeros((3, 2, 2, 1), np.float32)
    water[:2, 0] = 1
    made[0, 0, 0], made[0, 1, 1], made[1, 0] = 0.0, 1.0, 1.0  # half built on one of two wet cells; both; no water
    made[2] = 1.0
    np.testing.assert_allclose(jax.jit(geographical_loss)(made, water), [0.25, 1.0, 0.0])


def test_the_generator_feels_the_water_at_every_level_and_the_rest_as_it_is_seen():
    """At step 0 the l1 term compares block means: a checkerboard that sums to 0 in each block leaves it unchanged."""
    model = metrogan(
        Tinted(),
        Pixels(),
        water_of=lambda given: (given > 0).astype(given.dtype),
        growth=Growth(1, 10),
    )
    batch = {"x": np.tanh(X), "y": np.sign(X)}
    variables = jax.jit(model.init)(jax.random.key(0), batch)
    loss, key = jax.jit(model.updates[1].loss), jax.random.key(1)
    checkerboard = (0.1 * (-1.0) ** np.indices((8, 8)).sum(0)).astype(np.float32)[None, ..., None]
    checkered = {**batch, "x": batch["x"] + checkerboard}
    terms = lambda b, step: {n: float(v) for n, v in loss(variables, b, key, np.int32(step))[1].metrics.items()}
    coarse, fine = ([terms(b, step) for b in (batch, checkered)] for step in (0, 10))
    np.testing.assert_allclose(coarse[0]["l1"], coarse[1]["l1"], rtol=1e-5)
    assert abs(fine[0]["l1"] - fine[1]["l1"]) > 1e-4 and fine[0]["l1"] > coarse[0]["l1"]
    made = np.asarray(jax.jit(model.methods["translate"])(variables, key, batch["y"]))
    wet = batch["y"] > 0
    expected = np.mean([(made[b][wet[b]] + 1).mean() / 2 for b in range(2)])
    np.testing.assert_allclose([coarse[0]["water"], fine[0]["water"]], 5 * expected, rtol=1e-4)
