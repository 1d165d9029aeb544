"""Modulated convolution: a style scales the kernel's input channels, and its output is brought back to unit variance.

    w'_ijk  = s_i w_ijk                                          modulation by the style s           (eq. 1)
    w''_ijk = w'_ijk / sqrt(sum_{i, k} w'_ijk^2 + epsilon)       demodulation                        (eq. 3)

with i input channels, j output channels, k places of the kernel. For an input of independent entries of unit variance
the output of channel j has variance sum_{i, k} w'_ijk^2 (eq. 2): demodulation makes it 1, as an instance normalization
would, but by an expectation over inputs and not by the statistics of each picture.

Every example has kernels of its own. Since modulation is by input and demodulation by output channel, both can as well
be done to the pictures,

    conv(w'', x)_j = d_j conv(w, s x)_j,   d_j = 1 / sqrt(sum_i s_i^2 sum_k w_ijk^2 + epsilon),

with one kernel for the whole batch (`modulated_conv2d`, the form the layers here take); `modulated_conv2d_grouped` is
the paper's other form, all examples' kernels as one convolution in B groups. They are the same function.

Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", section 2.2 and appendix B,
https://arxiv.org/abs/1912.04958
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import lax

from genjax.adversarial.equalized import EqualizedDense, equalized_kernel
from genjax.contract import Array
from genjax.nn import conv2d

EPSILON = 1e-8


def modulated_conv2d(
    x: Array, kernel: Array, style: Array, *, convolve: Callable[[Array, Array], Array] = conv2d
) -> Array:
    """Convolve by a kernel modulated by each example's style and demodulated.

    Args:
        x: `[B, H, W, C]`.
        kernel: `[k, k, C, F]`.
        style: `[B, C]`.
        convolve: linear in both arguments and the same at all pixels: `conv2d`, or one that resamples too.

    Returns:
        `[B, H', W', F]`, of x's dtype; the scales are float32.

    Raises:
        ValueError: the shapes do not match.

    Reference: Karras et al. 2020, eqs. 1 and 3.
    """
    _check(x, kernel, style)
    norms = demodulation(kernel, style).astype(x.dtype)
    return scaled_conv2d(x, kernel, style, convolve=convolve) * norms[:, None, None, :]


def scaled_conv2d(
    x: Array, kernel: Array, style: Array, *, convolve: Callable[[Array, Array], Array] = conv2d
) -> Array:
    """Convolve by a kernel modulated and not demodulated: eq. 1 alone, for layers to RGB. As `modulated_conv2d`."""
    _check(x, kernel, style)
    return convolve(x * style.astype(x.dtype)[:, None, None, :], kernel.astype(x.dtype))


def demodulation(kernel: Array, style: Array) -> Array:
    """Return 1 / sqrt(sum over input channels and places of (style kernel)^2 + epsilon).

    Args:
        kernel: `[k, k, C, F]`.
        style: `[B, C]`.

    Returns:
        `[B, F]`, float32.

    Reference: Karras et al. 2020, eq. 3.
    """
    energy = jnp.square(kernel.astype(jnp.float32)).sum(axis=(0, 1))
    return lax.rsqrt(jnp.square(style.astype(jnp.float32)) @ energy + EPSILON)


def modulated_conv2d_grouped(x: Array, kernel: Array, style: Array) -> Array:
    """Return what `modulated_conv2d` does, by one convolution in as many groups as there are examples.

    Args:
        x: `[B, H, W, C]`.
        kernel: `[k, k, C, F]`.
        style: `[B, C]`.

    Returns:
        `[B, H, W, F]`.

    Reference: Karras et al. 2020, appendix B.
    """
    _check(x, kernel, style)
    batch, height, width, channels = x.shape
    size, _, _, features = kernel.shape
    own = kernel[None] * style[:, None, None, :, None]
    own = own * lax.rsqrt(jnp.square(own).sum(axis=(1, 2, 3), keepdims=True) + EPSILON)
    side_by_side = x.transpose(1, 2, 0, 3).reshape(1, height, width, batch * channels)
    kernels = own.transpose(1, 2, 3, 0, 4).reshape(size, size, channels, batch * features)
    y = lax.conv_general_dilated(
        side_by_side,
        kernels,
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=batch,
    )
    return y.reshape(height, width, batch, features).transpose(2, 0, 1, 3)


class ModulatedConv(nn.Module):
    """A modulated convolution with its affine map from w to the style, at an equalized learning rate.

    features: of the output.
    kernel_size: side of the kernel.
    apply: `modulated_conv2d`, or another function of (x, kernel, style).
    dtype: compute dtype; parameters are float32.
    """

    features: int
    kernel_size: int = 3
    apply: Callable[[Array, Array, Array], Array] = modulated_conv2d
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, w: Array) -> Array:
        """Map x `[B, H, W, C]`, under w `[B, W]`, to `[B, H', W', features]`; no bias."""
        style = EqualizedDense(x.shape[-1], bias_init=1.0, dtype=jnp.float32, name="style")(w)
        kernel = equalized_kernel(self, (self.kernel_size, self.kernel_size, x.shape[-1], self.features))
        return self.apply(x if self.dtype is None else x.astype(self.dtype), kernel, style)


def _check(x: Array, kernel: Array, style: Array) -> None:
    if x.ndim != 4 or kernel.ndim != 4 or style.shape != (x.shape[0], x.shape[-1]) or kernel.shape[2] != x.shape[-1]:
        raise ValueError(
            f"x {x.shape} is not [B, H, W, C] with a kernel {kernel.shape} [k, k, C, F], styles {style.shape} [B, C]."
        )
