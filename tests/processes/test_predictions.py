"""Every prediction against its definition by differentiation, all pairs of conversions, and Tweedie's formula."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm

from genjax import processes
from genjax.processes import EPS, SCORE, VELOCITY, X0, V

PREDICTIONS = (EPS, X0, V, SCORE, VELOCITY)
PATHS = {
    "cosine": processes.cosine_path(),
    "linear": processes.linear_path(),
    "sigmoid": processes.sigmoid_path(),
    "variance not kept": processes.Path(alpha=lambda t: 1.0 - t, sigma=lambda t: 0.1 + t),
}


def example(path, batch=5):
    """Return x_0, eps, x_t `[B, 2, 3]` and the point at one time an example."""
    keys = jax.random.split(jax.random.key(0), 3)
    x0, eps = jax.random.normal(keys[0], (batch, 2, 3)), jax.random.normal(keys[1], (batch, 2, 3))
    point = processes.point_at(path, jax.random.uniform(keys[2], (batch,), minval=0.1, maxval=0.8))
    return x0, eps, processes.diffuse(x0, eps, point), point


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_every_prediction_becomes_every_other(path):
    x0, eps, x_t, point = example(path)
    for source, target in itertools.product(PREDICTIONS, repeat=2):
        ours = processes.convert(source.target(x0, eps, point), x_t, point, source=source, target=target)
        pair = f"{source.name} to {target.name}"
        np.testing.assert_allclose(ours, target.target(x0, eps, point), rtol=2e-3, atol=2e-3, err_msg=pair)


def test_velocity_is_the_derivative_by_time():
    path = PATHS["linear"]
    x0, eps, _, _ = example(path)
    place = lambda t: processes.diffuse(x0, eps, processes.point_at(path, t))
    _, velocity = jax.jvp(place, (jnp.float32(0.3),), (jnp.float32(1.0),))
    ours = VELOCITY.target(x0, eps, processes.point_at(path, jnp.float32(0.3)))
    np.testing.assert_allclose(ours, velocity, rtol=1e-4, atol=1e-4)


def test_v_is_the_derivative_by_the_angle():
    x0, eps, _, _ = example(PATHS["cosine"])
    place = lambda angle: jnp.cos(angle) * x0 + jnp.sin(angle) * eps
    _, turned = jax.jvp(place, (jnp.float32(0.4),), (jnp.float32(1.0),))
    v = V.target(x0, eps, processes.Point(jnp.cos(0.4), jnp.sin(0.4)))
    np.testing.assert_allclose(v, turned, rtol=1e-5, atol=1e-5)


def test_score_is_the_gradient_of_the_log_density():
    x0, eps, x_t, point = example(PATHS["sigmoid"])
    alpha, sigma = processes.like(point.alpha, x0), processes.like(point.sigma, x0)
    log_q = lambda x: norm.logpdf(x, alpha * x0, jnp.broadcast_to(sigma, x.shape)).sum()
    np.testing.assert_allclose(SCORE.target(x0, eps, point), jax.grad(log_q)(x_t), rtol=1e-3, atol=1e-3)


def test_conditional_means_convert_as_tweedie_says():
    """Data are three numbers; the mean of x_0 given x_t, as a score, is the gradient of log q(x_t)."""
    data, weight = jnp.array([-1.0, 0.2, 1.5]), jnp.array([0.2, 0.5, 0.3])
    alpha, sigma = jnp.float32(0.8), jnp.float32(0.6)

    def log_terms(x):
        return jnp.log(weight) + norm.logpdf(x, alpha * data, sigma)

    x_t = jnp.linspace(-2.0, 2.0, 9)
    score = jax.vmap(jax.grad(lambda x: jax.nn.logsumexp(log_terms(x))))(x_t)
    mean = jax.vmap(lambda x: jax.nn.softmax(log_terms(x)) @ data)(x_t)
    ours = processes.convert(mean, x_t, processes.Point(alpha, sigma), source=X0, target=SCORE)
    np.testing.assert_allclose(ours, score, rtol=1e-4, atol=1e-5)


def test_denoiser_converts_spreads_time_and_constrains():
    schedule = processes.cosine_schedule(10)
    seen = []

    def predict(x_t, t):
        seen.append(t.shape)
        return jnp.ones_like(x_t)

    x_t = jnp.full((4, 2), 0.5)
    point_of = lambda t: processes.marginal(schedule, t)
    plain = processes.denoiser(predict, EPS, point_of)(x_t, jnp.int32(3))
    np.testing.assert_allclose(plain, (0.5 - schedule.sigma[3]) / schedule.alpha[3] * np.ones((4, 2)), rtol=1e-5)
    clipped = processes.denoiser(predict, EPS, point_of, constrain=processes.clip_symmetric)(20 * x_t, jnp.int32(9))
    assert seen == [(4,), (4,)] and np.all(clipped == 1.0)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda x: processes.diffuse(x, x[:1], processes.Point(1.0, 1.0)), "differ"),
        (lambda x: processes.diffuse(jnp.ones((2, 3), jnp.uint8), x, processes.Point(1.0, 1.0)), "must hold reals"),
        (lambda x: processes.diffuse(x, x, processes.Point(jnp.ones(3), jnp.ones(3))), "not one an example"),
        (lambda x: VELOCITY.target(x, x, processes.marginal(processes.arc_schedule(4), 1)), "needs the rates"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make(jnp.ones((2, 3)))
