"""POLY-GAN's parts by hand, what the stages are told, and the chain: each stage works on what the one before made."""

import flax.linen as nn
import jax
import numpy as np
from skimage.measure import block_reduce

from experiments.configs.adversarial.poly_gan import parts
from genjax.adversarial import conditions, poly_gan, shadow, stitched, torn

X = np.random.default_rng(0).uniform(-1, 1, (2, 4, 4, 1)).astype(np.float32)


class Rule(nn.Module):
    """A generator with a rule of its own in each stage: a + b, a b, a - 2 b."""

    @nn.compact
    def __call__(self, given, *, train):
        one = self.param("one", nn.initializers.ones_init(), ())
        a, b, stage = given[..., :1], given[..., 1:2], given[..., 2:]
        return one * (stage[..., :1] * (a + b) + stage[..., 1:2] * a * b + stage[..., 2:] * (a - 2 * b))


class Judge(nn.Module):
    """A discriminator that scores pixels."""

    @nn.compact
    def __call__(self, x, given, *, train):
        return self.param("one", nn.initializers.ones_init(), ()) * x[..., 0]


def test_stages_work_on_what_the_one_before_made():
    model = poly_gan(Rule(), Judge())
    stage = np.array([0, 1], np.int32)
    variables = jax.jit(lambda x: model.init(jax.random.key(0), {"x": x, "y": conditions(x, x, stage)}))(X)
    reference, pose, background = np.random.default_rng(1).normal(size=(3, 2, 4, 4, 1)).astype(np.float32)
    holes = (X > 0).astype(np.float32)
    found = jax.jit(model.methods["dress"])(variables, jax.random.key(1), reference, pose, background, holes)
    first = reference + pose
    second = first * background
    third = np.where(holes == 1, 0, second) - 2 * holes
    np.testing.assert_allclose(found, [first, second, third], rtol=1e-5, atol=1e-6)


def test_ink_covers_and_paper_shows_what_is_behind():
    picture, background, holes = np.array([[[1, -1, 0]], [[0.3, 0.3, 0.6]], [[0, 1, 0]]], np.float32)
    np.testing.assert_allclose(jax.jit(stitched)(picture, background), [[1.0, 0.3, 0.3]], rtol=1e-6)
    np.testing.assert_allclose(jax.jit(torn)(background, holes), [[0.3, 0.0, 0.6]], rtol=1e-6)


def test_a_shadow_is_means_of_blocks():
    expected = np.kron(block_reduce(X, (1, 2, 2, 1), np.mean), np.ones((1, 2, 2, 1)))
    np.testing.assert_allclose(jax.jit(shadow, static_argnums=1)(X, 2), expected, rtol=1e-4, atol=1e-6)


def test_what_the_stages_are_given():
    """The reference is the digit turned and never upright; holes are two blocks of 2 x 2 that may overlap."""
    digit = np.random.default_rng(2).uniform(-1, 1, (40, 8, 8, 1)).astype(np.float32)
    part = jax.device_get(jax.jit(parts)(jax.random.key(0), digit))
    turned = np.stack([np.rot90(digit, turns, axes=(1, 2)) for turns in range(4)])
    same = (turned == part["reference"][None]).all(axis=(2, 3, 4))
    assert not same[0].any() and (same.sum(axis=0) == 1).all() and (same[1:].sum(axis=1) > 0).all()
    area = part["holes"].sum(axis=(1, 2, 3))
    assert set(np.unique(area)) <= {4, 6, 7, 8} and area.max() == 8
    np.testing.assert_allclose(np.unique(part["background"]), [-0.8, -0.2], rtol=1e-6)
    assert len(np.unique(part["background"], axis=0)) == 2
