"""Planar and radial flows: the constraint, Jacobians, inverses, posteriors, and the paper's four energies."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import integrate

from genjax import flows
from tests.flows.oracles import check, mass

KEY = jax.random.key(3)
X = 2.0 * jax.random.normal(KEY, (6, 3))


@pytest.mark.parametrize("layer", [flows.planar_layer(0.7), flows.radial_layer(0.7)], ids=["planar", "radial"])
@pytest.mark.parametrize("depth", [1, 4])
def test_log_det_and_inverse(layer, depth):
    check(flows.repeat(layer, depth), X, scale=0.2)


def test_u_is_moved_to_where_the_planar_flow_is_a_bijection():
    u, w = 4.0 * jax.random.normal(KEY, (2, 100, 3))
    inner = jnp.sum(u * w, axis=1)
    moved = flows.constrained_u(u, w)
    assert jnp.min(inner) < -20
    np.testing.assert_allclose(jnp.sum(moved * w, axis=1), jnp.log1p(jnp.exp(inner)) - 1.0, rtol=1e-3, atol=2e-5)
    # Only along w.
    across = (moved - u) - jnp.sum((moved - u) * w, axis=1, keepdims=True) * w / jnp.sum(w * w, axis=1, keepdims=True)
    np.testing.assert_allclose(across, 0.0, atol=1e-4)
    np.testing.assert_array_equal(flows.constrained_u(u, jnp.zeros_like(w)), u)


def test_without_the_constraint_the_planar_flow_folds():
    """What appendix A.1 is for: at w.u < -1 two points have one image, so the density would count one of them."""
    z = jnp.linspace(-3.0, 3.0, 200)[:, None]
    folded = z + (-2.0) * jnp.tanh(z)
    straight, _ = flows.planar_step(z, flows.Planar(jnp.array([-2.0]), jnp.array([1.0]), jnp.float32(0.0)))
    assert np.any(np.diff(folded[:, 0]) < 0) and np.all(np.diff(straight[:, 0]) > 0)


def test_the_inverse_carries_the_gradient_of_the_implicit_function():
    layer = flows.planar_layer(1.0)
    weights = layer.init(KEY, X, None)
    z, _ = layer.forward(weights, X, None)
    pulled = jax.jacrev(lambda z: layer.inverse(weights, z[None], None)[0][0])(z[0])
    pushed = jax.jacfwd(lambda x: layer.forward(weights, x[None], None)[0][0])(X[0])
    np.testing.assert_allclose(pulled @ pushed, np.eye(3), atol=1e-5)


@pytest.mark.parametrize("flow, kind", [(flows.planar_flow, flows.Planar), (flows.radial_flow, flows.Radial)])
def test_as_a_posterior_every_example_has_its_own_steps(flow, kind):
    rank = {flows.Planar: (3, 3, 0), flows.Radial: (3, 0, 0)}[kind]
    keys = jax.random.split(KEY, 3)
    steps = kind(*(jax.random.normal(k, (4, 6, 3)[: 2 + bool(r)]) for k, r in zip(keys, rank)))
    z, log_det = jax.jit(flow)(X, steps)
    for b in range(2):
        alone, one = flow(X[b : b + 1], jax.tree.map(lambda p: p[:, b], steps))
        np.testing.assert_allclose(z[b], alone[0], rtol=1e-5, atol=1e-5)
        jacobian = jax.jacfwd(lambda x: flow(x[None], jax.tree.map(lambda p: p[:, b], steps))[0][0])(X[b])
        np.testing.assert_allclose(log_det[b], jnp.linalg.slogdet(jacobian)[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", [flows.planar_layer(1.0), flows.radial_layer(1.0)], ids=["planar", "radial"])
def test_the_density_integrates_to_one(layer):
    bijection = flows.repeat(layer, 5)
    model = flows.flow_model(bijection, shape=(2,))
    variables = model.init(KEY, {"x": X[:, :2]})
    variables = variables._replace(params=jax.tree.map(lambda p: 2.0 * p, variables.params))
    assert abs(mass(lambda grid: model.log_prob.fn(variables, KEY, {"x": grid}), 10.0) - 1.0) < 1e-3


POTENTIALS = (flows.potential_1, flows.potential_2, flows.potential_3, flows.potential_4)


def test_energies_at_points_by_hand():
    # z = (1, 1): w_1 = sin(pi/2) = 1, w_2 = 3, w_3 = 3/2; |z| = sqrt 2.
    point = jnp.ones((1, 2))
    ring = 0.5 * ((2**0.5 - 2) / 0.4) ** 2 - np.log(np.exp(-0.5 * (1 / 0.6) ** 2) + np.exp(-0.5 * (3 / 0.6) ** 2))
    split = -np.log(1 + np.exp(-0.5 * (3 / 0.35) ** 2))
    fork = -np.log(1 + np.exp(-0.5 * (1.5 / 0.35) ** 2))
    for potential, value in zip(POTENTIALS, (ring, 0.0, split, fork)):
        np.testing.assert_allclose(potential(point), [value], rtol=1e-5, atol=1e-6)
    assert flows.potential_2(jnp.array([[4.4, 0.0]]))[0] > 2.0  # the wall: (0.4 / 0.2)^2 / 2


def test_the_normalizer_and_the_draws_of_an_energy():
    # U_2 has a Gaussian z_2 of standard deviation 0.4 at every z_1, hence Z = 0.4 sqrt(2 pi) (8 + 0.2 sqrt(2 pi)).
    root = (2 * np.pi) ** 0.5
    assert abs(flows.log_normalizer(flows.potential_2) - np.log(0.4 * root * (8 + 0.2 * root))) < 1e-3
    ring = integrate.dblquad(
        lambda b, a: float(np.exp(-np.asarray(_ring(a, b)))), -5, 5, -5, 5, epsabs=1e-4, epsrel=1e-4
    )[0]
    assert abs(flows.log_normalizer(flows.potential_1) - np.log(ring)) < 1e-3
    draws = np.asarray(flows.potential_sample(KEY, flows.potential_2, 20_000))
    assert abs(np.std(draws[:, 1] - np.sin(np.pi * draws[:, 0] / 2)) - 0.4) < 0.01


def _ring(a, b):
    r = np.hypot(a, b)
    return 0.5 * ((r - 2) / 0.4) ** 2 - np.logaddexp(-0.5 * ((a - 2) / 0.6) ** 2, -0.5 * ((a + 2) / 0.6) ** 2)


def test_the_free_energy_bounds_the_normalizer_and_falls():
    """F >= -log Z always (eq. 15), F + log Z = KL(q || p); and log q_K is the density of what is drawn."""
    model = flows.fitted_flow(flows.repeat(flows.planar_layer(), 8), flows.potential_2, anneal_steps=50)
    batch = {"x": jnp.zeros((256, 2))}
    variables = model.init(KEY, batch)
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
    energies = model.methods["free_energy"](fitted, KEY, 20_000)
    kl = float(jnp.mean(energies)) + flows.log_normalizer(flows.potential_2)
    noise = float(jnp.std(energies)) / 20_000**0.5
    assert -3 * noise < kl < 0.6 < float(history[0]) + flows.log_normalizer(flows.potential_2)
    assert abs(mass(lambda z: model.log_prob.fn(fitted, KEY, {"x": z})) - 1.0) < 5e-3
