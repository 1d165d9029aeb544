"""Gated PixelCNN (van den Oord et al. 2016, arXiv:1606.05328).

Two stacks without a blind spot (section 2.3, figure 2). At pixel (i, j) the vertical one has seen every pixel of the
rows above i in reach, the horizontal one those to the left in row i, and of the vertical whatever it has:

    v' = gate(a),   a = W_v * v + V_v h                       W_v over rows <= 0, all columns
    u' = u + R gate(W_u * u + N a + V_u h)                    W_u over columns <= 0 of its own row, N and R 1 x 1
    gate(a1, a2) = tanh(a1) sigmoid(a2)                                                              (2), (4), (5)

In the first layer v and u are the picture, of which W_v sees the rows strictly above and W_u the pixels strictly to the
left (and at the pixel itself the colours before); there is no residual in it. h is a class, one-hot, or a map of the
picture's size (V then a 1 x 1 convolution).

A row of the vertical stack depends on rows above alone: a sampler makes it once a row, the horizontal stack pixel by
pixel.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.autoregressive.categorical import softmax_head
from genjax.autoregressive.pixelcnn import Readout
from genjax.autoregressive.raster import raster_model
from genjax.autoregressive.spatial_condition import ConditionBias, PlaceBias, encode_condition
from genjax.contract import Array, Batch, GenerativeModel, PyTree
from genjax.nn.masked_conv import HERE, CausalConv, ChannelOrder, block_taps, colours_of, row_taps
from genjax.nn.row_buffer import Place, remembered_row

Stacks = tuple[Array | None, Array | None]  # vertical, horizontal; what a place does not need is None


def gate(x: Array) -> Array:
    """Return tanh(a) sigmoid(b) of x = (a, b), [..., 2p] -> [..., p] (eq. 2)."""
    a, b = jnp.split(x, 2, axis=-1)
    return jnp.tanh(a) * jax.nn.sigmoid(b)


class GatedLayer(nn.Module):
    """One layer of both stacks (figure 2).

    features: p.
    channels: colours of the picture.
    kernel_size: n, odd; the vertical kernel reaches n // 2 rows up.
    first: whether the inputs are the picture.
    dropout: rate on what enters the convolutions of later layers.
    deterministic: whether dropout is off.
    places: (H, W) of the pictures where a is told row and column (`PlaceBias`); None where not.
    dtype: compute dtype.
    """

    features: int
    channels: int
    kernel_size: int
    first: bool
    dropout: float
    deterministic: bool
    places: tuple[int, int] | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, stacks: Stacks, condition: Array | None, at: Place | None) -> tuple[Stacks, None]:
        """Map the stacks (v, u), [..., p] each (the picture in the first layer), to the next.

        Args:
            stacks: both on whole maps; (v, None) of a row and (None, u) of a pixel.
            condition: from `encode_condition`.
            at: the place.
        """
        v, u = stacks
        summary = None
        if at is None or at.column is None:
            v, summary = self._vertical(v, condition, at)
        summary = remembered_row(self, "summary", summary, at)
        if at is not None and at.column is None:
            return (v, None), None
        return (None if at is not None else v, self._horizontal(u, summary, condition, at)), None

    def _vertical(self, v: Array, condition: Array | None, at: Place | None) -> tuple[Array, Array]:
        """Return v' and N a."""
        reach, width = self.kernel_size // 2, 2 * self.features
        taps = block_taps(range(-reach, 0 if self.first else 1), range(-reach, reach + 1))
        a = CausalConv(width, taps, dtype=self.dtype, name="vertical")(self._drop(v), at)
        a = ConditionBias(self.dtype, name="vertical_condition")(a, condition, at)
        if self.places is not None:
            a = PlaceBias(self.places, self.dtype, name="place")(a, at)
        return gate(a), nn.Dense(width, dtype=self.dtype, name="link")(a)

    def _horizontal(self, u: Array, summary: Array, condition: Array | None, at: Place | None) -> Array:
        inputs = colours_of(u.shape[-1], self.channels)
        narrow = colours_of(self.features, self.channels)
        order = ChannelOrder(inputs, narrow + narrow, strict=self.first)
        taps = row_taps(self.kernel_size, centre=not self.first or self.channels > 1)
        a = CausalConv(2 * self.features, taps, order, dtype=self.dtype, name="horizontal")(self._drop(u), at)
        a = ConditionBias(self.dtype, name="horizontal_condition")(a + summary, condition, at)
        order = ChannelOrder(narrow, narrow)
        out = CausalConv(self.features, HERE, order, dtype=self.dtype, name="residual")(gate(a), at)
        return out if self.first else u + out

    def _drop(self, x: Array) -> Array:
        return x if self.first else nn.Dropout(self.dropout, deterministic=self.deterministic)(x)


class GatedPixelCNN(nn.Module):
    """The network of the Gated PixelCNN.

    outputs: numbers a pixel, in equal parts to the colours; the head's.
    features: p.
    layers: how many, the first included.
    first_kernel: n of the first layer.
    kernel_size: n of the others.
    readout: features of the layer before the last.
    num_classes: classes to condition on; 0 for none or for a map.
    dropout: rate in all layers but the first; the paper has none.
    locate: whether every layer is told row and column (`PlaceBias`); not the paper's.
    dtype: compute dtype; parameters and outputs are float32.
    """

    outputs: int
    features: int = 128
    layers: int = 15
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

        Args:
            s: pictures.
            condition: int classes [B], or a map [B, H, W, E], or None.
            at: see `genjax.autoregressive.raster`.
            train: whether dropout is on; it then needs a key 'dropout'.
        """
        told = encode_condition(condition, self.num_classes, s.shape)
        channels, places = s.shape[-1], s.shape[1:3] if self.locate else None
        settings = (self.dropout, not train, places, self.dtype)
        first = GatedLayer(self.features, channels, self.first_kernel, True, *settings, name="first")
        stacks, _ = first((s, s), told, at)
        rest = nn.scan(
            GatedLayer,
            variable_axes={"params": 0, "cache": 0},
            split_rngs={"params": True, "dropout": True},
            in_axes=nn.broadcast,
            length=self.layers - 1,
        )
        (_, u), _ = rest(self.features, channels, self.kernel_size, False, *settings, name="layers")(stacks, told, at)
        if u is None:
            return None
        return Readout(self.readout, self.outputs, channels, self.dtype, name="readout")(u, at)


def gated_pixelcnn(
    network: Callable[[int], nn.Module],
    *,
    shape: tuple[int, int, int],
    levels: int,
    condition_of: Callable[[Batch], PyTree] | None = None,
) -> GenerativeModel:
    """Build a Gated PixelCNN: two gated stacks under a softmax over levels.

    Args:
        network: outputs a pixel -> network, e.g. `functools.partial(GatedPixelCNN, features=32, layers=5)`.
        shape: (H, W, C) of a picture.
        levels: L; an entry of x is one of 0 ... L-1.
        condition_of: batch -> int classes [B] or a map [B, H, W, E]; None: unconditional.

    Returns:
        See `raster_model`; the player is 'gated_pixelcnn'.
    """
    head = softmax_head(levels, shape[-1])
    return raster_model(
        network(head.outputs), head, player="gated_pixelcnn", shape=shape, levels=levels, condition_of=condition_of
    )
