"""Schemes by their order of convergence, against matrix exponentials and scipy."""

import functools

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


@functools.cache
def integrated(tableau):
    return jax.jit(lambda x, times: solvers.integrate(pendulum, x, times, tableau=tableau))


@pytest.mark.parametrize("tableau", SCHEMES.values(), ids=SCHEMES)
@pytest.mark.parametrize("start, end", [(0.0, 2.0), (2.0, 0.0)])
def test_error_falls_with_the_order(tableau, start, end):
    x = np.array([1.0, 0.3])
    truth, steps = exact(start, end, x), np.array([40, 80, 160])
    ends = [integrated(tableau)(x, np.linspace(start, end, num + 1)) for num in steps]
    errors = np.abs(np.stack(ends) - truth).max(axis=1)
    slope = np.polyfit(np.log(1.0 / steps), np.log(errors), 1)[0]
    assert slope == pytest.approx(tableau.order, abs=0.2)


@pytest.mark.parametrize("tableau", PAIRS.values(), ids=PAIRS)
def test_the_estimate_of_the_error_is_of_the_embedded_order(tableau):
    """One step's estimate falls as h^p where the embedded scheme is of order p - 1."""
    from genjax.solvers.ode import move, stages

    x, sizes = np.array([1.0, 0.3]), np.array([0.04, 0.02, 0.01])

    @jax.jit
    def estimate(h):
        return move(jnp.zeros(2), h, tableau.error, stages(pendulum, jnp.asarray(x), jnp.float64(0.0), h, tableau))

    estimates = [np.abs(estimate(h)).max() for h in sizes]
    slope = np.polyfit(np.log(sizes), np.log(estimates), 1)[0]
    assert slope == pytest.approx(tableau.order, abs=0.25)


def test_a_linear_equation_is_the_matrix_exponential():
    matrix = np.random.default_rng(0).normal(size=(3, 3))
    x = np.array([1.0, -2.0, 0.5])
    times = np.linspace(0, 1, 101)
    ours = jax.jit(lambda x: solvers.integrate(lambda x, t: matrix @ x, x, times, tableau=solvers.RK4))
    np.testing.assert_allclose(ours(x), expm(matrix) @ x, rtol=1e-7)


def test_trees_grids_and_paths():
    """Leaves move on their own; uneven grids are taken as they are; a path ends where the integral does."""
    x = {"a": np.ones(2), "b": (np.float64(3.0),)}
    velocity = lambda x, t: jax.tree.map(lambda leaf: -leaf + t, x)
    times = np.array([0.0, 0.1, 0.15, 0.4, 1.0])
    solved = lambda solve: jax.device_get(jax.jit(lambda x: solve(velocity, x, times, tableau=solvers.RK4))(x))
    end, path = solved(solvers.integrate), solved(solvers.trajectory)
    assert path["a"].shape == (5, 2)
    closed = lambda c, t: (c + 1.0) * np.exp(-t) + t - 1.0
    np.testing.assert_allclose(path["a"][:, 0], closed(1.0, times), atol=1e-3)
    np.testing.assert_allclose(path["b"][0], closed(3.0, times), atol=3e-3)
    jax.tree.map(lambda last, whole: np.testing.assert_allclose(last, whole[-1], rtol=1e-12), end, path)


@pytest.mark.parametrize("num", [1, 7, 12])
def test_checkpoints_change_nothing(num):
    times = np.linspace(0.0, 1.0, num + 1)
    value = lambda solve: lambda x: jnp.sum(solve(pendulum, x, times, tableau=solvers.HEUN) ** 2)
    graded = lambda solve: jax.jit(jax.value_and_grad(value(solve)))(np.array([1.0, 0.3]))
    ours, theirs = graded(solvers.integrate_checkpointed), graded(solvers.integrate)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), ours, theirs)


def test_checkpoints_hold_fewer_steps():
    """The memory of the gradient's program for 256 steps of a wide state, by the compiler's own account."""
    x, times = np.ones(10_000), np.linspace(0.0, 1.0, 257)

    def temporary(solve):
        loss = lambda x: jnp.sum(solve(lambda x, t: jnp.sin(x), x, times, tableau=solvers.RK4))
        return jax.jit(jax.grad(loss)).lower(x).compile().memory_analysis().temp_size_in_bytes

    assert temporary(solvers.integrate_checkpointed) < temporary(solvers.integrate) / 5


@functools.cache
def adaptively(tableau):
    solve = lambda x, start, end, tolerance: solvers.integrate_adaptive(
        pendulum, x, start, end, tableau=tableau, rtol=tolerance, atol=tolerance, max_steps=5000
    )
    return jax.jit(solve)


@pytest.mark.parametrize("tableau", PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("start, end", [(0.0, 5.0), (5.0, 0.0)])
def test_adaptive_steps_meet_the_tolerance(tableau, start, end):
    x = np.array([1.0, 0.3])
    truth, steps = exact(start, end, x), []
    for tolerance in (1e-4, 1e-7):
        solution = jax.device_get(adaptively(tableau)(x, start, end, tolerance))
        assert solution.finished and np.abs(solution.x - truth).max() < 20 * tolerance
        steps.append(int(solution.accepted))
    assert steps[1] > 2 * steps[0]


def test_adaptive_steps_shorten_where_it_is_steep():
    """A jump of the velocity's size: rejected steps, and the right end all the same."""
    velocity = lambda x, t: 200.0 * jnp.exp(-(((t - 0.5) / 0.01) ** 2)) * jnp.ones_like(x)
    solve = jax.jit(lambda x: solvers.integrate_adaptive(velocity, x, 0.0, 1.0, rtol=1e-8, atol=1e-8))
    solution = jax.device_get(solve(np.zeros(1)))
    assert solution.rejected > 0
    np.testing.assert_allclose(solution.x, 200.0 * 0.01 * np.sqrt(np.pi), rtol=1e-6)


def test_steps_that_run_out_are_told():
    tight = {"rtol": 1e-10, "atol": 1e-10, "max_steps": 5}
    solve = jax.jit(lambda x: solvers.integrate_adaptive(pendulum, x, 0.0, 100.0, **tight))
    solution = jax.device_get(solve(np.ones(2)))
    assert not solution.finished and np.isnan(solution.x).all() and solution.accepted + solution.rejected == 5
    # Infinite at 1/2.
    blown = jax.jit(lambda x: solvers.integrate_adaptive(lambda x, t: x**2, x, 0.0, 1.0, max_steps=50))(np.full(1, 2.0))
    assert not blown.finished


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: solvers.tableau(((), (0.5, 0.5)), (0.0, 1.0), order=2), "no explicit scheme of 2 stages"),
        (lambda: solvers.tableau(((), (0.5,)), (0.5, 1.0), order=2), "sum to 1"),
        (lambda: solvers.integrate(pendulum, np.ones(2), np.zeros(1), tableau=solvers.RK4), "N at least 1"),
        (lambda: solvers.integrate_adaptive(pendulum, np.ones(2), 0.0, 1.0, tableau=solvers.RK4), "cannot estimate"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
