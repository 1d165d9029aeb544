"""The discretized logistic mixture with coupled colours (Salimans et al. 2017, arXiv:1701.05517, sections 2.1, 2.2).

A pixel of C colours, on [-1, 1] with the levels evenly spread, has a mixture of K components. Component k is chosen
once for the pixel; within it the colours are discretized logistics whose means shift with the colours before:

    p(x) = sum_k pi_k  prod_c  P_kc(x_c | x_<c),      P_kc = logistic(m_kc + sum_(b < c) t_kcb x_b, s_kc) cut into levels

(eq. 3: with C = 3 the coefficients t are alpha, beta and gamma, here each tanh of an output). By the chain rule

    p(x_c | x_<c) = sum_k w_kc P_kc(x_c | x_<c),      w_kc proportional to pi_k prod_(b < c) P_kb(x_b | x_<b),

which is how a pixel is drawn colour by colour, also where some of its colours are given.

The network's outputs [..., K (1 + 2 C + C (C - 1) / 2)] are, in this order, logits of pi [K], means m [K, C], log s
[K, C], and coefficients [K, C (C - 1) / 2] row by row of the lower triangle.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax.autoregressive.conditionals import categorical_draw
from genjax.autoregressive.raster import Head
from genjax.contract import Array
from genjax.distributions import discretized_logistic_log_prob, per_example
from genjax.pixels import from_symmetric, to_symmetric

# At e^-7 a component has nearly all its mass in one of 256 levels, at e^7 in the two outermost: beyond, it says nothing
# new, and far beyond float32 ends.
MAX_LOG_SCALE = 7.0


class Mixture(NamedTuple):
    """Parameters of the mixture at some pixels.

    log_weights: log pi, [..., K].
    means: m, [..., K, C].
    log_scales: log s, [..., K, C], within +-MAX_LOG_SCALE.
    coefficients: t in [-1, 1], [..., K, C (C - 1) / 2].
    """

    log_weights: Array
    means: Array
    log_scales: Array
    coefficients: Array


def mixture_outputs(components: int, channels: int) -> int:
    """Return how many numbers a pixel's mixture takes."""
    return components * (1 + 2 * channels + channels * (channels - 1) // 2)


def split_outputs(outputs: Array, channels: int) -> Mixture:
    """Read a mixture off a network's outputs.

    Args:
        outputs: [..., K (1 + 2 C + C (C - 1) / 2)].
        channels: C.

    Returns:
        Mixture, float32.

    Raises:
        ValueError: the outputs are no whole number of components.
    """
    each = mixture_outputs(1, channels)
    if outputs.shape[-1] % each:
        raise ValueError(f"{outputs.shape[-1]} outputs are no components of {each} numbers each.")
    components = outputs.shape[-1] // each
    outputs = outputs.astype(jnp.float32)
    logits, means, log_scales, coefficients = jnp.split(
        outputs, [components, components * (1 + channels), components * (1 + 2 * channels)], axis=-1
    )
    maps = lambda x: x.reshape(*x.shape[:-1], components, x.shape[-1] // components)
    return Mixture(
        log_weights=jax.nn.log_softmax(logits),
        means=maps(means),
        log_scales=jnp.clip(maps(log_scales), -MAX_LOG_SCALE, MAX_LOG_SCALE),
        coefficients=jnp.tanh(maps(coefficients)),
    )


def colour_log_probs(x: Array, mixture: Mixture, *, levels: int) -> Array:
    """Return log p(x_c | x_<c) of each colour.

    Args:
        x: [..., C], floating, levels on [-1, 1].
        mixture: of C colours, at as many pixels.
        levels: L, at least 2.

    Returns:
        [..., C], nats.

    Raises:
        ValueError: x and the mixture are of different pixels.

    Reference: Salimans et al. 2017, eq. 2 and 3.
    """
    if x.shape != (*mixture.means.shape[:-2], mixture.means.shape[-1]):
        raise ValueError(f"x has shape {x.shape}; the mixture is of means {mixture.means.shape}, [..., K, C].")
    log_weights, terms = mixture.log_weights, []
    for colour in range(x.shape[-1]):
        joint = log_weights + _component_log_prob(x, mixture, colour, levels)
        terms.append(jax.nn.logsumexp(joint, axis=-1))
        # w of the next colour; normalized here, since sums over colours may be too large to subtract from one another.
        log_weights = jax.nn.log_softmax(joint)
    return jnp.stack(terms, axis=-1)


def mixture_log_prob(x: Array, outputs: Array, *, levels: int) -> Array:
    """Return log p(x) of pictures under one mixture a pixel.

    Args:
        x: [B, H, W, C], integers 0 ... levels - 1.
        outputs: [B, H, W, K (1 + 2 C + C (C - 1) / 2)], see this module's docstring.
        levels: L, at least 2.

    Returns:
        [B], nats.

    Raises:
        ValueError: x holds no integers, or the shapes do not belong together.

    Reference: Salimans et al. 2017, eq. 2 and 3.
    """
    if x.ndim != 4 or outputs.shape[:3] != x.shape[:3]:
        raise ValueError(f"x has shape {x.shape} and the outputs {outputs.shape}; they must be [B, H, W, C], [B, H, W, n].")
    mixture = split_outputs(outputs, x.shape[-1])
    joint = mixture.log_weights
    for colour in range(x.shape[-1]):
        joint = joint + _component_log_prob(to_symmetric(x, levels), mixture, colour, levels)
    return per_example(jax.nn.logsumexp(joint, axis=-1))


def mixture_draw(
    outputs: Array, uniforms: Array, given: Array, known: Array, *, levels: int
) -> Array:
    """Draw pixels, colour by colour given the colours before.

    Args:
        outputs: [B, n].
        uniforms: [B, 2 C] in (0, 1): for each colour, its component and its value.
        given: integers [B, C], used where known.
        known: bool [B, C].
        levels: L.

    Returns:
        int32 [B, C].
    """
    channels = given.shape[-1]
    mixture = split_outputs(outputs, channels)
    x, log_weights = to_symmetric(given, levels), mixture.log_weights
    for colour in range(channels):
        component = categorical_draw(uniforms[:, 2 * colour], log_weights)[:, None]
        mean = jnp.take_along_axis(_mean(x, mixture, colour), component, axis=1)[:, 0]
        log_scale = jnp.take_along_axis(mixture.log_scales[..., colour], component, axis=1)[:, 0]
        u = uniforms[:, 2 * colour + 1]
        drawn = from_symmetric(mean + jnp.exp(log_scale) * (jnp.log(u) - jnp.log1p(-u)), levels)
        x = x.at[:, colour].set(jnp.where(known[:, colour], x[:, colour], to_symmetric(drawn, levels)))
        log_weights = jax.nn.log_softmax(log_weights + _component_log_prob(x, mixture, colour, levels))
    return from_symmetric(x, levels).astype(jnp.int32)


def mixture_head(components: int, levels: int, channels: int) -> Head:
    """Return the mixture as the head of a raster model; one pass draws all colours of a pixel."""
    return Head(
        outputs=mixture_outputs(components, channels),
        uniforms=2 * channels,
        passes=1,
        log_prob=lambda x, outputs: mixture_log_prob(x, outputs, levels=levels),
        draw=lambda outputs, uniforms, given, known: mixture_draw(outputs, uniforms, given, known, levels=levels),
    )


def _mean(x: Array, mixture: Mixture, colour: int) -> Array:
    """Return m_kc + sum_(b < c) t_kcb x_b, [..., K]."""
    first = colour * (colour - 1) // 2
    shift = sum(mixture.coefficients[..., first + b] * x[..., b, None] for b in range(colour))
    return mixture.means[..., colour] + shift


def _component_log_prob(x: Array, mixture: Mixture, colour: int, levels: int) -> Array:
    """Return log P_kc(x_c | x_<c), [..., K]."""
    mean = _mean(x, mixture, colour)
    value = jnp.broadcast_to(x[..., colour, None], mean.shape)
    return discretized_logistic_log_prob(value, mean, log_scale=mixture.log_scales[..., colour], levels=levels)
