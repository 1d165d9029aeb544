"""Optimal transport makes the target deterministic; the bridge's flow and score solve its Fokker-Planck equation."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import flow_matching, solvers

KEY = jax.random.key(0)
SIGMA = 0.8


class Zero(nn.Module):
    """Predicts the constant w = 0."""

    @nn.compact
    def __call__(self, x, t, condition=None, *, train=False):
        return self.param("w", nn.initializers.zeros_init(), (2,))[None] + 0.0 * x


def field(network=Zero(), **options):
    return flow_matching.Field(network, shape=(2,), solve=solvers.fixed_solve(4), **options)


def test_coupling_shortens_what_has_to_be_learned():
    """|x_1 - x_0|^2 of coupled pairs tends to W_2^2 = |m|^2 of N(0, I) and N(m, I); of independent ones to |m|^2 + 2 D."""
    m = np.array([2.0, -1.0])
    batch = {"x": (np.random.default_rng(0).normal(size=(256, 2)) + m).astype(np.float32)}
    means = []
    for coupling in (flow_matching.independent_coupling, flow_matching.exact_coupling):
        model = flow_matching.ot_cfm(field(), coupling=coupling)
        loss = jax.jit(lambda key: model.updates[0].loss(model.init(KEY, batch), batch, key, 0)[0])
        means.append(2 * np.mean([loss(jax.random.key(i)) for i in range(4)]))  # the metric is per entry
    assert means[0] == pytest.approx(5.0 + 4.0, abs=1.0)
    assert means[1] == pytest.approx(5.0, abs=0.7)


def exact_bridge(x0, x1, weights, x, t):
    """Return log p_t, flow and score of a mixture of Brownian bridges between pairs (x_0, x_1) [K, D], at x [D]."""
    mean = (1 - t) * x0 + t * x1
    variance = SIGMA**2 * t * (1 - t)
    log_p = jnp.log(weights) - jnp.sum((x[None] - mean) ** 2, axis=1) / (2 * variance) - jnp.log(2 * jnp.pi * variance)
    posterior = jax.nn.softmax(log_p)[:, None]
    fields = flow_matching.conditional_velocity(
        jnp.broadcast_to(x[None], x0.shape),
        jnp.full(len(x0), t),
        lambda t: (1 - t)[:, None] * x0 + t[:, None] * x1,
        flow_matching.bridge_interpolant(SIGMA).std,
    )
    score = (mean - x[None]) / variance
    return jax.nn.logsumexp(log_p), jnp.sum(posterior * fields, axis=0), jnp.sum(posterior * score, axis=0)


X0 = np.array([[-1.0, 0.0], [0.0, 1.0], [1.0, 0.5]], np.float32)
X1 = np.array([[2.0, 1.0], [-1.0, 2.0], [0.5, -1.0]], np.float32)
WEIGHTS = np.array([0.2, 0.5, 0.3], np.float32)


def test_flow_and_score_of_bridges_solve_fokker_planck():
    """d p / dt = -div(p (u + sigma^2 / 2 score)) + sigma^2 / 2 laplace p, through logarithms."""

    def residual(x, t):
        log_p = lambda x, t: exact_bridge(X0, X1, WEIGHTS, x, t)[0]
        drift = lambda x: (
            exact_bridge(X0, X1, WEIGHTS, x, t)[1] + 0.5 * SIGMA**2 * exact_bridge(X0, X1, WEIGHTS, x, t)[2]
        )
        gradient, rate = jax.grad(log_p, argnums=(0, 1))(x, t)
        curvature = jnp.trace(jax.hessian(log_p)(x, t)) + gradient @ gradient
        terms = (rate, jnp.trace(jax.jacfwd(drift)(x)), drift(x) @ gradient, -0.5 * SIGMA**2 * curvature)
        return sum(terms), sum(map(jnp.abs, terms))

    x = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    t = np.linspace(0.1, 0.9, 20, dtype=np.float32)
    left, size = (np.asarray(a) for a in jax.jit(jax.vmap(residual))(x, t))
    assert np.abs(left / size).max() < 2e-4


def test_samples_follow_the_stochastic_equation():
    """Field 0, score network -a x: d x = -a x dt + sigma dw, an Ornstein-Uhlenbeck process from N(0, I)."""

    class Linear(nn.Module):
        @nn.compact
        def __call__(self, x, t, condition=None, *, train=False):
            return self.param("a", nn.initializers.zeros_init(), ()) * x

    model = flow_matching.sb_cfm(field(Linear()), sigma=SIGMA, num_steps=200)
    variables = jax.jit(model.init)(KEY, {"x": np.zeros((4, 2), np.float32)})
    variables = variables._replace(params=variables.params | {"score": {"a": np.float32(-1.5)}})
    drawn = np.asarray(jax.jit(model.sample, static_argnums=2)(variables, KEY, 8000))
    wanted = np.exp(-3.0) + SIGMA**2 / 3.0 * (1 - np.exp(-3.0))
    np.testing.assert_allclose(drawn.var(axis=0), wanted, rtol=0.06)
    still = jax.jit(model.sample, static_argnums=2, static_argnames="solve")(
        variables, KEY, 8, solve=solvers.fixed_solve(3)
    )
    np.testing.assert_allclose(still, jax.random.normal(KEY, (8, 2)), atol=1e-6)  # the flow alone stands still


def test_score_loss_is_least_at_the_score_of_one_bridge():
    """Of one pair the score is known exactly, -e / s: the loss is zero at the drift (sigma^2 / 2) score."""
    noise = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    std = np.asarray(jax.jit(flow_matching.bridge_interpolant(SIGMA).std)(np.linspace(0.1, 0.9, 5, dtype=np.float32)))
    drift = np.float32(0.5 * SIGMA**2) * (-noise / std[:, None])
    loss = jax.jit(lambda drift: flow_matching.bridge_score_loss(drift, noise, std, sigma=SIGMA))
    np.testing.assert_allclose(loss(drift), 0.0, atol=1e-10)
    np.testing.assert_allclose(loss(0 * drift), np.sum(noise**2, axis=1), rtol=1e-6)


def test_mistakes():
    with pytest.raises(ValueError, match="must have no classes"):
        flow_matching.sb_cfm(field(num_classes=2), sigma=1.0, num_steps=2)
    with pytest.raises(ValueError, match="std \\(2, 2\\) must be \\[B\\]"):
        flow_matching.bridge_score_loss(np.zeros((2, 2)), np.zeros((2, 2)), np.ones((2, 2)), sigma=1.0)
