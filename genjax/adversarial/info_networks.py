"""The networks of InfoGAN, and what they read and are given.

Both are those of the paper's table 1: the generator has two linear layers, then transposed convolutions; the
discriminator strided convolutions and a linear layer, on which sit D's head, one linear map, and Q's, a linear layer more
and a linear map. Kernels are 4 x 4, activations ReLU in the generator and LeakyReLU (0.1) elsewhere; batch
normalization everywhere but at the ends and at the heads' outputs.

Reference: Chen et al. 2016, appendix C.1, https://arxiv.org/abs/1606.03657
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial.dcgan import base_side, scale_init, weight_init
from genjax.contract import Array
from genjax.nn import BatchNorm, Conv, ConvTranspose


class Codes(NamedTuple):
    """The parts of a latent, in this order.

    noise: coordinates that mean nothing, standard normal.
    categories: K, one-hot.
    numbers: C, uniform on [-1, 1].
    """

    noise: int
    categories: int
    numbers: int

    @property
    def width(self) -> int:
        """Coordinates of a latent."""
        return self.noise + self.categories + self.numbers


class Recognition(NamedTuple):
    """What the discriminator makes of examples.

    score: D's logit of being real, `[B]`.
    logits: Q's of the category, `[B, K]`.
    mean: Q's of the numbers, `[B, C]`.
    """

    score: Array
    logits: Array
    mean: Array


class InfoGANGenerator(nn.Module):
    """Latents to pictures in [-1, 1].

    shape: (H, W, C) of a picture, square.
    features: channels of the feature maps, from the picture inwards; each doubles the side once.
    hidden: width of the first linear layer.
    axis_name: mapped axis of batch normalization under pmap.
    dtype: compute dtype.
    """

    shape: Sequence[int]
    features: Sequence[int]
    hidden: int
    axis_name: str | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array, *, train: bool) -> Array:
        """Map latents `[B, L]` to pictures `[B, H, W, C]`."""
        base = base_side(self.shape, self.features)
        layer = {"kernel_init": weight_init, "dtype": self.dtype}

        def act(h: Array) -> Array:
            norm = BatchNorm(axis_name=self.axis_name, scale_init=scale_init, dtype=self.dtype)
            return jax.nn.relu(norm(h, train=train))

        *inner, first = self.features
        x = act(nn.Dense(self.hidden, use_bias=False, **layer)(z))
        x = act(nn.Dense(base * base * first, use_bias=False, **layer)(x)).reshape(-1, base, base, first)
        for width in reversed(inner):
            x = act(ConvTranspose(width, use_bias=False, **layer)(x))
        return jnp.tanh(ConvTranspose(self.shape[-1], **layer)(x))


class InfoGANDiscriminator(nn.Module):
    """Pictures to a score and to what Q reads in them, all layers but the last shared.

    features: channels of the feature maps, from the picture inwards; each halves the side once.
    hidden: width of the shared linear layer.
    q_hidden: width of Q's own.
    codes: of which Q reads the category and the numbers.
    axis_name: mapped axis of batch normalization under pmap.
    dtype: compute dtype.
    """

    features: Sequence[int]
    hidden: int
    q_hidden: int
    codes: Codes
    axis_name: str | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Recognition:
        """Map pictures `[B, H, W, C]` to a Recognition."""
        base_side(x.shape[1:], self.features)  # refuses sides that cannot be halved so often
        layer = {"kernel_init": weight_init, "dtype": self.dtype}
        dense = partial(nn.Dense, **layer)

        def act(h: Array) -> Array:
            norm = BatchNorm(axis_name=self.axis_name, scale_init=scale_init, dtype=self.dtype)
            return jax.nn.leaky_relu(norm(h, train=train), 0.1)

        first, *inner = self.features
        h = jax.nn.leaky_relu(Conv(first, kernel_size=4, stride=2, **layer)(x), 0.1)
        for width in inner:
            h = act(Conv(width, kernel_size=4, stride=2, use_bias=False, **layer)(h))
        h = act(dense(self.hidden, use_bias=False)(h.reshape(h.shape[0], -1)))
        read = act(dense(self.q_hidden, use_bias=False, name="q_hidden")(h))
        score = dense(1, name="score")(h)[:, 0]
        return Recognition(score, dense(self.codes.categories, name="q_logits")(read), dense(self.codes.numbers, name="q_mean")(read))
