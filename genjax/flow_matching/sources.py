"""Where a flow starts: the distribution of x_0, N(0, I) or another whose density is known."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array
from genjax.distributions import LOG_2PI, normal_log_prob, per_example


class Source(NamedTuple):
    """A distribution of x_0 [B, ...].

    sample: (key, shape) -> x_0 of that shape.
    log_prob: x_0 -> nats [B].
    """

    sample: Callable[[Array, tuple[int, ...]], Array]
    log_prob: Callable[[Array], Array]


def normal_source() -> Source:
    """Return N(0, I), which Gaussian paths start from."""
    return Source(jax.random.normal, lambda x: per_example(normal_log_prob(x, 0.0, log_std=0.0)))


def mixture_source(means: np.ndarray, std: float) -> Source:
    """Return the mixture of equal isotropic Gaussians with means [K, D], for straight paths between two data sets."""
    means = np.asarray(means, np.float32)

    def sample(key: Array, shape: tuple[int, ...]) -> Array:
        which, noise = jax.random.split(key)
        index = jax.random.randint(which, shape[:1], 0, len(means))
        return jnp.asarray(means)[index] + std * jax.random.normal(noise, shape)

    def log_prob(x: Array) -> Array:
        squares = jnp.sum((x[:, None] - means[None]) ** 2, axis=2) / std**2
        log_normalizer = means.shape[1] * (0.5 * LOG_2PI + np.log(std)) + np.log(len(means))
        return jax.nn.logsumexp(-0.5 * squares, axis=1) - log_normalizer

    return Source(sample, log_prob)
