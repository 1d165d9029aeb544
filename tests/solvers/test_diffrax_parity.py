"""Schemes of ordinary and stochastic equations step for step beside diffrax."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import solvers

diffrax = pytest.importorskip("diffrax", reason="parity with diffrax needs the extra 'parity'")
pytestmark = pytest.mark.parity

SCHEMES = {
    "EULER": "Euler",
    "MIDPOINT": "Midpoint",
    "HEUN": "Heun",
    "RALSTON": "Ralston",
    "BOGACKI_SHAMPINE": "Bosh3",
    "DORMAND_PRINCE": "Dopri5",
}
X = np.array([1.0, 0.3])


@pytest.fixture(autouse=True)
def double():
    # diffrax promotes ranks and dtypes on its way.
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def pendulum(x, t):
    return jnp.stack([x[1], -jnp.sin(x[0]) + 0.5 * jnp.cos(2.0 * t)])


def theirs(terms, scheme, steps, **options):
    solved = diffrax.diffeqsolve(terms, scheme, 0.0, 2.0, 2.0 / steps if steps else None, jnp.asarray(X), **options)
    return np.asarray(solved.ys[-1]), solved.stats


@pytest.mark.parametrize("ours, peer", SCHEMES.items())
def test_schemes_make_the_same_steps(ours, peer):
    scheme = getattr(diffrax, peer)()
    options = {"stepsize_controller": diffrax.ConstantStepSize()}
    end, _ = theirs(diffrax.ODETerm(lambda t, x, _: pendulum(x, t)), scheme, 16, **options)
    made = solvers.integrate(pendulum, jnp.asarray(X), jnp.linspace(0.0, 2.0, 17), tableau=getattr(solvers, ours))
    np.testing.assert_allclose(made, end, rtol=1e-12)
    assert np.abs(end - X).max() > 0.1


def test_adaptive_steps_of_one_pair_meet_one_tolerance():
    controller = diffrax.PIDController(rtol=1e-6, atol=1e-6)
    end, stats = theirs(
        diffrax.ODETerm(lambda t, x, _: pendulum(x, t)), diffrax.Dopri5(), 0, stepsize_controller=controller
    )
    solved = solvers.integrate_adaptive(pendulum, jnp.asarray(X), 0.0, 2.0, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(solved.x, end, atol=1e-5)
    assert int(solved.accepted) < 2 * int(stats["num_accepted_steps"])


@pytest.mark.parametrize(
    "step, peer, diffusion",
    [
        (solvers.euler_maruyama_step, "Euler", lambda x, t: 0.3 * x * (1.0 + t)),
        (solvers.heun_step, "Heun", lambda x, t: 0.3 * (1.0 + t) * jnp.ones_like(x)),
    ],
    ids=["Euler-Maruyama", "Heun"],
)
def test_stochastic_schemes_make_the_same_steps_along_one_path(step, peer, diffusion):
    motion = diffrax.VirtualBrownianTree(0.0, 2.0, tol=1e-3, shape=(2,), key=jax.random.key(0))
    terms = diffrax.MultiTerm(
        diffrax.ODETerm(lambda t, x, _: pendulum(x, t)),
        diffrax.ControlTerm(lambda t, x, _: jnp.diag(diffusion(x, t)), motion),
    )
    end, _ = theirs(terms, getattr(diffrax, peer)(), 8)
    x, times = jnp.asarray(X), np.linspace(0.0, 2.0, 9)
    for t, later in itertools.pairwise(times):
        noise = motion.evaluate(t, later) / np.sqrt(later - t)
        x = step(x, jnp.float64(t), jnp.float64(later - t), noise, pendulum, diffusion)
    np.testing.assert_allclose(x, end, rtol=1e-9)
