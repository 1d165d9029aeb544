"""MAF and IAF: causality, Jacobians, the recursion of the slow direction, conditions in every dimension."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import flows
from genjax.nn.masked_dense import MaskedMLP, even_degrees
from tests.flows.oracles import at_random, check, mass

KEY = jax.random.key(2)
X = np.random.default_rng(2).normal(size=(3, 5)).astype(np.float32)
CONDITION = np.eye(3, dtype=np.float32)


@pytest.mark.parametrize("hidden", [(7, 9), (3,), (30, 6)], ids=str)
@pytest.mark.parametrize("conditioned", [False, True])
def test_log_det_and_inverse_of_a_layer(hidden, conditioned):
    layer = flows.autoregressive_layer(5, hidden, conditioned=conditioned)
    check(layer, X, CONDITION if conditioned else None)


def test_log_det_and_inverse_of_a_stack_and_of_its_inverse():
    options = dict(num_layers=3, normalization=flows.batch_norm, conditioned=True)
    check(flows.maf_bijection(5, (8, 8), **options), X, CONDITION, scale=0.15)
    check(flows.iaf_bijection(5, (8, 8), **options), X, CONDITION, scale=0.15)


def test_one_dimension_alone():
    check(flows.autoregressive_layer(1, (4,), conditioned=True), X[:, :1], CONDITION)


def test_a_layer_is_causal_and_sees_all_that_comes_before():
    layer = flows.autoregressive_layer(5, (16, 16), activation=jnp.tanh)  # no unit is dead
    weights = at_random(layer, KEY, X)
    jacobian = np.asarray(jax.jit(jax.jacfwd(lambda x: layer.forward(weights, x[None], None)[0][0]))(X[0]))
    np.testing.assert_array_equal(np.triu(jacobian, 1), 0.0)
    assert np.all(jacobian[np.tril_indices(5)] != 0)


def test_mafs_inverse_is_iafs_forward_and_the_recursion_of_the_paper():
    """x_d = z_d exp(s_d(x_<d)) + m_d(x_<d) (eq. 3), one pass of the whole network a dimension, same weights."""
    layer, z = flows.autoregressive_layer(5, (7, 9), conditioned=True), X
    weights = at_random(layer, KEY, X, CONDITION)
    network = MaskedMLP((7, 9), 2)
    degrees = even_degrees(np.arange(5), (7, 9), conditioned=True)
    apply = jax.jit(lambda x: network.apply({"params": weights.params}, x, degrees, CONDITION))
    x = np.zeros((3, 5), np.float32)
    for d in range(5):
        outputs = np.asarray(apply(x))
        log_scale = 4.0 * np.tanh(outputs[..., 1] / 4.0)
        x[:, d] = z[:, d] * np.exp(log_scale[:, d]) + outputs[:, d, 0]
    by_maf, log_det = jax.jit(layer.inverse)(weights, z, CONDITION)
    np.testing.assert_allclose(by_maf, x, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(log_det, log_scale.sum(1), rtol=1e-5, atol=1e-5)
    by_iaf, same = jax.jit(flows.invert(layer).forward)(weights, z, CONDITION)
    np.testing.assert_array_equal(by_iaf, by_maf)
    np.testing.assert_array_equal(same, log_det)


@pytest.mark.parametrize("num_layers", [1, 3])
def test_the_condition_reaches_every_dimension(num_layers):
    """A stack of D = 1 or of one layer is where a conditional flow may mask its condition out of one dimension."""
    bijection = flows.maf_bijection(5, (8,), num_layers=num_layers, conditioned=True)
    weights = at_random(bijection, KEY, X, CONDITION)
    both = jax.jit(lambda c: (bijection.forward(weights, X, c)[0], bijection.inverse(weights, X, c)[0]))
    z, x = (np.asarray(a) for a in both(CONDITION))
    for places in (1, 2):
        other_z, other_x = both(np.roll(CONDITION, places, axis=1))
        assert np.all(other_z != z) and np.all(other_x != x)


@pytest.mark.parametrize("make", [flows.maf_bijection, flows.iaf_bijection])
def test_the_density_integrates_to_one(make):
    bijection = make(2, (8,), num_layers=3)
    weights = at_random(bijection, KEY, X[:, :2], scale=0.15)
    density = lambda x: flows.change_of_variables(*bijection.forward(weights, x, None), flows.standard_normal())
    assert abs(mass(jax.jit(density), half_width=20.0, points=800) - 1.0) < 2e-3


def test_mistakes_are_told():
    layer = flows.autoregressive_layer(5, (8,))
    with pytest.raises(ValueError, match="conditioned=False"):
        jax.eval_shape(layer.init, KEY, X, CONDITION)
    with pytest.raises(ValueError, match=r"all are \[B, D\]"):
        flows.affine_autoregressive(X, X[:, :2], X)
