"""The two-dimensional LSTM layers of PixelRNN (van den Oord et al. 2016, arXiv:1601.06759, sections 3.1-3.3).

`genjax.autoregressive.pixelrnn` says what they compute. A layer runs over whole maps by one scan, of rows or of
diagonals; at one place (`at`) from the states it has kept. Both are made of the same arithmetic, `lstm`, and of the same
matrices, so that they agree.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax import lax

from genjax.autoregressive.skewing import inside, skew, unskew
from genjax.contract import Array
from genjax.nn.masked_conv import HERE, CausalConv, ChannelOrder, colours_of, row_taps
from genjax.nn.row_buffer import Place, Taps, declare, empty_rows, keep, read_rows, recall, remembered_row, write_rows

ROW_ABOVE: Taps = ((-1, -1), (-1, 0), (-1, 1))
UP_AND_LEFT: Taps = ((-1, 0), (0, -1))


def lstm(gates: Array, c: Array) -> tuple[Array, Array]:
    """Return (h, c) of an LSTM.

    Args:
        gates: K_ss * h + K_is * x, [..., 4 h], in the order o, f, i, g.
        c: the cell before, [..., h].

    Returns:
        h and c, [..., h].

    Reference: van den Oord et al. 2016, eq. 3.
    """
    o, f, i, g = jnp.split(gates, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def row_lstm(gates: Array, kernel: Array) -> Array:
    """Run the Row LSTM from the top row to the bottom.

    Args:
        gates: K_is * x, [B, H, W, 4 h].
        kernel: K_ss, [3 h, 4 h]: from the left, middle and right neighbours above.

    Returns:
        h, [B, H, W, h].
    """
    batch, _, width, four = gates.shape
    zeros = jnp.zeros((batch, width, four // 4), gates.dtype)

    def row(state: tuple[Array, Array], gates: Array) -> tuple[tuple[Array, Array], Array]:
        h, c = state
        padded = jnp.pad(h, ((0, 0), (1, 1), (0, 0)))
        above = jnp.concatenate([padded[:, :-2], h, padded[:, 2:]], axis=-1)
        h, c = lstm(gates + above @ kernel, c)
        return (h, c), h

    return jnp.moveaxis(lax.scan(row, (zeros, zeros), jnp.moveaxis(gates, 1, 0))[1], 0, 1)


def diagonal_lstm(gates: Array, kernel: Array) -> Array:
    """Run the Diagonal LSTM from the left upper corner to the right lower one.

    Args:
        gates: K_is * x, [B, H, W, 4 h].
        kernel: K_ss, [2 h, 4 h]: from above and from the left.

    Returns:
        h, [B, H, W, h].
    """
    batch, height, width, four = gates.shape
    zeros = jnp.zeros((batch, height, four // 4), gates.dtype)
    valid = jnp.asarray(inside(height, width).T[:, None, :, None], gates.dtype)

    def diagonal(state: tuple[Array, Array], inputs: tuple[Array, Array]) -> tuple[tuple[Array, Array], Array]:
        (h, c), (gates, valid) = state, inputs
        above = jnp.pad(h, ((0, 0), (1, 0), (0, 0)))[:, :-1]
        h, c = lstm(gates + jnp.concatenate([above, h], axis=-1) @ kernel, c)
        # Outside of the picture a state is zero, as at its edges; an LSTM of zero input would have another.
        h, c = h * valid, c * valid
        return (h, c), h

    columns = jnp.moveaxis(skew(gates), 2, 0)
    return unskew(jnp.moveaxis(lax.scan(diagonal, (zeros, zeros), (columns, valid))[1], 0, 2))


class RowLSTM(nn.Module):
    """A residual layer of the Row LSTM.

    features: h; x has 2h.
    channels: colours of the picture.
    dropout: rate on h before W.
    deterministic: whether dropout is off.
    dtype: compute dtype.
    """

    features: int
    channels: int
    dropout: float = 0.0
    deterministic: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array | None, s: Array, at: Place | None) -> tuple[Array | None, None]:
        """Map x [..., 2h] to the same, all maps or the pixel `at`; the picture s, and a row (x None), need nothing."""
        del s
        if x is None:
            return None, None
        gates = _input_to_state(self, x, at, row_taps(3, centre=True))
        kernel = _state_to_state(self, "state_to_state", 3, gates)
        if at is None:
            h = _declare_state(self, row_lstm(gates, kernel), ROW_ABOVE)
        else:
            h = _step(self, gates, kernel, at, ROW_ABOVE, cell=1)  # the cell of the middle one of the three
        return _residual(self, x, h, at), None


class DiagonalBiLSTM(nn.Module):
    """A residual layer of two Diagonal LSTMs, from the left and from the right. Attributes as those of `RowLSTM`."""

    features: int
    channels: int
    dropout: float = 0.0
    deterministic: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array | None, s: Array, at: Place | None) -> tuple[Array | None, None]:
        """Map x [..., 2h] to the same, all maps or the pixel `at`; of a row (x None), run the LSTM from the right.

        Args:
            x: whole maps, a pixel, or None of a row.
            s: the picture, [B, H, W, C].
            at: the place.
        """
        right = None
        if at is None:
            right = self._right_map(x, s)
        elif at.column is None:
            right = self._right_row(s, at)
        right = remembered_row(self, "right", right, at)
        if x is None:
            return None, None
        gates = _input_to_state(self, x, at, HERE)
        kernel = _state_to_state(self, "state_to_state", 2, gates)
        if at is None:
            left = _declare_state(self, diagonal_lstm(gates, kernel), UP_AND_LEFT)
        else:
            left = _step(self, gates, kernel, at, UP_AND_LEFT, cell=1)  # the cell of the left one
        self._remember_input(x, at)
        return _residual(self, x, left + right, at), None

    def _right_map(self, x: Array, s: Array) -> Array:
        """Return what the LSTM from the right knows of the rows above, [B, H, W, h]."""
        gates = self._right_gates(x, s)
        kernel = _state_to_state(self, "state_to_state_right", 2, gates)
        h = diagonal_lstm(gates[:, :, ::-1], kernel)[:, :, ::-1]
        return jnp.pad(h, ((0, 0), (1, 0), (0, 0), (0, 0)))[:, :-1]

    def _right_row(self, s: Array, at: Place) -> Array:
        """Run the LSTM from the right along row i - 1, whose input is known now; [B, W, h], zero for i = 0."""
        above = recall(self, "right")  # of row i - 2
        pixels = lax.dynamic_index_in_dim(s, jnp.maximum(at.row - 1, 0), 1, keepdims=False)
        gates = self._right_gates(recall(self, "last_input"), pixels)
        kernel = _state_to_state(self, "state_to_state_right", 2, gates)
        zeros = jnp.zeros_like(above[:, 0])

        def pixel(state: tuple[Array, Array], inputs: tuple[Array, Array]) -> tuple[tuple[Array, Array], Array]:
            (h, c), (gates, above) = state, inputs
            h, c = lstm(gates + jnp.concatenate([above, h], axis=-1) @ kernel, c)
            return (h, c), h

        columns = jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), (gates, above))
        row = jnp.moveaxis(lax.scan(pixel, (zeros, zeros), columns, reverse=True)[1], 0, 1)
        return jnp.where(at.row > 0, row, jnp.zeros_like(row))

    def _right_gates(self, x: Array, s: Array) -> Array:
        """Return K_is * (x, s) of the LSTM from the right, [..., 4 h]."""
        dense = lambda name, bias: nn.Dense(4 * self.features, use_bias=bias, dtype=self.dtype, name=name)
        return dense("input_to_state_right", True)(x) + dense("picture_to_state_right", False)(s)

    def _remember_input(self, x: Array, at: Place | None) -> None:
        """Keep the row of inputs, which the LSTM from the right runs over when it is complete."""
        if at is None:
            declare(self, "last_input", lambda: jnp.zeros((x.shape[0], *x.shape[2:]), x.dtype))
        else:
            row = recall(self, "last_input")
            keep(self, "last_input", lax.dynamic_update_index_in_dim(row, x.astype(row.dtype), at.column, 1))


def _step(layer: nn.Module, gates: Array, kernel: Array, at: Place, taps: Taps, *, cell: int) -> Array:
    """Return h [B, h] at a pixel from the states kept at `taps`, the cell from the one of index `cell`."""
    rows_h, rows_c = recall(layer, "h"), recall(layer, "c")
    cells = jnp.split(read_rows(rows_c, at, taps), len(taps), axis=-1)
    h, c = lstm(gates + read_rows(rows_h, at, taps) @ kernel, cells[cell])
    keep(layer, "h", write_rows(rows_h, h, at, taps))
    keep(layer, "c", write_rows(rows_c, c, at, taps))
    return h


def _input_to_state(layer: nn.Module, x: Array, at: Place | None, taps: Taps) -> Array:
    """Return K_is * x, masked by colours in each of the four gates, [..., 4 h]."""
    wide, narrow = (colours_of(width, layer.channels) for width in (x.shape[-1], layer.features))
    conv = CausalConv(4 * layer.features, taps, ChannelOrder(wide, 4 * narrow), dtype=layer.dtype, name="input_to_state")
    return conv(x, at)


def _state_to_state(layer: nn.Module, name: str, neighbours: int, gates: Array) -> Array:
    """Return K_ss [neighbours h, 4 h], of the dtype of the gates."""
    shape = (neighbours * layer.features, 4 * layer.features)
    kernel = layer.param(name, nn.initializers.lecun_normal(), shape, jnp.float32)
    return promote_dtype(kernel, dtype=gates.dtype)[0]


def _declare_state(layer: nn.Module, h: Array, taps: Taps) -> Array:
    """Return h as it is; where the cache is being made, with room for its last rows and those of c."""
    for name in ("h", "c"):
        declare(layer, name, lambda: empty_rows(h, taps))
    return h


def _residual(layer: nn.Module, x: Array, h: Array, at: Place | None) -> Array:
    """Return x + W drop(h)."""
    narrow, wide = (colours_of(width, layer.channels) for width in (layer.features, x.shape[-1]))
    h = nn.Dropout(layer.dropout, deterministic=layer.deterministic)(h)
    conv = CausalConv(x.shape[-1], HERE, ChannelOrder(narrow, wide), dtype=layer.dtype, name="output")
    return x + conv(h, at)
