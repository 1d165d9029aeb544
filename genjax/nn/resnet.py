"""The residual block of diffusion U-Nets, and how they change resolution (Ho et al. 2020, appendix B)."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype

from genjax.contract import Array
from genjax.nn.conv import conv2d
from genjax.nn.group_norm import GroupNorm


def conv3x3(x: Array, kernel: Array, *, stride: int = 1) -> Array:
    """Convolve with one pixel of zeros on every side, at any stride.

    On a CPU by gathering neighbourhoods into one matrix product, since XLA's gradient of a convolution inside a loop
    is some hundred times slower there; elsewhere by `lax.conv_general_dilated`, which needs a ninth of the memory.
    The choice is made when the program is lowered for a platform.

    Args:
        x: [B, H, W, C].
        kernel: [3, 3, C, F], of x's dtype.
        stride: distance of neighbourhoods.

    Returns:
        [B, ceil(H / stride), ceil(W / stride), F].

    Raises:
        ValueError: the kernel does not fit.
    """
    if kernel.shape[:3] != (3, 3, x.shape[-1]):
        raise ValueError(f"a kernel {kernel.shape} does not fit x of shape {x.shape}; it must be [3, 3, C, F].")
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))

    def by_product(x: Array, kernel: Array) -> Array:
        return conv2d(x, kernel, stride=stride, padding="VALID")

    def by_convolution(x: Array, kernel: Array) -> Array:
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, (stride, stride), "VALID", dimension_numbers=numbers)

    return jax.lax.platform_dependent(x, kernel, cpu=by_product, default=by_convolution)


class Conv3x3(nn.Module):
    """A 3x3 convolution with bias, one pixel of zeros on every side; parameters as those of `flax.linen.Conv`.

    features: channels of the output.
    stride: how many times smaller each side becomes.
    kernel_init: initializer of the kernel.
    dtype: compute dtype; None follows the input. Parameters are float32.
    """

    features: int
    stride: int = 1
    kernel_init: Any = nn.initializers.lecun_normal()
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map x [B, H, W, C] to [B, ceil(H / stride), ceil(W / stride), features]."""
        kernel = self.param("kernel", self.kernel_init, (3, 3, x.shape[-1], self.features), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,), jnp.float32)
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        return conv3x3(x, kernel, stride=self.stride) + bias.reshape(1, 1, 1, -1)


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
        h = Conv3x3(self.channels, dtype=self.dtype, name="conv_in")(h)
        shift = nn.Dense(self.channels, dtype=self.dtype, name="embed")(nn.silu(embedding))
        h = nn.silu(GroupNorm(self.groups, dtype=self.dtype, name="norm_out")(h + shift[:, None, None, :]))
        h = nn.Dropout(self.dropout, deterministic=not train)(h)
        h = Conv3x3(self.channels, kernel_init=nn.initializers.zeros_init(), dtype=self.dtype, name="conv_out")(h)
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
        return Conv3x3(x.shape[-1], stride=2, dtype=self.dtype, name="conv")(x)


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
        return Conv3x3(channels, dtype=self.dtype, name="conv")(x)
