"""PixelCNN++ (Salimans, Karpathy, Chen & Kingma 2017, arXiv:1701.05517).

One mixture of discretized logistics a pixel for all its colours (`genjax.autoregressive.discretized_mixture`), and two
stacks of gated residual blocks over several resolutions: u has seen the rows above a pixel, l also those to its left.
From the finest resolution to the coarsest and back (figure 2, section 2.4),

    down    `blocks` blocks a resolution, each output kept; then a convolution of stride 2
    up      as many blocks and one more (at the coarsest as many), each on what was kept, last first, beside its input;
            between resolutions a transposed convolution of stride 2

A block is (section 2, after PixelCNN++'s published code)

    x + a sigmoid(b),   (a, b) = W2 * drop(f(W1 * f(x) + N f(kept) + V h)) + V h,    f(x) = elu((x, -x))

with W over two rows and three columns for u, over two rows and two columns for l, whose every block is given u too.
A strided convolution lets the coarse pixel (I, J) see what the fine pixel (2I, 2J) may see; a transposed one hands it
to the fine pixels (2I, 2J) ... (2I + 1, 2J + 1) (of u, whose columns may mix, to more). So no coarse pixel knows what
a fine one that reads it does not, and a sampler makes coarse row I when it comes to row 2I, coarse pixel (I, J) at
(2I, 2J), and reads it until then from what it has kept.

Not taken over: weight normalization and its initialization from data.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from genjax.autoregressive.discretized_mixture import mixture_head
from genjax.autoregressive.pyramid import Pyramid
from genjax.autoregressive.raster import raster_model
from genjax.autoregressive.spatial_condition import encode_condition
from genjax.contract import Array, Batch, GenerativeModel, PyTree
from genjax.nn.masked_conv import CausalConv, Taps, block_taps
from genjax.nn.row_buffer import Place

ABOVE: Taps = block_taps(range(-2, 0), range(-1, 2))  # two rows above: the first layer of u
BESIDE: Taps = (*block_taps(range(-1, 0), range(-1, 2)), (0, -1))  # above and to the left: the first layer of l


class PixelCNNPP(nn.Module):
    """The network of PixelCNN++.

    outputs: numbers a pixel; the head's.
    features: of both stacks.
    blocks: residual blocks a resolution, on the way down.
    resolutions: how many, each half of the one before; the picture's sides must allow it.
    num_classes: classes to condition on; 0 for none.
    dropout: rate inside blocks; 0.5 in the paper.
    dtype: compute dtype; parameters and outputs are float32.
    """

    outputs: int
    features: int = 160
    blocks: int = 5
    resolutions: int = 3
    num_classes: int = 0
    dropout: float = 0.5
    dtype: Any = None

    @nn.compact
    def __call__(
        self, s: Array, condition: PyTree = None, *, at: Place | None = None, train: bool = False
    ) -> Array | None:
        """Map pictures s [B, H, W, C] in [-1, 1] to outputs [B, H, W, outputs], or [B, outputs] at a pixel.

        See `genjax.autoregressive.raster` for `at`.

        Raises:
            ValueError: a side of the pictures cannot be halved so often, or a condition is no class.
        """
        self._check(s, condition)
        told = encode_condition(condition, self.num_classes, s.shape)
        row, pixel = at is None or at.column is None, at is None or at.column is not None
        u = self._first(s, ABOVE, at, "above") if row else None
        l = self._first(s, BESIDE, at, "beside") if pixel else None
        pyramid = Pyramid(
            self.features, self.blocks, self.resolutions, self.dropout, not train, self.dtype, name="pyramid"
        )
        _, l = pyramid(u, l, told, at)
        if l is None:
            return None
        small = nn.initializers.variance_scaling(0.01, "fan_in", "truncated_normal")
        out = nn.Dense(self.outputs, kernel_init=small, dtype=self.dtype, name="out")(nn.elu(l))
        return out.astype(jnp.float32)

    def _first(self, s: Array, taps: Taps, at: Place | None, name: str) -> Array:
        """Return a stack's first map: of the picture, and of a plane of ones, which tells where the picture ends."""
        conv = lambda name, bias: CausalConv(self.features, taps, use_bias=bias, dtype=self.dtype, name=name)
        inside = conv(f"{name}_inside", False)(jnp.ones((1, *s.shape[1:3], 1), s.dtype), at)
        return conv(name, True)(s, at) + inside

    def _check(self, s: Array, condition: PyTree) -> None:
        fold = 2 ** (self.resolutions - 1)
        if s.shape[1] % fold or s.shape[2] % fold:
            raise ValueError(f"pictures of {s.shape[1]}x{s.shape[2]} cannot be halved {self.resolutions - 1} times.")
        if condition is not None and not self.num_classes:
            raise ValueError("a condition was given, but the network has no classes; it takes no other condition.")


def pixelcnnpp(
    network: Callable[[int], nn.Module],
    *,
    shape: tuple[int, int, int],
    levels: int,
    components: int = 10,
    condition_of: Callable[[Batch], PyTree] | None = None,
) -> GenerativeModel:
    """Build a PixelCNN++: two stacks over several resolutions under a mixture of discretized logistics.

    Args:
        network: outputs a pixel -> network, e.g. `functools.partial(PixelCNNPP, features=32, blocks=2)`.
        shape: (H, W, C) of a picture.
        levels: L; an entry of x is one of 0 ... L-1.
        components: K of the mixture.
        condition_of: batch -> int classes [B]; None: unconditional.

    Returns:
        See `raster_model`; the player is 'pixelcnnpp'.
    """
    head = mixture_head(components, levels, shape[-1])
    return raster_model(
        network(head.outputs), head, player="pixelcnnpp", shape=shape, levels=levels, condition_of=condition_of
    )
