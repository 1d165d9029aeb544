"""Log-probabilities, divergences and samplers of the distributions that the families use.

Everything here works entry by entry: values `[...]` in, nats `[...]` out, so that the caller decides which axes
make up one example (`per_example`). Parameters have the shape of x or are scalars.

A value outside a distribution's support has log-probability -inf under jit as well, where no exception can be
raised: a pixel decoder that is fed unscaled data makes its loss infinite at the first step instead of training
on nonsense.
"""

import math

import chex
import jax
import jax.numpy as jnp

from genjax.contract import Array

LOG_2PI = math.log(2.0 * math.pi)


def per_example(values: Array) -> Array:
    """Sum over all axes but the first.

    Args:
        values: [B, ...], B examples.

    Returns:
        [B], in the unit of `values`.

    Raises:
        ValueError: a scalar, which has no axis of examples.
    """
    if jnp.ndim(values) == 0:
        raise ValueError("values have no axis of examples; their shape must be [B, ...], and it is ().")
    return jnp.sum(values, axis=tuple(range(1, jnp.ndim(values))))


def log_mean_exp(values: Array, axis: int = 0) -> Array:
    """Return log((1/k) sum_i exp(values_i)) over the k entries along `axis`, which is removed."""
    return jax.nn.logsumexp(values, axis=axis) - math.log(jnp.shape(values)[axis])


def bernoulli_log_prob(x: Array, logits: Array) -> Array:
    """Return log p(x) = x log s(l) + (1 - x) log s(-l) of Bernoulli(s(l)) with the logistic sigmoid s.

    Both logarithms are taken from the logit: log s(l) written by way of s(l) is -inf below l = -104 in float32,
    and its gradient is lost long before.

    Args:
        x: [...], floating, in [0, 1]. Grey values strictly between 0 and 1 give the negative cross-entropy, which is
            no log-probability; -inf outside [0, 1].
        logits: [...], any finite value.

    Returns:
        [...], nats.

    Raises:
        ValueError: x is not floating, as stored pixel levels are.
    """
    _require_floating(x, "[0, 1]")
    chex.assert_equal_shape([x, logits])
    inside = (x >= 0.0) & (x <= 1.0)
    log_prob = x * jax.nn.log_sigmoid(logits) + (1.0 - x) * jax.nn.log_sigmoid(-logits)
    return jnp.where(inside, log_prob, -jnp.inf)


def bernoulli_sample(key: Array, logits: Array) -> Array:
    """Draw x in {0, 1} of the dtype and shape of `logits`."""
    return jax.random.bernoulli(key, jax.nn.sigmoid(logits)).astype(logits.dtype)


def normal_log_prob(x: Array, mean: Array | float, *, log_std: Array | float) -> Array:
    """Return log N(x; mean, exp(log_std)^2).

    Args:
        x: [...], floating.
        mean: [...] or a scalar.
        log_std: [...] or a scalar.

    Returns:
        [...], nats.
    """
    _require_floating(x, "the reals")
    _require_broadcastable(x, mean=mean, log_std=log_std)
    return -0.5 * (LOG_2PI + ((x - mean) * jnp.exp(-jnp.asarray(log_std, x.dtype))) ** 2) - log_std


def normal_sample(key: Array, mean: Array, *, log_std: Array | float) -> Array:
    """Draw mean + exp(log_std) e with e ~ N(0, 1), differentiably (the reparameterization); shape of `mean`."""
    _require_broadcastable(mean, log_std=log_std)
    noise = jax.random.normal(key, mean.shape, mean.dtype)
    return mean + jnp.exp(jnp.asarray(log_std, mean.dtype)) * noise


def normal_kl(
    mean: Array, log_std: Array, *, other_mean: Array | float = 0.0, other_log_std: Array | float = 0.0
) -> Array:
    """Return KL(N(mean, exp(log_std)^2) || N(other_mean, exp(other_log_std)^2)); the other is N(0, 1) by default.

    Args:
        mean: [...].
        log_std: [...], log standard deviation.
        other_mean: [...] or a scalar.
        other_log_std: [...] or a scalar.

    Returns:
        [...], nats, >= 0 up to rounding.
    """
    chex.assert_equal_shape([mean, log_std])
    _require_broadcastable(mean, other_mean=other_mean, other_log_std=other_log_std)
    log_ratio = log_std - other_log_std
    distance = (mean - other_mean) * jnp.exp(-jnp.asarray(other_log_std, jnp.result_type(mean)))
    # (r^2 - 1) / 2 - log r by expm1: the two terms cancel when the standard deviations are nearly equal.
    return 0.5 * (jnp.expm1(2.0 * log_ratio) + distance**2) - log_ratio


