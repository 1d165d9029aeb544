"""Resampling with a blur: pictures made larger and smaller without aliasing, by a separable finite filter.

To halve a side, blur and keep every second pixel; to double it, put a zero behind every pixel and blur, with a filter
twice as strong, since half of what it meets is zero. The taps 1 3 3 1 (over 8) are StyleGAN2's; of even length, they
lie half a pixel beside the grid, exactly between the two pixels that share a place in the smaller picture. With 1 1
doubling is by nearest neighbours and halving by mean, ProGAN's.

A filter is normalised to sum 1: a constant picture stays what it is, but at the border, beyond which all is zero.

A convolution that also resamples is one filter after another, and the order does not matter in the interior; here the
smaller side of the two pays for it: `upsample_conv2d` convolves transposed and then blurs, `downsample_conv2d` blurs
and then convolves with stride 2.

Reference: Zhang 2019, "Making Convolutional Networks Shift-Invariant Again", https://arxiv.org/abs/1904.11486;
Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", https://arxiv.org/abs/1912.04958
"""

from collections.abc import Sequence

import chex
import jax.numpy as jnp
from jax import lax

from genjax.contract import Array
from genjax.nn import conv2d, conv2d_transpose

BINOMIAL = (1.0, 3.0, 3.0, 1.0)
BOX = (1.0, 1.0)


def upfirdn2d(
    x: Array, taps: Sequence[float], *, up: int = 1, down: int = 1, pad: tuple[int, int] = (0, 0), gain: float = 1.0
) -> Array:
    """Put up - 1 zeros behind every pixel, pad, filter rows and columns, keep every down-th pixel.

    Args:
        x: `[B, H, W, C]`.
        taps: of one axis; they are normalised to sum 1.
        up: zeros are put so that each side is up times as long.
        down: one pixel in down is kept, the first among them.
        pad: zeros before and after, on both axes; negative ones cut off.
        gain: what the whole is multiplied by.

    Returns:
        `[B, H', W', C]` with H' = (up H + pad[0] + pad[1] - len(taps)) // down + 1.

    Raises:
        ValueError: nothing is left of the picture, or the taps sum to zero.
    """
    chex.assert_rank(x, 4)
    if not sum(taps):
        raise ValueError(f"The taps {tuple(taps)} sum to zero and cannot be normalised.")
    weights = [gain**0.5 * tap / sum(taps) for tap in taps]
    for axis in (1, 2):
        x = _along(x, weights, axis, up, down, pad)
    return x


def blur(x: Array, taps: Sequence[float] = BINOMIAL) -> Array:
    """Filter and keep the size `[B, H, W, C]`; taps of even length move the picture by half a pixel."""
    rest = len(taps) - 1
    return upfirdn2d(x, taps, pad=(rest - rest // 2, rest // 2))


def upsample(x: Array, taps: Sequence[float] = BINOMIAL) -> Array:
    """Double the sides of x `[B, H, W, C]`: `[B, 2 H, 2 W, C]`."""
    before = (len(taps) + 1) // 2
    return upfirdn2d(x, taps, up=2, pad=(before, len(taps) - 1 - before), gain=4.0)


def downsample(x: Array, taps: Sequence[float] = BINOMIAL) -> Array:
    """Halve the sides of x `[B, H, W, C]`, both even: `[B, H / 2, W / 2, C]`."""
    return upfirdn2d(x, taps, down=2, pad=_around_pair(taps))


def upsample_conv2d(x: Array, kernel: Array, taps: Sequence[float] = BINOMIAL) -> Array:
    """Double the sides, blurred, and convolve.

    Args:
        x: `[B, H, W, C]`.
        kernel: `[k, k, C, F]`, k odd and at least 3, of x's dtype.
        taps: of the blur.

    Returns:
        `[B, 2 H, 2 W, F]`: where all is zero beyond the border, the kernel on the upsampled picture.
    """
    size, num = _odd(kernel), len(taps)
    if size < 3:
        raise ValueError(f"A kernel {kernel.shape} is smaller than 3 x 3: upsample, and convolve then.")
    before, after = (size - 3) // 2, size // 2  # zeros around x that let the transposed convolution keep all it makes
    around = ((0, 0), (before, after), (before, after), (0, 0))
    whole = conv2d_transpose(jnp.pad(x, around), kernel, stride=2)  # its first row lies at -1 - 2 before
    left = (num + 1) // 2
    return upfirdn2d(whole, taps, pad=(left - 1 - 2 * before, num - left - 2 * after), gain=4.0)


def downsample_conv2d(x: Array, kernel: Array, taps: Sequence[float] = BINOMIAL) -> Array:
    """Blur, and convolve with stride 2.

    Args:
        x: `[B, H, W, C]`, both sides even.
        kernel: `[k, k, C, F]`, k odd, of x's dtype.
        taps: of the blur.

    Returns:
        `[B, H / 2, W / 2, F]`.
    """
    half = _odd(kernel) // 2
    before, after = _around_pair(taps)
    return conv2d(upfirdn2d(x, taps, pad=(before + half, after + half)), kernel, stride=2, padding="VALID")


def _around_pair(taps: Sequence[float]) -> tuple[int, int]:
    """Return the zeros before and after that put the middle of the taps between the first two pixels."""
    before = (len(taps) - 1) // 2
    return before, len(taps) - 2 - before


def _along(x: Array, weights: Sequence[float], axis: int, up: int, down: int, pad: tuple[int, int]) -> Array:
    """Do one axis of `upfirdn2d`."""
    padding = [(0, 0, 0)] * x.ndim
    padding[axis] = (pad[0], pad[1] + up - 1, up - 1)
    x = lax.pad(x, jnp.zeros((), x.dtype), padding)
    length = x.shape[axis] - len(weights) + 1
    if length < 1:
        raise ValueError(
            f"A filter of {len(weights)} taps does not fit into the {x.shape[axis]} pixels of axis {axis}."
        )
    # A filter proper, as in signal processing: the last tap meets the first pixel. Symmetric taps know no difference.
    shifted = (lax.slice_in_dim(x, t, t + length, stride=down, axis=axis) for t in range(len(weights)))
    return sum(weight * part for weight, part in zip(reversed(weights), shifted))


def _odd(kernel: Array) -> int:
    """Return the side of a square kernel of odd size."""
    size = kernel.shape[0]
    if kernel.ndim != 4 or kernel.shape[1] != size or size % 2 == 0:
        raise ValueError(f"A kernel {kernel.shape} is not [k, k, C, F] with k odd.")
    return size
