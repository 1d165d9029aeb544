"""SRGAN: a picture from its low resolution, close in features rather than in pixels, and such as real ones are.

Of pictures x and their low resolution l(x), the generator descends (eqs. 3 to 6)

    content(G(l(x)), x) + adversarial_weight * mean of -log D(G(l(x)))

where the content is a mean squared error of pixels (eq. 4), a squared distance in a layer phi of a network that has
learned to see (eq. 5, `feature_loss`), or a weighted sum of such terms; adversarial_weight = 1e-3. The discriminator
descends the GAN loss on x and G(l(x)), without a look at l(x).

G works at the low resolution: residual blocks, each with two batch normalizations, and a skip over all of them. Only
then the sides are doubled, by sub-pixel convolutions (Shi et al. 2016): r^2 C channels of a pixel become r x r pixels of
C channels (`pixel_shuffle`), followed by a parametric ReLU, max(0, h) + slope min(0, h) with a learned slope.

Here l(x) is the mean over blocks of pixels, and the slopes are one a layer.

Reference: Ledig et al. 2017, "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network",
https://arxiv.org/abs/1609.04802; Shi et al. 2016, "Real-Time Single Image and Video Super-Resolution Using an Efficient
Sub-Pixel Convolutional Neural Network", https://arxiv.org/abs/1609.05158
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial.game import DiscriminatorLoss, GeneratorLoss
from genjax.adversarial.image_translation import leaky_relu
from genjax.adversarial.losses import gan_discriminator_loss, non_saturating_generator_loss
from genjax.adversarial.paired_game import Term, paired_translation
from genjax.adversarial.residual import halve_side
from genjax.contract import Array, Batch, GenerativeModel, PyTree
from genjax.nn import BatchNorm, Conv


def pixel_shuffle(x: Array, factor: int) -> Array:
    """Spread the channels of each pixel over factor x factor pixels.

    Args:
        x: T, `[B, H, W, r^2 C]`.
        factor: r.

    Returns:
        `[B, r H, r W, C]`, at row i, column j and channel c
        T[i // r, j // r, C r (i mod r) + C (j mod r) + c].

    Raises:
        ValueError: the channels are not a multiple of r^2.

    Reference: Shi et al. 2016, eq. 4 (y its row, x its column).
    """
    chex.assert_rank(x, 4)
    batch, height, width, channels = x.shape
    if channels % factor**2:
        raise ValueError(f"{channels} channels are not divisible by {factor}^2.")
    x = x.reshape(batch, height, width, factor, factor, -1).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, height * factor, width * factor, -1)


def low_resolution(x: Array, doublings: int) -> Array:
    """Return pictures `[B, H, W, C]` averaged over blocks of 2^doublings x 2^doublings pixels."""
    for _ in range(doublings):
        x = halve_side(x)
    return x


def feature_loss(features: Array, others: Array) -> Array:
    """Return the squared distance of two feature maps: the mean over places of the sum over channels.

    Args:
        features: phi(G(l)), `[B, h, w, F]`.
        others: phi(x), likewise.

    Returns:
        `[B]`.

    Reference: Ledig et al. 2017, eq. 5.
    """
    if features.ndim != 4 or features.shape != others.shape:
        raise ValueError(f"Features of two pictures have one shape [B, h, w, F], not {features.shape}, {others.shape}.")
    return jnp.sum((features - others) ** 2, axis=3).mean(axis=(1, 2))


def pixel_loss(made: Array, x: Array) -> Array:
    """Return the mean squared error of pictures.

    Args:
        made: `[B, H, W, C]`.
        x: likewise.

    Returns:
        `[B]`.

    Reference: Ledig et al. 2017, eq. 4.
    """
    if made.ndim != 4 or made.shape != x.shape:
        raise ValueError(f"Pictures are compared with others of their shape [B, H, W, C], not {made.shape}, {x.shape}.")
    return jnp.mean((made - x) ** 2, axis=(1, 2, 3))


class PReLU(nn.Module):
    """max(0, x) + slope min(0, x), with one learned slope."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        slope = self.param("slope", nn.initializers.constant(0.25), (), jnp.float32).astype(x.dtype)
        return jnp.where(x >= 0, x, slope * x)


class SRGANGenerator(nn.Module):
    """Pictures of low resolution to pictures.

    out_channels: of the pictures made.
    features: channels of all maps.
    blocks: residual blocks.
    doublings: how often the side is doubled.
    outer_kernel: side of the first and the last kernel.
    axis_name: mapped axis of batch normalization under pmap.
    dtype: compute dtype.
    """

    out_channels: int
    features: int = 64
    blocks: int = 16
    doublings: int = 2
    outer_kernel: int = 9
    axis_name: str | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, given: Array, *, train: bool) -> Array:
        """Map pictures `[B, h, w, C]` to `[B, 2^doublings h, 2^doublings w, out_channels]`."""
        conv = partial(Conv, self.features, use_bias=False, dtype=self.dtype)
        norm = partial(BatchNorm, axis_name=self.axis_name, dtype=self.dtype)
        first = PReLU()(Conv(self.features, self.outer_kernel, dtype=self.dtype)(given))
        h = first
        for _ in range(self.blocks):
            inner = PReLU()(norm()(conv()(h), train=train))
            h = h + norm()(conv()(inner), train=train)
        h = first + norm()(conv()(h), train=train)
        for _ in range(self.doublings):
            h = PReLU()(pixel_shuffle(Conv(4 * self.features, dtype=self.dtype)(h), 2))
        return Conv(self.out_channels, self.outer_kernel, dtype=self.dtype)(h)


