"""The decoder's side of a variational autoencoder: p(x|z) per example, in nats.

Three families of p(x|z), each first as a pure function of arrays:

    Bernoulli             log p = sum_d x_d log s(l_d) + (1 - x_d) log s(-l_d)           binary x
    Gaussian              log p = sum_d log N(x_d; mu_d, sigma_d^2)                      real x
    discretized logistic  log p = sum_d log P(bin of x_d; mu_d, s_d)                     levels scaled to [-1, 1]

then as a `Likelihood`: what a builder has to know of p(x|z) in order to read a decoder that returns one array. The
variance of the Gaussian may be fixed (`fixed_gaussian`), given by the decoder for every entry (`gaussian`), or one
learned number for all: `gaussian` read from a decoder wrapped in `genjax.autoencoders.SharedScale`.

Reference: Kingma & Welling 2013, appendix C (Bernoulli and Gaussian decoders); Kingma et al. 2016 (IAF), section 5,
and Salimans et al. 2017 (PixelCNN++), section 2.1 (discretized logistic).
"""

import math
from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp

from genjax import distributions
from genjax.contract import Array


def bernoulli_log_likelihood(x: Array, logits: Array) -> Array:
    """Return log p(x) under independent Bernoulli entries.

    Args:
        x: [B, ...], floating, 0 or 1; -inf for an example with an entry outside [0, 1].
        logits: [B, ...].

    Returns:
        [B], nats per example.

    Raises:
        ValueError: x has no event axes, another shape than logits, or an integer dtype.

    Reference: Kingma & Welling 2013, eq. 11.
    """
    _require_same_examples(x, logits=logits)
    return distributions.per_example(distributions.bernoulli_log_prob(x, logits))


def gaussian_log_likelihood(x: Array, mean: Array, *, log_std: Array | float) -> Array:
    """Return log p(x) under independent Gaussian entries; a density, so it may be positive.

    Args:
        x: [B, ...], floating.
        mean: [B, ...].
        log_std: [B, ...] or a scalar.

    Returns:
        [B], nats per example.

    Raises:
        ValueError: x has no event axes, or the shapes differ.

    Reference: Kingma & Welling 2013, eq. 12.
    """
    _require_same_examples(x, mean=mean)
    return distributions.per_example(distributions.normal_log_prob(x, mean, log_std=log_std))


def discretized_logistic_log_likelihood(x: Array, mean: Array, *, log_scale: Array, levels: int) -> Array:
    """Return the log-mass of x under independent discretized logistic entries.

    Args:
        x: [B, ...], floating, on the grid of `levels` points that lie evenly on [-1, 1].
        mean: [B, ...].
        log_scale: [B, ...].
        levels: number of grid points (static).

    Returns:
        [B], nats per example; at most 0.

    Raises:
        ValueError: x has no event axes, the shapes differ, or `levels` is below 2.

    Reference: Salimans et al. 2017, eq. 2.
    """
    _require_same_examples(x, mean=mean, log_scale=log_scale)
    values = distributions.discretized_logistic_log_prob(x, mean, log_scale=log_scale, levels=levels)
    return distributions.per_example(values)


class Likelihood(NamedTuple):
    """p(x|z) as functions of a decoder's output.

    log_prob: (x [B, ..., C], outputs [B, ..., n C]) -> nats [B].
    mean: outputs -> E[x | z] [B, ..., C].
    sample: (key, outputs) -> x ~ p(x|z) [B, ..., C].
    outputs_per_entry: n, how many numbers the decoder gives for each entry of x; the last axis of its output is
        n blocks of C.
    """

    log_prob: Callable[[Array, Array], Array]
    mean: Callable[[Array], Array]
    sample: Callable[[Array, Array], Array]
    outputs_per_entry: int


def bernoulli() -> Likelihood:
    """Read a decoder's output as logits of binary entries."""
    return Likelihood(bernoulli_log_likelihood, jax.nn.sigmoid, distributions.bernoulli_sample, outputs_per_entry=1)


