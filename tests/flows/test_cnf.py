"""Continuous flows against a linear equation's closed form, automatic differentiation, and integration."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm
from scipy.stats import multivariate_normal

from genjax import flows, solvers
from genjax.contract import Variables
from tests.flows.oracles import mass

KEY = jax.random.key(0)
SOLVES = {
    "fixed": solvers.fixed_solve(20),
    "adaptive": solvers.adaptive_solve(rtol=1e-6, atol=1e-6),
}
MATRIX = np.array([[0.4, -0.9, 0.1], [0.7, 0.2, -0.3], [0.0, 0.5, -0.8]], np.float32)


class Linear(nn.Module):
    """f(x, t) = A x, so that x(1) = exp(A) x(0)."""

    @nn.compact
    def __call__(self, x, t, condition=None):
        return x @ self.param("matrix", lambda key: jnp.asarray(MATRIX)).T


class Wide(nn.Module):
    @nn.compact
    def __call__(self, x, t, condition=None):
        return nn.Dense(3)(x)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def network(dims=2, condition=None):
    """Return (network, random parameters), away from the zero it starts from."""
    module = flows.ConcatSquash((16, 16))
    shapes = jax.eval_shape(module.init, KEY, normal(1, dims), np.float32(0.0), condition)["params"]
    random = np.random.default_rng(0)
    return module, jax.tree.map(lambda leaf: (0.5 * random.normal(size=leaf.shape)).astype(np.float32), shapes)


def started(model, batch):
    return jax.jit(model.init)(KEY, batch)


@pytest.mark.parametrize("solve", SOLVES.values(), ids=SOLVES)
def test_linear_flow_is_a_normal_in_closed_form(solve):
    """x(1) = exp(A) x is standard normal: x ~ N(0, exp(-A) exp(-A)')."""
    model = flows.cnf(Linear(), shape=(3,), solve=solve, trace=solvers.exact_trace())
    x = normal(5, 3)
    variables = started(model, {"x": x})
    back = expm(-MATRIX.astype(np.float64))
    wanted = multivariate_normal(np.zeros(3), back @ back.T).logpdf(x)
    np.testing.assert_allclose(jax.jit(model.log_prob.fn)(variables, KEY, {"x": x}), wanted, rtol=1e-4, atol=1e-4)
    z = jax.jit(model.methods["encode"])(variables, KEY, x)
    np.testing.assert_allclose(z, x @ expm(MATRIX).T, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(jax.jit(model.methods["decode"])(variables, KEY, z), x, atol=1e-4)
    drawn = np.asarray(jax.jit(model.sample, static_argnums=2)(variables, KEY, 20_000))
    np.testing.assert_allclose(np.cov(drawn.T), back @ back.T, atol=0.15 * np.abs(back @ back.T).max())


def test_log_det_is_that_of_the_jacobian():
    module, params = network(3)
    x = normal(4, 3)
    move = functools.partial(
        solvers.transport,
        lambda x, t, params: module.apply({"params": params}, x, t),
        params,
        trace=solvers.exact_trace(),
        solve=SOLVES["fixed"],
    )

    @jax.jit
    def everything(x):
        jacobian = jax.vmap(jax.jacfwd(lambda x: move(x[None], jnp.zeros(())).z[0]))(x)
        ending = move(x, jnp.zeros(()))
        return jacobian, ending.log_det, move(ending.z, jnp.zeros(()), reverse=True)

    jacobian, log_det, back = jax.device_get(everything(x))
    np.testing.assert_allclose(log_det, np.linalg.slogdet(jacobian)[1], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(back.z, x, atol=1e-4)
    np.testing.assert_allclose(back.log_det, -log_det, atol=1e-3)


def test_density_integrates_to_one():
    module, params = network()
    model = flows.cnf(module, shape=(2,), solve=SOLVES["fixed"], trace=solvers.exact_trace())
    variables = Variables({"flow": params})
    assert mass(jax.jit(lambda y: model.methods["density"](variables, KEY, y)), 12.0, 120) == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("trace, variance", [(solvers.rademacher_trace, 0.0), (solvers.normal_trace, 1.0)])
def test_estimates_have_the_exact_trace_for_their_mean(trace, variance):
    """Their variance is 2 |S|^2 for the normal, S the symmetric part of the Jacobian, less the diagonal's for signs."""
    module, params = network(3)
    x, n = np.array([[0.3, -1.0, 0.5]], np.float32), 20_000
    f = lambda x: module.apply({"params": params}, x, jnp.float32(0.4))

    @jax.jit
    def everything(x):
        many = jnp.broadcast_to(x, (n, 3))
        slope, estimates = trace().value(f, many, trace().probe(KEY, many.shape))
        of_exact = solvers.exact_trace().value(f, x, jnp.zeros(()))[1]
        return jax.jacfwd(lambda x: f(x[None])[0])(x[0]), slope[0], f(x)[0], estimates, of_exact

    jacobian, slope, value, estimates, of_exact = (np.asarray(a) for a in everything(x))
    np.testing.assert_allclose(of_exact, [np.trace(jacobian)], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(slope, value, rtol=1e-5)
    symmetric = 0.5 * (jacobian + jacobian.T)
    off = symmetric - np.diag(np.diag(symmetric))
    spread = np.sqrt(2 * (off**2).sum() + variance * 2 * (np.diag(symmetric) ** 2).sum())
    assert abs(float(estimates.mean()) - np.trace(jacobian)) < 5 * spread / np.sqrt(n)
    assert float(estimates.std()) == pytest.approx(spread, rel=0.05)


def test_both_solvers_give_the_gradient_of_the_likelihood():
    module, params = network()
    x = normal(6, 2)
    gradients = []
    for solve in SOLVES.values():
        model = flows.cnf(module, shape=(2,), solve=solve, trace=solvers.rademacher_trace())
        variables = Variables({"flow": params})
        loss = lambda params: model.updates[0].loss(variables._replace(params=params), {"x": x}, KEY, jnp.int32(0))[0]
        gradients.append(jax.jit(jax.grad(loss))(variables.params))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4), *gradients)


def test_a_flow_starts_as_the_identity_and_hears_its_condition():
    model = flows.cnf(flows.ConcatSquash((8,)), shape=(2,), solve=SOLVES["fixed"], trace=solvers.exact_trace(), num_classes=3)
    x, label = normal(4, 2), np.array([0, 1, 2, 0], np.int32)
    variables = started(model, {"x": x, "label": label})
    np.testing.assert_allclose(jax.jit(model.methods["encode"])(variables, KEY, x, condition=label), x, atol=1e-6)
    moved = Variables({"flow": network(2, normal(1, 3))[1]})
    other = flows.cnf(flows.ConcatSquash((16, 16)), shape=(2,), solve=SOLVES["fixed"], trace=solvers.exact_trace(), num_classes=3)
    decode = jax.jit(other.methods["decode"])
    one, two = (np.asarray(decode(moved, KEY, x, condition=np.full(4, k, np.int32))) for k in (0, 1))
    assert np.abs(one - two).min() > 1e-3


def test_kinds_and_mistakes():
    options = {"shape": (2,), "solve": SOLVES["fixed"], "trace": solvers.rademacher_trace()}
    assert flows.cnf(Linear(), **options).log_prob.kind == "exact"
    assert flows.cnf(Linear(), test_trace=solvers.normal_trace(), **options).log_prob.kind == "estimate"
    with pytest.raises(ValueError, match="was built for \\(2,\\)"):
        started(flows.cnf(Linear(), **options), {"x": normal(4, 3)})
    with pytest.raises(ValueError, match="it must be \\(4, 2\\)"):
        started(flows.cnf(Wide(), **options), {"x": normal(4, 2)})
    with pytest.raises(ValueError, match="moves \\[B, D\\]"):
        how = {"trace": solvers.exact_trace(), "solve": SOLVES["fixed"]}
        solvers.transport(lambda x, t, w: x, (), normal(2, 2, 1), KEY, **how)
