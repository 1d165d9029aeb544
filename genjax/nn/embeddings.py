"""Embeddings of a time or a noise level.

    sinusoidal    geometrically spaced frequencies     Vaswani et al. 2017, section 3.5; Ho et al. 2020, appendix B
    Fourier       normal frequencies, fixed            Tancik et al. 2020; Song et al. 2021, appendix H (NCSN++)
"""

import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array


def sinusoidal_embedding(t: Array, dim: int, *, max_period: float = 10_000.0) -> Array:
    """Embed scalars as sines and cosines of geometrically spaced frequencies.

    e_i = sin(t w_i), e_{i + d/2} = cos(t w_i), with w_i = max_period^(-i / (d/2 - 1)), i = 0 ... d/2 - 1.

    Args:
        t: [B], integer or real; of the order of 1 to max_period, so steps, not fractions of one.
        dim: d, even and at least 4.
        max_period: 2 pi times this is the longest wavelength.

    Returns:
        float32 [B, d].

    Raises:
        ValueError: t is not [B], or dim is odd or below 4.
    """
    if t.ndim != 1:
        raise ValueError(f"t has shape {t.shape}; one time an example, [B], is embedded.")
    if dim < 4 or dim % 2:
        raise ValueError(f"dim is {dim}; it must be even and at least 4.")
    half = dim // 2
    frequencies = jnp.exp(-math.log(max_period) * jnp.arange(half, dtype=jnp.float32) / (half - 1))
    angles = t.astype(jnp.float32)[:, None] * frequencies[None]
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def fourier_embedding(t: Array, frequencies: Array) -> Array:
    """Embed scalars as [sin(2 pi f t), cos(2 pi f t)].

    Args:
        t: [B].
        frequencies: f, [F]; at random from N(0, s^2 I) the inner product of two embeddings is about
            F exp(-2 (pi s (t - t'))^2), a Gaussian kernel.

    Returns:
        float32 [B, 2 F].

    Raises:
        ValueError: t is not [B], or the frequencies are not [F].

    Reference: Tancik et al. 2020 (arXiv:2006.10739), eq. 5.
    """
    if t.ndim != 1 or frequencies.ndim != 1:
        raise ValueError(f"t {t.shape} and the frequencies {frequencies.shape} must be [B] and [F].")
    angles = 2.0 * math.pi * t.astype(jnp.float32)[:, None] * jnp.asarray(frequencies, jnp.float32)[None]
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


class TimeEmbedding(nn.Module):
    """Sinusoidal embedding of width `channels`, then two linear layers of width 4 `channels`, SiLU between them.

    channels: width of the sinusoidal embedding.
    dtype: compute dtype of the linear layers.
    """

    channels: int
    dtype: Any = None

    @nn.compact
    def __call__(self, t: Array) -> Array:
        """Embed t [B] as [B, 4 channels]."""
        h = sinusoidal_embedding(t, self.channels)
        h = nn.Dense(4 * self.channels, dtype=self.dtype, name="dense_0")(h)
        return nn.Dense(4 * self.channels, dtype=self.dtype, name="dense_1")(nn.silu(h))


class FourierTimeEmbedding(nn.Module):
    """Random Fourier features of width 2 `channels`, then two linear layers of width 4 `channels`, SiLU between them.

    channels: how many frequencies. They are the same in every network, and no parameters: nothing moves them.
    dtype: compute dtype of the linear layers.
    frequency: standard deviation of the frequencies, in periods a unit of t.
    """

    channels: int
    dtype: Any = None
    frequency: float = 16.0

    @nn.compact
    def __call__(self, t: Array) -> Array:
        """Embed t [B] as [B, 4 channels]."""
        frequencies = self.frequency * np.random.default_rng(0).normal(size=self.channels)
        h = fourier_embedding(t, frequencies)
        h = nn.Dense(4 * self.channels, dtype=self.dtype, name="dense_0")(h)
        return nn.Dense(4 * self.channels, dtype=self.dtype, name="dense_1")(nn.silu(h))