class SRGANDiscriminator(nn.Module):
    """Pictures to scores.

    features: channels; at each a convolution, and another that halves the side.
    hidden: units of the layer before the score.
    axis_name: mapped axis of batch normalization under pmap.
    dtype: compute dtype.
    """

    features: Sequence[int] = (64, 128, 256, 512)
    hidden: int = 1024
    axis_name: str | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, given: Array | None = None, *, train: bool) -> Array:
        """Map pictures `[B, H, W, C]` to scores `[B]`; what they were made of is not looked at."""
        del given
        norm = partial(BatchNorm, axis_name=self.axis_name, dtype=self.dtype)
        for index, (width, stride) in enumerate((width, stride) for width in self.features for stride in (1, 2)):
            x = Conv(width, stride=stride, use_bias=index == 0, dtype=self.dtype)(x)
            x = leaky_relu(norm()(x, train=train) if index else x)
        x = leaky_relu(nn.Dense(self.hidden, dtype=self.dtype)(x.reshape(x.shape[0], -1)))
        return nn.Dense(1, dtype=self.dtype)(x)[:, 0]


def srgan(
    generator: nn.Module,
    discriminator: nn.Module,
    *,
    doublings: int,
    content: Mapping[str, Term],
    frozen: Callable[[], PyTree] = dict,
    adversarial_weight: float = 1e-3,
    generator_loss: GeneratorLoss = non_saturating_generator_loss,
    discriminator_loss: DiscriminatorLoss = gan_discriminator_loss,
    **options: Any,
) -> GenerativeModel:
    """Bind a network that enlarges and a discriminator into SRGAN.

    Args:
        generator: module (low `[B, h, w, C]`, train=) -> pictures like batch['x'], as `SRGANGenerator`.
        discriminator: module (x, low, train=) -> scores `[B]`, as `SRGANDiscriminator`.
        doublings: of the side.
        content: name -> (frozen arrays, made, x) -> `[B]`, terms that weigh themselves.
        frozen: () -> arrays that the terms read, such as the weights of phi; `init` puts them into the state.
        adversarial_weight: on the generator's adversarial loss.
        generator_loss: of the scores of what was made; the paper's is -log D.
        discriminator_loss: of the scores of pictures and of what was made.
        options: further arguments of `paired_translation`, such as `regularizers`.

    Returns:
        A model as `paired_translation` makes it, in which the low resolution of batch['x'] is given: `sample` with
        small pictures as `condition`, `translate(low)`, `score(x, low)`.

    Reference: Ledig et al. 2017, eqs. 2 to 6.
    """

    def given_of(batch: Batch) -> Array:
        return low_resolution(batch["x"], doublings)

    return paired_translation(
        generator,
        discriminator,
        terms=content,
        generator_loss=generator_loss,
        discriminator_loss=discriminator_loss,
        generator_weight=adversarial_weight,
        given_of=given_of,
        frozen=frozen,
        **options,
    )


def enlarged(low: Array, doublings: int) -> Array:
    """Return pictures `[B, h, w, C]` enlarged by bicubic interpolation: what a network is to be better than."""
    batch, height, width, channels = low.shape
    shape = (batch, height * 2**doublings, width * 2**doublings, channels)
    return jax.image.resize(low, shape, "cubic")