def discretized_logistic_log_prob(x: Array, mean: Array, *, log_scale: Array, levels: int) -> Array:
    """Return the log-mass that a logistic distribution gives to the bin around x.

    The `levels` grid points lie evenly on [-1, 1], 2 h = 2 / (levels - 1) apart; each owns the values within h of it,
    and the two outermost own the tails, so that the masses sum to one. With a = (x + h - mean) / s and
    b = (x - h - mean) / s, the mass of an inner bin is

        s(a) - s(b) = s(a) s(-b) (1 - e^-(a - b)),    a - b = 2 h / s,

    a product, whose logarithm needs no guard however far x lies from the mean (the difference itself underflows).

    Args:
        x: [...], floating, on the grid; -inf outside [-1, 1].
        mean: [...], in the space of x.
        log_scale: [...], log s; finite results and gradients for |log_scale| <= 60 in float32.
        levels: number of grid points, at least 2 (static).

    Returns:
        [...], nats.

    Raises:
        ValueError: x is not floating, or `levels` below 2.

    Reference: Salimans et al. 2017 (PixelCNN++), eq. 2; Kingma et al. 2016 (IAF), section 5.
    """
    _require_floating(x, "[-1, 1]")
    _require_levels(levels)
    chex.assert_equal_shape([x, mean, log_scale])
    half_bin = 1.0 / (levels - 1)
    inverse_scale = jnp.exp(-log_scale)
    log_cdf_upper = jax.nn.log_sigmoid((x + half_bin - mean) * inverse_scale)
    log_survival_lower = jax.nn.log_sigmoid(-(x - half_bin - mean) * inverse_scale)
    log_width = jnp.log(-jnp.expm1(-2.0 * half_bin * inverse_scale))

    lowest, highest = x < -1.0 + half_bin, x > 1.0 - half_bin
    log_prob = jnp.where(lowest, log_cdf_upper, log_cdf_upper + log_survival_lower + log_width)
    log_prob = jnp.where(highest, log_survival_lower, log_prob)
    # Scaling to [-1, 1] in float32 may miss the ends by a rounding error; a hundredth of a bin is no other level.
    return jnp.where(jnp.abs(x) <= 1.0 + 0.01 * half_bin, log_prob, -jnp.inf)


def discretized_logistic_sample(key: Array, mean: Array, *, log_scale: Array, levels: int) -> Array:
    """Draw a logistic value and move it to the nearest of the `levels` grid points on [-1, 1]; shape of `mean`."""
    _require_levels(levels)
    chex.assert_equal_shape([mean, log_scale])
    value = mean + jnp.exp(log_scale) * jax.random.logistic(key, mean.shape, mean.dtype)
    index = jnp.clip(jnp.round((value + 1.0) * (0.5 * (levels - 1))), 0, levels - 1)
    return index * (2.0 / (levels - 1)) - 1.0


def _require_floating(x: Array, support: str) -> None:
    if not jnp.issubdtype(jnp.result_type(x), jnp.floating):
        raise ValueError(
            f"x has dtype {jnp.result_type(x)}, but this distribution takes floating values in {support}; "
            "scale or binarize stored levels first."
        )


def _require_broadcastable(x: Array, **parameters: Array | float) -> None:
    for name, value in parameters.items():
        if jnp.ndim(value) != 0 and jnp.shape(value) != jnp.shape(x):
            raise ValueError(f"{name} has shape {jnp.shape(value)}; it must be a scalar or {jnp.shape(x)}, as x is.")


def _require_levels(levels: int) -> None:
    if levels < 2:
        raise ValueError(f"levels is {levels}; a discretized distribution needs at least 2.")
