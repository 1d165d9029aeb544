"""Masked convolutions (van den Oord et al. 2016, arXiv:1601.06759, section 3.4), made of their open taps alone.

A masked convolution sums over the pixels that come before in raster order,

    y[i, j] = sum over taps (dy, dx) of  x[i + dy, j + dx] W[dy, dx],      dy < 0, or dy = 0 and dx <= 0,

so its kernel `[T, C, F]` holds a matrix for each open tap, and what a mask would set to zero is neither stored nor
multiplied. At the pixel itself (0, 0), the order of colours decides. Features are dealt to the colours in equal
consecutive parts, and a feature that serves colour c sees at its own pixel

    type A (on the picture)     the colours before c          ChannelOrder(strict=True)
    type B (on features)        features of colours up to c   ChannelOrder(strict=False)

On whole maps the taps are gathered into one matrix product on a CPU (see `genjax.nn.conv` why) and put into a dense
kernel for `lax.conv_general_dilated` elsewhere. At one place (`at`), as a sampler needs it, only that pixel or that row
is made, from the rows the layer has kept (see `genjax.nn.row_buffer`): T C F multiplications, however large the map.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from flax.linen.dtypes import promote_dtype
from jax import lax

from genjax.contract import Array
from genjax.nn.row_buffer import (
    Place,
    Taps,
    declare,
    empty_rows,
    keep,
    look,
    margins,
    neighbours,
    read_rows,
    recall,
    write_rows,
)

HERE: Taps = ((0, 0),)


class ChannelOrder(NamedTuple):
    """Which inputs an output may see at its own pixel.

    inputs: the colour each input feature serves.
    outputs: the colour each output feature serves.
    strict: True for type A (colours before its own), False for type B (its own too).
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    strict: bool = False

    def mask(self) -> np.ndarray:
        """Return float32 [C, F], 1 where an input is seen."""
        inputs, outputs = np.asarray(self.inputs)[:, None], np.asarray(self.outputs)[None, :]
        return (inputs < outputs if self.strict else inputs <= outputs).astype(np.float32)


