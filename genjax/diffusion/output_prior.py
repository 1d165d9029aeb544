"""Networks that give a prior of each pixel and leave the pixel's own noisy value to Bayes' rule.

Of a picture with a plain background most of the bound is lost there, in the last steps, to errors of x_0 that are far
smaller than a level: a black pixel's noise is (x_t + alpha) / sigma, and a network that has seen x_t among everything
else would have to multiply it by 1 / sigma. So let it say only what x_0 may be, for each entry a mixture of the two
ends of the range and a normal between them,

    p(x_0) = w_- delta(x_0 + 1) + w_+ delta(x_0 - 1) + w_0 N(x_0; m, s^2)

and take the noise's mean under the posterior given the entry's own x_t = alpha x_0 + sigma eps:

    eps^ = r_- (x_t + alpha) / sigma + r_+ (x_t - alpha) / sigma + r_0 sigma (x_t - alpha m) / (alpha^2 s^2 + sigma^2)
    r_-  ~ w_- N(x_t; -alpha, sigma^2),   r_+ ~ w_+ N(x_t; alpha, sigma^2),   r_0 ~ w_0 N(x_t; alpha m, alpha^2 s^2 + sigma^2)

Once sigma is small against the gap, a black pixel's estimate is exact. Any loss of eps trains it, as it is.

Reference: the posterior under a prior of each position is Gulrajani & Hashimoto 2023 (arXiv:2305.18619,
'output prior', of tokens); ends and a normal are ours, for grey levels.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.contract import Array, PyTree
from genjax.distributions import LOG_2PI
from genjax.processes import Point, Schedule, like, marginal

LOG_STD = (-6.0, 1.0)  # range of ln s: from below a 256th of [-1, 1] to far beyond it


def posterior_noise(x_t: Array, point: Point, end_logits: Array, mean: Array, log_std: Array) -> Array:
    """Return E[eps | x_t], entry by entry, under a prior of the two ends and a normal.

    Args:
        x_t: [B, ...].
        point: alpha and sigma > 0, [] or [B].
        end_logits: ln(w_- / w_0) and ln(w_+ / w_0), [B, ..., 2].
        mean: m, [B, ...].
        log_std: ln s, [B, ...].

    Returns:
        eps^, [B, ...]; (x_t - sigma eps^) / alpha is E[x_0 | x_t].

    Raises:
        ValueError: the shapes do not fit.
    """
    if not x_t.shape == mean.shape == log_std.shape or end_logits.shape != (*x_t.shape, 2):
        raise ValueError(
            f"x_t {x_t.shape}, mean {mean.shape} and log_std {log_std.shape} must have one shape [B, ...], and "
            f"end_logits {end_logits.shape} two more entries along a last axis."
        )
    alpha, sigma = like(point.alpha, x_t), like(point.sigma, x_t)
    variance = (alpha * jnp.exp(log_std)) ** 2 + sigma**2
    noises = jnp.stack([(x_t + alpha) / sigma, (x_t - alpha) / sigma, sigma * (x_t - alpha * mean) / variance], axis=-1)
    log_evidence = jnp.stack(
        [
            end_logits[..., 0] + _log_normal(x_t + alpha, sigma**2),
            end_logits[..., 1] + _log_normal(x_t - alpha, sigma**2),
            _log_normal(x_t - alpha * mean, variance),
        ],
        axis=-1,
    )
    return jnp.sum(jax.nn.softmax(log_evidence, axis=-1) * noises, axis=-1)


class OutputPrior(nn.Module):
    """A network that predicts eps by `posterior_noise`.

    network: (x [B, ..., C], t [B], condition, *, train) -> [B, ..., 4 C + K]: the logits of both ends, m and ln s of each
        channel, and K entries more, which are passed on.
    point_of: t -> the path where the network's time is t.
    """

    network: nn.Module
    point_of: Callable[[Array], Point]

    @nn.compact
    def __call__(self, x: Array, t: Array, condition: PyTree = None, *, train: bool = False) -> Array:
        """Return eps^ and what is passed on, float32 [B, ..., C + K]."""
        output = self.network(x, t, condition, train=train).astype(jnp.float32)
        channels = x.shape[-1]
        low, high, mean, log_std = jnp.split(output[..., : 4 * channels], 4, axis=-1)
        eps = posterior_noise(
            x, self.point_of(t), jnp.stack([low, high], axis=-1), mean, jnp.clip(log_std, *LOG_STD)
        )
        return jnp.concatenate([eps, output[..., 4 * channels :]], axis=-1)


def with_end_priors(network: nn.Module, schedule: Schedule) -> OutputPrior:
    """Return the network of a DDPM on `schedule`, whose time counts steps from 0.

    Args:
        network: see `OutputPrior`; with `UNet`, `out_channels` is 4 C + K.
        schedule: the forward process.
    """
    return OutputPrior(network, lambda t: marginal(schedule, t + 1))


def _log_normal(away: Array, variance: Array) -> Array:
    return -0.5 * (away**2 / variance + jnp.log(variance) + LOG_2PI)
