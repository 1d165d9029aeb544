"""The adjoint's gradient against differentiation through the steps, and against a closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm, expm_frechet

from genjax import solvers


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


WEIGHTS = {"w": np.random.default_rng(0).normal(size=(3, 3)), "b": np.array([0.3, -0.1, 0.2])}
X = np.random.default_rng(1).normal(size=(4, 3))
TIGHT = {"rtol": 1e-9, "atol": 1e-9}


def velocity(x, t, weights):
    return jnp.tanh(x @ weights["w"] + t * weights["b"][None])


def loss(solve):
    def of(weights, x, start, end):
        return jnp.sum(jnp.sin(solve(velocity, weights, x, start, end)))

    return of


GRADED = [
    jax.jit(jax.value_and_grad(loss(solve), argnums=(0, 1, 2, 3)))
    for solve in (solvers.adaptive_solve(**TIGHT), solvers.fixed_solve(100))
]


@pytest.mark.parametrize("start, end", [(0.0, 1.5), (1.5, 0.2)])
def test_adjoint_is_the_gradient_through_the_steps(start, end):
    arguments = (WEIGHTS, X, np.float64(start), np.float64(end))
    ours, theirs = (graded(*arguments) for graded in GRADED)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8), ours, theirs)


def test_gradient_of_a_linear_equation_is_that_of_the_exponential():
    """x(1) = exp(A) x_0: its gradient by x_0 is exp(A)' v, by A the derivative of the exponential."""
    matrix, x0, v = WEIGHTS["w"], X[0], X[1]
    solve = solvers.adaptive_solve(**TIGHT)
    end = lambda matrix, x: v @ solve(lambda x, t, matrix: matrix @ x, matrix, x, 0.0, 1.0)
    by_matrix, by_x = jax.jit(jax.grad(end, argnums=(0, 1)))(matrix, x0)
    np.testing.assert_allclose(by_x, expm(matrix).T @ v, rtol=1e-6)
    # The derivative along B is v' L(A, B) x_0, and the adjoint of L(A, .) is L(A', .).
    wanted = expm_frechet(matrix.T, np.outer(v, x0), compute_expm=False)
    np.testing.assert_allclose(by_matrix, wanted, rtol=1e-6, atol=1e-8)


def test_what_the_velocity_closes_over_has_a_gradient_too():
    solve = solvers.adaptive_solve(**TIGHT)
    end = lambda rate: solve(lambda x, t, weights: rate * x, (), jnp.ones(()), 0.0, 1.0)
    assert float(jax.jit(jax.grad(end))(np.float64(0.7))) == pytest.approx(np.exp(0.7), rel=1e-6)


def test_unequal_steps_are_the_same_there_and_back():
    """dx/dt = 2 x t by Euler is a product over the steps, whichever way it is walked."""
    places = np.array([0.0, 0.1, 0.5, 1.0])
    solve = solvers.spaced_solve(places, tableau=solvers.EULER)
    end = jax.jit(lambda w, start, end: solve(lambda x, t, w: 2.0 * w * x * t, w, jnp.ones(()), start, end))
    times = 1.0 + 2.0 * places
    there = np.prod(1.0 + 2.0 * times[:-1] * np.diff(times))
    back = np.prod(1.0 - 2.0 * times[:0:-1] * np.diff(times)[::-1])
    assert float(end(1.0, 1.0, 3.0)) == pytest.approx(there) and float(end(1.0, 3.0, 1.0)) == pytest.approx(back)
    for wrong in ([0.0], [0.0, 0.5], [0.1, 1.0], [0.0, 0.7, 0.7, 1.0], [[0.0, 1.0]]):
        with pytest.raises(ValueError, match="must rise from 0 to 1"):
            solvers.spaced_solve(np.array(wrong))


def test_memory_of_the_adjoint_does_not_grow_with_the_steps():
    """The program's temporary memory, where a fixed grid of 16 and of 256 steps is differentiated either way."""
    x = np.ones((64, 500))

    def temporary(solve):
        gradient = jax.jit(jax.grad(lambda x: jnp.sum(solve(lambda x, t, w: jnp.sin(x), (), x, 0.0, 1.0))))
        return gradient.lower(x).compile().memory_analysis().temp_size_in_bytes

    def by_adjoint(num):
        times = lambda start, end: start + (end - start) * jnp.arange(num + 1, dtype=jnp.float64) / num
        return solvers.adjoint(lambda f, x, start, end: solvers.integrate(f, x, times(start, end), tableau=solvers.RK4))

    assert temporary(by_adjoint(256)) < 1.1 * temporary(by_adjoint(16))
    assert temporary(solvers.fixed_solve(256)) < 6 * temporary(solvers.fixed_solve(16))  # sqrt(16), and some
