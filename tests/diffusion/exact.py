"""Data whose denoiser E[x_0 | x_t] is known: a normal, and a few levels of one pixel."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax import processes

MEAN, STD = 0.3, 0.5
LEVELS = 3
PROBABILITY = np.array([0.2, 0.5, 0.3])
ENTROPY = float(-(PROBABILITY * np.log(PROBABILITY)).sum())


def normal_denoiser(schedule):
    """Return the denoiser of the exact E[eps | x_t], for x_0 ~ N(MEAN, STD^2)."""
    point_of = lambda t: processes.marginal(schedule, t)

    def eps(x_t, t):
        alpha, sigma = (processes.like(c, x_t) for c in point_of(t)[:2])
        return sigma * (x_t - alpha * MEAN) / (alpha**2 * STD**2 + sigma**2)

    return processes.denoiser(eps, processes.EPS, point_of)


def levels_denoiser(schedule):
    """Return E[x_0 | x_t] of pixels that are independent and take the level k with PROBABILITY[k]."""
    values, log_weight = jnp.linspace(-1.0, 1.0, LEVELS), jnp.log(jnp.asarray(PROBABILITY, jnp.float32))

    def denoise(x_t, t):
        point = processes.marginal(schedule, t)
        alpha, sigma = (processes.like(c, x_t)[..., None] if jnp.ndim(c) else c for c in (point.alpha, point.sigma))
        shape = (1,) * x_t.ndim + (LEVELS,)
        log_terms = log_weight.reshape(shape) - 0.5 * ((x_t[..., None] - alpha * values.reshape(shape)) / sigma) ** 2
        return jax.nn.softmax(log_terms, axis=-1) @ values

    return denoise
