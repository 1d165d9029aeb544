"""Sampling and exact likelihood along the probability-flow ODE (Song et al. 2021, section 4.3 and appendix D).

    d x / dt = u(x, t),   log p_0(x_0) = log p_T(x_T) + int_0^T div u(x_t, t) dt                    eq. 13 and 39

`genjax.processes.probability_flow` gives u of a denoiser, flow matching learns it; the schemes are those of
`genjax.solvers`. The ODE is started at a time above 0 where sigma is 0 there: what is scored is the density at that
time, of data with that little noise.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array, PyTree
from genjax.diffusion.sampler import Sampler, Step, gaussian_start, row
from genjax.distributions import normal_log_prob, per_example
from genjax.processes.denoisers import Denoiser
from genjax.processes.paths import Path, point_at
from genjax.processes.sde import probability_flow
from genjax.solvers import Solution, Tableau, Trace, integrate, integrate_adaptive, ode_step

Velocity = Callable[[Array, Array], Array]


def ode_sampler(velocity: Velocity, times: np.ndarray, *, tableau: Tableau, start_std: float = 1.0) -> Sampler:
    """Return a Runge-Kutta scheme of an ODE as a sampler.

    Args:
        velocity: (x [N, ...], t []) -> dx/dt.
        times: [N + 1], from noise to data.
        tableau: the scheme: EULER, MIDPOINT, HEUN, RK4, ... of `genjax.solvers`.
        start_std: standard deviation of the first x.

    Returns:
        A sampler; the x0 of its trajectory is x itself.
    """

    def step(key: Array, x: Array, memory: PyTree, n: Array) -> Step:
        del key
        t = row(times, n)
        return Step(ode_step(velocity, x, t, row(times[1:], n) - t, tableau=tableau), x, memory)

    return Sampler(np.asarray(times, np.float64), gaussian_start(start_std), step)


def flow_sampler(denoise: Denoiser, path: Path, times: np.ndarray, *, tableau: Tableau) -> Sampler:
    """Return `ode_sampler` of a denoiser's probability flow, from N(0, sigma^2 I) at the first time."""
    with jax.ensure_compile_time_eval():
        std = float(point_at(path, jnp.float32(times[0])).sigma)
    return ode_sampler(probability_flow(denoise, path), times, tableau=tableau, start_std=std)


def adaptive_draw(
    velocity: Velocity,
    key: Array,
    shape: tuple[int, ...],
    *,
    start: float,
    end: float,
    start_std: float = 1.0,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    max_steps: int = 1000,
) -> Solution:
    """Draw samples with steps chosen by an estimate of their error (Dormand-Prince).

    Args:
        velocity: (x [N, ...], t []) -> dx/dt.
        key: of the start.
        shape: (N, ...).
        start, end: times, of noise and of data.
        start_std: standard deviation of the first x.
        rtol, atol, max_steps: see `genjax.solvers.integrate_adaptive`.

    Returns:
        The Solution; its x is the samples, NaN where max_steps did not suffice.
    """
    x = start_std * jax.random.normal(jax.random.fold_in(key, 0), shape)
    return integrate_adaptive(velocity, x, start, end, rtol=rtol, atol=atol, max_steps=max_steps)


def ode_log_prob(
    key: Array,
    velocity: Velocity,
    x: Array,
    times: np.ndarray,
    *,
    trace: Trace,
    tableau: Tableau,
    end_std: float = 1.0,
) -> Array:
    """Return log p(x) at the first time under N(0, end_std^2 I) at the last.

    Args:
        key: of the trace's probe.
        velocity: (x [B, ...], t []) -> dx/dt, example by example.
        x: [B, ...], reals.
        times: [N + 1], from data to noise.
        trace: `solvers.exact_trace()`, D derivatives, or an estimate by one: unbiased then.
        tableau: the scheme.
        end_std: standard deviation at the last time.

    Returns:
        [B], nats, up to the scheme's error.

    Reference: Song et al. 2021, eq. 39; Grathwohl et al. 2018, eq. 3.
    """
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"x holds {x.dtype}: integers have no density; dequantize first (genjax.data_path).")
    flat = x.reshape(x.shape[0], math.prod(x.shape[1:]))
    probe = trace.probe(key, flat.shape)

    def augmented(state: tuple[Array, Array], t: Array) -> tuple[Array, Array]:
        of = lambda flat: velocity(flat.reshape(x.shape), t).reshape(flat.shape)
        return trace.value(of, state[0], probe)

    z, log_det = integrate(augmented, (flat, jnp.zeros(x.shape[:1])), jnp.asarray(times, x.dtype), tableau=tableau)
    return per_example(normal_log_prob(z, 0.0, log_std=jnp.log(end_std))) + log_det
