"""Class-conditional batch normalization against numpy, and its running statistics."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.adversarial import LabelBatchNorm, VectorBatchNorm, modulate

KEY = jax.random.key(0)
X = 2 + 3 * np.random.default_rng(0).normal(size=(5, 3, 2, 4))
LABEL = np.array([0, 2, 1, 1, 0])
STANDARD = (X - X.mean((0, 1, 2))) / np.sqrt(X.var((0, 1, 2)) + 1e-5)


def test_a_label_has_its_own_gain_and_bias():
    module, x = LabelBatchNorm(3), X.astype(np.float32)
    variables = jax.jit(partial(module.init, train=True))(KEY, x, LABEL)
    train = jax.jit(partial(module.apply, train=True, mutable=["batch_stats"]))
    y, moved = train(variables, x, LABEL)
    np.testing.assert_allclose(y, STANDARD, atol=1e-4)  # starts as a plain normalization
    gain, bias = np.random.default_rng(1).normal(size=(2, 3, 4))
    params = {"gain": gain.astype(np.float32), "bias": bias.astype(np.float32)}
    variables = {"params": params, **moved}
    y, _ = train(variables, x, LABEL)
    expected = np.stack([gain[c] * STANDARD[i] + bias[c] for i, c in enumerate(LABEL)])
    np.testing.assert_allclose(y, expected, atol=1e-4)
    mean, var = (moved["batch_stats"]["norm"][name] for name in ("mean", "var"))
    y = jax.jit(partial(module.apply, train=False))(variables, x, LABEL)
    standard = (X - np.asarray(mean)) / np.sqrt(np.asarray(var) + 1e-5)
    np.testing.assert_allclose(y, np.stack([gain[c] * standard[i] + bias[c] for i, c in enumerate(LABEL)]), atol=1e-4)


def test_a_vector_makes_gain_and_bias_linearly():
    module, x = VectorBatchNorm(momentum=0.0), X.astype(np.float32)
    c = np.random.default_rng(2).normal(size=(5, 6)).astype(np.float32)
    variables = jax.jit(partial(module.init, train=True))(KEY, x, c)
    train = jax.jit(partial(module.apply, train=True, mutable=["batch_stats", "spectral"]))
    gain, bias = (np.asarray(variables["params"][name]["kernel"], np.float64) for name in ("gain", "bias"))
    for kernel in (gain, bias):  # orthogonal at initialization: every singular value is 1, and sigma with it
        np.testing.assert_allclose(np.linalg.svd(kernel, compute_uv=False), 1, rtol=1e-5)
    y, moved = train(variables, x, c)
    expected = (1 + c @ gain)[:, None, None] * STANDARD + (c @ bias)[:, None, None]
    np.testing.assert_allclose(y, expected, atol=1e-3)
    np.testing.assert_allclose(moved["batch_stats"]["norm"]["mean"], X.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(moved["batch_stats"]["norm"]["var"], X.var((0, 1, 2)), rtol=1e-4)
    plain, _ = train(variables, x, 0 * c)
    np.testing.assert_allclose(plain, STANDARD, atol=1e-4)


def test_bfloat16_goes_in_and_out_and_the_statistics_stay_float32():
    module, x = LabelBatchNorm(3), X.astype(jnp.bfloat16)
    y, variables = jax.eval_shape(partial(module.init_with_output, train=True), KEY, x, LABEL)
    assert y.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


def test_a_gain_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"shape \[B, C\]"):
        modulate(*(np.ones(shape, np.float32) for shape in ((2, 3, 3, 4), (2, 3), (2, 3))))
