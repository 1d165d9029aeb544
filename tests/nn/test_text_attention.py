"""U-Nets that attend to a text: attention by numpy, the identity at initialization, what each kind hears."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.nn import PixelAttention, SpatialTransformer, Text, UNet, joined_parts, spatial_parts
from genjax.nn.adm import adaptive_parts

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)
PARTS = {
    "latent diffusion": spatial_parts(depth=2),
    "GLIDE": joined_parts(adaptive_parts(residual_scale=1.0)),
}


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def randomized(tree):
    return jax.tree.map(lambda leaf: 0.3 * normal(*leaf.shape), tree)


def softmax(logits):
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def test_keys_and_values_of_the_text_join_those_of_the_pixels():
    x, text = normal(2, 2, 3, 4), Text(normal(2, 5, 6))
    module = PixelAttention(head_channels=2, groups=2, joins_text=True)
    variables = randomized(jax.eval_shape(module.init, KEY, x, text))
    p = variables["params"]
    grouped = x.reshape(2, 6, 2, 2)
    mean, variance = grouped.mean(axis=(1, 3), keepdims=True), grouped.var(axis=(1, 3), keepdims=True)
    h = ((grouped - mean) / np.sqrt(variance + 1e-6)).reshape(2, 6, 4) * p["norm"]["scale"] + p["norm"]["bias"]
    linear = lambda name, h: h @ p[name]["kernel"] + p[name]["bias"]
    query = linear("query", h)
    key = np.concatenate([linear("text_key", text.tokens), linear("key", h)], axis=1)
    value = np.concatenate([linear("text_value", text.tokens), linear("value", h)], axis=1)
    out = np.empty_like(h)
    for head in (slice(0, 2), slice(2, 4)):
        weights = softmax(query[..., head] @ key[..., head].transpose(0, 2, 1) / np.sqrt(2))
        out[..., head] = weights @ value[..., head]
    expected = x + linear("out", out).reshape(x.shape)
    np.testing.assert_allclose(jax.jit(module.apply)(variables, x, text), expected, atol=1e-4)


def test_a_text_is_a_set_of_tokens():
    """Attention to a set: a permutation of the tokens changes nothing, a change of one does."""
    x, text = normal(1, 2, 2, 4), normal(1, 5, 6)
    module = SpatialTransformer(groups=2, depth=2)
    variables = randomized(jax.eval_shape(module.init, KEY, x, Text(text)))
    apply = jax.jit(module.apply)
    base = apply(variables, x, Text(text))
    np.testing.assert_allclose(apply(variables, x, Text(text[:, ::-1])), base, atol=1e-5)
    assert np.abs(apply(variables, x, Text(text + np.eye(5, 6, dtype=np.float32)[None])) - base).max() > 1e-3


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_a_unet_starts_at_zero_and_hears_its_text(parts):
    network = UNet(channels=(4, 8), blocks=1, attention=(1,), groups=2, text=True, parts=parts)
    x, t, text = normal(2, 4, 4, 1), np.array([3, 700]), Text(normal(2, 3, 5), normal(2, 6))
    shapes = jax.eval_shape(network.init, KEY, x, t, text)
    apply = jax.jit(network.apply)
    variables = randomized(shapes)
    base = apply(variables, x, t, text)
    for changed in (text._replace(tokens=text.tokens[::-1]), text._replace(pooled=text.pooled[::-1])):
        assert np.all(np.abs(apply(variables, x, t, changed) - base).reshape(2, -1).max(axis=1) > 1e-3)
    ends = ("conv_out", "out", "project_out")  # what a network at its start has set to zero
    silent = jax.tree_util.tree_map_with_path(
        lambda path, leaf: np.zeros_like(leaf) if path[-2].key in ends else leaf, variables
    )
    np.testing.assert_array_equal(apply(silent, x, t, text), np.zeros_like(x))
    attention = jax.tree.leaves({name: p for name, p in shapes["params"].items() if "attention" in name})
    assert attention, "the network has no attention"


def test_attention_is_the_identity_at_initialization():
    x, text = normal(1, 2, 2, 4), Text(normal(1, 3, 5))
    key = jax.random.key(0, impl="rbg")  # compiles in half the time of the default generator
    for module in (PixelAttention(groups=2, joins_text=True), SpatialTransformer(groups=2)):
        out, _ = jax.jit(module.init_with_output)(key, x, text)
        np.testing.assert_array_equal(out, x)


def test_compute_dtype_reaches_the_products_and_not_the_output():
    x, text = jnp.zeros((1, 2, 2, 4)), Text(jnp.zeros((1, 3, 5)))
    for module in (PixelAttention(groups=2, dtype=jnp.bfloat16, joins_text=True), SpatialTransformer(groups=2, dtype=jnp.bfloat16)):
        params = jax.eval_shape(module.init, KEY, x, text)
        assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype("float32")}
        traced = jax.make_jaxpr(module.apply)(params, x, text)
        assert "bf16" in str(traced) and traced.out_avals[0].dtype == np.float32


@pytest.mark.parametrize(
    "options, condition, message",
    [
        (dict(text=True, parts=PARTS["GLIDE"]), None, "on a text .* was given no condition"),
        (dict(text=True, parts=PARTS["GLIDE"]), np.zeros(1, np.int32), "on a text .* was given a condition"),
        (dict(), Text(normal(1, 3, 5)), "0 classes and was given a text"),
        (dict(num_classes=2), Text(normal(1, 3, 5)), "2 classes and was given a text"),
        (dict(num_classes=2, text=True), Text(normal(1, 3, 5)), "not on both"),
        (dict(text=True, parts=spatial_parts(heads=3)), Text(normal(1, 3, 5)), "into 3 heads"),
        (dict(text=True, parts=spatial_parts(), head_channels=3), Text(normal(1, 3, 5)), "into heads of 3"),
    ],
)
def test_mistakes(options, condition, message):
    network = UNet(channels=(4,), blocks=0, attention=(), groups=2, **options)
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(network.init, KEY, jnp.zeros((1, 4, 4, 1)), jnp.zeros(1), condition)
