"""The parts of the ablated U-Net: resizing against scikit-image, adaptive normalization, attention's reach."""

import jax
import numpy as np
import pytest
from skimage.measure import block_reduce

from genjax.nn import AdaptiveBlock, GroupNorm, ablated_unet
from genjax.nn.adm import doubled, halved

KEY = jax.random.key(0)


def normal(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def at_random(variables, seed=1):
    leaves, tree = jax.tree.flatten(variables)
    return jax.tree.unflatten(tree, [np.float32(0.3) * normal(leaf.shape, seed + i) for i, leaf in enumerate(leaves)])


def test_resizing_blocks_start_as_their_resized_input():
    x, embedding = normal((2, 4, 6, 4)), normal((2, 8))
    mean = block_reduce(x, (1, 2, 2, 1), np.mean)
    for resize, expected in ((halved, mean), (doubled, np.kron(x, np.ones((1, 2, 2, 1))))):
        module = AdaptiveBlock(4, groups=2, resize=resize)
        started = jax.jit(lambda x, h: module.init_with_output(KEY, x, h, train=False)[0])
        np.testing.assert_allclose(started(x, embedding), expected / np.sqrt(2.0), atol=1e-6)
    np.testing.assert_array_equal(jax.jit(lambda x: halved(doubled(x)))(x), x)
    with pytest.raises(ValueError, match="3 x 4 cannot be halved"):
        halved(normal((1, 3, 4, 1)))


def test_the_embedding_scales_and_shifts_what_is_normalized():
    """y_s normalize(h) + y_b: with a last convolution that is the identity the branch is silu of it."""
    x, embedding = normal((3, 2, 2, 4)), normal((3, 8), 1)
    module = AdaptiveBlock(4, groups=2)
    params = at_random(jax.eval_shape(lambda: module.init(KEY, x, embedding, train=False)))["params"]
    identity, zeros = np.zeros((3, 3, 4, 4), np.float32), np.zeros(4, np.float32)
    identity[1, 1] = np.eye(4)
    for name in ("conv_in", "conv_out"):
        params = params | {name: {"kernel": identity, "bias": zeros}}
    silu = lambda a: a / (1.0 + np.exp(-a))
    y = silu(embedding) @ params["embed"]["kernel"] + params["embed"]["bias"]
    group_norm = jax.jit(GroupNorm(2).apply)
    norm = lambda name, h: np.asarray(group_norm({"params": params[name]}, h))
    h = norm("norm_out", silu(norm("norm_in", x))) * (1.0 + y[:, None, None, :4]) + y[:, None, None, 4:]
    made = jax.jit(lambda params: module.apply({"params": params}, x, embedding, train=False))(params)
    np.testing.assert_allclose(made, (x + silu(h)) / np.sqrt(2.0), atol=1e-5)


def test_attention_at_several_resolutions_and_a_network_that_starts_at_zero():
    network = ablated_unet(channels=(4, 4), blocks=1, attention=(0, 1), head_channels=2, groups=2, num_classes=2)
    x, t, label = normal((2, 4, 4, 1)), np.array([3, 700], np.int32), np.array([0, 1], np.int32)
    init = lambda: network.init(KEY, x, t, label)
    variables = at_random(jax.eval_shape(init))
    names = set(variables["params"])
    assert {f"{way}_{level}_0_attention" for way in ("down", "up") for level in (0, 1)} <= names
    forward = jax.jit(network.apply)
    # The last layer as it starts, beside random ones: the whole of `init` would take ten times as long to compile.
    last = {"conv_out": jax.jit(lambda: init()["params"]["conv_out"])()}
    np.testing.assert_array_equal(forward({"params": variables["params"] | last}, x, t, label), np.zeros_like(x))
    base = np.asarray(forward(variables, x, t, label))
    other_x, other_t, other_label = x.copy(), np.array([103, 700], np.int32), np.array([2, 1], np.int32)
    other_x[0, 0, 0] += 1.0
    for changed in ((other_x, t, label), (x, other_t, label), (x, t, other_label)):
        moved = np.asarray(forward(variables, *changed)) != base
        assert moved[0].mean() > 0.9 and not moved[1].any()
    with pytest.raises(ValueError, match="cannot be halved"):
        jax.eval_shape(network.init, KEY, normal((1, 7, 7, 1)), t[:1], label[:1])