def colours_of(features: int, channels: int) -> tuple[int, ...]:
    """Deal features to the colours of a picture in consecutive parts, equal up to one.

    Args:
        features: how many there are, at least one a colour.
        channels: colours of the picture.

    Returns:
        The colour 0 ... channels - 1 of each feature, ascending.

    Raises:
        ValueError: a colour would go without.
    """
    if features < channels:
        raise ValueError(f"{features} features cannot serve {channels} colours; give at least one to each.")
    return tuple(index * channels // features for index in range(features))


def raster_taps(size: int, *, centre: bool) -> Taps:
    """Return the taps of a size x size kernel that come before its centre, and the centre last if asked for."""
    reach = _reach(size)
    above = tuple((dy, dx) for dy in range(-reach, 0) for dx in range(-reach, reach + 1))
    return above + row_taps(size, centre=centre)


def row_taps(size: int, *, centre: bool) -> Taps:
    """Return the taps of a 1 x size kernel that lie left of its centre, and the centre last if asked for."""
    return tuple((0, dx) for dx in range(-_reach(size), 0)) + (HERE if centre else ())


def block_taps(rows: range, columns: range) -> Taps:
    """Return all taps (dy, dx) with dy in `rows` and dx in `columns`."""
    return tuple((dy, dx) for dy in rows for dx in columns)


def causal_conv(x: Array, kernel: Array, taps: Taps, *, stride: int = 1) -> Array:
    """Convolve whole maps with a kernel of taps.

    Args:
        x: [B, H, W, C].
        kernel: [T, C, F], of x's dtype.
        taps: T offsets (dy, dx), dy <= 0.
        stride: distance of the outputs.

    Returns:
        [B, ceil(H / stride), ceil(W / stride), F].

    Raises:
        ValueError: kernel, taps and x do not belong together, or a tap points downwards.
    """
    if x.ndim != 4 or kernel.shape[:2] != (len(taps), x.shape[-1]):
        raise ValueError(f"a kernel {kernel.shape} of {len(taps)} taps does not fit x {x.shape}; it must be [T, C, F].")
    if any(dy > 0 for dy, _ in taps):
        raise ValueError(f"taps {taps} look at rows below.")
    if taps == HERE and stride == 1:
        return x @ kernel[0]

    def by_product(x: Array, kernel: Array) -> Array:
        return neighbours(x, taps, stride=stride) @ kernel.reshape(-1, kernel.shape[-1])

    def by_convolution(x: Array, kernel: Array) -> Array:
        return _dense_convolution(x, kernel, taps, stride)

    return lax.platform_dependent(x, kernel, cpu=by_product, default=by_convolution)


def _dense_convolution(x: Array, kernel: Array, taps: Taps, stride: int) -> Array:
    """Do the same by a rectangular kernel with zeros where no tap is."""
    up, left, right = margins(taps)
    rows, columns = np.array([dy + up for dy, _ in taps]), np.array([dx + left for _, dx in taps])
    dense = jnp.zeros((up + 1, left + right + 1, *kernel.shape[1:]), kernel.dtype).at[rows, columns].set(kernel)
    numbers, pads = ("NHWC", "HWIO", "NHWC"), ((up, 0), (left, right))
    return lax.conv_general_dilated(x, dense, (stride, stride), pads, dimension_numbers=numbers)


class CausalConv(nn.Module):
    """A convolution over taps, on whole maps or at one place.

    features: channels of the output.
    taps: offsets (dy, dx) it sees.
    order: who sees whom at tap (0, 0); None: all see all.
    stride: distance of the outputs on whole maps; at one place `at` counts pixels of the input.
    use_bias: whether a bias is added.
    kernel_init: initializer of the kernel, [T, C, F].
    dtype: compute dtype; None follows the input. Parameters are float32.
    """

    features: int
    taps: Taps = HERE
    order: ChannelOrder | None = None
    stride: int = 1
    use_bias: bool = True
    kernel_init: Callable[..., Array] = nn.initializers.lecun_normal()
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, at: Place | None = None) -> Array:
        """Convolve.

        Args:
            x: whole maps [B, H, W, C]; with `at`, the pixel [B, C] or the row [B, W, C] there, whose predecessors are
                in the collection 'cache' (mutable), or whole maps, from which the place is made without any.
            at: the place to make; None for all.

        Returns:
            [B, ceil(H / stride), ceil(W / stride), F]; with `at` [B, F] or [B, ceil(W / stride), F].
        """
        kernel = self.param("kernel", self.kernel_init, (len(self.taps), x.shape[-1], self.features), jnp.float32)
        zeros = nn.initializers.zeros_init()
        bias = self.param("bias", zeros, (self.features,), jnp.float32) if self.use_bias else None
        if self.order is not None:
            kernel = kernel * self._mask()
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        y = self._product(x, kernel, at)
        return y if bias is None else y + bias.reshape((1,) * (y.ndim - 1) + (-1,))

    def _product(self, x: Array, kernel: Array, at: Place | None) -> Array:
        if at is None:
            self._make_room(x)
            return causal_conv(x, kernel, self.taps, stride=self.stride)
        if x.ndim == 4:
            seen = look(x, at, self.taps)
        elif self.taps == HERE:
            seen = x
        else:
            rows = write_rows(recall(self, "rows"), x, at, self.taps)
            keep(self, "rows", rows)
            seen = read_rows(rows, at, self.taps)
        seen = seen[:, :: self.stride] if at.column is None else seen
        return seen @ kernel.reshape(-1, self.features)

    def _make_room(self, x: Array) -> None:
        """Declare the ring, unless nothing but the place itself is looked at."""
        if self.taps != HERE:
            declare(self, "rows", lambda: empty_rows(x, self.taps))

    def _mask(self) -> np.ndarray:
        """Return [T, C, F], 1 where an input is seen; all is seen of other pixels."""
        here = self.order.mask()
        return np.stack([here if tap == (0, 0) else np.ones_like(here) for tap in self.taps])


def _reach(size: int) -> int:
    if size < 1 or size % 2 == 0:
        raise ValueError(f"a kernel of size {size} has no centre; take an odd size.")
    return size // 2
