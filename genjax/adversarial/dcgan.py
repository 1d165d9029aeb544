"""DCGAN: a convolutional generator and discriminator that train stably, by the paper's guidelines.

Section 3 of the paper, and what it is here:
- no pooling: the discriminator shrinks by strided, the generator grows by fractionally-strided convolutions;
- no fully connected hidden layers: the latent enters as a 1 x 1 picture that a transposed convolution spreads
  over the first feature map, the last feature map meets one convolution as large as itself, which is the score;
- batch normalization in both, except at the generator's output and the discriminator's input;
- ReLU in the generator, tanh at its output; LeakyReLU of slope 0.2 in the discriminator;
- all weights from N(0, 0.02^2) (scales of the normalizations from N(1, 0.02^2), as in the authors' code), Adam
  with learning rate 2e-4 and beta_1 = 0.5 (section 4);
- real and generated examples reach the discriminator in separate batches, each normalised by itself.

A layer right before a normalization has no bias, whose gradient would be zero.

With n features the picture's side is base * 2^n: the generator starts from base x base. 28 x 28 with two
features starts from 7, 8 x 8 from 2, 32 x 32 with three from 4; the paper's 64 x 64 has features 128, 256, 512,
1024 (from the picture inwards) and a latent of 100. Its kernels are 5 x 5; here 4 x 4, twice the stride, so
that every pixel meets the same number of them (Odena et al. 2016, "Deconvolution and Checkerboard Artifacts").

Reference: Radford et al. 2016, "Unsupervised Representation Learning with Deep Convolutional Generative
Adversarial Networks", https://arxiv.org/abs/1511.06434
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial.gan import gan
from genjax.contract import Array, GenerativeModel
from genjax.nn import BatchNorm, Conv, ConvTranspose

weight_init = nn.initializers.normal(0.02)


def scale_init(key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
    """Draw scales of a batch normalization from N(1, 0.02^2)."""
    return 1 + weight_init(key, shape, dtype)


class DCGANGenerator(nn.Module):
    """Latents to pictures in [-1, 1].

    shape: (H, W, C) of a picture, square.
    features: channels of the feature maps, from the picture inwards; each doubles the side once.
    kernel_size: side of the kernels.
    axis_name: mapped axis of batch normalization under pmap.
    dtype: compute dtype.
    """

    shape: Sequence[int]
    features: Sequence[int]
    kernel_size: int = 4
    axis_name: str | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array, *, train: bool) -> Array:
        """Map latents `[B, L]` to pictures `[B, H, W, C]`."""
        base = base_side(self.shape, self.features)
        up = partial(ConvTranspose, kernel_size=self.kernel_size, kernel_init=weight_init, dtype=self.dtype)
        norm = partial(BatchNorm, axis_name=self.axis_name, scale_init=scale_init, dtype=self.dtype)
        *inner, first = self.features
        x = up(first, kernel_size=base, stride=base, use_bias=False)(z[:, None, None, :])
        x = jax.nn.relu(norm()(x, train=train))
        for width in reversed(inner):
            x = up(width, use_bias=False)(x)
            x = jax.nn.relu(norm()(x, train=train))
        return jnp.tanh(up(self.shape[-1])(x))


class DCGANDiscriminator(nn.Module):
    """Pictures to scores.

    features: channels of the feature maps, from the picture inwards; each halves the side once.
    kernel_size: side of the kernels.
    axis_name: mapped axis of batch normalization under pmap.
    dtype: compute dtype.
    score_bias: whether the score has a bias; leave it out where the loss sees differences of scores alone (WGAN).
    """

    features: Sequence[int]
    kernel_size: int = 4
    axis_name: str | None = None
    dtype: Any = None
    score_bias: bool = True

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map pictures `[B, H, W, C]` to scores `[B]`."""
        base = base_side(x.shape[1:], self.features)
        conv = partial(Conv, kernel_init=weight_init, dtype=self.dtype)
        down = partial(conv, kernel_size=self.kernel_size, stride=2)
        norm = partial(BatchNorm, axis_name=self.axis_name, scale_init=scale_init, dtype=self.dtype)
        first, *inner = self.features
        x = jax.nn.leaky_relu(down(first)(x), 0.2)
        for width in inner:
            x = norm()(down(width, use_bias=False)(x), train=train)
            x = jax.nn.leaky_relu(x, 0.2)
        return conv(1, kernel_size=base, padding="VALID", use_bias=self.score_bias)(x)[:, 0, 0, 0]


def base_side(shape: Sequence[int], features: Sequence[int]) -> int:
    """Return the side of the innermost feature map for pictures of this shape.

    Args:
        shape: (H, W, C).
        features: channels of the feature maps, one for each halving of the side.

    Raises:
        ValueError: if the picture is not square or its side cannot be halved that often.
    """
    height, width, _ = shape
    base, rest = divmod(height, 2 ** len(features))
    if height != width or rest or not base or not features:
        raise ValueError(
            f"A picture of {height} x {width} cannot be halved {len(features)} times, once for each of the features "
            f"{tuple(features)}: give square pictures whose side is a multiple of {2 ** len(features)}, or others."
        )
    return base


def dcgan(
    shape: Sequence[int],
    *,
    latent_dim: int = 100,
    generator_features: Sequence[int] = (64, 128),
    discriminator_features: Sequence[int] = (64, 128),
    kernel_size: int = 4,
    axis_name: str | None = None,
    dtype: Any = None,
    **options: Any,
) -> GenerativeModel:
    """Bind the two networks into a GAN on pictures in [-1, 1].

    Args:
        shape: (H, W, C) of a picture.
        latent_dim: coordinates of a latent.
        generator_features: channels of its feature maps, from the picture inwards.
        discriminator_features: likewise.
        kernel_size: side of the kernels of both.
        axis_name: mapped axis of batch normalization under pmap.
        dtype: compute dtype of both.
        options: further arguments of `genjax.adversarial.gan.gan` (losses, prior, discriminator_steps).

    Returns:
        A model with the players 'generator' and 'discriminator', as `gan` makes it.

    Reference: Radford et al. 2016, sections 3 and 4.
    """
    generator = DCGANGenerator(shape, generator_features, kernel_size, axis_name, dtype)
    discriminator = DCGANDiscriminator(discriminator_features, kernel_size, axis_name, dtype)
    return gan(generator, discriminator, latent_dim=latent_dim, **options)
