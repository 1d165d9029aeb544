"""The likelihood by the probability-flow ODE against a mixture's density; the path from integers is bits/dim's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import processes, solvers
from genjax.data_path import dequantized_symmetric
from genjax.diffusion import ode_log_prob
from genjax.processes import point_at
from tests.diffusion import exact

KEY = jax.random.key(0)
MIXTURE = exact.Mixture([0.4, 0.6], [[-0.5, 0.4], [0.7, -0.2]], [0.3, 0.4])
TIMES = np.linspace(1e-3, 1.0, 81)
X = np.random.default_rng(0).normal(0.0, 0.7, (12, 2)).astype(np.float32)


def score(path, trace, key=KEY, x=X, scale=1.0):
    point_of = jax.jit(lambda t: point_at(path, t))
    velocity = processes.probability_flow(MIXTURE.denoiser(point_of), path)
    end = processes.coefficients(point_of, TIMES[-1:])[1][0]
    return ode_log_prob(key, velocity, x, TIMES, trace=trace, tableau=solvers.RK4, end_std=end)


@pytest.mark.parametrize(
    "path",
    [
        processes.linear_path(),
        processes.sub_vp_path(),
        processes.exploding_path(0.01, 300.0),
        processes.straight_path(1e-4),
    ],
    ids=["VP", "sub-VP", "VE", "straight"],
)
def test_likelihood_is_the_density(path):
    """What the mixture leaves in x_1 (alpha = 0.007 on the linear path) and RK4's error stay below a hundredth."""
    nats = jax.jit(lambda x: score(path, solvers.exact_trace(), x=x))(X)
    point = point_at(path, jnp.float32(TIMES[0]))
    truth = MIXTURE.log_prob(X, float(point.alpha), float(point.sigma))
    np.testing.assert_allclose(nats, truth, atol=0.02)


def test_estimated_traces_have_the_exact_likelihood_for_their_mean():
    path = processes.linear_path()
    keys = jax.random.split(KEY, 400)
    each = np.asarray(jax.jit(jax.vmap(lambda key: score(path, solvers.rademacher_trace(), key, X[:3])))(keys))
    exact_nats = jax.jit(lambda x: score(path, solvers.exact_trace(), x=x))(X[:3])
    error = each.std(axis=0) / np.sqrt(len(keys))
    assert np.all(error > 0) and np.all(np.abs(each.mean(axis=0) - exact_nats) < 5 * error + 1e-5)


def test_integers_are_refused_and_dequantized_on_the_one_path():
    with pytest.raises(ValueError, match="integers have no density"):
        integers, options = np.zeros((2, 3), np.int32), {"trace": solvers.exact_trace(), "tableau": solvers.RK4}
        ode_log_prob(KEY, lambda x, t: x, integers, TIMES, **options)
    path, x = dequantized_symmetric(17), np.arange(17, dtype=np.int32).reshape(1, 17)
    y, log_det = (np.asarray(a) for a in jax.jit(path.to_model)(KEY, x))
    assert np.all(np.diff(y[0]) > 0) and y.min() > -1 and y.max() < 1
    np.testing.assert_array_equal(jax.jit(path.from_model)(y), x)
    # Each level's cell is 2 / 17 wide: uniform noise over [-1, 1] gives every level 1 / 17.
    np.testing.assert_allclose(17 * np.log(0.5) + log_det, [-17 * np.log(17)], rtol=1e-6)
