"""Preconditioning: what a network with inputs and targets of unit variance has to do with x_0 (Karras et al. 2022).

    x0 = c_skip x_t + c_out F(c_in x_t, c_noise),   at alpha = 1:

    c_skip = s^2 / (sigma^2 + s^2)   c_out = sigma s / sqrt(sigma^2 + s^2)   c_in = 1 / sqrt(sigma^2 + s^2)
    c_noise = ln(sigma) / 4                                                                               table 1

with s the data's standard deviation. For alpha other than 1 the path is first scaled to it: x_t / alpha has noise
sigma / alpha. F's target has unit variance, and a loss on it of weight 1 is EDM's weight of x_0's
(`weightings.edm_weight`).
"""

import jax.numpy as jnp

from genjax.contract import Array
from genjax.processes.gaussian import Point, like
from genjax.processes.predictions import Prediction, eps_of_x0


def preconditioned(data_std: float = 0.5) -> Prediction:
    """Return the prediction F, of data whose standard deviation is `data_std`."""

    def scales(point: Point, x: Array) -> tuple[Array, Array, Array]:
        noise = like(point.sigma / point.alpha, x)
        total = noise**2 + data_std**2
        return data_std**2 / total, noise * data_std / jnp.sqrt(total), like(point.alpha, x)

    def target(x0: Array, eps: Array, point: Point) -> Array:
        skip, out, alpha = scales(point, x0)
        return (x0 - skip * (x0 + like(point.sigma, x0) / alpha * eps)) / out

    def to_x0(f: Array, x_t: Array, point: Point) -> Array:
        skip, out, alpha = scales(point, x_t)
        return skip * (x_t / alpha) + out * f

    return Prediction(
        name="preconditioned F",
        target=target,
        to_x0=to_x0,
        to_eps=lambda f, x_t, point: eps_of_x0(to_x0(f, x_t, point), x_t, point),
    )


def input_scale(point: Point, *, data_std: float = 0.5) -> Array:
    """Return c_in of x_t: 1 / sqrt(sigma^2 + alpha^2 data_std^2), of the point's shape."""
    return 1.0 / jnp.sqrt(point.sigma**2 + (point.alpha * data_std) ** 2)


def noise_label(point: Point) -> Array:
    """Return c_noise = ln(sigma / alpha) / 4, of the point's shape."""
    return 0.25 * jnp.log(point.sigma / point.alpha)
