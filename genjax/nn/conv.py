"""Convolution and transposed convolution as matrix products, equal to those of `jax.lax`.

Convolution: the k x k neighbourhoods of x `[B, H, W, C]`, a stride apart, are gathered into rows of k k C numbers and
multiplied with the kernel `[k, k, C, F]`, seen as a matrix.

Transposed convolution, its mirror, makes a picture `stride` times larger: every entry of x is multiplied with the
whole kernel, the resulting k x k patches are laid down a stride apart, and where they overlap they add up.

On a CPU that is; on accelerators `jax.lax` convolves. What compilers for CPUs do well is the forward convolution
alone: the gradient of a kernel, inside a compiled loop (training steps under one dispatch), takes them some hundred
times longer than these products do (3 x 3, 8 x 8 x 64 -> 64, batch 64: 540 ms against 6 ms). The price is memory,
k k / stride^2 copies of x. The choice is made when a program is lowered for a platform.
"""

from collections.abc import Callable
from typing import Any

import chex
import flax.linen as nn
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax import lax

from genjax.contract import Array


def conv2d(x: Array, kernel: Array, *, stride: int = 1, padding: str | int = "SAME") -> Array:
    """Convolve: equals `lax.conv_general_dilated` with strides (stride, stride) and this padding, NHWC.

    Args:
        x: `[B, H, W, C]`.
        kernel: `[k, l, C, F]`, of x's dtype.
        stride: distance of neighbourhoods.
        padding: 'SAME', 'VALID', or how many zeros to put on every side.

    Returns:
        `[B, ceil(H / stride), ceil(W / stride), F]` under 'SAME', `[B, (H' - k) // stride + 1, ..., F]` otherwise,
        where H' counts the zeros.

    Raises:
        ValueError: the kernel is larger than the padded picture, or not for x's channels.
    """
    chex.assert_rank([x, kernel], 4)
    if kernel.shape[2] != x.shape[3]:
        raise ValueError(f"A kernel {kernel.shape} takes {kernel.shape[2]} channels; x {x.shape} has {x.shape[3]}.")
    pads = [(padding, padding)] * 2 if isinstance(padding, int) else _pads(x, kernel, stride, padding)
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    if x.shape[1] < kernel.shape[0] or x.shape[2] < kernel.shape[1]:
        raise ValueError(f"A kernel {kernel.shape[:2]} does not fit into a picture {x.shape[1:3]}.")

    def by_convolution(x: Array, kernel: Array) -> Array:
        numbers = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(x, kernel, (stride, stride), "VALID", dimension_numbers=numbers)

    by_product = lambda x, kernel: _gather(x, kernel.shape[:2], stride) @ kernel.reshape(-1, kernel.shape[3])
    return lax.platform_dependent(x, kernel, cpu=by_product, default=by_convolution)


def conv2d_transpose(x: Array, kernel: Array, *, stride: int) -> Array:
    """Convolve with input dilation: equals `lax.conv_transpose(x, kernel, (stride, stride), 'SAME')`.

    Args:
        x: `[B, H, W, C]`.
        kernel: `[k, k, C, F]`, k >= stride, of x's dtype.
        stride: how many times larger each side becomes.

    Returns:
        `[B, H * stride, W * stride, F]`.

    Raises:
        ValueError: if the kernel is smaller than the stride (some outputs would meet no input).
    """
    chex.assert_rank([x, kernel], 4)
    size = kernel.shape[0]
    if kernel.shape[1] != size or size < stride:
        raise ValueError(f"The kernel {kernel.shape} must be square and at least as large as the stride {stride}.")

    def by_product(x: Array, kernel: Array) -> Array:
        full = _overlap_add(_patches(x, kernel, stride))
        height, width = x.shape[1] * stride, x.shape[2] * stride
        before = size - 1 - _padding_before(size, stride)
        return full[:, before : before + height, before : before + width]

    by_convolution = lambda x, kernel: lax.conv_transpose(x, kernel, (stride, stride), "SAME")
    return lax.platform_dependent(x, kernel, cpu=by_product, default=by_convolution)


