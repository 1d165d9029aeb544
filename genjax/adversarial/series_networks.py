"""Convolutions along time for networks on series `[B, T, C]`, as pictures one pixel wide."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from genjax.contract import Array
from genjax.nn import conv2d


class SeriesConv(nn.Module):
    """Convolution along time, padded so that T shrinks by the stride alone.

    features: channels of the output.
    kernel_size: steps that a kernel spans.
    stride: how many times shorter the series becomes.
    use_bias: whether a bias is added.
    dtype: compute dtype; None follows the input. Parameters are float32.
    """

    features: int
    kernel_size: int
    stride: int = 1
    use_bias: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map x `[B, T, C]` to `[B, ceil(T / stride), features]`."""
        shape = (self.kernel_size, 1, x.shape[-1], self.features)
        dtype = x.dtype if self.dtype is None else self.dtype
        kernel = self.param("kernel", nn.initializers.lecun_normal(in_axis=(0, 1, 2)), shape).astype(dtype)
        y = conv2d(x.astype(dtype)[:, :, None], kernel, stride=self.stride)[:, :, 0]
        if not self.use_bias:
            return y
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,)).astype(dtype)
        return y + bias[None, None]


def lengthen(x: Array, times: int) -> Array:
    """Return a series `[B, T, C]` with every step repeated, `[B, times T, C]`."""
    return jnp.repeat(x, times, axis=1)
