"""The transformer against a float64 numpy one written layer by layer, and who sees whom by autodiff."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from genjax.nn.transformer import SelfAttention, Transformer, causal_mask

X = np.random.RandomState(0).standard_normal((2, 5, 8)).astype(np.float32)


NETWORK = Transformer(3, heads=2)
APPLY = jax.jit(NETWORK.apply)


@functools.cache
def start():
    return jax.device_get(jax.jit(NETWORK.init)(jax.random.key(0), X)["params"])


def moved():
    """Return parameters away from where they start; dropout has none of its own."""
    noise = np.random.RandomState(1).standard_normal
    return jax.tree.map(lambda w: (w + 0.1 * noise(w.shape)).astype(np.float32), start())


def normalized(x, p):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) * p["scale"] + p["bias"]


def by_hand(params, x, mask):
    """One example [N, W] at a time, one head after the other."""
    params = jax.tree.map(lambda w: np.asarray(w, np.float64), params)
    x = np.asarray(x, np.float64)
    for i in range(3):
        layer = jax.tree.map(lambda w: w[i], params["layers"])
        h = normalized(x, layer["norm_attention"])
        q, k, v = (h @ layer["attention"][name]["kernel"] for name in ("query", "key", "value"))
        heads = []
        for part in (slice(0, 4), slice(4, 8)):
            logits = np.where(mask, q[:, part] @ k[:, part].T / 2, -np.inf)  # sqrt(4) = 2
            heads.append(special.softmax(logits, axis=-1) @ v[:, part])
        x = x + np.concatenate(heads, axis=-1) @ layer["attention"]["out"]["kernel"]
        h = normalized(x, layer["norm_mlp"]) @ layer["mlp_in"]["kernel"] + layer["mlp_in"]["bias"]
        gelu = 0.5 * h * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3)))  # Hendrycks & Gimpel 2016
        x = x + gelu @ layer["mlp_out"]["kernel"] + layer["mlp_out"]["bias"]
    return normalized(x, params["norm"])


@pytest.mark.parametrize("causal", [False, True])
def test_the_scan_is_layer_after_layer(causal):
    params = moved()
    mask = np.tril(np.ones((5, 5), bool)) if causal else np.ones((5, 5), bool)
    found = APPLY({"params": params}, X, causal_mask(5) if causal else None)
    for example, expected in zip(np.asarray(found), X):
        np.testing.assert_allclose(example, by_hand(params, expected, mask), atol=2e-5)


def test_layers_start_differently():
    kernels = start()["layers"]["mlp_in"]["kernel"]
    assert kernels.shape == (3, 8, 32) and np.abs(kernels[0] - kernels[1]).max() > 0.1


def test_a_causal_mask_lets_nothing_through_from_behind():
    params = moved()
    sees = jax.jit(jax.jacrev(lambda x, mask: NETWORK.apply({"params": params}, x[None], mask)[0]))
    used = lambda mask: np.abs(np.asarray(sees(X[0], mask))).max(axis=(1, 3)) > 0
    np.testing.assert_array_equal(used(causal_mask(5)), np.tril(np.ones((5, 5), bool)))
    assert used(None).all()


def test_each_example_may_have_a_mask_of_its_own():
    params = moved()
    masks = np.stack([causal_mask(5), np.ones((5, 5), bool)])
    both, one, unmasked = (np.asarray(APPLY({"params": params}, X, mask)) for mask in (masks, causal_mask(5), None))
    np.testing.assert_allclose(both[0], one[0], atol=1e-6)
    np.testing.assert_allclose(both[1], unmasked[1], atol=1e-6)


def test_dropout_is_for_training_and_differs_from_layer_to_layer():
    params, compiled = moved(), jax.jit(NETWORK.clone(dropout=0.5).apply, static_argnames="train")
    apply = lambda **options: np.asarray(compiled({"params": params}, X, **options))
    np.testing.assert_array_equal(apply(), apply())
    drop = lambda seed: apply(train=True, rngs={"dropout": jax.random.key(seed)})
    assert np.abs(drop(0) - apply()).max() > 0.1 and np.abs(drop(0) - drop(1)).max() > 0.1
    np.testing.assert_array_equal(drop(0), drop(0))


def test_the_program_does_not_grow_with_depth():
    lengths = []
    for depth in (2, 12):
        network = Transformer(depth, heads=2)
        params = jax.eval_shape(network.init, jax.random.key(0), X)
        lengths.append(len(jax.jit(network.apply).lower(params, X).as_text().splitlines()))
    assert abs(lengths[1] - lengths[0]) <= 0.02 * lengths[0]


def test_bfloat16_in_the_products_and_float32_in_the_sum():
    network = NETWORK.clone(dtype=jnp.bfloat16)
    shapes = jax.eval_shape(network.init, jax.random.key(0), X)
    assert {w.dtype for w in jax.tree.leaves(shapes)} == {jnp.dtype("float32")}
    params = {"params": start()}
    out = jax.jit(network.apply)(params, X, causal_mask(5))
    np.testing.assert_allclose(np.asarray(out, np.float32), APPLY(params, X, causal_mask(5)), atol=0.1)


@pytest.mark.parametrize(
    "heads, mask, message",
    [
        (3, None, "not divisible into 3 heads"),
        (2, np.ones((4, 4), bool), "the mask has shape"),
        (2, np.ones((3, 5, 5), bool), "the mask has shape"),
    ],
)
def test_what_does_not_fit_is_refused(heads, mask, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(SelfAttention(heads).init, jax.random.key(0), X, mask)
