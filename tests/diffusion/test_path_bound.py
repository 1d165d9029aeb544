"""The bound in continuous time: exact where the score is, a bound where it is not; the flow's likelihood beside it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import norm

from genjax import processes, solvers
from genjax.diffusion import ode_log_prob, path_bound
from genjax.processes import like, point_at
from tests.diffusion import exact

PATH, START = processes.linear_path(), 0.01
MEAN = 0.0  # that of the noise, on which bound and flow stand
POINT_OF = jax.jit(lambda t: point_at(PATH, t))  # samplers read grids off it outside of any jit
TIMES = processes.log_snr_times(POINT_OF, 40, start=1.0, end=START)[::-1]
Y = np.random.default_rng(0).normal(0.0, 0.5, (7, 2)).astype(np.float32)


def denoiser(strength):
    """Return the denoiser of `strength` times the score of N(MEAN, 0.5^2)."""

    def denoise(x, t):
        point = POINT_OF(t)
        alpha, sigma = (like(c, x) for c in point[:2])
        score = -strength * (x - alpha * MEAN) / (alpha**2 * exact.STD**2 + sigma**2)
        return (x + sigma**2 * score) / alpha

    return denoise


def bounds(denoise, y, num=100, data_std=exact.STD):
    """Return means [B] and their standard errors over `num` keys."""
    once = jax.jit(jax.vmap(lambda key: sum(path_bound(key, denoise, PATH, y, TIMES, data_std=data_std))))
    values = np.asarray(once(jax.random.split(jax.random.key(0), num)), np.float64)
    return values.mean(axis=0), values.std(axis=0) / np.sqrt(num)


def law(strength):
    """Return mean and standard deviation at START of the reverse equation with that score, by its moments."""

    @jax.jit
    def at(t):
        point = POINT_OF(t)
        return point, processes.drift_rate(point), processes.diffusion_squared(point)

    def slope(t, moments):
        point, f, g2 = jax.tree.map(float, at(np.float32(t)))
        gain = strength * g2 / (point.alpha**2 * exact.STD**2 + point.sigma**2)
        mean, variance = moments
        return [(f + gain) * mean - gain * point.alpha * MEAN, 2 * (f + gain) * variance - g2]

    mean, variance = solve_ivp(slope, (1.0, START), [0.0, 1.0], rtol=1e-6, atol=1e-8).y[:, -1]
    return mean, np.sqrt(variance)


def test_with_the_exact_score_bound_and_flow_are_the_likelihood():
    point = POINT_OF(jnp.float32(START))
    std = float(np.sqrt((point.alpha * exact.STD) ** 2 + point.sigma**2))
    truth = -norm.logpdf(Y.astype(np.float64), float(point.alpha) * MEAN, std).sum(axis=1)
    mean, error = bounds(denoiser(1.0), Y)
    assert error.max() < 0.02 and np.all(np.abs(mean - truth) < 4 * error + 1e-3)
    velocity = processes.probability_flow(denoiser(1.0), PATH)
    np.testing.assert_allclose(-flow_log_prob(velocity, Y), truth, atol=2e-3)


def flow_log_prob(velocity, y):
    options = {"trace": solvers.exact_trace(), "tableau": solvers.RK4}
    return np.asarray(jax.jit(lambda y: ode_log_prob(jax.random.key(1), velocity, y, TIMES, **options))(y))


def test_with_another_score_it_is_a_bound_on_the_reverse_equation():
    mean_at_start, std = law(0.8)
    truth = -norm.logpdf(Y.astype(np.float64), mean_at_start, std).sum(axis=1)
    mean, error = bounds(denoiser(0.8), Y)
    assert np.all(mean > truth - 4 * error)
    assert np.mean(mean - truth) > 0.02


def test_bits_of_a_mixture_agree_within_their_error_bars():
    """Held-out points of one model, scored by both: the difference of the means is within its standard error."""
    mixture = exact.Mixture([0.4, 0.6], [[-0.6, 0.2], [0.5, -0.3]], [0.2, 0.3])
    random = np.random.default_rng(1)
    parts = random.choice(2, 300, p=mixture.weights)
    alpha, sigma = (float(c) for c in POINT_OF(jnp.float32(START))[:2])
    x0 = mixture.means[parts] + mixture.stds[parts, None] * random.normal(size=(300, 2))
    y = (alpha * x0 + sigma * random.normal(size=(300, 2))).astype(np.float32)
    one = mixture.denoiser(POINT_OF)
    each = jax.vmap(lambda x, t: one(x[None], t)[0])  # an example's own time
    denoise = lambda x, t: each(x, jnp.broadcast_to(t, x.shape[:1]))
    bound, _ = bounds(denoise, y, num=20, data_std=0.7)
    velocity = processes.probability_flow(one, PATH)
    flow = -flow_log_prob(velocity, y)
    apart = bound - flow.astype(np.float64)
    assert abs(apart.mean()) < 4 * apart.std() / np.sqrt(len(y)) and apart.std() / np.sqrt(len(y)) < 0.03
    np.testing.assert_allclose(np.mean(flow), -mixture.log_prob(y, alpha, sigma).mean(), atol=5e-3)


def test_what_is_subtracted_changes_the_spread_alone():
    near, far = bounds(denoiser(1.0), Y, num=400), bounds(denoiser(1.0), Y, num=400, data_std=3.0)
    assert np.all(np.abs(near[0] - far[0]) < 4 * np.hypot(near[1], far[1])) and np.all(near[1] < 0.5 * far[1])


def test_integers_are_refused():
    with pytest.raises(ValueError, match="the bound is of reals"):
        path_bound(jax.random.key(0), denoiser(1.0), PATH, np.zeros((2, 2), np.uint8), TIMES)
