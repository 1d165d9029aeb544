"""Schemes by their order of convergence, against matrix exponentials and scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from genjax import solvers

SCHEMES = {
    name: getattr(solvers, name)
    for name in ("EULER", "MIDPOINT", "HEUN", "RALSTON", "RK4", "BOGACKI_SHAMPINE", "DORMAND_PRINCE")
}
PAIRS = {name: scheme for name, scheme in SCHEMES.items() if scheme.error}


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def pendulum(x, t):
    """A driven pendulum: nothing in it is linear, and time takes part."""
    return jnp.stack([x[1], -jnp.sin(x[0]) + 0.5 * jnp.cos(2.0 * t)])


def exact(start, end, x):
    right = lambda t, y: np.array([y[1], -np.sin(y[0]) + 0.5 * np.cos(2.0 * t)])
    return solve_ivp(right, (start, end), x, method="DOP853", rtol=1e-13, atol=1e-13).y[:, -1]


@pytest.mark.parametrize("tableau", SCHEMES.values(), ids=SCHEMES)
@pytest.mark.parametrize("start, end", [(0.0, 2.0), (2.0, 0.0)])
def test_error_falls_with_the_order(tableau, start, end):
    x = np.array([1.0, 0.3])
    truth, errors, steps = exact(start, end, x), [], np.array([40, 80, 160])
    for num in steps:
        times = jnp.linspace(start, end, num + 1)
        errors.append(np.abs(solvers.integrate(pendulum, jnp.asarray(x), times, tableau=tableau) - truth).max())
    slope = np.polyfit(np.log(1.0 / steps), np.log(errors), 1)[0]
    assert slope == pytest.approx(tableau.order, abs=0.2)


@pytest.mark.parametrize("tableau", PAIRS.values(), ids=PAIRS)
def test_the_estimate_of_the_error_is_of_the_embedded_order(tableau):
    """One step's estimate falls as h^p where the embedded scheme is of order p - 1."""
    from genjax.solvers.ode import move, stages

    x, sizes = jnp.array([1.0, 0.3]), np.array([0.04, 0.02, 0.01])
    estimates = []
    for h in sizes:
        slopes = stages(pendulum, x, jnp.float64(0.0), jnp.float64(h), tableau)
        estimates.append(np.abs(move(jnp.zeros(2), jnp.float64(h), tableau.error, slopes)).max())
    slope = np.polyfit(np.log(sizes), np.log(estimates), 1)[0]
    assert slope == pytest.approx(tableau.order, abs=0.25)


def test_a_linear_equation_is_the_matrix_exponential():
    matrix = np.random.default_rng(0).normal(size=(3, 3))
    x = np.array([1.0, -2.0, 0.5])
    ours = solvers.integrate(lambda x, t: matrix @ x, jnp.asarray(x), jnp.linspace(0, 1, 101), tableau=solvers.RK4)
    np.testing.assert_allclose(ours, expm(matrix) @ x, rtol=1e-7)


def test_trees_grids_and_paths():
    """Leaves move on their own; uneven grids are taken as they are; a path ends where the integral does."""
    x = {"a": jnp.ones(2), "b": (jnp.float64(3.0),)}
    velocity = lambda x, t: jax.tree.map(lambda leaf: -leaf + t, x)
    times = jnp.array([0.0, 0.1, 0.15, 0.4, 1.0])
    end = solvers.integrate(velocity, x, times, tableau=solvers.RK4)
    path = solvers.trajectory(velocity, x, times, tableau=solvers.RK4)
    assert path["a"].shape == (5, 2)
    closed = lambda c, t: (c + 1.0) * np.exp(-t) + t - 1.0
    np.testing.assert_allclose(path["a"][:, 0], closed(1.0, np.asarray(times)), atol=1e-3)
    np.testing.assert_allclose(path["b"][0], closed(3.0, np.asarray(times)), atol=3e-3)
    jax.tree.map(lambda last, whole: np.testing.assert_allclose(last, whole[-1], rtol=1e-12), end, path)


@pytest.mark.parametrize("num", [1, 7, 12])
def test_checkpoints_change_nothing(num):
    times = jnp.linspace(0.0, 1.0, num + 1)
    value = lambda solve: lambda x: jnp.sum(solve(pendulum, x, times, tableau=solvers.HEUN) ** 2)
    x = jnp.array([1.0, 0.3])
    ours, theirs = (jax.value_and_grad(value(s))(x) for s in (solvers.integrate_checkpointed, solvers.integrate))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), ours, theirs)


def test_checkpoints_hold_fewer_steps():
    """The memory of the gradient's program for 256 steps of a wide state, by the compiler's own account."""
    x, times = jnp.ones(10_000), jnp.linspace(0.0, 1.0, 257)

    def temporary(solve):
        loss = lambda x: jnp.sum(solve(lambda x, t: jnp.sin(x), x, times, tableau=solvers.RK4))
        return jax.jit(jax.grad(loss)).lower(x).compile().memory_analysis().temp_size_in_bytes

    assert temporary(solvers.integrate_checkpointed) < temporary(solvers.integrate) / 5


@pytest.mark.parametrize("tableau", PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("start, end", [(0.0, 5.0), (5.0, 0.0)])
def test_adaptive_steps_meet_the_tolerance(tableau, start, end):
    x = np.array([1.0, 0.3])
    truth, steps = exact(start, end, x), []
    for tolerance in (1e-4, 1e-7):
        options = {"tableau": tableau, "rtol": tolerance, "atol": tolerance, "max_steps": 5000}
        solution = solvers.integrate_adaptive(pendulum, jnp.asarray(x), start, end, **options)
        assert solution.finished and np.abs(solution.x - truth).max() < 20 * tolerance
        steps.append(int(solution.accepted))
    assert steps[1] > 2 * steps[0]


def test_adaptive_steps_shorten_where_it_is_steep():
    """A jump of the velocity's size: rejected steps, and the right end all the same."""
    velocity = lambda x, t: 200.0 * jnp.exp(-(((t - 0.5) / 0.01) ** 2)) * jnp.ones_like(x)
    solution = solvers.integrate_adaptive(velocity, jnp.zeros(1), 0.0, 1.0, rtol=1e-8, atol=1e-8)
    assert solution.rejected > 0
    np.testing.assert_allclose(solution.x, 200.0 * 0.01 * np.sqrt(np.pi), rtol=1e-6)


def test_steps_that_run_out_are_told():
    solution = solvers.integrate_adaptive(pendulum, jnp.ones(2), 0.0, 100.0, rtol=1e-10, atol=1e-10, max_steps=5)
    assert not solution.finished and np.isnan(solution.x).all() and solution.accepted + solution.rejected == 5
    blown = solvers.integrate_adaptive(lambda x, t: x**2, jnp.full(1, 2.0), 0.0, 1.0, max_steps=50)  # infinite at 1/2
    assert not blown.finished


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: solvers.tableau(((), (0.5, 0.5)), (0.0, 1.0), order=2), "no explicit scheme of 2 stages"),
        (lambda: solvers.tableau(((), (0.5,)), (0.5, 1.0), order=2), "sum to 1"),
        (lambda: solvers.integrate(pendulum, jnp.ones(2), jnp.zeros(1), tableau=solvers.RK4), "N at least 1"),
        (lambda: solvers.integrate_adaptive(pendulum, jnp.ones(2), 0.0, 1.0, tableau=solvers.RK4), "cannot estimate"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
