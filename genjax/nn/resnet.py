"""The residual block of diffusion U-Nets, and how they change resolution (Ho et al. 2020, appendix B)."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from genjax.contract import Array
from genjax.nn.conv import Conv
from genjax.nn.group_norm import GroupNorm


class ResidualBlock(nn.Module):
    """shortcut(x) + conv(drop(silu(norm(conv(silu(norm(x))) + W silu(e))))); the shortcut alone at initialization.

    channels: of the output.
    groups: groups of the normalizations.
    dropout: rate before the last convolution.
    dtype: compute dtype; normalizations are made in float32.
    """

    channels: int
    groups: int = 32
    dropout: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, embedding: Array, *, train: bool) -> Array:
        """Map x [B, H, W, C] and an embedding [B, E] to [B, H, W, channels].

        Under `train` a key 'dropout' is needed where dropout > 0.
        """
        h = nn.silu(GroupNorm(self.groups, dtype=self.dtype, name="norm_in")(x))
        h = Conv(self.channels, padding=1, dtype=self.dtype, name="conv_in")(h)
        shift = nn.Dense(self.channels, dtype=self.dtype, name="embed")(nn.silu(embedding))
        h = nn.silu(GroupNorm(self.groups, dtype=self.dtype, name="norm_out")(h + shift[:, None, None, :]))
        h = nn.Dropout(self.dropout, deterministic=not train)(h)
        zeros = nn.initializers.zeros_init()
        h = Conv(self.channels, padding=1, kernel_init=zeros, dtype=self.dtype, name="conv_out")(h)
        if x.shape[-1] != self.channels:
            x = nn.Dense(self.channels, dtype=self.dtype, name="shortcut")(x)
        return x + h.astype(x.dtype)


class Downsample(nn.Module):
    """Halve the resolution by a 3x3 convolution of stride 2.

    dtype: compute dtype.
    """

    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map [B, H, W, C] to [B, ceil(H / 2), ceil(W / 2), C]."""
        return Conv(x.shape[-1], stride=2, padding=1, dtype=self.dtype, name="conv")(x)


class Upsample(nn.Module):
    """Bring a map to a larger one's size: nearest neighbours, then a 3x3 convolution.

    dtype: compute dtype.
    """

    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, height: int, width: int) -> Array:
        """Map [B, h, w, C] to [B, height, width, C]: twice the size, or one pixel less where that size is odd."""
        batch, h, w, channels = x.shape
        doubled = jnp.broadcast_to(x[:, :, None, :, None, :], (batch, h, 2, w, 2, channels))
        x = doubled.reshape(batch, 2 * h, 2 * w, channels)[:, :height, :width]
        return Conv(channels, padding=1, dtype=self.dtype, name="conv")(x)
