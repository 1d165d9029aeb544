"""PixelCNN (van den Oord, Kalchbrenner & Kavukcuoglu 2016, arXiv:1601.06759, sections 3.3-3.5 and 4).

    log p(x) = sum_i log p(x_i | x_<i),    each factor a softmax over levels

A convolution of type A on the picture, then residual blocks of 2h features,

    x + W3 relu(W2 * relu(W1 relu(x))),     W1: 1x1, 2h -> h;   W2: 3x3, h -> h;   W3: 1x1, h -> 2h     (figure 5)

all of type B, then two layers relu, 1x1. Rows above are seen in a cone that narrows upwards, so that pixels to the
upper right beyond it stay unseen: the blind spot that `gated_pixelcnn` does away with.

Dropout inside the blocks is not the paper's; small data need it.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from genjax.autoregressive.categorical import softmax_head
from genjax.autoregressive.raster import raster_model
from genjax.autoregressive.spatial_condition import ConditionBias, PlaceBias, encode_condition
from genjax.contract import Array, Batch, GenerativeModel, PyTree
from genjax.nn.masked_conv import HERE, CausalConv, ChannelOrder, colours_of, raster_taps
from genjax.nn.row_buffer import Place


class ResidualBlock(nn.Module):
    """x + W3 relu(W2 * relu(W1 relu(x))), masked (figure 5, right).

    features: h; x has 2h.
    channels: colours of the picture.
    kernel_size: of W2.
    dropout: rate before W3.
    deterministic: whether dropout is off.
    dtype: compute dtype.
    """

    features: int
    channels: int
    kernel_size: int
    dropout: float
    deterministic: bool
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, at: Place | None) -> tuple[Array, None]:
        """Map x [..., 2h] to [..., 2h], all maps or the place `at`."""
        wide, narrow = colours_of(x.shape[-1], self.channels), colours_of(self.features, self.channels)
        taps = raster_taps(self.kernel_size, centre=True)
        conv = lambda width, taps, order, name: CausalConv(width, taps, order, dtype=self.dtype, name=name)
        h = conv(self.features, HERE, ChannelOrder(wide, narrow), "squeeze")(nn.relu(x), at)
        h = conv(self.features, taps, ChannelOrder(narrow, narrow), "conv")(nn.relu(h), at)
        h = nn.Dropout(self.dropout, deterministic=self.deterministic)(nn.relu(h))
        return x + conv(x.shape[-1], HERE, ChannelOrder(narrow, wide), "expand")(h, at), None


class Readout(nn.Module):
    """relu, 1x1, relu, 1x1, of type B: from features to the numbers of a pixel's distribution.

    features: of the layer between.
    outputs: numbers a pixel, in equal parts to the colours.
    channels: colours of the picture.
    dtype: compute dtype; the outputs are float32.
    """

    features: int
    outputs: int
    channels: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, at: Place | None = None) -> Array:
        """Map features [..., F] to [..., outputs], all maps or the pixel `at`."""
        widths = (x.shape[-1], self.features, self.outputs)
        dealt = [colours_of(width, self.channels) for width in widths]
        for index, name in enumerate(("hidden", "out")):
            order = ChannelOrder(dealt[index], dealt[index + 1])
            x = CausalConv(widths[index + 1], HERE, order, dtype=self.dtype, name=name)(nn.relu(x), at)
        return x.astype(jnp.float32)


class PixelCNN(nn.Module):
    """The network of PixelCNN.

    outputs: numbers a pixel, in equal parts to the colours; the head's.
    features: h; the maps have 2h.
    blocks: residual blocks.
    first_kernel: size of the first kernel.
    kernel_size: of the blocks' kernels.
    readout: features of the layer before the last.
    num_classes: classes to condition on; 0 for none. The class biases the first layer.
    dropout: rate inside blocks.
    locate: whether the first layer is told row and column (`PlaceBias`); not the paper's.
    dtype: compute dtype; parameters and outputs are float32.
    """

    outputs: int
    features: int = 128
    blocks: int = 15
    first_kernel: int = 7
    kernel_size: int = 3
    readout: int = 1024
    num_classes: int = 0
    dropout: float = 0.0
    locate: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(
        self, s: Array, condition: PyTree = None, *, at: Place | None = None, train: bool = False
    ) -> Array | None:
        """Map pictures s [B, H, W, C] in [-1, 1] to outputs [B, H, W, outputs], or [B, outputs] at a pixel.

        See `genjax.autoregressive.raster` for `at`; a row needs nothing here.
        """
        told = encode_condition(condition, self.num_classes, s.shape)
        if at is not None and at.column is None:
            return None
        channels, width = s.shape[-1], 2 * self.features
        order = ChannelOrder(tuple(range(channels)), colours_of(width, channels), strict=True)
        taps = raster_taps(self.first_kernel, centre=channels > 1)
        x = CausalConv(width, taps, order, dtype=self.dtype, name="first")(s, at)
        x = ConditionBias(self.dtype, name="condition")(x, told, at)
        if self.locate:
            x = PlaceBias(s.shape[1:3], self.dtype, name="place")(x, at)
        x = _stack(self.blocks)(
            self.features, channels, self.kernel_size, self.dropout, not train, self.dtype, name="blocks"
        )(x, at)[0]
        return Readout(self.readout, self.outputs, channels, self.dtype, name="readout")(x, at)


def pixelcnn(
    network: Callable[[int], nn.Module],
    *,
    shape: tuple[int, int, int],
    levels: int,
    condition_of: Callable[[Batch], PyTree] | None = None,
) -> GenerativeModel:
    """Build a PixelCNN: a masked network under a softmax over levels.

    Args:
        network: outputs a pixel -> network, e.g. `functools.partial(PixelCNN, features=32, blocks=5)`.
        shape: (H, W, C) of a picture.
        levels: L; an entry of x is one of 0 ... L-1 (2: a Bernoulli, 256: 8-bit pictures).
        condition_of: see `raster_model`.

    Returns:
        See `raster_model`; the player is 'pixelcnn'.
    """
    head = softmax_head(levels, shape[-1])
    return raster_model(
        network(head.outputs), head, player="pixelcnn", shape=shape, levels=levels, condition_of=condition_of
    )


def _stack(blocks: int) -> Any:
    """Return `blocks` residual blocks as one scan: compiled once, whatever the depth."""
    axes = {"params": 0, "cache": 0}
    rngs = {"params": True, "dropout": True}
    return nn.scan(ResidualBlock, variable_axes=axes, split_rngs=rngs, in_axes=nn.broadcast, length=blocks)
