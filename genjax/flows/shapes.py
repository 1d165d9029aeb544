"""Bijections that move entries about and change none: log_det = 0 but for what they hold inside.

    reverse       the order of the last axis turned round
    flatten       [B, *shape] to [B, D]
    squeeze       2 x 2 x C blocks of pixels to 1 x 1 x 4C        (Dinh et al. 2017, section 3.6)
    factor_out    half of the channels to the latent as they are, the rest on through another bijection
                  (Dinh et al. 2017, section 3.6, eq. 13-16): the multi-scale architecture is a recursion of these
"""

import math

import jax.numpy as jnp

from genjax.contract import Array, PyTree
from genjax.flows.bijection import Bijection, Condition, Weights, no_change, without_weights


def reverse() -> Bijection:
    """Turn the last axis round."""
    turn = lambda x: (x[..., ::-1], no_change(x))
    return without_weights(turn, turn)


def flatten(shape: tuple[int, ...]) -> Bijection:
    """Flatten [B, *shape] to [B, D]."""
    return without_weights(
        lambda x: (x.reshape(x.shape[0], -1), no_change(x)),
        lambda z: (z.reshape(z.shape[0], *shape), no_change(z)),
    )


def squeeze() -> Bijection:
    """Fold [B, H, W, C] with even H and W to [B, H/2, W/2, 4C]; channels of one pixel lie (row, column, c)."""

    def forward(x: Array) -> tuple[Array, Array]:
        batch, height, width, channels = x.shape
        if height % 2 or width % 2:
            raise ValueError(f"pictures of {height} x {width} cannot be squeezed: both sides must be even.")
        blocks = x.reshape(batch, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
        return blocks.reshape(batch, height // 2, width // 2, 4 * channels), no_change(x)

    def inverse(z: Array) -> tuple[Array, Array]:
        batch, height, width, channels = z.shape
        blocks = z.reshape(batch, height, width, 2, 2, channels // 4).transpose(0, 1, 3, 2, 4, 5)
        return blocks.reshape(batch, 2 * height, 2 * width, channels // 4), no_change(z)

    return without_weights(forward, inverse)


def factor_out(inner: Bijection, shape: tuple[int, ...]) -> Bijection:
    """Send the first half of the channels to the latent, and the rest through `inner`.

    Args:
        inner: maps [B, H, W, C - C // 2] to [B, H W (C - C // 2)].
        shape: (H, W, C) of x, C at least 2.

    Returns:
        A bijection to [B, H W C]: the entries factored out, then those of `inner`.
    """
    half = shape[-1] // 2
    size = math.prod(shape[:-1]) * half

    def parts(x: Array) -> tuple[Array, Array]:
        return x[..., :half].reshape(x.shape[0], size), x[..., half:]

    def init(key: Array, x: Array, condition: Condition) -> Weights:
        return inner.init(key, parts(x)[1], condition)

    def forward(weights: Weights, x: Array, condition: Condition) -> tuple[Array, Array]:
        out, rest = parts(x)
        rest, log_det = inner.forward(weights, rest, condition)
        return jnp.concatenate([out, rest], axis=1), log_det

    def inverse(weights: Weights, z: Array, condition: Condition) -> tuple[Array, Array]:
        rest, log_det = inner.inverse(weights, z[:, size:], condition)
        out = z[:, :size].reshape(z.shape[0], *shape[:-1], half)
        return jnp.concatenate([out, rest], axis=-1), log_det

    def train(weights: Weights, x: Array, condition: Condition) -> tuple[Array, Array, PyTree]:
        out, rest = parts(x)
        rest, log_det, state = inner.train(weights, rest, condition)
        return jnp.concatenate([out, rest], axis=1), log_det, state

    return Bijection(init, forward, inverse, train)
