"""The two stacks of PixelCNN++ over several resolutions (Salimans et al. 2017, arXiv:1701.05517, figure 2).

`genjax.autoregressive.pixelcnnpp` says what they compute. Every module here takes a pair (u, l) of maps: both on whole
maps, (u, None) of a row, (None, l) of a pixel, `at` saying which.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from genjax.autoregressive.spatial_condition import ConditionBias
from genjax.contract import Array
from genjax.nn.masked_conv import CausalConv, Taps, block_taps
from genjax.nn.row_buffer import Place, keep, recall, remembered_row

DOWN: Taps = block_taps(range(-1, 1), range(-1, 2))  # rows above and its own, three columns: u
DOWN_RIGHT: Taps = block_taps(range(-1, 1), range(-1, 1))  # two columns, to the left and its own: l

Pair = tuple[Array | None, Array | None]


def concat_elu(x: Array) -> Array:
    """Return elu of (x, -x), [..., C] -> [..., 2 C]."""
    return nn.elu(jnp.concatenate([x, -x], axis=-1))


class GatedBlock(nn.Module):
    """x + a sigmoid(b), (a, b) = W2 * drop(f(W1 * f(x) + N f(beside))) + V h.

    taps: of W1 and W2.
    dropout: rate before W2.
    deterministic: whether dropout is off.
    dtype: compute dtype.
    """

    taps: Taps
    dropout: float
    deterministic: bool
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, beside: Array | None, condition: Array | None, at: Place | None) -> Array:
        """Map x [..., F], with what stands beside it [..., G], to [..., F], all maps or the place `at`."""
        features = x.shape[-1]
        h = CausalConv(features, self.taps, dtype=self.dtype, name="conv_in")(concat_elu(x), at)
        if beside is not None:
            h = h + nn.Dense(features, dtype=self.dtype, name="beside")(concat_elu(beside))
        h = nn.Dropout(self.dropout, deterministic=self.deterministic)(concat_elu(h))
        # Blocks start near the identity, as the small weights of the published initialization make them.
        small = nn.initializers.variance_scaling(0.01, "fan_in", "truncated_normal")
        h = CausalConv(2 * features, self.taps, kernel_init=small, dtype=self.dtype, name="conv_out")(h, at)
        a, b = jnp.split(ConditionBias(self.dtype, name="condition")(h, condition, at), 2, axis=-1)
        return x + a * jax.nn.sigmoid(b)


class DownBlock(nn.Module):
    """A block of each stack; also returns its outputs, to be kept. Attributes as those of `GatedBlock`."""

    dropout: float
    deterministic: bool
    dtype: Any = None

    @nn.compact
    def __call__(self, pair: Pair, condition: Array | None, at: Place | None) -> tuple[Pair, Pair]:
        u, l = pair
        settings = (self.dropout, self.deterministic, self.dtype)
        if u is not None:
            u = GatedBlock(DOWN, *settings, name="u")(u, None, condition, at)
        known = remembered_row(self, "u_row", u, at)
        if l is not None:
            l = GatedBlock(DOWN_RIGHT, *settings, name="l")(l, known, condition, at)
        return (u, l), (u, l)


class UpBlock(nn.Module):
    """A block of each stack beside what was kept. Attributes as those of `GatedBlock`."""

    dropout: float
    deterministic: bool
    dtype: Any = None

    @nn.compact
    def __call__(self, pair: Pair, kept: Pair, condition: Array | None, at: Place | None) -> tuple[Pair, None]:
        u, l = pair
        settings = (self.dropout, self.deterministic, self.dtype)
        if u is not None:
            u = GatedBlock(DOWN, *settings, name="u")(u, kept[0], condition, at)
        known = remembered_row(self, "u_row", u, at)
        if l is not None:
            beside = jnp.concatenate([known, kept[1]], axis=-1)
            l = GatedBlock(DOWN_RIGHT, *settings, name="l")(l, beside, condition, at)
        return (u, l), None


class Enlarge(nn.Module):
    """A transposed convolution of stride 2 that keeps the order: fine (i, j) reads coarse row i // 2.

    columns: width of its kernel; 2: fine columns 2J and 2J + 1 read coarse column J alone (l); 3: the odd ones read
        J + 1 too (u).
    dtype: compute dtype.
    """

    columns: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, at: Place | None) -> Array:
        """Map coarse maps [B, H, W, F] to fine ones, the coarse row [B, W, F] to the fine row `at`, or the coarse pixel
        [B, F] to the fine pixel `at`."""
        features = x.shape[-1]
        patches = nn.Dense(2 * self.columns * features, dtype=self.dtype, name="patches")(x)
        patches = patches.reshape(*x.shape[:-1], 2, self.columns, features)
        if at is not None:
            patches = lax.dynamic_index_in_dim(patches, at.row % 2, -3, keepdims=False)
            if at.column is not None:
                return lax.dynamic_index_in_dim(patches, at.column % 2, -2, keepdims=False)
            return self._spread(patches)
        rows = self._spread(jnp.moveaxis(patches, -3, 2))
        return rows.reshape(x.shape[0], 2 * x.shape[1], 2 * x.shape[2], features)

    def _spread(self, patches: Array) -> Array:
        """Return fine rows [..., 2 W, F] of patches [..., W, columns, F] of coarse pixels."""
        if self.columns == 3:
            from_right = jnp.concatenate([patches[..., 1:, 0, :], jnp.zeros_like(patches[..., :1, 0, :])], axis=-2)
            odd = patches[..., 2, :] + from_right
            patches = jnp.stack([patches[..., 1, :], odd], axis=-2)
        return patches.reshape(*patches.shape[:-3], -1, patches.shape[-1])


class Pyramid(nn.Module):
    """Both stacks from this resolution down to the coarsest and back.

    features: of both stacks.
    blocks: a resolution, on the way down.
    resolutions: this one and the coarser ones.
    dropout: rate inside blocks.
    deterministic: whether dropout is off.
    dtype: compute dtype.
    """

    features: int
    blocks: int
    resolutions: int
    dropout: float
    deterministic: bool
    dtype: Any = None

    @nn.compact
    def __call__(self, u: Array | None, l: Array | None, condition: Array | None, at: Place | None) -> Pair:
        """Map (u, l) [..., F] to the same, once around."""
        settings = (self.dropout, self.deterministic, self.dtype)
        down = _repeated(DownBlock, self.blocks, in_axes=(nn.broadcast, nn.broadcast))
        pair, kept = down(*settings, name="down")((u, l), condition, at)
        kept = jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), (u, l), kept)
        if self.resolutions == 1:
            kept = jax.tree.map(lambda x: x[:-1], kept)  # the last is where the way up begins
        else:
            pair = self._coarser(pair, condition, at)
        count = self.blocks + (self.resolutions > 1)
        up = _repeated(UpBlock, count, in_axes=(0, nn.broadcast, nn.broadcast))
        pair, _ = up(*settings, name="up")(pair, jax.tree.map(lambda x: x[::-1], kept), condition, at)
        return pair

    def _coarser(self, pair: Pair, condition: Array | None, at: Place | None) -> Pair:
        """Return what comes back from half the resolution."""
        halve = lambda taps, name: CausalConv(self.features, taps, stride=2, dtype=self.dtype, name=name)
        u, l = pair
        u = None if u is None else halve(DOWN, "halve_u")(u, at)
        l = None if l is None else halve(DOWN_RIGHT, "halve_l")(l, at)
        below = Pyramid(
            self.features,
            self.blocks,
            self.resolutions - 1,
            self.dropout,
            self.deterministic,
            self.dtype,
            name="coarser",
        )
        if at is None:
            u, l = below(u, l, condition, None)
            remembered_row(self, "coarse_u", u, None)
            remembered_row(self, "coarse_l", l, None)
        elif at.column is None:
            u = self._row_when_due(below, u, condition, at)
        else:
            l = self._pixel_when_due(below, l, condition, at)
        u = None if u is None else Enlarge(3, self.dtype, name="enlarge_u")(u, at)
        l = None if l is None else Enlarge(2, self.dtype, name="enlarge_l")(l, at)
        return u, l

    def _row_when_due(self, below: nn.Module, u: Array, condition: Array | None, at: Place) -> Array:
        """Return the coarse row of u that row `at` reads, made anew at every other row."""
        kept = recall(self, "coarse_u")

        def now(below: nn.Module, u: Array) -> Array:
            return below(u, None, condition, Place(at.row // 2))[0]

        row = nn.cond(at.row % 2 == 0, now, lambda below, u: kept, below, u)
        keep(self, "coarse_u", row)
        return row

    def _pixel_when_due(self, below: nn.Module, l: Array, condition: Array | None, at: Place) -> Array:
        """Return the coarse pixel of l that pixel `at` reads, made anew at every other pixel of every other row."""
        kept, column = recall(self, "coarse_l"), at.column // 2

        def now(below: nn.Module, l: Array) -> Array:
            made = below(None, l, condition, Place(at.row // 2, column))[1]
            return lax.dynamic_update_index_in_dim(kept, made, column, 1)

        due = (at.row % 2 == 0) & (at.column % 2 == 0)
        row = nn.cond(due, now, lambda below, l: kept, below, l)
        keep(self, "coarse_l", row)
        return lax.dynamic_index_in_dim(row, column, 1, keepdims=False)


def _repeated(block: Any, count: int, in_axes: Any) -> Any:
    """Return `count` blocks as one scan: compiled once, whatever the depth."""
    rngs = {"params": True, "dropout": True}
    return nn.scan(block, variable_axes={"params": 0, "cache": 0}, split_rngs=rngs, in_axes=in_axes, length=count)