class Conv(nn.Module):
    """Convolution with square kernel; same parameters and output as `flax.linen.Conv`.

    features: channels of the output.
    kernel_size: side of the kernel.
    stride: how many times smaller each side becomes.
    padding: 'SAME', 'VALID', or zeros on every side: 1 keeps odd and even pixels alike where the stride is 2.
    use_bias: leave it out right before a normalization that subtracts the mean.
    dtype: compute dtype; None follows the input. Parameters are float32.
    """

    features: int
    kernel_size: int = 3
    stride: int = 1
    padding: str | int = "SAME"
    use_bias: bool = True
    kernel_init: Callable[..., Array] = nn.initializers.lecun_normal()
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map x `[B, H, W, C]` to `[B, H', W', features]`; see `conv2d` for H' and W'."""
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        x, kernel, bias = _with_parameters(self, x, shape)
        return bias(conv2d(x, kernel, stride=self.stride, padding=self.padding))


class ConvTranspose(nn.Module):
    """Transposed convolution with square kernel; same parameters and output as `flax.linen.ConvTranspose`.

    features: channels of the output.
    kernel_size: side of the kernel; a multiple of the stride treats all output pixels alike.
    stride: how many times larger each side becomes.
    use_bias: leave it out right before a normalization that subtracts the mean.
    dtype: compute dtype; None follows the input. Parameters are float32.
    """

    features: int
    kernel_size: int = 4
    stride: int = 2
    use_bias: bool = True
    kernel_init: Callable[..., Array] = nn.initializers.lecun_normal()
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map x `[B, H, W, C]` to `[B, H * stride, W * stride, features]`."""
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        x, kernel, bias = _with_parameters(self, x, shape)
        return bias(conv2d_transpose(x, kernel, stride=self.stride))


def _with_parameters(module: nn.Module, x: Array, shape: tuple[int, ...]) -> tuple[Array, Array, Callable]:
    """Return x and the module's kernel in the compute dtype, and what adds the bias, if there is one."""
    kernel = module.param("kernel", module.kernel_init, shape, jnp.float32)
    zeros = nn.initializers.zeros_init()
    bias = module.param("bias", zeros, shape[-1:], jnp.float32) if module.use_bias else None
    x, kernel, bias = promote_dtype(x, kernel, bias, dtype=module.dtype)
    return x, kernel, lambda y: y if bias is None else y + bias.reshape(1, 1, 1, -1)


def _pads(x: Array, kernel: Array, stride: int, padding: str) -> list[tuple[int, int]]:
    return lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], (stride, stride), padding)


def _gather(x: Array, window: tuple[int, int], stride: int) -> Array:
    """Return the neighbourhoods of x `[B, H, W, C]` that lie inside it, a stride apart: `[B, H', W', k l C]`.

    Columns first, then rows of them: k + l slices, where entry by entry it would be k l.
    """
    for axis, size in ((2, window[1]), (1, window[0])):
        last = (x.shape[axis] - size) // stride * stride
        x = jnp.concatenate([lax.slice_in_dim(x, i, i + last + 1, stride, axis) for i in range(size)], axis=-1)
    return x


def _patches(x: Array, kernel: Array, stride: int) -> Array:
    """Return every entry's patch `[B, H, W, m, s, m, s, F]`: rows and columns s a + r of it as (a, r), a < m.

    The kernel is turned by 180 degrees, as `lax.conv_transpose` has it, and padded with zeros to m s x m s.
    """
    size, _, channels, features = kernel.shape
    blocks = -(-size // stride)
    pad = blocks * stride - size
    kernel = jnp.pad(kernel[::-1, ::-1], ((0, pad), (0, pad), (0, 0), (0, 0)))
    patches = x @ kernel.transpose(2, 0, 1, 3).reshape(channels, -1)
    return patches.reshape(*x.shape[:3], blocks, stride, blocks, stride, features)


def _overlap_add(patches: Array) -> Array:
    """Lay the patches of `_patches` down a stride apart and add them: `[B, (H + m - 1) s, (W + m - 1) s, F]`."""
    batch, height, width, blocks, stride, _, _, features = patches.shape
    rest = blocks - 1
    still = (0, 0)
    total = sum(
        jnp.pad(patches[:, :, :, a, :, b], (still, (a, rest - a), (b, rest - b), still, still, still))
        for a in range(blocks)
        for b in range(blocks)
    )
    total = total.transpose(0, 1, 3, 2, 4, 5)
    return total.reshape(batch, (height + rest) * stride, (width + rest) * stride, features)


def _padding_before(size: int, stride: int) -> int:
    """Return the zeros before the dilated input under 'SAME', as in `lax.conv_transpose`."""
    return size - 1 if stride > size - 1 else -(-(size + stride - 2) // 2)
