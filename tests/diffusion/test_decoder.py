"""The discretized decoder: a distribution over levels, and scipy's masses of bins."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

from genjax.diffusion import discretized_normal_log_prob

log_mass = jax.jit(discretized_normal_log_prob, static_argnames="levels")


def grid(levels):
    return np.linspace(-1.0, 1.0, levels, dtype=np.float32)


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("std", [1e-4, 0.01, 0.3, 30.0])
def test_masses_of_all_levels_add_up_to_one(levels, std):
    for mean in (-3.0, -1.0, -0.3, 0.0, 0.97, 1.0, 2.0):
        x = grid(levels)
        log_prob = log_mass(x, np.full_like(x, mean), log_std=np.float32(np.log(std)), levels=levels)
        assert logsumexp(np.asarray(log_prob)) == pytest.approx(0.0, abs=2e-4)


def test_masses_are_those_of_scipy():
    x = np.linspace(-1, 1, 17)
    edges = np.concatenate([[-np.inf], 0.5 * (x[1:] + x[:-1]), [np.inf]])
    for mean, std in ((0.1, 0.2), (-0.9, 0.05), (0.4, 1.0)):
        mass = np.diff(norm.cdf(edges, mean, std))
        means, log_stds = (np.full(17, value, np.float32) for value in (mean, np.log(std)))
        ours = np.asarray(log_mass(grid(17), means, log_std=log_stds, levels=17))
        likely = mass > 1e-12  # elsewhere the differences of scipy's cdf are rounding errors
        np.testing.assert_allclose(ours[likely], np.log(mass[likely]), rtol=1e-3, atol=1e-4)


def test_far_tails_are_finite_with_a_gradient_towards_the_data():
    """A level sixty standard deviations away: the mass underflows, its logarithm is that of the normal's tail."""
    log_prob = lambda mean: discretized_normal_log_prob(jnp.zeros(1), mean, log_std=jnp.log(0.01), levels=17)[0]
    nearest = (0.6625 - 1 / 16) / 0.01  # distance to the bin's edge
    value, slope = jax.jit(jax.value_and_grad(log_prob))(np.array([0.6625], np.float32))
    assert float(value) == pytest.approx(norm.logsf(nearest), rel=1e-3)
    assert np.isfinite(slope) and slope < 0


def test_what_is_off_the_grid_has_no_mass():
    x = np.array([-1.5, 1.5, 1.0], np.float32)
    log_prob = np.asarray(log_mass(x, np.zeros(3, np.float32), log_std=np.float32(0.0), levels=17))
    assert np.all(np.isinf(log_prob[:2])) and np.isfinite(log_prob[2])


@pytest.mark.parametrize(
    "x, log_std, levels, message",
    [
        (np.zeros(3, np.int32), 0.0, 17, "scaled onto"),
        (np.zeros(3, np.float32), 0.0, 1, "at least 2"),
        (np.zeros(3, np.float32), np.zeros(2, np.float32), 17, "a scalar or"),
    ],
)
def test_what_does_not_fit_is_refused(x, log_std, levels, message):
    with pytest.raises(ValueError, match=message):
        discretized_normal_log_prob(x, x, log_std=log_std, levels=levels)
    with pytest.raises(ValueError, match="differ"):
        zeros = lambda *shape: np.zeros(shape, np.float32)
        discretized_normal_log_prob(zeros(2, 3), zeros(3), log_std=np.float32(0.0), levels=17)
