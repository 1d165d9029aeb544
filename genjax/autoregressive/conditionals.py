"""One-dimensional conditionals p(x_d | x_<d) as functions of what a network returns for dimension d.

A network gives n numbers o_d a dimension; they parameterize

    bernoulli            p(x = 1) = sigmoid(o),                                     n = 1
    categorical          p(x = k) = softmax(o)_k, k = 0..K-1,                       n = K
    gaussian_mixture     p(x) = sum_k softmax(a)_k N(x; m_k, exp(s_k)^2), o = (a, m, s), n = 3 K

Each is drawn from by inverting distribution functions at uniforms that are handed in, so that two samplers which are
given the same uniforms can be compared sample for sample, whatever order they work in.
"""

from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri

from genjax.contract import Array
from genjax.distributions import bernoulli_log_prob, normal_log_prob


class Conditional(NamedTuple):
    """A family of one-dimensional distributions.

    outputs: n, numbers a dimension that parameterize it.
    num_uniforms: m, uniforms that one draw takes.
    log_prob: (x [...], outputs [..., n]) -> log p(x) [...], nats.
    draw: (uniforms [..., m], outputs [..., n]) -> x [...], of the dtype that `log_prob` takes.
    dtype: of x.
    """

    outputs: int
    num_uniforms: int
    log_prob: Callable[[Array, Array], Array]
    draw: Callable[[Array, Array], Array]
    dtype: jnp.dtype


def draw_uniforms(key: Array, shape: tuple[int, ...]) -> Array:
    """Draw the midpoints of 2^23 equal parts of (0, 1), float32: never 0 or 1, whose normal quantiles are infinite."""
    return jax.random.uniform(key, shape, jnp.float32) + 2.0**-24


def bernoulli() -> Conditional:
    """Return binary conditionals; x is float32 in {0, 1}."""
    return Conditional(
        outputs=1,
        num_uniforms=1,
        log_prob=lambda x, outputs: bernoulli_log_prob(x, outputs[..., 0]),
        draw=lambda uniforms, outputs: bernoulli_draw(uniforms[..., 0], outputs[..., 0]),
        dtype=jnp.dtype("float32"),
    )


def categorical(num_levels: int) -> Conditional:
    """Return conditionals over the levels 0..num_levels-1; x is int32."""
    return Conditional(
        outputs=num_levels,
        num_uniforms=1,
        log_prob=categorical_log_prob,
        draw=lambda uniforms, outputs: categorical_draw(uniforms[..., 0], outputs),
        dtype=jnp.dtype("int32"),
    )


def gaussian_mixture(components: int) -> Conditional:
    """Return real-valued conditionals, mixtures of `components` Gaussians; x is float32."""
    return Conditional(
        outputs=3 * components,
        num_uniforms=2,
        log_prob=gaussian_mixture_log_prob,
        draw=gaussian_mixture_draw,
        dtype=jnp.dtype("float32"),
    )


def bernoulli_draw(uniforms: Array, logits: Array) -> Array:
    """Return 1[u < sigmoid(logit)], float32.

    Args:
        uniforms: [...] in (0, 1).
        logits: [...].
    """
    return (uniforms < jax.nn.sigmoid(logits)).astype(jnp.float32)


def categorical_log_prob(x: Array, logits: Array) -> Array:
    """Return log softmax(logits)_x.

    Args:
        x: [...], integers in 0..K-1; outside of it the result is -inf.
        logits: [..., K].

    Returns:
        [...], nats.

    Raises:
        ValueError: x is not of an integer type, or its shape is not that of the logits without K.
    """
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise ValueError(f"x has dtype {x.dtype}; a category is an integer.")
    if x.shape != logits.shape[:-1]:
        raise ValueError(f"x has shape {x.shape}; logits {logits.shape} are of categories {logits.shape[:-1]}.")
    index = x.astype(jnp.int32)
    found = jnp.take_along_axis(jax.nn.log_softmax(logits), jnp.maximum(index, 0)[..., None], axis=-1, mode="clip")
    return jnp.where((index >= 0) & (index < logits.shape[-1]), found[..., 0], -jnp.inf)


def categorical_draw(uniforms: Array, logits: Array) -> Array:
    """Return the level at which the distribution function passes u, int32.

    Args:
        uniforms: [...] in (0, 1).
        logits: [..., K].

    Returns:
        [...], in 0..K-1.
    """
    cdf = jnp.cumsum(jax.nn.softmax(logits), axis=-1)
    # The last entry is 1 up to rounding and may lie below u: it is not compared with.
    return jnp.sum(uniforms[..., None] >= cdf[..., :-1], axis=-1, dtype=jnp.int32)


def gaussian_mixture_log_prob(x: Array, outputs: Array) -> Array:
    """Return log sum_k softmax(a)_k N(x; m_k, exp(s_k)^2).

    Args:
        x: [...], floating.
        outputs: [..., 3 K], the K logits a, the K means m, the K log standard deviations s.

    Returns:
        [...], nats.

    Raises:
        ValueError: the outputs do not come in threes, or x is not floating.
    """
    logits, means, log_stds = split_mixture(outputs)
    spread = jnp.broadcast_to(x[..., None], means.shape)
    return jax.nn.logsumexp(jax.nn.log_softmax(logits) + normal_log_prob(spread, means, log_std=log_stds), axis=-1)


def gaussian_mixture_draw(uniforms: Array, outputs: Array) -> Array:
    """Draw a component at the first uniform and its value at the second.

    Args:
        uniforms: [..., 2] in (0, 1).
        outputs: [..., 3 K], see `gaussian_mixture_log_prob`.

    Returns:
        [...], float32.
    """
    logits, means, log_stds = split_mixture(outputs)
    index = categorical_draw(uniforms[..., 0], logits)[..., None]
    mean, log_std = (jnp.take_along_axis(values, index, axis=-1)[..., 0] for values in (means, log_stds))
    return mean + jnp.exp(log_std) * ndtri(uniforms[..., 1])


def split_mixture(outputs: Array) -> tuple[Array, Array, Array]:
    """Split [..., 3 K] into logits, means and log standard deviations, each [..., K]."""
    if outputs.shape[-1] % 3:
        raise ValueError(f"the outputs of a mixture come in threes, (logit, mean, log_std), got {outputs.shape}.")
    logits, means, log_stds = jnp.split(outputs, 3, axis=-1)
    return logits, means, log_stds
