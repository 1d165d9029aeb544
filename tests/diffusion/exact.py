"""Data whose denoiser E[x_0 | x_t] is known: a normal, a mixture of normals, and a few levels of one pixel."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

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


class Mixture:
    """A mixture of normals in R^D: weights [K], means [K, D], standard deviations [K], in float64; its denoiser exact."""

    def __init__(self, weights, means, stds):
        self.weights, self.means, self.stds = (np.asarray(a, np.float64) for a in (weights, means, stds))

    def responsibilities(self, x, alpha, sigma):
        """Return p(k | x_t) [B, K], differentiable in x."""
        variance = alpha**2 * self.stds**2 + sigma**2
        squared = jnp.sum((x[:, None] - alpha * f32(self.means)[None]) ** 2, axis=-1)
        d = self.means.shape[1]
        logits = f32(np.log(self.weights))[None] - 0.5 * squared / f32c(variance)[None] - 0.5 * d * jnp.log(f32c(variance))[None]
        return jax.nn.log_softmax(logits, axis=1)

    def denoiser(self, point_of):
        """Return E[x_0 | x_t], for a scalar t."""

        def denoise(x, t):
            point = point_of(t)
            alpha, sigma = point.alpha, point.sigma
            log_r = self.responsibilities(x, alpha, sigma)
            variance = f32c(alpha**2 * self.stds**2 + sigma**2)
            gain = alpha * f32(self.stds**2) / variance
            towards = f32(self.means)[None] + gain[None, :, None] * (x[:, None] - alpha * f32(self.means)[None])
            return jnp.sum(jnp.exp(log_r)[:, :, None] * towards, axis=1)

        return denoise

    def log_prob(self, x, alpha=1.0, sigma=0.0):
        """Return log q(x_t) of x [B, D], float64."""
        variance = alpha**2 * self.stds**2 + sigma**2
        squared = ((np.asarray(x, np.float64)[:, None] - alpha * self.means) ** 2).sum(-1)
        d = self.means.shape[1]
        terms = np.log(self.weights) - 0.5 * squared / variance - 0.5 * d * np.log(2 * np.pi * variance)
        return scipy.special.logsumexp(terms, axis=1)


def f32(x):
    return jnp.asarray(x, jnp.float32)


def f32c(x):
    return jnp.asarray(x).astype(jnp.float32)


def flow_map(path, x, start, end, mean, std):
    """Return where the probability flow of data N(mean, std^2) takes x from time start to time end, float64.

    It keeps (x - alpha mean) / sqrt(alpha^2 std^2 + sigma^2).
    """
    (a, b), (c, d) = ([float(f(jnp.float32(t))) for f in path] for t in (start, end))
    z = (np.asarray(x, np.float64) - a * mean) / np.sqrt(a**2 * std**2 + b**2)
    return c * mean + z * np.sqrt(c**2 * std**2 + d**2)