def fixed_gaussian(std: float) -> Likelihood:
    """Read a decoder's output as means of Gaussian entries with one given standard deviation."""
    if not std > 0.0:
        raise ValueError(f"std is {std}; a Gaussian likelihood needs a positive one.")
    log_std = math.log(std)
    return Likelihood(
        log_prob=lambda x, outputs: gaussian_log_likelihood(x, outputs, log_std=log_std),
        mean=lambda outputs: outputs,
        sample=lambda key, outputs: distributions.normal_sample(key, outputs, log_std=log_std),
        outputs_per_entry=1,
    )


def gaussian(*, min_log_std: float = -7.0) -> Likelihood:
    """Read a decoder's output as means and log standard deviations, [mean, log_std] along the last axis.

    Args:
        min_log_std: smaller outputs count as this. Without a floor the density is unbounded where an entry is constant
            over the data (the border of a digit), and the likelihood rises for ever on those entries alone.
    """

    def split(outputs: Array) -> tuple[Array, Array]:
        mean, log_std = _halves(outputs)
        return mean, jnp.maximum(log_std, min_log_std)

    def log_prob(x: Array, outputs: Array) -> Array:
        mean, log_std = split(outputs)
        return gaussian_log_likelihood(x, mean, log_std=log_std)

    def sample(key: Array, outputs: Array) -> Array:
        mean, log_std = split(outputs)
        return distributions.normal_sample(key, mean, log_std=log_std)

    return Likelihood(log_prob, lambda outputs: split(outputs)[0], sample, outputs_per_entry=2)


def discretized_logistic(levels: int, *, min_log_scale: float = -7.0) -> Likelihood:
    """Read a decoder's output as locations and log scales of levels, [mean, log_scale] along the last axis.

    Args:
        levels: number of grid points on [-1, 1], such as 256 (static).
        min_log_scale: smaller outputs count as this. At -7 a bin of 256 levels is 8.6 scales wide, so nothing is lost
            in likelihood, while one wrong level under a smaller scale would cost thousands of nats and ruin a step.
    """

    def split(outputs: Array) -> tuple[Array, Array]:
        mean, log_scale = _halves(outputs)
        return mean, jnp.maximum(log_scale, min_log_scale)

    def log_prob(x: Array, outputs: Array) -> Array:
        mean, log_scale = split(outputs)
        return discretized_logistic_log_likelihood(x, mean, log_scale=log_scale, levels=levels)

    def mean(outputs: Array) -> Array:
        location, log_scale = split(outputs)
        # E[index] = sum_j P(index >= j), j = 1 .. levels - 1, each a logistic survival function at a bin's lower edge.
        half_bin = 1.0 / (levels - 1)
        edges = jnp.linspace(-1.0 + half_bin, 1.0 - half_bin, levels - 1, dtype=location.dtype)
        distance = location[..., None] - jnp.expand_dims(edges, tuple(range(location.ndim)))
        index = jnp.sum(jax.nn.sigmoid(distance * jnp.exp(-log_scale)[..., None]), axis=-1)
        return index * (2.0 / (levels - 1)) - 1.0

    def sample(key: Array, outputs: Array) -> Array:
        location, log_scale = split(outputs)
        return distributions.discretized_logistic_sample(key, location, log_scale=log_scale, levels=levels)

    return Likelihood(log_prob, mean, sample, outputs_per_entry=2)


def _halves(outputs: Array) -> tuple[Array, Array]:
    first, second = jnp.split(outputs, 2, axis=-1)
    return first, second


def _require_same_examples(x: Array, **parameters: Array) -> None:
    if jnp.ndim(x) < 2:
        raise ValueError(f"x has shape {jnp.shape(x)}; a likelihood per example takes [B, ...] with an event axis.")
    for name, value in parameters.items():
        if jnp.shape(value) != jnp.shape(x):
            raise ValueError(f"{name} has shape {jnp.shape(value)}; it must be {jnp.shape(x)}, as x is.")
