"""Planar and radial flows: the constraint, Jacobians, inverses, posteriors, and the paper's four energies."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import integrate

from genjax import flows
from tests.flows.oracles import check, mass

KEY = jax.random.key(3)
X = 2.0 * np.random.default_rng(3).normal(size=(6, 3)).astype(np.float32)


@functools.cache
def log_normalizer(potential):
    return flows.log_normalizer(jax.jit(potential))


@pytest.mark.parametrize("layer", [flows.planar_layer(0.7), flows.radial_layer(0.7)], ids=["planar", "radial"])
@pytest.mark.parametrize("depth", [1, 4])
def test_log_det_and_inverse(layer, depth):
    check(flows.repeat(layer, depth), X, scale=0.2)


def test_u_is_moved_to_where_the_planar_flow_is_a_bijection():
    u, w = 4.0 * np.random.default_rng(0).normal(size=(2, 100, 3)).astype(np.float32)
    constrained_u = jax.jit(flows.constrained_u)
    inner = np.sum(u * w, axis=1)
    moved = np.asarray(constrained_u(u, w))
    assert inner.min() < -20
    np.testing.assert_allclose(np.sum(moved * w, axis=1), np.logaddexp(0.0, inner) - 1.0, rtol=1e-3, atol=2e-5)
    # Only along w.
    across = (moved - u) - np.sum((moved - u) * w, axis=1, keepdims=True) * w / np.sum(w * w, axis=1, keepdims=True)
    np.testing.assert_allclose(across, 0.0, atol=1e-4)
    np.testing.assert_array_equal(constrained_u(u, np.zeros_like(w)), u)


def test_without_the_constraint_the_planar_flow_folds():
    """What appendix A.1 is for: at w.u < -1 two points have one image, so the density would count one of them."""
    z = np.linspace(-3.0, 3.0, 200, dtype=np.float32)[:, None]
    folded = z + (-2.0) * np.tanh(z)
    step = flows.Planar(np.float32([-2.0]), np.float32([1.0]), np.float32(0.0))
    straight, _ = jax.jit(flows.planar_step)(z, step)
    assert np.any(np.diff(folded[:, 0]) < 0) and np.all(np.diff(np.asarray(straight)[:, 0]) > 0)


def test_the_inverse_carries_the_gradient_of_the_implicit_function():
    layer = flows.planar_layer(1.0)

    @jax.jit
    def jacobians(x):
        weights = layer.init(KEY, X, None)
        forward = lambda x: layer.forward(weights, x[None], None)[0][0]
        pulled = jax.jacrev(lambda z: layer.inverse(weights, z[None], None)[0][0])(forward(x))
        return pulled, jax.jacfwd(forward)(x)

    pulled, pushed = (np.asarray(a) for a in jacobians(X[0]))
    np.testing.assert_allclose(pulled @ pushed, np.eye(3), atol=1e-5)


@pytest.mark.parametrize("flow, kind", [(flows.planar_flow, flows.Planar), (flows.radial_flow, flows.Radial)])
def test_as_a_posterior_every_example_has_its_own_steps(flow, kind):
    rank = {flows.Planar: (3, 3, 0), flows.Radial: (3, 0, 0)}[kind]
    random = np.random.default_rng(0)
    steps = kind(*(random.normal(size=(4, 6, 3)[: 2 + bool(r)]).astype(np.float32) for r in rank))
    z, log_det = (np.asarray(a) for a in jax.jit(flow)(X, steps))
    one_point = lambda x, steps: flow(x[None], steps)[0][0]
    alone = jax.jit(lambda x, steps: (one_point(x, steps), jax.jacfwd(one_point)(x, steps)))
    for b in range(2):
        expected, jacobian = alone(X[b], jax.tree.map(lambda p: p[:, b], steps))
        np.testing.assert_allclose(z[b], expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(log_det[b], np.linalg.slogdet(jacobian)[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", [flows.planar_layer(1.0), flows.radial_layer(1.0)], ids=["planar", "radial"])
def test_the_density_integrates_to_one(layer):
    bijection = flows.repeat(layer, 5)
    model = flows.flow_model(bijection, shape=(2,))
    variables = jax.jit(model.init)(KEY, {"x": X[:, :2]})
    variables = variables._replace(params=jax.tree.map(lambda p: 2.0 * np.asarray(p), variables.params))
    assert abs(mass(jax.jit(lambda grid: model.log_prob.fn(variables, KEY, {"x": grid})), 10.0) - 1.0) < 1e-3


POTENTIALS = (flows.potential_1, flows.potential_2, flows.potential_3, flows.potential_4)


def test_energies_at_points_by_hand():
    # z = (1, 1): w_1 = sin(pi/2) = 1, w_2 = 3, w_3 = 3/2; |z| = sqrt 2.
    point = np.ones((1, 2), np.float32)
    ring = 0.5 * ((2**0.5 - 2) / 0.4) ** 2 - np.log(np.exp(-0.5 * (1 / 0.6) ** 2) + np.exp(-0.5 * (3 / 0.6) ** 2))
    split = -np.log(1 + np.exp(-0.5 * (3 / 0.35) ** 2))
    fork = -np.log(1 + np.exp(-0.5 * (1.5 / 0.35) ** 2))
    for potential, value in zip(POTENTIALS, (ring, 0.0, split, fork)):
        np.testing.assert_allclose(jax.jit(potential)(point), [value], rtol=1e-5, atol=1e-6)
    assert jax.jit(flows.potential_2)(np.float32([[4.4, 0.0]])) > 2.0  # the wall: (0.4 / 0.2)^2 / 2


def test_the_normalizer_and_the_draws_of_an_energy():
    # U_2 has a Gaussian z_2 of standard deviation 0.4 at every z_1, hence Z = 0.4 sqrt(2 pi) (8 + 0.2 sqrt(2 pi)).
    root = (2 * np.pi) ** 0.5
    assert abs(log_normalizer(flows.potential_2) - np.log(0.4 * root * (8 + 0.2 * root))) < 1e-3
    ring = integrate.dblquad(
        lambda b, a: float(np.exp(-np.asarray(_ring(a, b)))), -5, 5, -5, 5, epsabs=1e-4, epsrel=1e-4
    )[0]
    assert abs(log_normalizer(flows.potential_1) - np.log(ring)) < 1e-3
    draws = np.asarray(jax.jit(lambda key: flows.potential_sample(key, flows.potential_2, 20_000))(KEY))
    assert abs(np.std(draws[:, 1] - np.sin(np.pi * draws[:, 0] / 2)) - 0.4) < 0.01


def _ring(a, b):
    r = np.hypot(a, b)
    return 0.5 * ((r - 2) / 0.4) ** 2 - np.logaddexp(-0.5 * ((a - 2) / 0.6) ** 2, -0.5 * ((a + 2) / 0.6) ** 2)


def test_the_free_energy_bounds_the_normalizer_and_falls():
    """F >= -log Z always (eq. 15), F + log Z = KL(q || p); and log q_K is the density of what is drawn."""
    model = flows.fitted_flow(flows.repeat(flows.planar_layer(), 8), flows.potential_2, anneal_steps=50)
    batch = {"x": np.zeros((256, 2), np.float32)}
    variables = jax.jit(model.init)(KEY, batch)
    optimizer = optax.adam(2e-2)

    @jax.jit
    def train(params, opt, key):
        def step(carry, i):
            params, opt = carry
            loss = lambda p: model.updates[0].loss(variables._replace(params=p), batch, jax.random.fold_in(key, i), i)
            grads, aux = jax.grad(loss, has_aux=True)(params)
            with jax.numpy_dtype_promotion("standard"):  # optax mixes int32 counts with floats
                moves, opt = optimizer.update(grads, opt, params)
            return (optax.apply_updates(params, moves), opt), aux.metrics["free_energy"]

        return jax.lax.scan(step, (params, opt), jnp.arange(400))

    (params, _), history = train(variables.params, optimizer.init(variables.params), KEY)
    fitted = variables._replace(params=params)
    energies = np.asarray(jax.jit(model.methods["free_energy"], static_argnums=2)(fitted, KEY, 20_000))
    kl = energies.mean(dtype=np.float64) + log_normalizer(flows.potential_2)
    noise = energies.std() / 20_000**0.5
    assert -3 * noise < kl < 0.6 < float(history[0]) + log_normalizer(flows.potential_2)
    assert abs(mass(jax.jit(lambda z: model.log_prob.fn(fitted, KEY, {"x": z}))) - 1.0) < 5e-3
