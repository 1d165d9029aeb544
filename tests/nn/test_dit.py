"""DiT and MMDiT: attention by numpy, the identity at initialization, diffusers' networks at random weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.nn import Text, dit, patchify, unpatchify

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)
NEEDED = "parity with diffusers needs the extra 'parity'"


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def randomized(tree, scale=0.2):
    """Return random parameters of the same shapes, away from the zeros that networks start from."""
    return jax.tree.map(lambda leaf: np.float32(scale) * normal(*leaf.shape), tree)


def shapes_of(module, *inputs):
    return jax.eval_shape(module.init, KEY, *inputs)["params"]


def test_patches_there_and_back():
    x = np.arange(2 * 4 * 6 * 3, dtype=np.float32).reshape(2, 4, 6, 3)
    tokens = np.asarray(jax.jit(lambda x: patchify(x, 2))(x))
    np.testing.assert_array_equal(tokens[1, 4], x[1, 2:4, 2:4].reshape(-1))  # second row of patches, second column
    np.testing.assert_array_equal(jax.jit(lambda tokens: unpatchify(tokens, 2, 4, 6))(tokens), x)


def test_places_tell_row_and_column_by_inner_products():
    """sum_i cos((a - b) w_i): the inner product of two places depends on their distance alone, and is largest at 0."""
    places = dit.sincos_positions(3, 4, 16).reshape(3, 4, 16)
    frequencies = 10_000.0 ** (-np.arange(4) / 4)
    for (i, j), (k, m) in (((0, 0), (2, 3)), ((1, 2), (1, 0)), ((2, 1), (2, 1))):
        wanted = np.cos((i - k) * frequencies).sum() + np.cos((j - m) * frequencies).sum()
        assert places[i, j] @ places[k, m] == pytest.approx(wanted, rel=1e-5)
    np.testing.assert_array_equal(places[0, :, :8], places[1, :, :8])  # the first half is the column's


def numpy_block(p, x, c, heads):
    """A block written out for one example: x [N, W], c [W]."""

    def dense(name, h, tree=p):
        layer = tree
        for part in name.split("/"):
            layer = layer[part]
        return h @ np.asarray(layer["kernel"], np.float64) + np.asarray(layer.get("bias", 0.0), np.float64)

    norm = lambda h: (h - h.mean(axis=1, keepdims=True)) / np.sqrt(h.var(axis=1, keepdims=True) + 1e-6)
    b, s, g, b2, s2, g2 = np.split(dense("modulation/dense", c / (1 + np.exp(-c))), 6)
    h = norm(x) * (1 + s) + b
    q, k, v = (dense(f"attention/{name}", h).reshape(len(x), heads, -1) for name in ("query", "key", "value"))
    mixed = []
    for head in range(heads):
        logits = q[:, head] @ k[:, head].T / np.sqrt(q.shape[2])
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        mixed.append(weights / weights.sum(axis=1, keepdims=True) @ v[:, head])
    x = x + g * dense("out", np.concatenate(mixed, axis=1))
    h = dense("mlp/dense_0", norm(x) * (1 + s2) + b2)
    gelu = 0.5 * h * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3)))
    return x + g2 * dense("mlp/dense_1", gelu)


def test_block_by_numpy_and_the_identity_at_initialization():
    block, x, c = dit.DiTBlock(heads=2), normal(2, 5, 8), normal(2, 8)
    start, out = jax.jit(lambda x: block.init_with_output(KEY, x, c)[::-1])(x)
    np.testing.assert_array_equal(out, x)
    params = randomized(start["params"])
    found = jax.jit(block.apply)({"params": params}, x, c)
    wanted = [numpy_block(params, *(a.astype(np.float64) for a in pair), heads=2) for pair in zip(x, c)]
    np.testing.assert_allclose(found, np.stack(wanted), rtol=2e-5, atol=2e-5)


def test_joint_block_is_a_block_over_both_streams():
    """With the weights of both streams equal, joint attention is that of one stream of both tokens."""
    x, text, c = normal(2, 4, 8), normal(2, 3, 8), normal(2, 8)
    joint = dit.JointBlock(heads=2)
    for stream, same in zip(jax.jit(lambda x: joint.init_with_output(KEY, x, text, c)[0])(x), (x, text)):
        np.testing.assert_array_equal(stream, same)
    one = randomized(shapes_of(dit.DiTBlock(heads=2), x, c))
    params = {f"{name}_{part}": one[part] for name in ("image", "text") for part in one}
    for name in ("image", "text"):  # a bias that all keys share changes nothing
        keys = params[f"{name}_attention"]["key"] | {"bias": np.full(8, 0.7, np.float32)}
        params[f"{name}_attention"] = params[f"{name}_attention"] | {"key": keys}
    together = jax.jit(dit.DiTBlock(heads=2).apply)({"params": one}, np.concatenate([x, text], axis=1), c)
    found = np.concatenate(jax.device_get(jax.jit(joint.apply)({"params": params}, x, text, c)), axis=1)
    np.testing.assert_allclose(found, together, rtol=2e-5, atol=2e-5)
    reading = {k: v for k, v in params.items() if k not in ("text_out", "text_mlp")}
    reading["text_attention"] = {name: params["text_attention"][name] for name in ("key", "value")}
    two = jax.tree.map(lambda leaf: leaf[..., :16], params["text_modulation"])
    last = dit.JointBlock(heads=2, last=True)
    image, same = jax.jit(last.apply)({"params": reading | {"text_modulation": two}}, x, text, c)
    np.testing.assert_allclose(image, found[:, :4], rtol=2e-5, atol=2e-5)
    np.testing.assert_array_equal(same, text)


def started_and_random(network, *inputs):
    """Return random variables, with the last layer as it starts and with a random one.

    The whole of `init` would take ten times as long to compile as its last layer.
    """
    params = randomized(shapes_of(network, *inputs))
    last = jax.jit(lambda: network.init(KEY, *inputs)["params"]["output"])()
    return {"params": params | {"output": last}}, {"params": params}


def test_networks_start_at_zero_and_hear_their_conditions():
    x, t = normal(2, 4, 4, 1), np.array([10.0, 700.0], np.float32)
    network = dit.DiT(patch=2, width=8, depth=3, heads=2, num_classes=3, features=16)
    label = np.array([0, 3], np.int32)
    start, params = started_and_random(network, x, t, label)
    apply = jax.jit(network.apply)
    np.testing.assert_array_equal(apply(start, x, t, label), np.zeros_like(x))
    assert start["params"]["blocks"]["attention"]["query"]["kernel"].shape == (3, 8, 8)
    call = lambda *inputs: np.asarray(apply(params, *inputs))
    out = call(x, t, label)
    other = np.array([1, 2], np.int32)
    for changed in (call(x, t + 50, label), call(x, t, other), call(x[:, ::-1], t, label)[:, ::-1]):
        assert np.abs(changed - out).min(axis=(1, 2, 3)).max() > 1e-5

    network = dit.MMDiT(patch=2, width=8, depth=3, heads=2, features=16)
    text = Text(normal(2, 5, 6), normal(2, 7))
    start, params = started_and_random(network, x, t, text)

    @jax.jit
    def with_gradient(params, text):
        out, pull = jax.vjp(lambda params: network.apply(params, x, t, text), params)
        return out, pull(2 * out)[0]  # of the sum of squares

    np.testing.assert_array_equal(with_gradient(start, text)[0], np.zeros_like(x))
    assert start["params"]["blocks"]["text_mlp"]["dense_0"]["kernel"].shape == (2, 8, 32)
    call = lambda text: np.asarray(with_gradient(params, text)[0])
    out = call(text)
    reversed_text = text._replace(tokens=text.tokens[:, ::-1])
    assert np.abs(call(reversed_text) - out).max() < 1e-4  # text tokens have no places here
    assert np.abs(call(text._replace(tokens=2 * text.tokens)) - out).max() > 1e-3
    assert np.abs(call(text._replace(pooled=2 * text.pooled)) - out).max() > 1e-3
    gradient = jax.device_get(with_gradient(params, text)[1])
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))  # nothing in it is unused


def test_compute_dtype_reaches_the_products_and_not_the_output():
    x, t = normal(1, 4, 4, 1), normal(1)
    network = dit.DiT(patch=2, width=8, depth=2, heads=2, features=16, dtype=jnp.bfloat16)
    params = jax.eval_shape(network.init, KEY, x, t)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype("float32")}
    traced = jax.make_jaxpr(network.apply)(params, x, t)
    assert "bf16" in str(traced) and traced.out_avals[0].dtype == np.float32


def test_mistakes():
    with pytest.raises(ValueError, match="divisible by the patch, 3"):
        patchify(normal(1, 4, 4, 1), 3)
    with pytest.raises(ValueError, match="not divisible by 4"):
        dit.sincos_positions(2, 2, 6)
    with pytest.raises(ValueError, match="into 3 heads"):
        shapes_of(dit.DiTBlock(heads=3), normal(1, 2, 8), normal(1, 8))
    with pytest.raises(ValueError, match="has 0 classes and was given a class"):
        shapes_of(dit.DiT(width=8, depth=1, heads=2), normal(1, 4, 4, 1), normal(1), np.zeros(1, np.int32))


def linear(layer):
    """Return a torch linear layer as flax's parameters."""
    bias = {} if layer.bias is None else {"bias": layer.bias.detach().numpy()}
    return {"kernel": layer.weight.detach().numpy().T} | bias


