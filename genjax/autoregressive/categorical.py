"""The n-way softmax over levels (van den Oord et al. 2016, arXiv:1601.06759, section 3.3).

An entry of a picture is one of L levels 0 ... L-1, and the network gives a logit for each: p(x = k | before) =
softmax(l)_k. No order of the levels is assumed, and a distribution of any shape can be said.
"""

import jax.numpy as jnp

from genjax.autoregressive.conditionals import categorical_draw, categorical_log_prob
from genjax.autoregressive.raster import Head
from genjax.contract import Array
from genjax.distributions import per_example


def softmax_log_prob(x: Array, logits: Array) -> Array:
    """Return log p(x) = sum_d log softmax(l_d)_(x_d), each logit a function of the entries before.

    Args:
        x: [B, ...], integers 0 ... L-1; outside of it the result is -inf.
        logits: [B, ..., L], floating.

    Returns:
        [B], nats.

    Raises:
        ValueError: x is not of an integer type, has no batch axis, or its shape is not that of the logits without L.

    Reference: van den Oord et al. 2016, eq. 2.
    """
    if x.ndim < 1:
        raise ValueError("x has no batch axis; its shape must be [B, ...], and it is ().")
    return per_example(categorical_log_prob(x, logits))


def softmax_head(levels: int, channels: int) -> Head:
    """Return the softmax as the head of a raster model.

    The network gives a pixel `channels` x `levels` logits, those of colour c from the colours before c, so that
    drawing a pixel takes as many passes as there are colours.
    """

    def split(outputs: Array) -> Array:
        return outputs.reshape(*outputs.shape[:-1], channels, levels)

    def draw(outputs: Array, uniforms: Array, given: Array, known: Array) -> Array:
        return jnp.where(known, given, categorical_draw(uniforms, split(outputs)))

    return Head(
        outputs=channels * levels,
        uniforms=channels,
        passes=channels,
        log_prob=lambda x, outputs: softmax_log_prob(x, split(outputs)),
        draw=draw,
    )
