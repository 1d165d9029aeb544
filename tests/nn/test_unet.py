"""The blocks of diffusion U-Nets against independent implementations and their stated properties."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate2d

from genjax.nn import (
    GroupNorm,
    PixelAttention,
    ResidualBlock,
    TimeEmbedding,
    UNet,
    Upsample,
    conv2d,
    sinusoidal_embedding,
)
from genjax.nn.unet import with_fourier_features

SMALL = UNet(channels=(4, 8), blocks=1, attention=(1,), groups=2)
CLASSES = SMALL.clone(num_classes=3)
FORWARD = jax.jit(CLASSES.apply)  # compiled once for the tests that share its shapes


def normal(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def at_random(variables, seed=1):
    """Replace all parameters by random ones, so that what starts at zero takes part."""
    leaves, tree = jax.tree.flatten(variables)
    return jax.tree.unflatten(tree, [np.float32(0.3) * normal(leaf.shape, seed + i) for i, leaf in enumerate(leaves)])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [6, 7])
def test_convolution_is_scipys_correlation(stride, size):
    x, kernel = normal((2, size, size, 2)), normal((3, 3, 2, 3), 1)
    channel = lambda b, f: sum(
        correlate2d(np.pad(x[b, :, :, c], 1), kernel[:, :, c, f], mode="valid")[::stride, ::stride] for c in range(2)
    )
    expected = np.stack([np.stack([channel(b, f) for f in range(3)], axis=-1) for b in range(2)])
    ours = jax.jit(lambda x, kernel: conv2d(x, kernel, stride=stride, padding=1))(x, kernel)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_group_norm_is_linens():
    x = 50.0 + 3.0 * normal((2, 4, 5, 6))
    ours, linen = GroupNorm(3), nn.GroupNorm(3, epsilon=1e-6, use_fast_variance=False)
    variables = at_random(jax.eval_shape(linen.init, jax.random.key(0), x))
    np.testing.assert_allclose(jax.jit(ours.apply)(variables, x), jax.jit(linen.apply)(variables, x), atol=2e-5)


def test_group_norm_keeps_its_digits_far_from_zero():
    """A difference of squares would leave nothing of the variance 1 beside the mean 1e4 squared in float32."""
    x = 1e4 + normal((1, 16, 16, 2))
    params = {"scale": np.ones(2, np.float32), "bias": np.zeros(2, np.float32)}
    y = np.asarray(jax.jit(GroupNorm(1).apply)({"params": params}, x))
    assert abs(y.std() - 1.0) < 1e-3


def test_attention_is_written_out():
    x, module = normal((2, 2, 3, 4)), PixelAttention(head_channels=2, groups=2)
    variables = at_random(jax.eval_shape(module.init, jax.random.key(0), x))
    p = variables["params"]
    h = np.asarray(jax.jit(GroupNorm(2).apply)({"params": p["norm"]}, x)).reshape(2, 6, 4)
    query, key, value = (h @ p[name]["kernel"] + p[name]["bias"] for name in ("query", "key", "value"))
    heads = []
    for c in (slice(0, 2), slice(2, 4)):
        weights = np.exp(np.einsum("bic,bjc->bij", query[..., c], key[..., c]) / np.sqrt(2.0))
        heads.append(np.einsum("bij,bjc->bic", weights / weights.sum(-1, keepdims=True), value[..., c]))
    expected = x + (np.concatenate(heads, -1) @ p["out"]["kernel"] + p["out"]["bias"]).reshape(x.shape)
    np.testing.assert_allclose(jax.jit(module.apply)(variables, x), expected, atol=1e-5)


def test_sinusoidal_embedding_has_the_longest_and_the_shortest_wave():
    t = np.array([0, 1, 500], np.int32)
    e = np.asarray(jax.jit(lambda t: sinusoidal_embedding(t, 8))(t))
    np.testing.assert_allclose(e[0], [0, 0, 0, 0, 1, 1, 1, 1], atol=1e-7)
    np.testing.assert_allclose(e[:, 0], np.sin([0.0, 1.0, 500.0]), atol=1e-4)
    np.testing.assert_allclose(e[:, 7], np.cos(np.array([0.0, 1.0, 500.0]) / 10_000.0), atol=1e-6)
    np.testing.assert_allclose(e[:, :4] ** 2 + e[:, 4:] ** 2, 1.0, atol=1e-5)


@pytest.mark.parametrize("t, dim, message", [(normal((2, 1)), 8, "one time an example"), (normal(2), 7, "even")])
def test_sinusoidal_embedding_refuses(t, dim, message):
    with pytest.raises(ValueError, match=message):
        sinusoidal_embedding(t, dim)


def test_upsampling_repeats_pixels_and_cuts_odd_sizes():
    x = normal((1, 2, 2, 1))
    kernel, bias = np.zeros((3, 3, 1, 1), np.float32), np.zeros(1, np.float32)
    kernel[1, 1] = 1.0
    identity = {"params": {"conv": {"kernel": kernel, "bias": bias}}}
    doubled = np.kron(x[0, :, :, 0], np.ones((2, 2)))
    made = jax.jit(lambda x: Upsample().apply(identity, x, 4, 3))(x)
    np.testing.assert_array_equal(np.asarray(made)[0, :, :, 0], doubled[:, :3])


def test_residual_block_starts_as_its_shortcut():
    x, module = normal((2, 4, 4, 4)), ResidualBlock(4, groups=2)
    started = jax.jit(lambda x, h: module.init_with_output(jax.random.key(0), x, h, train=False)[0])
    np.testing.assert_array_equal(started(x, normal((2, 8))), x)


def test_unet_starts_at_zero_and_then_depends_on_everything():
    x, t, label = normal((2, 8, 8, 1)), np.array([3, 700], np.int32), np.array([0, 1], np.int32)
    init = lambda: CLASSES.init(jax.random.key(0), x, t, label)
    variables = at_random(jax.eval_shape(init))
    # The last layer as it starts, beside random ones: the whole of `init` would take ten times as long to compile.
    last = {"conv_out": jax.jit(lambda: init()["params"]["conv_out"])()}
    np.testing.assert_array_equal(FORWARD({"params": variables["params"] | last}, x, t, label), np.zeros_like(x))
    base = np.asarray(FORWARD(variables, x, t, label))
    assert base.dtype == np.float32
    other_x, other_t, other_label = x.copy(), np.array([103, 700], np.int32), np.array([2, 1], np.int32)
    other_x[0, 0, 0] += 1.0
    for changed in ((other_x, t, label), (x, other_t, label), (x, t, other_label)):
        moved = np.asarray(FORWARD(variables, *changed)) != base
        assert moved[0].mean() > 0.9, "a change of the first example must reach all of its pixels"
        assert not moved[1].any(), "and no other example"


def test_unet_on_patches_is_the_unet_on_a_smaller_picture():
    """Each 2 x 2 patch is a pixel of four channels, top left, top right, bottom left, bottom right."""
    x, t, label = normal((2, 16, 16, 1)), np.array([3, 700], np.int32), np.array([0, 1], np.int32)
    corners = [x[:, i::2, j::2] for i in range(2) for j in range(2)]
    plain, patched = CLASSES.clone(out_channels=8), CLASSES.clone(out_channels=2, patch=2)
    small = np.concatenate(corners, axis=-1)
    variables = at_random(jax.eval_shape(plain.init, jax.random.key(0), small, t, label))
    run = lambda network, x: np.asarray(jax.jit(network.apply)(variables, x, t, label))
    expected, out = run(plain, small), run(patched, x)
    assert out.shape == (2, 16, 16, 2)
    for i in range(2):
        for j in range(2):
            np.testing.assert_allclose(out[:, i::2, j::2], expected[..., 2 * (2 * i + j) :][..., :2], atol=1e-5)


def test_fourier_features_see_what_is_small():
    """A step of 2^-10 moves no entry of x by more, and features of exponent 7 by 2^-3 pi where they are steepest."""
    x = normal((2, 4, 4, 1))
    seen = np.asarray(with_fourier_features(x, (0, 7)))
    angles = np.pi * np.float32([1, 128]) * np.asarray(x)
    expected = np.concatenate([x, *(f(angles[..., i : i + 1]) for i in range(2) for f in (np.sin, np.cos))], axis=-1)
    np.testing.assert_allclose(seen, expected, atol=2e-4)
    zeros = np.zeros((1, 1, 1, 1), np.float32)
    moved = np.asarray(with_fourier_features(zeros + np.float32(2**-10), (0, 7)) - with_fourier_features(zeros, (0, 7)))
    assert moved[..., 3] == pytest.approx(np.sin(np.pi / 8), rel=1e-4) and abs(moved[..., 0]) < 1e-3
    network = SMALL.clone(fourier=(5, 6, 7), patch=2)
    shapes = jax.eval_shape(network.init, jax.random.key(0), x, jnp.zeros(2))["params"]
    assert shapes["conv_in"]["kernel"].shape[2] == 4 * (1 + 2 * 3)


@pytest.mark.parametrize("size", [7, 28])
def test_unet_keeps_odd_sizes(size):
    network = SMALL.clone(channels=(4, 4, 4))
    x = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    t = jax.ShapeDtypeStruct((1,), jnp.int32)
    shape, _ = jax.eval_shape(lambda x, t: network.init_with_output(jax.random.key(0), x, t), x, t)
    assert shape.shape == x.shape


def test_dropout_acts_in_training_alone():
    x, embedding, block = normal((1, 4, 4, 4)), normal((1, 8)), ResidualBlock(4, groups=2, dropout=0.5)
    variables = at_random(jax.eval_shape(lambda: block.init(jax.random.key(0), x, embedding, train=False)))
    trained = jax.jit(lambda key: block.apply(variables, x, embedding, train=True, rngs={"dropout": key}))
    assert not np.allclose(trained(jax.random.key(0)), trained(jax.random.key(1)))
    still = jax.jit(lambda: block.apply(variables, x, embedding, train=False))
    np.testing.assert_array_equal(still(), still())


def test_bfloat16_stays_near_float32():
    inputs = normal((2, 8, 8, 1)), np.array([3, 700], np.int32), np.array([0, 1], np.int32)
    variables = at_random(jax.eval_shape(CLASSES.init, jax.random.key(0), *inputs))
    exact = np.asarray(FORWARD(variables, *inputs))
    rounded = np.asarray(jax.jit(CLASSES.clone(dtype=jnp.bfloat16).apply)(variables, *inputs))
    assert rounded.dtype == np.float32
    assert 0 < np.abs(rounded - exact).max() < 0.05 * np.abs(exact).max()


@pytest.mark.parametrize(
    "network, shape, condition, message",
    [
        (SMALL, (8, 8, 1), None, "takes images"),
        (SMALL, (1, 8, 8, 1), np.zeros(1, np.int32), "0 classes and was given a condition"),
        (SMALL.clone(num_classes=3), (1, 8, 8, 1), None, "3 classes and was given no condition"),
        (SMALL.clone(groups=3), (1, 8, 8, 1), None, "not all divisible by 3 groups"),
        (SMALL.clone(patch=3), (1, 8, 8, 1), None, "divisible by the patch, 3"),
        (SMALL.clone(head_channels=3), (1, 8, 8, 1), None, "not divisible into heads of 3"),
    ],
)
def test_unet_refuses(network, shape, condition, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(network.init, jax.random.key(0), normal(shape), normal(shape[:1]), condition)


def test_group_norm_refuses():
    with pytest.raises(ValueError, match="not divisible by 4 groups"):
        jax.eval_shape(GroupNorm(4).init, jax.random.key(0), normal((1, 2, 2, 6)))


def test_time_embedding_tells_neighbouring_steps_apart():
    module = TimeEmbedding(16)
    embed = jax.jit(lambda t: module.init_with_output(jax.random.key(0), t)[0])
    e = np.asarray(embed(np.arange(1000, dtype=np.int32)))
    assert e.shape == (1000, 64)
    assert np.linalg.norm(np.diff(e, axis=0), axis=-1).min() > 1e-2