def without_bias(layer):
    return {"kernel": layer.weight.detach().numpy().T}


def block_of(block):
    attention, projections = block.attn1, ("to_q", "to_k", "to_v")
    parts = {name: linear(getattr(attention, part)) for name, part in zip(("query", "key", "value"), projections)}
    parts["key"] = without_bias(attention.to_k)  # without effect, see Projections
    return {
        "modulation": {"dense": linear(block.norm1.linear)},
        "attention": parts,
        "out": linear(attention.to_out[0]),
        "mlp": {"dense_0": linear(block.ff.net[0].proj), "dense_1": linear(block.ff.net[2])},
    }


@pytest.mark.parity
def test_dit_is_that_of_diffusers():
    torch, diffusers = (pytest.importorskip(name, reason=NEEDED) for name in ("torch", "diffusers"))
    torch.manual_seed(0)
    options = {"num_attention_heads": 2, "attention_head_dim": 8, "in_channels": 3, "num_layers": 2, "sample_size": 8}
    peer = diffusers.DiTTransformer2DModel(**options, patch_size=2, num_embeds_ada_norm=5, norm_eps=1e-6).eval()
    with torch.no_grad():
        for weights in peer.parameters():
            weights.normal_(std=0.2)
        for block in peer.transformer_blocks[1:]:  # there every block embeds anew: give all the same embedding
            block.norm1.emb.load_state_dict(peer.transformer_blocks[0].norm1.emb.state_dict())
    embedding = peer.transformer_blocks[0].norm1.emb
    first = linear(embedding.timestep_embedder.linear_1)
    first["kernel"] = np.roll(first["kernel"], 128, axis=0)  # cosines come first there
    patches = peer.pos_embed.proj.weight.detach().numpy()
    params = {
        "patch_in": {
            "kernel": patches.transpose(2, 3, 1, 0).reshape(-1, 16),
            "bias": peer.pos_embed.proj.bias.detach().numpy(),
        },
        "conditioning": {
            "dense_0": first,
            "dense_1": linear(embedding.timestep_embedder.linear_2),
            "classes": {"embedding": embedding.class_embedder.embedding_table.weight.detach().numpy()},
        },
        "blocks": jax.tree.map(lambda *leaves: np.stack(leaves), *map(block_of, peer.transformer_blocks)),
        "output": {"modulation": {"dense": linear(peer.proj_out_1)}, "dense": linear(peer.proj_out_2)},
    }
    network = dit.DiT(patch=2, width=16, depth=2, heads=2, num_classes=5)
    x, t, label = RANDOM.normal(size=(3, 8, 8, 3)).astype(np.float32), np.array([0, 37, 999]), np.array([0, 4, 5])
    wanted = jax.tree.map(lambda leaf: leaf.shape, shapes_of(network, x, t.astype(np.float32), label))
    assert wanted == jax.tree.map(np.shape, params)
    found = jax.jit(network.apply)({"params": params}, x, jnp.asarray(t, jnp.float32), jnp.asarray(label))
    with torch.no_grad():
        theirs = peer(torch.tensor(x.transpose(0, 3, 1, 2)), torch.tensor(t), torch.tensor(label)).sample.numpy()
    np.testing.assert_allclose(found, theirs.transpose(0, 2, 3, 1), rtol=2e-4, atol=2e-4 * np.abs(theirs).max())


