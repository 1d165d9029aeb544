"""Networks of picture-to-picture games: receptive fields from Jacobians, normalization, skips, sides; patch losses."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.adversarial import (
    InstanceNorm,
    PatchGAN,
    ResidualGenerator,
    UNetGenerator,
    gan_discriminator_loss,
    instance_norm,
    l1_loss,
    least_squares_generator_loss,
    over_patches,
    receptive_field,
)

KEY = jax.random.key(0)


def start(network, x):
    return jax.jit(functools.partial(network.init, train=True))({"params": KEY, "dropout": KEY}, x)


def seen_side(kernel_size, strides, side):
    """The side of what one score depends on, from its gradient: the scores are linear where the slope is one."""
    network = PatchGAN((1,) * len(strides), strides, kernel_size, normalize=False)
    x = np.ones((1, side, side, 1), np.float32)
    scores, shapes = jax.eval_shape(functools.partial(network.init_with_output, train=True), KEY, x)
    params = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), shapes)  # all weights 1: nothing cancels
    row, column = scores.shape[1] // 2, scores.shape[2] // 2
    gradient = jax.jit(jax.grad(lambda x: network.apply(params, x, train=True)[0, row, column]))(x)
    rows, columns = np.nonzero(np.asarray(gradient)[0, ..., 0])
    assert rows.min() > 0 and rows.max() < side - 1, "the picture is too small to see the patch in"
    assert np.ptp(rows) == np.ptp(columns) and len(rows) == (np.ptp(rows) + 1) ** 2
    return np.ptp(rows) + 1


@pytest.mark.parametrize(
    "kernel_size, strides, stated",
    [(4, (2, 2, 2, 1), 70), (4, (2, 1), 16), (3, (1, 1), 7)],  # Isola et al. 2017, section 4.4; the digits' config
)
def test_a_score_sees_the_stated_patch(kernel_size, strides, stated):
    assert seen_side(kernel_size, strides, 2 * stated + 10) == receptive_field(kernel_size, strides) == stated


def test_the_papers_patchgan_has_its_grid_of_scores():
    network = PatchGAN()
    x = jax.ShapeDtypeStruct((1, 256, 256, 3), jnp.float32)
    scores, _ = jax.eval_shape(functools.partial(network.init_with_output, train=True), KEY, x, x)
    assert scores.shape == (1, 30, 30)  # the authors' code on 256 x 256


def test_instance_norm_standardizes_each_map_whatever_its_level_and_contrast():
    x = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype(np.float32)
    normalize = jax.jit(instance_norm)
    y = np.asarray(normalize(x))
    np.testing.assert_allclose(y.mean(axis=(1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(y.var(axis=(1, 2)), 1, atol=1e-4)
    other = normalize(7 * x + np.arange(3, dtype=np.float32))
    np.testing.assert_allclose(other, y, atol=1e-4)
    params = {"params": {"scale": np.array([1, 2, 3], np.float32), "bias": np.array([0, -1, 5], np.float32)}}
    affine = jax.jit(InstanceNorm().apply)(params, x)
    np.testing.assert_allclose(affine, y * [1, 2, 3] + [0, -1, 5], atol=1e-5)


def test_skips_carry_what_the_bottleneck_does_not():
    """With the bottleneck's kernel zero, the picture made still depends on the one given, and on every pixel of it."""
    network = UNetGenerator((3, 4, 5), 2, dropout=0.0)
    x = np.random.default_rng(1).normal(size=(1, 8, 8, 1)).astype(np.float32)
    variables = start(network, x)
    sizes = {name: tree["kernel"].shape for name, tree in variables["params"].items() if "kernel" in tree}
    assert sizes["ConvTranspose_1"][2] == 8 and sizes["ConvTranspose_2"][2] == 6, "maps of one size stand side by side"
    variables = jax.tree_util.tree_map_with_path(
        lambda path, leaf: 0 * np.asarray(leaf) if "Conv_2" in jax.tree_util.keystr(path) else leaf, variables
    )
    made, gradient = jax.jit(jax.value_and_grad(lambda x: network.apply(variables, x, train=True).sum()))(x)
    assert np.isfinite(made) and np.all(np.abs(gradient) > 0)


def test_dropout_is_the_noise_whenever_a_picture_is_made():
    network = UNetGenerator((16, 4), 1)
    x = np.tile(np.arange(4, dtype=np.float32)[None, None, :, None], (1, 4, 1, 1))
    variables = start(network, x)
    drawn = jax.jit(
        lambda key, train: network.apply(variables, x, train=train, rngs={"dropout": key}), static_argnums=1
    )
    one, other = jax.random.key(1), jax.random.key(2)
    made = np.asarray(drawn(one, False))
    assert made.shape == x.shape and np.abs(made).max() <= 1
    np.testing.assert_array_equal(made, drawn(one, True))
    assert np.abs(made - np.asarray(drawn(other, False))).max() > 0


@pytest.mark.parametrize("reflect, first", [(True, True), (False, True), (True, False)])
def test_constant_channels_are_seen_where_nothing_hides_them(reflect, first):
    """Reflected padding and instance normalization together hide what is constant (a label spread over the picture)."""
    network = ResidualGenerator((4, 4), 1, blocks=1, outer_kernel=3, reflect=reflect, normalize_first=first)
    x = np.random.default_rng(2).normal(size=(2, 4, 4, 2)).astype(np.float32)
    variables = start(network, x)
    run = jax.jit(lambda x: network.apply(variables, x, train=True))
    made, other = np.asarray(run(x)), np.asarray(run(x + np.array([0, 3], np.float32)))
    assert made.shape == (2, 4, 4, 1) and np.abs(made).max() <= 1
    moved = np.abs(other - made).max()
    assert moved < 1e-5 if reflect and first else moved > 1e-3


def test_sides_that_cannot_be_halved_are_refused():
    with pytest.raises(ValueError, match="6 x 6 cannot be halved 2 times"):
        jax.eval_shape(lambda x: UNetGenerator((3, 4), 1).init(KEY, x, train=True), np.zeros((1, 6, 6, 1), np.float32))


def test_patch_losses_are_means_over_patches():
    scores = np.random.default_rng(3).normal(size=(2, 3, 2, 4)).astype(np.float32)
    found = jax.jit(over_patches(gan_discriminator_loss))(*scores)
    np.testing.assert_allclose(found.real, np.log1p(np.exp(-scores[0])).mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(found.fake, np.log1p(np.exp(scores[1])).mean(axis=(1, 2)), rtol=1e-5)
    squares = jax.jit(over_patches(least_squares_generator_loss))(scores[0])
    np.testing.assert_allclose(squares, ((scores[0] - 1) ** 2).mean(axis=(1, 2)) / 2, rtol=1e-5)
    whole = scores[0, :, 0, 0]
    np.testing.assert_allclose(over_patches(least_squares_generator_loss)(whole), (whole - 1) ** 2 / 2, rtol=1e-6)


def test_l1_is_what_the_median_minimizes():
    values, loss = np.array([0, 1, 5], np.float32), jax.jit(l1_loss)
    at = lambda c: np.asarray(loss(np.full((3, 1), c, np.float32), values[:, None])).mean()
    assert at(1.0) < min(at(0.9), at(1.1), at(2.0))
    np.testing.assert_allclose(at(1.0), 5 / 3, rtol=1e-6)
    with pytest.raises(ValueError, match="with others of their shape"):
        l1_loss(np.zeros((2, 3), np.float32), np.zeros((2, 1), np.float32))
