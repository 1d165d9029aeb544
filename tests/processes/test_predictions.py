"""Every prediction against its definition by differentiation, all pairs of conversions, and Tweedie's formula."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm

from genjax import processes
from genjax.processes import EPS, SCORE, VELOCITY, X0, V

PREDICTIONS = (EPS, X0, V, SCORE, VELOCITY, processes.preconditioned(0.5))
PATHS = {
    "cosine": processes.cosine_path(),
    "linear": processes.linear_path(),
    "sigmoid": processes.sigmoid_path(),
    "variance not kept": processes.Path(alpha=lambda t: 1.0 - t, sigma=lambda t: 0.1 + t),
}


def example(path, batch=5):
    """Return x_0, eps, x_t `[B, 2, 3]` and the point at one time an example."""
    random = np.random.default_rng(0)
    x0, eps = random.normal(size=(2, batch, 2, 3)).astype(np.float32)
    t = random.uniform(0.1, 0.8, batch).astype(np.float32)
    point = jax.jit(lambda t: processes.point_at(path, t))(t)
    return x0, eps, jax.jit(processes.diffuse)(x0, eps, point), point


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_every_prediction_becomes_every_other(path):

    @jax.jit
    def everything(x0, eps, x_t, point):
        wanted = {kind.name: kind.target(x0, eps, point) for kind in PREDICTIONS}
        pairs = itertools.product(PREDICTIONS, repeat=2)
        made = lambda source, target: processes.convert(wanted[source.name], x_t, point, source=source, target=target)
        return {(source.name, target.name): (made(source, target), wanted[target.name]) for source, target in pairs}

    for pair, (ours, wanted) in everything(*example(path)).items():
        np.testing.assert_allclose(ours, wanted, rtol=2e-3, atol=2e-3, err_msg=" to ".join(pair))


def test_velocity_is_the_derivative_by_time():
    path = PATHS["linear"]
    x0, eps, _, _ = example(path)
    place = lambda t: processes.diffuse(x0, eps, processes.point_at(path, t))
    velocity = lambda t: jax.jvp(place, (t,), (jnp.float32(1.0),))[1]
    both = jax.jit(lambda t: (VELOCITY.target(x0, eps, processes.point_at(path, t)), velocity(t)))
    np.testing.assert_allclose(*both(np.float32(0.3)), rtol=1e-4, atol=1e-4)


def test_v_is_the_derivative_by_the_angle():
    x0, eps, _, _ = example(PATHS["cosine"])
    place = lambda angle: jnp.cos(angle) * x0 + jnp.sin(angle) * eps
    turned = lambda angle: jax.jvp(place, (angle,), (jnp.float32(1.0),))[1]
    v = lambda angle: V.target(x0, eps, processes.Point(jnp.cos(angle), jnp.sin(angle)))
    np.testing.assert_allclose(*jax.jit(lambda angle: (v(angle), turned(angle)))(np.float32(0.4)), rtol=1e-5, atol=1e-5)


def test_score_is_the_gradient_of_the_log_density():
    x0, eps, x_t, point = example(PATHS["sigmoid"])

    def log_q(x, point):
        alpha, sigma = processes.like(point.alpha, x0), processes.like(point.sigma, x0)
        return norm.logpdf(x, alpha * x0, jnp.broadcast_to(sigma, x.shape)).sum()

    both = jax.jit(lambda x, point: (SCORE.target(x0, eps, point), jax.grad(log_q)(x, point)))
    np.testing.assert_allclose(*both(x_t, point), rtol=1e-3, atol=1e-3)


def test_conditional_means_convert_as_tweedie_says():
    """Data are three numbers; the mean of x_0 given x_t, as a score, is the gradient of log q(x_t)."""
    data, weight = np.array([-1.0, 0.2, 1.5], np.float32), np.array([0.2, 0.5, 0.3], np.float32)
    alpha, sigma = np.float32(0.8), np.float32(0.6)

    def log_terms(x):
        return jnp.log(weight) + norm.logpdf(x, alpha * data, sigma)

    @jax.jit
    def both(x_t):
        score = jax.vmap(jax.grad(lambda x: jax.nn.logsumexp(log_terms(x))))(x_t)
        mean = jax.vmap(lambda x: jax.nn.softmax(log_terms(x)) @ data)(x_t)
        return processes.convert(mean, x_t, processes.Point(alpha, sigma), source=X0, target=SCORE), score

    np.testing.assert_allclose(*both(np.linspace(-2.0, 2.0, 9, dtype=np.float32)), rtol=1e-4, atol=1e-5)


def test_denoiser_converts_spreads_time_and_constrains():
    schedule = processes.cosine_schedule(10)
    seen = []

    def predict(x_t, t):
        seen.append(t.shape)
        return jnp.ones_like(x_t)

    x_t = np.full((4, 2), 0.5, np.float32)
    point_of = lambda t: processes.marginal(schedule, t)
    plain = jax.jit(processes.denoiser(predict, EPS, point_of))(x_t, np.int32(3))
    np.testing.assert_allclose(plain, (0.5 - schedule.sigma[3]) / schedule.alpha[3] * np.ones((4, 2)), rtol=1e-5)
    clipping = processes.denoiser(predict, EPS, point_of, constrain=processes.clip_symmetric)
    clipped = jax.jit(clipping)(20 * x_t, np.int32(9))
    assert seen == [(4,), (4,)] and np.all(np.asarray(clipped) == 1.0)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda x: processes.diffuse(x, x[:1], processes.Point(1.0, 1.0)), "differ"),
        (lambda x: processes.diffuse(np.ones((2, 3), np.uint8), x, processes.Point(1.0, 1.0)), "must hold reals"),
        (lambda x: processes.diffuse(x, x, processes.Point(np.ones(3), np.ones(3))), "not one an example"),
        (lambda x: VELOCITY.target(x, x, processes.marginal(processes.arc_schedule(4), 1)), "needs the rates"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make(np.ones((2, 3), np.float32))
