"""Batch normalization against its definition in numpy, and over devices against the whole batch."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax.nn import BatchNorm

X = 3 + 2 * np.random.default_rng(0).normal(size=(8, 2, 2, 3)).astype(np.float32)


def start(module):
    variables = jax.jit(lambda x: module.init(jax.random.key(0), x, train=True))(X)
    params = {"norm": {"scale": np.float32([1.0, 2.0, -1.0]), "bias": np.float32([0.0, 0.5, 1.0])}}
    return {**variables, "params": params}


def trained(module):
    return jax.jit(lambda variables, x: module.apply(variables, x, train=True, mutable=["batch_stats"]))


def normalized(x, mean, var):
    return (x - mean) / np.sqrt(var + 1e-5) * np.array([1.0, 2.0, -1.0]) + np.array([0.0, 0.5, 1.0])


def test_training_uses_the_batch_and_moves_the_running_statistics():
    module = BatchNorm()
    variables = start(module)
    y, moved = trained(module)(variables, X)
    mean, var = X.astype(np.float64).mean((0, 1, 2)), X.astype(np.float64).var((0, 1, 2))
    np.testing.assert_allclose(y, normalized(X, mean, var), atol=1e-5)
    np.testing.assert_allclose(moved["batch_stats"]["norm"]["mean"], 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(moved["batch_stats"]["norm"]["var"], 0.9 + 0.1 * var, rtol=1e-5)


def test_use_takes_the_running_statistics():
    module = BatchNorm()
    stats = {"norm": {"mean": np.float32([1.0, 2.0, 3.0]), "var": np.float32([0.5, 1.0, 4.0])}}
    variables = {**start(module), "batch_stats": stats}
    y = jax.jit(lambda variables, x: module.apply(variables, x, train=False))(variables, X)
    np.testing.assert_allclose(y, normalized(X, np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.0, 4.0])), atol=1e-5)


def test_over_devices_as_over_the_whole_batch():
    whole, split = BatchNorm(), BatchNorm(axis_name="batch")
    variables = start(whole)
    expected = trained(whole)(variables, X)
    apply = jax.jit(jax.vmap(lambda x: trained(split)(variables, x), axis_name="batch"))
    y, moved = jax.device_get(apply(X.reshape(4, 2, 2, 2, 3)))
    np.testing.assert_allclose(y.reshape(X.shape), expected[0], atol=1e-5)
    each = lambda found, one: np.testing.assert_allclose(found, np.broadcast_to(one, found.shape), rtol=1e-5)
    jax.tree.map(each, moved, expected[1])


def test_half_precision_in_and_out_float32_inside():
    module = BatchNorm(dtype=jnp.bfloat16)
    variables = start(module)
    x = (1000 + X).astype(jnp.bfloat16)  # neighbours in bfloat16 are 4 apart here: the mean is not one
    y, moved = trained(module)(variables, x)
    assert y.dtype == jnp.bfloat16
    exact = x.astype(np.float64)
    np.testing.assert_allclose(moved["batch_stats"]["norm"]["mean"], 0.1 * exact.mean((0, 1, 2)), rtol=1e-6)
    assert moved["batch_stats"]["norm"]["var"].dtype == jnp.float32
