"""Self-attention over the pixels of a feature map (Ho et al. 2020, appendix B; Wang et al. 2018)."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.contract import Array
from genjax.nn.group_norm import GroupNorm
from genjax.nn.text import Text


def split_heads(x: Array, head_channels: int | None) -> Array:
    """Return [B, N, C] as [B, N, heads, head_channels]; None for one head.

    Raises:
        ValueError: head_channels does not divide C.
    """
    each = head_channels or x.shape[-1]
    if x.shape[-1] % each:
        raise ValueError(f"{x.shape[-1]} channels are not divisible into heads of {each}.")
    return x.reshape(*x.shape[:2], -1, each)


def attend(query: Array, key: Array, value: Array, head_channels: int | None) -> Array:
    """Return softmax(q k' / sqrt(d)) v by heads, of queries [B, N, C] over keys and values [B, M, C]."""
    heads = (split_heads(x, head_channels) for x in (query, key, value))
    with jax.numpy_dtype_promotion("standard"):  # jax scales bfloat16 by a float32
        return jax.nn.dot_product_attention(*heads).reshape(query.shape)


class PixelAttention(nn.Module):
    """x + W softmax(q k' / sqrt(d)) v over all H W positions, (q, k, v) of normalize(x); x itself at initialization.

    Where it joins a text, keys and values of the text's tokens stand beside those of the pixels (Nichol et al. 2021,
    arXiv:2112.10741, section 2.3).

    head_channels: d, channels of one head; None for a single head.
    groups: groups of the normalization.
    dtype: compute dtype.
    joins_text: whether it attends to a text as well.
    """

    head_channels: int | None = None
    groups: int = 32
    dtype: Any = None
    joins_text: bool = False

    @nn.compact
    def __call__(self, x: Array, text: Text | None = None) -> Array:
        """Map [B, H, W, C], given a text where it joins one, to the same shape and dtype.

        Raises:
            ValueError: head_channels does not divide the channels.
        """
        batch, height, width, channels = x.shape
        linear = functools.partial(nn.Dense, channels, dtype=self.dtype)
        h = GroupNorm(self.groups, dtype=self.dtype, name="norm")(x).reshape(batch, height * width, channels)
        query, key, value = (linear(name=name)(h) for name in ("query", "key", "value"))
        if self.joins_text:
            key = jnp.concatenate([linear(name="text_key")(text.tokens), key], axis=1)
            value = jnp.concatenate([linear(name="text_value")(text.tokens), value], axis=1)
        h = attend(query, key, value, self.head_channels)
        h = linear(kernel_init=nn.initializers.zeros_init(), name="out")(h)
        return x + h.reshape(x.shape).astype(x.dtype)
