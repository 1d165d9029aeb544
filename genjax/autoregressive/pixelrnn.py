"""PixelRNN (van den Oord, Kalchbrenner & Kavukcuoglu 2016, arXiv:1601.06759, sections 3.1-3.5).

A convolution of type A on the picture, then residual layers of two-dimensional LSTMs, then two layers relu, 1x1 and a
softmax over levels. In every layer, K_is are convolutions of the layer's input and K_ss of hidden states (eq. 3):

    [o, f, i, g] = K_ss * h_before + K_is * x        o, f, i by the sigmoid, g by tanh
    c = f c_before + i g,    h = o tanh(c)
    x' = x + W h                                      W: 1x1                                      (figure 5, left)

    Row LSTM            before: row i - 1, K_ss 1 x 3; K_is 1 x 3 masked. Rows in one scan; the view is a triangle.
    Diagonal BiLSTM     before: (i, j - 1), and (i - 1, j) too for K_ss, 2 x 1 in the skewed map; K_is 1 x 1. Diagonals
                        in one scan. A second one runs from right to left; its states are moved down by a row, so that
                        they know rows above alone, and added (section 3.2). Together they see every pixel before:
                        K_is of the second one has the picture beside x, since x at the last pixel of the row above
                        does not know that pixel itself (this the paper does not say).

A sampler keeps states of the last row and pixel. The right-to-left scan of row i - 1 runs when that row is drawn.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn

from genjax.autoregressive.categorical import softmax_head
from genjax.autoregressive.lstm_layers import DiagonalBiLSTM, RowLSTM
from genjax.autoregressive.pixelcnn import Readout
from genjax.autoregressive.raster import raster_model
from genjax.autoregressive.spatial_condition import ConditionBias, encode_condition
from genjax.contract import Array, Batch, GenerativeModel, PyTree
from genjax.nn.masked_conv import CausalConv, ChannelOrder, colours_of, raster_taps
from genjax.nn.row_buffer import Place

__all__ = ["DiagonalBiLSTM", "PixelRNN", "RowLSTM", "pixelrnn"]


class PixelRNN(nn.Module):
    """The network of PixelRNN.

    outputs: numbers a pixel, in equal parts to the colours; the head's.
    layer: `RowLSTM` or `DiagonalBiLSTM`; a module class with fields (features, channels, dropout, deterministic,
        dtype), called as (x, s, at) -> (x, None).
    features: h of an LSTM; the maps have 2h.
    layers: how many.
    first_kernel: size of the first kernel.
    readout: features of the layer before the last.
    num_classes: classes to condition on; 0 for none. The class biases the first layer.
    dropout: rate on what a layer adds; the paper has none.
    dtype: compute dtype; parameters and outputs are float32.
    """

    outputs: int
    layer: Any = DiagonalBiLSTM
    features: int = 16
    layers: int = 7
    first_kernel: int = 7
    readout: int = 32
    num_classes: int = 0
    dropout: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(
        self, s: Array, condition: PyTree = None, *, at: Place | None = None, train: bool = False
    ) -> Array | None:
        """Map pictures s [B, H, W, C] in [-1, 1] to outputs [B, H, W, outputs], or [B, outputs] at a pixel.

        See `genjax.autoregressive.raster` for `at`.
        """
        told = encode_condition(condition, self.num_classes, s.shape)
        channels, width = s.shape[-1], 2 * self.features
        if at is not None and at.column is None:
            x = None
        else:
            order = ChannelOrder(tuple(range(channels)), colours_of(width, channels), strict=True)
            taps = raster_taps(self.first_kernel, centre=channels > 1)
            x = CausalConv(width, taps, order, dtype=self.dtype, name="first")(s, at)
            x = ConditionBias(self.dtype, name="condition")(x, told, at)
        x, _ = self._stack(channels, deterministic=not train)(x, s, at)
        return None if x is None else Readout(self.readout, self.outputs, channels, self.dtype, name="readout")(x, at)

    def _stack(self, channels: int, *, deterministic: bool) -> nn.Module:
        """Return the layers as one scan: compiled once, whatever the depth."""
        stack = nn.scan(
            self.layer,
            variable_axes={"params": 0, "cache": 0},
            split_rngs={"params": True, "dropout": True},
            in_axes=nn.broadcast,
            length=self.layers,
        )
        return stack(self.features, channels, self.dropout, deterministic, self.dtype, name="layers")


def pixelrnn(
    network: Callable[[int], nn.Module],
    *,
    shape: tuple[int, int, int],
    levels: int,
    condition_of: Callable[[Batch], PyTree] | None = None,
) -> GenerativeModel:
    """Build a PixelRNN: a recurrent network under a softmax over levels.

    Args:
        network: outputs a pixel -> network, e.g. `functools.partial(PixelRNN, layer=RowLSTM, layers=3)`.
        shape: (H, W, C) of a picture.
        levels: L; an entry of x is one of 0 ... L-1.
        condition_of: see `raster_model`.

    Returns:
        See `raster_model`; the player is 'pixelrnn'.
    """
    head = softmax_head(levels, shape[-1])
    return raster_model(
        network(head.outputs), head, player="pixelrnn", shape=shape, levels=levels, condition_of=condition_of
    )