@pytest.mark.parity
def test_joint_block_is_that_of_diffusers():
    torch, attention = (pytest.importorskip(name, reason=NEEDED) for name in ("torch", "diffusers.models.attention"))
    JointTransformerBlock = attention.JointTransformerBlock
    torch.manual_seed(0)
    peer = JointTransformerBlock(16, 2, 8, qk_norm="rms_norm").eval()
    with torch.no_grad():
        for weights in peer.parameters():
            weights.normal_(std=0.2)
    attention, norm = peer.attn, lambda layer: {"scale": layer.weight.detach().numpy()}
    params = {
        "image_modulation": {"dense": linear(peer.norm1.linear)},
        "text_modulation": {"dense": linear(peer.norm1_context.linear)},
        "image_attention": {
            "query": linear(attention.to_q),
            "key": linear(attention.to_k),
            "value": linear(attention.to_v),
            "norm_query": norm(attention.norm_q),
            "norm_key": norm(attention.norm_k),
        },
        "text_attention": {
            "query": linear(attention.add_q_proj),
            "key": linear(attention.add_k_proj),
            "value": linear(attention.add_v_proj),
            "norm_query": norm(attention.norm_added_q),
            "norm_key": norm(attention.norm_added_k),
        },
        "image_out": linear(attention.to_out[0]),
        "text_out": linear(attention.to_add_out),
        "image_mlp": {"dense_0": linear(peer.ff.net[0].proj), "dense_1": linear(peer.ff.net[2])},
        "text_mlp": {"dense_0": linear(peer.ff_context.net[0].proj), "dense_1": linear(peer.ff_context.net[2])},
    }
    x, text, c = (RANDOM.normal(size=s).astype(np.float32) for s in ((2, 4, 16), (2, 3, 16), (2, 16)))
    found = jax.jit(dit.JointBlock(heads=2, normalize=True).apply)({"params": params}, x, text, c)
    with torch.no_grad():
        theirs_text, theirs = peer(
            hidden_states=torch.tensor(x), encoder_hidden_states=torch.tensor(text), temb=torch.tensor(c)
        )
    np.testing.assert_allclose(found[0], theirs.numpy(), rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(found[1], theirs_text.numpy(), rtol=2e-4, atol=2e-4)
