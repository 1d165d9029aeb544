"""Gaussian paths in continuous time, t from 0 (data) to 1 (noise).

    cosine    alpha = cos(pi t / 2),  sigma = sin(pi t / 2): an arc of the unit circle, at constant angular speed
    linear    d x = -beta(t) x / 2 dt + sqrt(beta(t)) dw,  beta(t) = beta_0 + t (beta_1 - beta_0), hence
              alpha = exp(-(t beta_0 + t^2 (beta_1 - beta_0) / 2) / 2),  sigma^2 = 1 - alpha^2
              (Song et al. 2021, eq. 33; the limit of DDPM's linear schedule)
    sigmoid   alpha^2 falls along a stretch of the logistic function (Jabri et al. 2022, arXiv:2212.11972, algorithm 1)

All three preserve the variance: alpha^2 + sigma^2 = 1. The others do not:

    exploding     alpha = 1,  sigma = sigma_min (sigma_max / sigma_min)^t             Song et al. 2021, eq. 30 (VE)
    exponential   alpha = 1,  d x = s^t dw, hence sigma^2 = (s^{2t} - 1) / (2 ln s)   the same with another clock
    sub-VP        alpha as in linear,  sigma = 1 - alpha^2                            Song et al. 2021, eq. 29
    EDM           alpha = 1,  sigma = t, with t up to sigma_max instead of 1          Karras et al. 2022, table 1
    straight      alpha = 1 - t,  sigma = sigma_min + (1 - sigma_min) t               Lipman et al. 2023, eq. 20

Flow matching counts time from noise (0) to data (1); its time is 1 - t here, and its velocity the negative of ours.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax.contract import Array
from genjax.processes.gaussian import Point


class Path(NamedTuple):
    """A Gaussian path.

    alpha: t -> factor of the data; a function of scalars, differentiable on (0, 1).
    sigma: t -> standard deviation of the noise, likewise.
    """

    alpha: Callable[[Array], Array]
    sigma: Callable[[Array], Array]


def point_at(path: Path, t: Array) -> Point:
    """Return alpha, sigma and their rates at times t, [] or [B], each of the shape of t."""
    t = jnp.asarray(t)
    alpha, alpha_rate = jax.jvp(path.alpha, (t,), (jnp.ones_like(t),))
    sigma, sigma_rate = jax.jvp(path.sigma, (t,), (jnp.ones_like(t),))
    return Point(alpha, sigma, alpha_rate, sigma_rate)


def cosine_path() -> Path:
    """Return the arc alpha = cos(pi t / 2), sigma = sin(pi t / 2)."""
    quarter = math.pi / 2.0
    return Path(alpha=lambda t: jnp.cos(quarter * t), sigma=lambda t: jnp.sin(quarter * t))


def linear_path(beta_0: float = 0.1, beta_1: float = 20.0) -> Path:
    """Return the variance-preserving path with noise at the rate beta_0 + t (beta_1 - beta_0)."""

    def exponent(t: Array) -> Array:
        return -(beta_0 * t + 0.5 * (beta_1 - beta_0) * t**2)

    return Path(alpha=lambda t: jnp.exp(0.5 * exponent(t)), sigma=lambda t: jnp.sqrt(-jnp.expm1(exponent(t))))


def sigmoid_path(start: float = -3.0, end: float = 3.0, temperature: float = 1.0) -> Path:
    """Return the path whose alpha^2 is the logistic function from -start to -end, stretched onto [1, 0].

    Args:
        start: the argument at the data.
        end: the argument at the noise, above `start`.
        temperature: divides both; the lower, the longer the ends.
    """

    def share(t: Array, low: float, high: float) -> Array:
        """Return how much of the logistic's rise from low to high is made at t."""
        bottom, top = (1.0 / (1.0 + math.exp(-end / temperature)) for end in (low, high))
        return (jax.nn.sigmoid((low + t * (high - low)) / temperature) - bottom) / (top - bottom)

    # alpha^2 + sigma^2 = 1, but each is formed on its own: 1 - (1 - x) would lose the digits of a small x.
    return Path(
        alpha=lambda t: jnp.sqrt(share(1.0 - t, -end, -start)),
        sigma=lambda t: jnp.sqrt(share(t, start, end)),
    )


def exploding_path(sigma_min: float = 0.01, sigma_max: float = 50.0) -> Path:
    """Return the variance-exploding path with geometric sigma."""
    ratio = math.log(sigma_max / sigma_min)
    return Path(alpha=jnp.ones_like, sigma=lambda t: sigma_min * jnp.exp(ratio * t))


def exponential_path(base: float = 25.0) -> Path:
    """Return the variance-exploding path of d x = base^t dw, whose sigma is 0 at the data."""
    rate = 2.0 * math.log(base)
    return Path(alpha=jnp.ones_like, sigma=lambda t: jnp.sqrt(jnp.expm1(rate * t) / rate))


def sub_vp_path(beta_0: float = 0.1, beta_1: float = 20.0) -> Path:
    """Return the path with `linear_path`'s alpha and less noise on the way, sigma = 1 - alpha^2."""
    preserving = linear_path(beta_0, beta_1)
    return Path(alpha=preserving.alpha, sigma=lambda t: preserving.sigma(t) ** 2)


def edm_path() -> Path:
    """Return the path on which time is the standard deviation of the noise."""
    return Path(alpha=jnp.ones_like, sigma=lambda t: 1.0 * t)


def straight_path(sigma_min: float = 0.0) -> Path:
    """Return the straight lines from x_0 to noise, of optimal transport between a point and N(0, I).

    Args:
        sigma_min: the noise that is left at the data.
    """
    return Path(alpha=lambda t: 1.0 - t, sigma=lambda t: sigma_min + (1.0 - sigma_min) * t)
