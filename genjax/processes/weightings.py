"""Weights of the denoising loss as functions of a point of a path, and what they make of one another.

A loss on the estimate of x_0 with weight w is one on eps with weight w sigma^2 / alpha^2:

    w |x0 - x0^|^2 = w (sigma / alpha)^2 |eps - eps^|^2,    |v - v^|^2 = (alpha^2 + sigma^2)^2 / alpha^2 |eps - eps^|^2

Each function here returns the weight of |eps - eps^|^2, so that any of them fits any prediction (`times_x0`).

    simple        1                                                            Ho et al. 2020, eq. 14
    likelihood    g^2 / sigma^2, a bound on the log-likelihood                 Song et al. 2021b, theorem 1
    min-SNR       min(snr, gamma) / snr                                        Hang et al. 2023, section 3.4
    EDM           (sigma^2 + s^2) / s^2, of alpha = 1                          Karras et al. 2022, table 1
    v             (alpha^2 + sigma^2)^2 / alpha^2: |v - v^|^2; SNR + 1 of x_0  Salimans & Ho 2022, section 4

Of the score, whose error is eps's over sigma, lambda = sigma^2 is `simple` (Song & Ermon 2019, eq. 6).
"""

import jax.numpy as jnp

from genjax.contract import Array
from genjax.processes.gaussian import Point
from genjax.processes.sde import diffusion_squared


def simple_weight(point: Point) -> Array:
    """Return 1, of the point's shape."""
    return jnp.ones_like(point.sigma)


def likelihood_weight(point: Point) -> Array:
    """Return g^2 / sigma^2; the point must have its rates. Half its integral over t bounds the log-likelihood."""
    return diffusion_squared(point) / point.sigma**2


def min_snr_weight(point: Point, *, gamma: float = 5.0) -> Array:
    """Return min(snr, gamma) / snr, snr = alpha^2 / sigma^2."""
    inverse = (point.sigma / point.alpha) ** 2
    return jnp.minimum(1.0, gamma * inverse)


def edm_weight(point: Point, *, data_std: float = 0.5) -> Array:
    """Return 1 + sigma^2 / data_std^2, at alpha = 1: of x_0, (sigma^2 + data_std^2) / (sigma data_std)^2."""
    return 1.0 + (point.sigma / data_std) ** 2


def v_weight(point: Point) -> Array:
    """Return (alpha^2 + sigma^2)^2 / alpha^2, which makes the loss |v - v^|^2; alpha > 0."""
    return ((point.alpha**2 + point.sigma**2) / point.alpha) ** 2


def times_x0(weight: Array, point: Point) -> Array:
    """Return the weight of |x0 - x0^|^2 that is `weight` of |eps - eps^|^2."""
    return weight * (point.alpha / point.sigma) ** 2
