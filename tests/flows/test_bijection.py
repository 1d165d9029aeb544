"""Composition, shapes and normalizations: log-determinants by autodiff, inverses, state, one program for any depth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import flows
from tests.flows.oracles import at_random, check

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)
PICTURES = RANDOM.normal(size=(3, 4, 4, 2)).astype(np.float32)
VECTORS = RANDOM.normal(size=(5, 3)).astype(np.float32)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: flows.reverse(), id="reverse"),
        pytest.param(lambda: flows.squeeze(), id="squeeze"),
        pytest.param(lambda: flows.flatten((4, 4, 2)), id="flatten"),
        pytest.param(lambda: flows.actnorm(), id="actnorm"),
        pytest.param(lambda: flows.batch_norm(), id="batch_norm"),
        pytest.param(lambda: flows.scaling(), id="scaling"),
        pytest.param(lambda: flows.factor_out(flows.flatten((4, 4, 1)), (4, 4, 2)), id="factor_out"),
        pytest.param(lambda: flows.invert(flows.actnorm()), id="inverted"),
    ],
)
def test_log_det_and_inverse_on_pictures(make):
    check(make(), PICTURES)


def test_conditional_affine():
    condition = np.eye(3, dtype=np.float32)[[0, 1, 2, 1, 0]]
    z, log_det = check(flows.conditional_affine(), VECTORS, condition)
    assert log_det[0] == log_det[4] != log_det[1]


def test_a_repeated_bijection_is_the_chain_of_its_layers():
    layer = flows.chain(flows.actnorm(), flows.planar_layer(), flows.reverse())
    deep = flows.repeat(layer, 3)
    weights = at_random(deep, KEY, VECTORS)
    x, total, forward = VECTORS, 0.0, jax.jit(layer.forward)
    for i in range(3):
        x, log_det = forward(jax.tree.map(lambda leaf: leaf[i], weights), x, None)
        total = total + np.asarray(log_det)
    z, summed = jax.jit(deep.forward)(weights, VECTORS, None)
    np.testing.assert_allclose(z, x, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(summed, total, rtol=1e-5, atol=1e-6)
    check(deep, VECTORS, weights=weights)
    unrolled = jax.jit(flows.repeat(layer, 3, unroll=2).forward)(weights, VECTORS, None)
    np.testing.assert_allclose(unrolled[0], z, rtol=1e-5, atol=1e-6)


def test_what_is_compiled_does_not_grow_with_depth():
    def operations(num):
        deep = flows.repeat(flows.chain(flows.autoregressive_layer(3, (8,)), flows.reverse()), num)
        weights = jax.eval_shape(deep.init, KEY, VECTORS, None)
        gradient = jax.grad(lambda w, x: jnp.sum(deep.forward(w, x, None)[1]))
        return len(jax.jit(gradient).lower(weights, VECTORS).as_text().splitlines())

    assert operations(4) == operations(64)


def test_squeeze_gathers_blocks_of_four_pixels():
    x = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    z, _ = jax.jit(lambda x: flows.squeeze().forward(flows.Weights(), x, None))(x)
    z = np.asarray(z)
    np.testing.assert_array_equal(z[0, 0, 0], [0, 1, 4, 5])
    np.testing.assert_array_equal(z[0, 1, 1], [10, 11, 14, 15])
    with pytest.raises(ValueError, match="must be even"):
        flows.squeeze().forward(flows.Weights(), np.zeros((1, 3, 4, 1), np.float32), None)


@pytest.mark.parametrize("layer", [flows.actnorm(), flows.batch_norm()], ids=["actnorm", "batch_norm"])
def test_the_first_batch_comes_out_with_mean_zero_and_variance_one(layer):
    x = 5.0 + 3.0 * RANDOM.normal(size=(64, 4, 4, 2)).astype(np.float32)
    out = lambda layer: np.asarray(jax.jit(lambda x: layer.forward(layer.init(KEY, x, None), x, None)[0])(x))
    z = out(layer)
    np.testing.assert_allclose(z.mean((0, 1, 2)), 0.0, atol=1e-4)
    np.testing.assert_allclose(z.std((0, 1, 2)), 1.0, atol=1e-3)
    np.testing.assert_allclose(out(flows.scaling()).std((0, 1, 2)), 1.0, atol=1e-3)
    jax.eval_shape(layer.init, KEY, x, None)


def test_batch_norm_runs_and_differentiates_through_the_batch_alone():
    layer = flows.batch_norm(momentum=0.75)
    weights = jax.jit(layer.init)(KEY, VECTORS, None)
    shifted = 2.0 * VECTORS + 1.0
    z, log_det, state = jax.jit(layer.train)(weights, shifted, None)
    np.testing.assert_allclose(state["mean"], 0.75 * VECTORS.mean(0) + 0.25 * shifted.mean(0), rtol=1e-5)
    np.testing.assert_allclose(state["variance"], 0.75 * VECTORS.var(0) + 0.25 * shifted.var(0), rtol=1e-5)
    again, same = jax.jit(layer.forward)(flows.Weights((), state), shifted, None)
    np.testing.assert_allclose(z, again, rtol=1e-6)
    np.testing.assert_allclose(log_det, same, rtol=1e-6)
    # d log_det / d x by hand: -1/2 d log(v + eps), v's weight of the batch 1/4 and dv/dx_n = 2 (x_n - mean) / N.
    gradient = jax.jit(jax.grad(lambda x: layer.train(weights, x, None)[1][0]))(shifted)
    away, variance = shifted - shifted.mean(0, keepdims=True), np.asarray(state["variance"])
    by_hand = -0.5 * 0.25 * 2.0 * away / 5.0 / (variance + 1e-4)
    np.testing.assert_allclose(gradient, by_hand, rtol=1e-4, atol=1e-6)


def test_state_moves_through_compositions():
    inner = flows.chain(flows.flatten((4, 4, 1)), flows.batch_norm())
    deep = flows.chain(flows.repeat(flows.batch_norm(), 2), flows.factor_out(inner, (4, 4, 2)))
    weights = jax.device_get(jax.jit(deep.init)(KEY, PICTURES, None))
    z, log_det, state = jax.device_get(jax.jit(deep.train)(weights, PICTURES + 1.0, None))
    assert jax.tree.structure(state) == jax.tree.structure(weights.state)
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool(np.any(a != b)), state, weights.state)))
    again = jax.jit(deep.forward)(flows.Weights((), state), PICTURES + 1.0, None)
    np.testing.assert_allclose(log_det, again[1], rtol=1e-5)


def test_mistakes_are_told():
    with pytest.raises(ValueError, match="at least once"):
        flows.repeat(flows.reverse(), 0)
