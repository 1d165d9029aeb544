"""Stochastic differential equations dx = f(x, t) dt + g(x, t) dw (Ito), and Langevin dynamics.

A step is arithmetic on noise it is given, standard normal of x's shape; the loop draws it, one `lax.scan`. g acts entry
by entry. Going backwards in time (falling times) takes the reverse-time drift, which is the caller's to give.

    euler_maruyama    x + f h + g sqrt(|h|) e                                strong order 1/2, 1 where g has no x
    heun              drift and g averaged with those at the predicted end   for g(t) without x

Reference: Kloeden and Platen 1992, Numerical Solution of Stochastic Differential Equations, sections 10.2 and 15.1.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from genjax.contract import Array

Drift = Callable[[Array, Array], Array]  # (x, t) -> f, of x's shape
Diffusion = Callable[[Array, Array], Array]  # (x, t) -> g, of x's shape or a scalar
SDEStep = Callable[[Array, Array, Array, Array, Drift, Diffusion], Array]


def euler_maruyama_step(x: Array, t: Array, h: Array, noise: Array, drift: Drift, diffusion: Diffusion) -> Array:
    """Return x + f(x, t) h + g(x, t) sqrt(|h|) noise."""
    return x + drift(x, t) * h + diffusion(x, t) * jnp.sqrt(jnp.abs(h)) * noise


def heun_step(x: Array, t: Array, h: Array, noise: Array, drift: Drift, diffusion: Diffusion) -> Array:
    """Return x moved by the averages of f and g at both ends of the step, the far one predicted by Euler-Maruyama.

    Of second order where there is no noise. With a g that depends on x it would solve the Stratonovich equation.
    """
    slope, spread = drift(x, t), diffusion(x, t)
    shake = jnp.sqrt(jnp.abs(h)) * noise
    guess = x + slope * h + spread * shake
    return x + 0.5 * (slope + drift(guess, t + h)) * h + 0.5 * (spread + diffusion(guess, t + h)) * shake


def integrate_sde(
    key: Array, drift: Drift, diffusion: Diffusion, x: Array, times: Array, *, step: SDEStep = euler_maruyama_step
) -> Array:
    """Draw x at times[-1].

    Args:
        key: step n uses fold_in(key, n).
        drift: f.
        diffusion: g.
        x: where it starts, [...].
        times: [N + 1], rising or falling.
        step: `euler_maruyama_step` or `heun_step`.

    Returns:
        [...], of x's dtype.
    """
    times = jnp.asarray(times, x.dtype)

    def one(x: Array, n: Array) -> tuple[Array, None]:
        noise = jax.random.normal(jax.random.fold_in(key, n), x.shape, x.dtype)
        return step(x, times[n], times[n + 1] - times[n], noise, drift, diffusion), None

    return lax.scan(one, x, jnp.arange(times.shape[0] - 1))[0]


def langevin_step(x: Array, score: Array, step_size: Array, noise: Array) -> Array:
    """Return x + e score + sqrt(2 e) noise, whose stationary law tends to the density of that score as e -> 0.

    Args:
        x: [...].
        score: grad log p(x), of the same shape.
        step_size: e, a scalar, or of x's shape.
        noise: standard normal, of the same shape.

    Reference: Roberts & Tweedie 1996, eq. 1.
    """
    return x + step_size * score + jnp.sqrt(2.0 * step_size) * noise
