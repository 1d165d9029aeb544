"""Networks between pictures and grids of vectors (van den Oord et al. 2017, section 4.1; Razavi et al. 2019).

A grid is a factor 2^n smaller than the picture, n strided 4 x 4 convolutions; residual blocks

    x + W_1 relu(W_3 * relu(x)),     W_3: 3 x 3, W_1: 1 x 1

follow. All is convolution, so that pictures of any size pass.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from genjax.contract import Array
from genjax.nn.conv import Conv, ConvTranspose


class ResidualStack(nn.Module):
    """`blocks` residual blocks, then relu.

    blocks: how many.
    hidden: channels inside a block.
    dtype: compute dtype.
    """

    blocks: int
    hidden: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for _ in range(self.blocks):
            h = Conv(self.hidden, kernel_size=3, dtype=self.dtype)(nn.relu(x))
            x = x + nn.Dense(x.shape[-1], dtype=self.dtype)(nn.relu(h))
        return nn.relu(x)


class GridEncoder(nn.Module):
    """Pictures or grids [B, H, W, C] -> [B, H / 2^n, W / 2^n, outputs].

    widths: channels after each halving, n of them; empty keeps the size.
    outputs: channels of the result.
    blocks: residual blocks.
    dtype: compute dtype.
    """

    widths: Sequence[int]
    outputs: int
    blocks: int = 2
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        factor = 2 ** len(self.widths)
        if x.shape[1] % factor or x.shape[2] % factor:
            raise ValueError(f"x has shape {x.shape}; its sides must be divisible by {factor}.")
        for width in self.widths:
            x = nn.relu(Conv(width, kernel_size=4, stride=2, dtype=self.dtype)(x))
        x = Conv(x.shape[-1], kernel_size=3, dtype=self.dtype)(x)
        x = ResidualStack(self.blocks, x.shape[-1] // 2, self.dtype)(x)
        return nn.Dense(self.outputs, dtype=self.dtype)(x)


class GridDecoder(nn.Module):
    """Grids [B, h, w, D] -> [B, h 2^n, w 2^n, outputs].

    widths: channels before each doubling, n of them, and in the residual blocks those of the first; at least one.
    outputs: channels of the result; for a likelihood, outputs_per_entry times the colours.
    blocks: residual blocks.
    dtype: compute dtype.
    """

    widths: Sequence[int]
    outputs: int
    blocks: int = 2
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array) -> Array:
        x = Conv(self.widths[0], kernel_size=3, dtype=self.dtype)(z)
        x = ResidualStack(self.blocks, max(1, self.widths[0] // 2), self.dtype)(x)
        for width in (*self.widths[1:], self.widths[-1]):
            x = nn.relu(ConvTranspose(width, kernel_size=4, stride=2, dtype=self.dtype)(x))
        return Conv(self.outputs, kernel_size=3, dtype=self.dtype, name="last")(x)


class HalvesMerge(nn.Module):
    """A grid and one half its size -> [B, h, w, outputs], the small one doubled first.

    width: channels between.
    outputs: channels of the result.
    dtype: compute dtype.
    """

    width: int
    outputs: int
    dtype: Any = None

    @nn.compact
    def __call__(self, large: Array, small: Array) -> Array:
        doubled = nn.relu(ConvTranspose(self.width, kernel_size=4, stride=2, dtype=self.dtype)(small))
        both = jnp.concatenate([large.astype(doubled.dtype), doubled], axis=-1)
        return Conv(self.outputs, kernel_size=3, dtype=self.dtype)(both)
