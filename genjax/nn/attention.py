"""Self-attention over the pixels of a feature map (Ho et al. 2020, appendix B; Wang et al. 2018)."""

from typing import Any

import flax.linen as nn
import jax

from genjax.contract import Array
from genjax.nn.group_norm import GroupNorm
from genjax.nn.text import Text


class PixelAttention(nn.Module):
    """x + W softmax(q k' / sqrt(d)) v over all H W positions, (q, k, v) of normalize(x); x itself at initialization.

    head_channels: d, channels of one head; None for a single head.
    groups: groups of the normalization.
    dtype: compute dtype.
    """

    head_channels: int | None = None
    groups: int = 32
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, text: Text | None = None) -> Array:
        """Map [B, H, W, C] to the same shape and dtype; a text is not looked at.

        Raises:
            ValueError: head_channels does not divide the channels.
        """
        del text
        batch, height, width, channels = x.shape
        head_channels = self.head_channels or channels
        if channels % head_channels:
            raise ValueError(f"{channels} channels are not divisible into heads of {head_channels}.")
        h = GroupNorm(self.groups, dtype=self.dtype, name="norm")(x).reshape(batch, height * width, channels)
        heads = (batch, height * width, channels // head_channels, head_channels)
        query, key, value = (
            nn.Dense(channels, dtype=self.dtype, name=name)(h).reshape(heads) for name in ("query", "key", "value")
        )
        with jax.numpy_dtype_promotion("standard"):  # jax scales bfloat16 by a float32
            h = jax.nn.dot_product_attention(query, key, value).reshape(batch, height * width, channels)
        zeros = nn.initializers.zeros_init()
        h = nn.Dense(channels, dtype=self.dtype, kernel_init=zeros, name="out")(h)
        return x + h.reshape(x.shape).astype(x.dtype)
