"""The attention block against loops in numpy, gamma = 0, and spectral normalization in both players."""

import jax
import numpy as np

from genjax.adversarial import SAGANDiscriminator, SelfAttention, attention_map, sagan

KEY = jax.random.key(0)


def test_attention_is_equation_1():
    f, g = np.random.default_rng(0).normal(size=(2, 2, 5, 3))
    expected = np.zeros((2, 5, 5))
    for b in range(2):
        for j in range(5):
            weights = [np.exp(f[b, i] @ g[b, j]) for i in range(5)]
            expected[b, j] = np.array(weights) / sum(weights)
    found = jax.jit(attention_map)(f.astype(np.float32), g.astype(np.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_block_is_the_identity_at_gamma_0_and_equations_2_and_3_elsewhere():
    module = SelfAttention(train=False, reduction=2)
    x, apply = np.random.default_rng(1).normal(size=(2, 3, 2, 4)).astype(np.float32), jax.jit(module.apply)
    variables = jax.jit(module.init)(KEY, x)
    np.testing.assert_array_equal(apply(variables, x), x)

    kernels, left = {}, {}
    for name in "fghv":  # u at the left singular vector, so that what is applied is W / sigma(W)
        kernel = np.asarray(variables["params"][name]["kernel"], np.float64)
        u, sigmas, _ = np.linalg.svd(kernel.T)
        kernels[name], left[name] = kernel / sigmas[0], {"u": u[:, 0].astype(np.float32)}
    params = {**variables["params"], "gamma": np.float32(0.7)}
    places = np.asarray(x, np.float64).reshape(2, 6, 4)
    f, g, h = (places @ kernels[name] for name in "fgh")
    o = np.zeros_like(places)
    for b in range(2):
        for j in range(6):
            weights = np.exp(f[b] @ g[b, j])
            o[b, j] = (weights / weights.sum()) @ h[b] @ kernels["v"]
    found = apply({"params": params, "spectral": left}, x)
    np.testing.assert_allclose(found, (0.7 * o + places).reshape(x.shape), rtol=1e-4, atol=1e-5)


def test_the_block_sees_the_whole_picture():
    """With gamma, a pixel of the output depends on every pixel of the input."""
    module = SelfAttention(train=False)
    x = np.random.default_rng(2).normal(size=(1, 2, 2, 8)).astype(np.float32)
    variables = jax.jit(module.init)(KEY, x)
    variables = {**variables, "params": {**variables["params"], "gamma": np.float32(1.0)}}
    reach = jax.jit(jax.grad(lambda x: module.apply(variables, x)[0, 0, 0].sum()))(x)
    assert np.all(np.abs(reach).max(axis=-1) > 0)


def test_both_players_are_normalized_and_attend_where_they_are_told():
    options = {"generator_features": (4, 4), "discriminator_features": (4, 4), "halvings": 2}
    model = sagan((8, 8, 1), num_classes=3, latent_dim=4, generator_attention=4, discriminator_attention=4, **options)
    batch = {"x": np.ones((2, 8, 8, 1), np.float32), "label": np.zeros(2, np.int32)}
    variables = jax.eval_shape(model.init, KEY, batch)
    for player, state in variables.state.items():
        params = variables.params[player]
        assert [name for name in params if name.startswith("SelfAttention")] == ["SelfAttention_0"]
        norms = {name for name in params if "Norm" in name or "norm" in name}
        layers = set(params) - norms
        assert set(state["spectral"]) == layers, player  # every layer but the normalizations has a u
    plain = SAGANDiscriminator((4, 4), 2, 0)
    shapes = jax.eval_shape(lambda: plain.init(KEY, batch["x"], train=True))
    assert not any("SelfAttention" in name for name in shapes["params"])
