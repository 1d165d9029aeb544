"""How a U-Net attends to a text: two kinds of attention for `genjax.nn.unet.Parts`.

`SpatialTransformer` is latent diffusion's (Rombach et al. 2022, arXiv:2112.10752, section 3.3): pixels, as tokens, attend
to each other and then to the text's tokens,

    h = W_in normalize(x),   h <- h + Attention(norm h, norm h),   h <- h + Attention(norm h, text),
    h <- h + W_2 (a gelu(b)), (a, b) = W_1 norm h   (Shazeer 2020, arXiv:2002.05202),   x + W_out h.

`PixelAttention` that joins is GLIDE's (Nichol et al. 2021, arXiv:2112.10741, section 2.3): the text's tokens are further keys and
values of the attention among the pixels. So are a text-conditional U-Net of Stable Diffusion's form, and of GLIDE's,

    UNet(text=True, parts=spatial_parts(heads=8)),   UNet(text=True, parts=joined_parts(adaptive_parts()))
"""

import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from genjax.contract import Array
from genjax.nn.attention import PixelAttention, attend
from genjax.nn.group_norm import GroupNorm
from genjax.nn.text import Text
from genjax.nn.unet import PLAIN, Parts


class TokenAttention(nn.Module):
    """W softmax(q k' / sqrt(d)) v: queries of one sequence, keys and values, without biases, of another.

    head_channels: d; None for a single head.
    dtype: compute dtype.
    """

    head_channels: int | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, h: Array, source: Array) -> Array:
        """Map h [B, N, C], given a source [B, M, E], to [B, N, C]."""
        linear = functools.partial(nn.Dense, h.shape[-1], dtype=self.dtype)
        query = linear(use_bias=False, name="query")(h)
        key, value = (linear(use_bias=False, name=name)(source) for name in ("key", "value"))
        return linear(name="out")(attend(query, key, value, self.head_channels))


class SpatialBlock(nn.Module):
    """A layer of the spatial transformer: attention among tokens, attention to the text, a gated perceptron.

    head_channels: channels of an attention head; None for a single head.
    dtype: compute dtype; sums and normalizations are float32.
    """

    head_channels: int | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, h: Array, text: Array) -> Array:
        """Map float32 tokens [B, N, C], given a text [B, L, E], to the same shape and dtype."""
        norm = lambda name: nn.LayerNorm(epsilon=1e-5, use_fast_variance=False, name=name)(h).astype(self.dtype or h.dtype)
        attention = functools.partial(TokenAttention, self.head_channels, self.dtype)
        own = norm("norm_self")
        h = h + attention(name="attend_self")(own, own).astype(h.dtype)
        h = h + attention(name="attend_text")(norm("norm_text"), text).astype(h.dtype)
        wide = nn.Dense(8 * h.shape[-1], dtype=self.dtype, name="mlp_in")(norm("norm_mlp"))
        value, gate = jnp.split(wide, 2, axis=-1)
        out = nn.Dense(h.shape[-1], dtype=self.dtype, name="mlp_out")(value * nn.gelu(gate, approximate=False))
        return h + out.astype(h.dtype)


class SpatialTransformer(nn.Module):
    """x + W_out blocks(W_in normalize(x)) over all pixels as tokens; x itself at initialization.

    head_channels: channels of an attention head; None for a single head.
    groups: groups of the normalization.
    dtype: compute dtype; sums between layers and normalizations are float32.
    heads: number of heads, at any number of channels, as Stable Diffusion 1 has them; None for `head_channels`.
    depth: layers; one `nn.scan`, so that parameters have a leading axis and compile time does not grow with it.
    """

    head_channels: int | None = None
    groups: int = 32
    dtype: Any = None
    heads: int | None = None
    depth: int = 1

    @nn.compact
    def __call__(self, x: Array, text: Text) -> Array:
        """Map [B, H, W, C], given a text, to the same shape and dtype.

        Raises:
            ValueError: the heads do not divide the channels.
        """
        batch, height, width, channels = x.shape
        if self.heads and channels % self.heads:
            raise ValueError(f"{channels} channels are not divisible into {self.heads} heads.")
        head_channels = channels // self.heads if self.heads else self.head_channels
        h = GroupNorm(self.groups, dtype=self.dtype, name="norm")(x).reshape(batch, height * width, channels)
        h = nn.Dense(channels, dtype=self.dtype, name="project_in")(h).astype(jnp.float32)
        step = lambda block, h, _: (block(h, text.tokens), None)
        own = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
        block = SpatialBlock(head_channels, self.dtype, name="blocks")
        h, _ = nn.scan(step, **own, length=self.depth)(block, h, None)
        zeros = nn.initializers.zeros_init()
        h = nn.Dense(channels, dtype=self.dtype, kernel_init=zeros, name="project_out")(h.astype(self.dtype or h.dtype))
        return x + h.reshape(x.shape).astype(x.dtype)


def spatial_parts(base: Parts = PLAIN, *, heads: int | None = None, depth: int = 1) -> Parts:
    """Return the parts of a U-Net whose attention is a `SpatialTransformer`; `base` gives the others."""
    return base._replace(attention=functools.partial(SpatialTransformer, heads=heads, depth=depth))


def joined_parts(base: Parts = PLAIN) -> Parts:
    """Return the parts of a U-Net whose `PixelAttention` joins the text; `base` gives the others."""
    return base._replace(attention=functools.partial(PixelAttention, joins_text=True))
