"""The ablated U-Net (ADM; Dhariwal & Nichol 2021, arXiv:2105.05233, section 3): `UNet` of other parts.

    attention at several resolutions, in heads of fixed width            `attention`, `head_channels`
    adaptive group normalization: y_s normalize(h) + y_b,                eq. in section 3.1; y of time and class
        y_s = 1 + scale, (scale, y_b) = W silu(e)
    BigGAN's residual blocks change the resolution                       both branches resized, before the convolution
    residual connections rescaled, (x + f(x)) / sqrt 2                   variances of independent branches stay

Down is an average over 2 x 2 pixels, up their repetition. The paper's final model has all but the rescaling, which is
`residual_scale=1`; then the same network in diffusers is the one that `genjax.nn.unet` names, with

    resnet_time_scale_shift='scale_shift', downsample_type='resnet', upsample_type='resnet',
    attn_norm_num_groups=groups, and attention at every level

and tests/nn/test_unet_parity.py carries weights from the one to the other.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from genjax.contract import Array
from genjax.nn.attention import PixelAttention
from genjax.nn.conv import Conv
from genjax.nn.group_norm import GroupNorm
from genjax.nn.unet import PLAIN, Parts, UNet

HALF_VARIANCE = 1.0 / math.sqrt(2.0)


def halved(x: Array) -> Array:
    """Return the means of 2 x 2 pixels, [B, H / 2, W / 2, C].

    Raises:
        ValueError: a side of x [B, H, W, C] is odd.
    """
    batch, height, width, channels = x.shape
    if height % 2 or width % 2:
        raise ValueError(f"pictures of {height} x {width} cannot be halved; sides must be even at every level.")
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))


def doubled(x: Array) -> Array:
    """Return every pixel twice in both directions, [B, 2 H, 2 W, C]."""
    batch, height, width, channels = x.shape
    wide = jnp.broadcast_to(x[:, :, None, :, None, :], (batch, height, 2, width, 2, channels))
    return wide.reshape(batch, 2 * height, 2 * width, channels)


def kept(x: Array) -> Array:
    """Return x."""
    return x


def resized_residual(block: nn.Module, x: Array, conditioned: Callable[[Array], Array], *, train: bool) -> Array:
    """Return s (resize(x) + conv(drop(conditioned(conv(resize(silu(norm(x)))))))), of a compact module's own parameters.

    Args:
        block: whose fields channels, groups, dropout, dtype, residual_scale and resize say how; see `AdaptiveBlock`.
        x: [B, H, W, C].
        conditioned: what the embedding does between the convolutions, with the nonlinearity.
        train: whether there is dropout.
    """
    h = block.resize(nn.silu(GroupNorm(block.groups, dtype=block.dtype, name="norm_in")(x)))
    h = conditioned(Conv(block.channels, padding=1, dtype=block.dtype, name="conv_in")(h))
    h = nn.Dropout(block.dropout, deterministic=not train)(h)
    zeros = nn.initializers.zeros_init()
    h = Conv(block.channels, padding=1, kernel_init=zeros, dtype=block.dtype, name="conv_out")(h)
    x = block.resize(x)
    if x.shape[-1] != block.channels:
        x = nn.Dense(block.channels, dtype=block.dtype, name="shortcut")(x)
    return block.residual_scale * (x + h.astype(x.dtype))


class AdaptiveBlock(nn.Module):
    """s (resize(x) + conv(drop(silu(y_s norm(conv(resize(silu(norm(x))))) + y_b)))); s resize(x) at initialization.

    channels: of the output.
    groups: groups of the normalizations.
    dropout: rate before the last convolution.
    dtype: compute dtype; normalizations are made in float32.
    residual_scale: s.
    resize: `kept`, `halved` or `doubled`.
    """

    channels: int
    groups: int = 32
    dropout: float = 0.0
    dtype: Any = None
    residual_scale: float = HALF_VARIANCE
    resize: Callable[[Array], Array] = kept

    @nn.compact
    def __call__(self, x: Array, embedding: Array, *, train: bool) -> Array:
        """Map x [B, H, W, C] and an embedding [B, E] to [B, H', W', channels].

        Under `train` a key 'dropout' is needed where dropout > 0.
        """

        def conditioned(h: Array) -> Array:
            both = nn.Dense(2 * self.channels, dtype=self.dtype, name="embed")(nn.silu(embedding))
            scale, shift = jnp.split(both.astype(jnp.float32)[:, None, None, :], 2, axis=-1)
            h = GroupNorm(self.groups, name="norm_out")(h) * (1.0 + scale) + shift
            return nn.silu(h).astype(self.dtype or jnp.float32)

        return resized_residual(self, x, conditioned, train=train)


def adaptive_parts(*, residual_scale: float = HALF_VARIANCE) -> Parts:
    """Return the parts of an ablated U-Net.

    Args:
        residual_scale: factor of every sum x + f(x), attention's too.
    """
    block = functools.partial(AdaptiveBlock, residual_scale=residual_scale)

    def up(*args: Any, **options: Any) -> Callable[..., Array]:
        larger = block(*args, resize=doubled, **options)
        return lambda h, embedding, height, width, *, train: larger(h, embedding, train=train)[:, :height, :width]

    def attention(*args: Any, **options: Any) -> Callable[..., Array]:
        attend = PixelAttention(*args, **options)
        return lambda h, text: residual_scale * attend(h)

    return Parts(block, functools.partial(block, resize=halved), up, attention)


def adaptive_blocks() -> Parts:
    """Return the parts of DDPM's U-Net with blocks that are scaled and shifted by the time (Nichol & Dhariwal 2021)."""
    return PLAIN._replace(block=functools.partial(AdaptiveBlock, residual_scale=1.0))


def ablated_unet(*, residual_scale: float = HALF_VARIANCE, **fields: Any) -> UNet:
    """Return an ablated U-Net.

    Args:
        residual_scale: 1 / sqrt 2, or 1 for the paper's final model.
        fields: of `UNet`; `attention` names several levels, sides are even above the coarsest.
    """
    return UNet(parts=adaptive_parts(residual_scale=residual_scale), **fields)
