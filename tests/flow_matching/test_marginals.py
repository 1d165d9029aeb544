"""Marginal fields against a Gaussian's, the continuity equation, and the theorem on which the training rests."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from genjax import flow_matching, processes

PATHS = {
    "transport": processes.straight_path(0.1),
    "diffusion": processes.linear_path(),
    "cosine": processes.cosine_path(),
}
MEANS = np.array([[2.0, 0.0], [-1.0, 1.5], [0.0, -2.0]], np.float32)
STDS = np.array([0.3, 0.5, 0.2], np.float32)
WEIGHTS = np.array([0.5, 0.2, 0.3], np.float32)
each_path = pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)


def test_field_of_a_gaussian():
    """Data N(m, s^2): p_t = N(t m, v), v = t^2 s^2 + (1 - t)^2 without sigma_min; u = m + v' / 2v (x - t m)."""
    m, s, t = 1.5, 0.4, np.array([0.1, 0.5, 0.9])
    x = np.array([-1.0, 0.3, 2.0])
    v, rate = t**2 * s**2 + (1 - t) ** 2, 2 * t * s**2 - 2 * (1 - t)
    single = lambda x, t: flow_matching.mixture_velocity(
        processes.straight_path(), np.array([[m]], np.float32), np.array([s], np.float32), x, t
    )
    field = np.asarray(jax.jit(single)(x[:, None].astype(np.float32), t.astype(np.float32)))
    np.testing.assert_allclose(field[:, 0], m + rate / (2 * v) * (x - t * m), rtol=1e-5)


@each_path
def test_continuity_equation(path):
    """d log p / dt + div u + u . grad log p = 0."""
    density = lambda x, t: flow_matching.mixture_log_density(path, MEANS, STDS, x[None], t, weights=WEIGHTS)[0]
    field = lambda x, t: flow_matching.mixture_velocity(path, MEANS, STDS, x[None], t, weights=WEIGHTS)[0]

    def residual(x, t):
        u, terms = field(x, t), jnp.trace(jax.jacfwd(field)(x, t))
        gradient, rate = jax.grad(density, argnums=(0, 1))(x, t)
        return rate + terms + u @ gradient, jnp.abs(rate) + jnp.abs(terms) + jnp.abs(u @ gradient)

    x = 1.5 * np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    t = np.linspace(0.05, 0.95, 40, dtype=np.float32)
    left, size = (np.asarray(a) for a in jax.jit(jax.vmap(residual))(x, t))
    assert np.abs(left / size).max() < 2e-4 and size.min() > 1e-2


def test_density_is_scipys():
    x = np.random.default_rng(0).normal(size=(5, 2))
    at = 0.7
    parts = [
        w * norm.pdf(x, at * m, np.hypot(at * s, 1 - 0.9 * at)).prod(axis=1)
        for m, s, w in zip(MEANS.astype(np.float64), STDS.astype(np.float64), WEIGHTS.astype(np.float64))
    ]
    density = lambda x: flow_matching.mixture_log_density(PATHS["transport"], MEANS, STDS, x, at, weights=WEIGHTS)
    np.testing.assert_allclose(jax.jit(density)(x.astype(np.float32)), np.log(sum(parts)), rtol=1e-4)


@pytest.mark.parametrize("t", [0.2, 0.8])
def test_marginal_and_conditional_losses_have_one_gradient(t):
    """Theorem 2 of Lipman et al. 2023, both expectations by quadrature: of x_0 for one, of x_t for the other."""
    path, data = processes.straight_path(0.1), np.array([-1.0, 0.5, 2.0])
    features = lambda x: jnp.stack([x[:, 0], jnp.sin(3 * x[:, 0]), jnp.ones(len(x)), x[:, 0] ** 3], axis=1)
    network = lambda weights, x: (features(x) @ weights)[:, None]
    weights = np.array([0.3, -0.5, 0.2, 0.05], np.float32)

    nodes, node_weights = np.polynomial.hermite_e.hermegauss(40)
    x0, x1 = (a.reshape(-1, 1).astype(np.float32) for a in np.meshgrid(nodes, data))
    share = (np.tile(node_weights / node_weights.sum(), 3) / 3).astype(np.float32)

    def conditional(weights):
        times = jnp.full(x0.shape[0], t)
        x_t, target = flow_matching.interpolate(
            flow_matching.gaussian_interpolant(path), x0, x1, jnp.zeros_like(x0), times
        )
        return share @ flow_matching.flow_matching_loss(network(weights, x_t), target)

    grid = np.linspace(-8, 8, 4001)
    p = norm.pdf(grid[:, None], t * data, 1 - 0.9 * t).mean(axis=1) * (grid[1] - grid[0])

    def marginal(weights):
        x, points = grid[:, None].astype(np.float32), data[:, None].astype(np.float32)
        field = flow_matching.mixture_velocity(path, points, jnp.zeros(3), x, t)
        return p.astype(np.float32) @ flow_matching.flow_matching_loss(network(weights, x), field)

    (one, one_gradient), (other, other_gradient) = (
        jax.jit(jax.value_and_grad(loss))(weights) for loss in (conditional, marginal)
    )
    np.testing.assert_allclose(one_gradient, other_gradient, rtol=2e-3, atol=2e-3)
    assert float(one) > float(other) + 0.05  # by the variance of the conditional field


def test_mistakes():
    with pytest.raises(ValueError, match="must have shapes \\[B, D\\], \\[K, D\\], \\[K\\]"):
        flow_matching.mixture_velocity(PATHS["cosine"], MEANS, STDS, np.zeros(2, np.float32), 0.5)
