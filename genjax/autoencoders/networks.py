"""Encoders and decoders of the family.

An encoder maps x `[B, ...]` to (mean, log_std), each `[B, latent_dim]`; a decoder maps z `[B, latent_dim]` to one
array `[B, ..., n C]` that a `Likelihood` reads. Any Linen module that does so can stand in their place.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.contract import Array
from genjax.nn.conv import Conv, ConvTranspose
from genjax.nn.mlp import MLP

Activation = Callable[[Array], Array]


class MLPEncoder(nn.Module):
    """x -> flatten -> hidden layers -> (mean, log_std).

    latent_dim: Z.
    hidden: widths of the hidden layers; (200, 200) in Burda et al. 2015.
    activation: tanh in both papers.
    """

    latent_dim: int
    hidden: Sequence[int] = (200, 200)
    activation: Activation = jnp.tanh
    kernel_init: Callable[..., Array] = nn.initializers.glorot_uniform()
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, Array]:
        flat = x.reshape(x.shape[0], -1)
        net = MLP(self.hidden, 2 * self.latent_dim, self.activation, self.kernel_init, self.kernel_init, self.dtype)
        mean, log_std = jnp.split(net(flat), 2, axis=-1)
        return mean, log_std


class MLPDecoder(nn.Module):
    """z -> hidden layers -> [B, *shape[:-1], outputs_per_entry * C].

    shape: of one x, (..., C).
    outputs_per_entry: the likelihood's.
    """

    shape: Sequence[int]
    outputs_per_entry: int = 1
    hidden: Sequence[int] = (200, 200)
    activation: Activation = jnp.tanh
    kernel_init: Callable[..., Array] = nn.initializers.glorot_uniform()
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array) -> Array:
        features = math.prod(self.shape) * self.outputs_per_entry
        net = MLP(self.hidden, features, self.activation, self.kernel_init, self.kernel_init, self.dtype)
        return net(z).reshape(z.shape[0], *self.shape[:-1], self.shape[-1] * self.outputs_per_entry)


class ConvEncoder(nn.Module):
    """Images -> one strided 3x3 convolution a width, each halving the side -> dense -> (mean, log_std)."""

    latent_dim: int
    widths: Sequence[int] = (32, 64)
    activation: Activation = jax.nn.relu
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, Array]:
        for width in self.widths:
            x = self.activation(Conv(width, kernel_size=3, stride=2, dtype=self.dtype)(x))
        flat = x.reshape(x.shape[0], -1)
        mean, log_std = jnp.split(nn.Dense(2 * self.latent_dim, dtype=self.dtype)(flat), 2, axis=-1)
        return mean, log_std


class ConvDecoder(nn.Module):
    """z -> dense -> one 4x4 transposed convolution a width, each doubling the side -> 3x3 convolution.

    A kernel that the stride divides covers every output pixel equally often: no checkerboard.
    """

    shape: Sequence[int]
    outputs_per_entry: int = 1
    widths: Sequence[int] = (64, 32)
    activation: Activation = jax.nn.relu
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array) -> Array:
        height, width, channels = self.shape
        factor = 2 ** len(self.widths)
        if height % factor or width % factor:
            raise ValueError(f"{height}x{width} images cannot be halved {len(self.widths)} times; use fewer widths.")
        low = (height // factor, width // factor, self.widths[0])
        h = self.activation(nn.Dense(math.prod(low), dtype=self.dtype)(z)).reshape(z.shape[0], *low)
        for features in self.widths:
            h = self.activation(ConvTranspose(features, kernel_size=4, stride=2, dtype=self.dtype)(h))
        return Conv(channels * self.outputs_per_entry, kernel_size=3, dtype=self.dtype)(h)


class SharedScale(nn.Module):
    """A decoder of locations, with one learned log scale for all entries appended for `gaussian` to read.

    decoder: z -> locations [B, ..., C].
    initial: where the log scale starts.
    """

    decoder: nn.Module
    initial: float = 0.0

    @nn.compact
    def __call__(self, z: Array) -> Array:
        location = self.decoder(z)
        log_scale = self.param("log_scale", nn.initializers.constant(self.initial), ())
        shared = jnp.broadcast_to(log_scale.astype(location.dtype), location.shape)
        return jnp.concatenate([location, shared], axis=-1)
