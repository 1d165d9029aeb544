"""The U-Net of score models (NCSN++; Song et al. 2021, arXiv:2011.13456, appendix H): `UNet` of other parts.

    time by random Fourier features of the log noise level               `FourierTimeEmbedding`
    up and down by the filter 1 3 3 1, which keeps what would alias out   `filtered_half`, `filtered_double`
    BigGAN's residual blocks change the resolution                       both branches resized, before the convolution
    residual connections rescaled, (x + f(x)) / sqrt 2

Of the paper's changes of DDPM's network the progressive growing of input and output is left out.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from genjax.contract import Array
from genjax.nn.adm import HALF_VARIANCE, kept, resized_residual
from genjax.nn.attention import PixelAttention
from genjax.nn.embeddings import FourierTimeEmbedding
from genjax.nn.group_norm import GroupNorm
from genjax.nn.unet import Parts, UNet


def filtered_half(x: Array) -> Array:
    """Return x [B, H, W, C] filtered along both sides by (1 3 3 1) / 8, every second pixel: [B, H / 2, W / 2, C].

    Raises:
        ValueError: a side is odd.
    """
    if x.shape[1] % 2 or x.shape[2] % 2:
        raise ValueError(f"pictures of {x.shape[1]} x {x.shape[2]} cannot be halved; sides must be even everywhere.")

    def half(x: Array) -> Array:
        even, odd = x[:, ::2], x[:, 1::2]
        return (_shifted(odd, 1) + 3.0 * even + 3.0 * odd + _shifted(even, -1)) / 8.0

    return _both_sides(half, x)


def filtered_double(x: Array) -> Array:
    """Return x [B, H, W, C] with zeros put between its pixels, filtered by (1 3 3 1) / 4: [B, 2 H, 2 W, C]."""

    def double(x: Array) -> Array:
        pairs = jnp.stack([3.0 * x + _shifted(x, 1), 3.0 * x + _shifted(x, -1)], axis=2) / 4.0
        return pairs.reshape(x.shape[0], 2 * x.shape[1], *x.shape[2:])

    return _both_sides(double, x)


def _shifted(x: Array, by: int) -> Array:
    """Return rows moved by one, with zeros for what is not there."""
    zero = jnp.zeros_like(x[:, :1])
    return jnp.concatenate([zero, x[:, :-1]] if by > 0 else [x[:, 1:], zero], axis=1)


def _both_sides(along_rows: Callable[[Array], Array], x: Array) -> Array:
    return along_rows(along_rows(x).swapaxes(1, 2)).swapaxes(1, 2)


class ScoreBlock(nn.Module):
    """s (resize(x) + conv(drop(silu(norm(conv(resize(silu(norm(x)))) + W silu(e)))))); s resize(x) at initialization.

    channels: of the output.
    groups: groups of the normalizations.
    dropout: rate before the last convolution.
    dtype: compute dtype; normalizations are made in float32.
    residual_scale: s.
    resize: `kept`, `filtered_half` or `filtered_double`.
    """

    channels: int
    groups: int = 32
    dropout: float = 0.0
    dtype: Any = None
    residual_scale: float = HALF_VARIANCE
    resize: Callable[[Array], Array] = kept

    @nn.compact
    def __call__(self, x: Array, embedding: Array, *, train: bool) -> Array:
        """Map x [B, H, W, C] and an embedding [B, E] to [B, H', W', channels].

        Under `train` a key 'dropout' is needed where dropout > 0.
        """

        def conditioned(h: Array) -> Array:
            shift = nn.Dense(self.channels, dtype=self.dtype, name="embed")(nn.silu(embedding))
            return nn.silu(GroupNorm(self.groups, dtype=self.dtype, name="norm_out")(h + shift[:, None, None, :]))

        return resized_residual(self, x, conditioned, train=train)


def score_parts(*, frequency: float = 0.64) -> Parts:
    """Return the parts of NCSN++.

    Args:
        frequency: standard deviation of the embedding's frequencies. The paper has 16 for ln sigma; a network is told
            25 ln(sigma / alpha) here (`genjax.diffusion.denoising_model`), for which it is 16 / 25.
    """

    def up(*args: Any, **options: Any) -> Callable[..., Array]:
        larger = ScoreBlock(*args, resize=filtered_double, **options)
        return lambda h, embedding, height, width, *, train: larger(h, embedding, train=train)[:, :height, :width]

    def attention(*args: Any, **options: Any) -> Callable[..., Array]:
        attend = PixelAttention(*args, **options)
        return lambda h, text: HALF_VARIANCE * attend(h)

    down = functools.partial(ScoreBlock, resize=filtered_half)
    return Parts(ScoreBlock, down, up, attention, functools.partial(FourierTimeEmbedding, frequency=frequency))


def score_unet(*, frequency: float = 0.64, **fields: Any) -> UNet:
    """Return NCSN++'s U-Net.

    Args:
        frequency: see `score_parts`.
        fields: of `UNet`; sides are even above the coarsest level.
    """
    return UNet(parts=score_parts(frequency=frequency), **fields)
