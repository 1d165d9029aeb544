"""The stochastic differential equation of a Gaussian path, its reverse, and its probability-flow ODE.

    forward   d x = f(t) x dt + g(t) dw,   f = alpha' / alpha,   g^2 = 2 sigma sigma' - 2 f sigma^2
    ODE       d x / dt = u(x, t) = f x - g^2 score / 2 = alpha' x0(x, t) + sigma' eps(x, t)
    reverse   d x = [u - (l^2 / 2) g^2 score] dt + l g dw,   t falling, for any l >= 0: 1 is the reverse of the forward
              equation, 0 the ODE; the marginals are those of the path whatever l

All are written with a denoiser (`genjax.processes.denoisers`), score = (alpha x0 - x) / sigma^2. Where alpha = 0 the
drift f is infinite: start the straight path's stochastic equation below t = 1; its ODE may start there.

Reference: Song et al. 2021 (arXiv:2011.13456), eq. 5, 6 and 13; Kingma et al. 2021, eq. 2, for f and g of alpha and
sigma; Karras et al. 2022, eq. 6, for the family in l.
"""

from collections.abc import Callable

import jax.numpy as jnp

from genjax.contract import Array
from genjax.processes.denoisers import Denoiser
from genjax.processes.gaussian import Point, like
from genjax.processes.paths import Path, point_at
from genjax.processes.predictions import VELOCITY, eps_of_x0


def drift_rate(point: Point) -> Array:
    """Return f = alpha' / alpha, of the point's shape."""
    return point.alpha_rate / point.alpha


def diffusion_squared(point: Point) -> Array:
    """Return g^2 = 2 sigma sigma' - 2 f sigma^2, of the point's shape."""
    return 2.0 * point.sigma * (point.sigma_rate - drift_rate(point) * point.sigma)


def score_of_x0(x0: Array, x_t: Array, point: Point) -> Array:
    """Return the score (alpha x0 - x_t) / sigma^2 of an estimate of x_0, [B, ...]."""
    return (like(point.alpha, x_t) * x0 - x_t) / like(point.sigma, x_t) ** 2


def probability_flow(denoise: Denoiser, path: Path) -> Callable[[Array, Array], Array]:
    """Return the velocity of the ODE whose marginals are the path's.

    Args:
        denoise: (x_t [B, ...], t) -> estimate of x_0.
        path: where sigma > 0 at the times asked for.

    Returns:
        (x [B, ...], t []) -> dx/dt [B, ...], for `genjax.solvers`.

    Reference: Song et al. 2021, eq. 13.
    """

    def velocity(x: Array, t: Array) -> Array:
        point = point_at(path, t)
        x0 = denoise(x, t)
        return VELOCITY.target(x0, eps_of_x0(x0, x, point), point)

    return velocity


def reverse_sde(
    denoise: Denoiser, path: Path, *, stochasticity: float = 1.0
) -> tuple[Callable[[Array, Array], Array], Callable[[Array, Array], Array]]:
    """Return drift and diffusion of the reverse equation, for falling times.

    Args:
        denoise: (x_t [B, ...], t) -> estimate of x_0.
        path: where alpha and sigma are positive at the times asked for.
        stochasticity: l, at least 0.

    Returns:
        (x, t) -> drift [B, ...] and (x, t) -> l g(t), a scalar; for `genjax.solvers.integrate_sde`.

    Reference: Song et al. 2021, eq. 6.
    """

    def drift(x: Array, t: Array) -> Array:
        point = point_at(path, t)
        x0 = denoise(x, t)
        flow = VELOCITY.target(x0, eps_of_x0(x0, x, point), point)
        return flow - 0.5 * stochasticity**2 * diffusion_squared(point) * score_of_x0(x0, x, point)

    def diffusion(x: Array, t: Array) -> Array:
        del x
        return stochasticity * jnp.sqrt(diffusion_squared(point_at(path, t)))

    return drift, diffusion
