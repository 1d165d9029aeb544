"""SAGAN: attention over the pixels of a feature map, in both players, and spectral normalization in both.

From a map x of C channels at N places, with 1 x 1 convolutions f, g, h to C / 8 channels and v back to C (section 3):

    beta_{j,i} = exp(f(x_i) . g(x_j)) / sum_i exp(f(x_i) . g(x_j))      eq. 1: how much j attends to i
    o_j        = v(sum_i beta_{j,i} h(x_i))                            eq. 2
    y_j        = gamma o_j + x_j                                       eq. 3

gamma starts at 0, so that the block starts as the identity and learns to look beyond the neighbourhood. Players are
the residual networks of SN-GAN with an attention block where the map has a chosen side; the losses are hinges
(eq. 4), told the class by projection. The generator's layers are spectrally normalized too (section 4.1); its u moves in
its own update. Two learning rates, the discriminator's the larger (TTUR, section 4.2: 4e-4 and 1e-4), stand in for
several discriminator steps; they are the optimizers' and so the config's.

Reference: Zhang et al. 2019, "Self-Attention Generative Adversarial Networks", https://arxiv.org/abs/1805.08318;
Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule", https://arxiv.org/abs/1706.08500
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial.cgan import label_of
from genjax.adversarial.conditional_norm import LabelBatchNorm
from genjax.adversarial.dcgan import base_side
from genjax.adversarial.gan import gan
from genjax.adversarial.losses import hinge_discriminator_loss, hinge_generator_loss
from genjax.adversarial.residual import discriminator_block, first_discriminator_block, generator_block
from genjax.adversarial.sngan import glorot, score_head
from genjax.adversarial.spectral_norm import SpectralConv, SpectralDense
from genjax.contract import Array, GenerativeModel
from genjax.nn import BatchNorm


class SelfAttention(nn.Module):
    """The block of section 3, f, g, h, v spectrally normalized.

    train: whether their u move on.
    reduction: C over the channels of f, g and h.
    kernel_init: of f, g, h and v.
    dtype: compute dtype; the softmax is float32.
    """

    train: bool
    reduction: int = 8
    kernel_init: Any = glorot
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map x `[B, H, W, C]` to the same shape."""
        chex.assert_rank(x, 4)
        batch, height, width, channels = x.shape
        inner = max(1, channels // self.reduction)
        conv = partial(
            SpectralDense, train=self.train, use_bias=False, kernel_init=self.kernel_init, dtype=self.dtype
        )
        places = x.reshape(batch, height * width, channels)
        f, g, h = (conv(inner, name=name)(places) for name in ("f", "g", "h"))
        beta = attention_map(f, g).astype(h.dtype)
        o = conv(channels, name="v")(beta @ h).reshape(x.shape)
        gamma = self.param("gamma", nn.initializers.zeros_init(), (), jnp.float32)
        return gamma.astype(x.dtype) * o.astype(x.dtype) + x


def attention_map(f: Array, g: Array) -> Array:
    """Return beta_{j,i}, how much place j attends to place i.

    Args:
        f: `[B, N, D]`.
        g: `[B, N, D]`.

    Returns:
        `[B, N, N]`, float32; each row j sums to 1.

    Reference: Zhang et al. 2019, eq. 1.
    """
    chex.assert_rank([f, g], 3)
    scores = jnp.einsum("bid,bjd->bji", f, g, preferred_element_type=jnp.float32)
    return jax.nn.softmax(scores, axis=-1)


class SAGANGenerator(nn.Module):
    """Latents, and classes, to pictures in [-1, 1].

    shape: (H, W, C) of a picture, square.
    features: channels of the blocks, from the picture inwards; each doubles the side once.
    attention_side: side of the maps that have an attention block; 0 for none.
    num_classes: classes to be told; None for none.
    axis_name: mapped axis of batch normalization under pmap.
    dtype: compute dtype.
    """

    shape: Sequence[int]
    features: Sequence[int]
    attention_side: int
    num_classes: int | None = None
    axis_name: str | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array, label: Array | None = None, *, train: bool) -> Array:
        """Map latents `[B, L]` and classes int `[B]`, or None, to pictures `[B, H, W, C]`."""
        conv = partial(SpectralConv, train=train, kernel_init=glorot, dtype=self.dtype)

        def norm(h: Array) -> Array:
            if self.num_classes is None:
                return BatchNorm(axis_name=self.axis_name, dtype=self.dtype)(h, train=train)
            return LabelBatchNorm(self.num_classes, axis_name=self.axis_name, dtype=self.dtype)(h, label, train=train)

        base, width = base_side(self.shape, self.features), self.features[-1]
        x = SpectralDense(base * base * width, train, kernel_init=glorot, dtype=self.dtype, name="latent")(z)
        x = x.reshape(-1, base, base, width)
        for width in reversed(self.features):
            x = generator_block(x, width, conv=conv, norm=norm)
            if x.shape[1] == self.attention_side:
                x = SelfAttention(train, dtype=self.dtype)(x)
        x = jax.nn.relu(BatchNorm(axis_name=self.axis_name, dtype=self.dtype, name="last_norm")(x, train=train))
        return jnp.tanh(conv(self.shape[-1], name="picture")(x))


class SAGANDiscriminator(nn.Module):
    """Pictures, and classes, to scores.

    features: channels of the blocks, from the picture inwards.
    halvings: how many of the blocks, from the picture inwards, halve the side.
    attention_side: side of the maps that have an attention block; 0 for none.
    num_classes: classes to be told; None for none.
    kernel_init: initializer of all kernels.
    dtype: compute dtype.
    """

    features: Sequence[int]
    halvings: int
    attention_side: int
    num_classes: int | None = None
    kernel_init: Any = glorot
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, label: Array | None = None, *, train: bool) -> Array:
        """Map pictures `[B, H, W, C]` and classes int `[B]`, or None, to scores `[B]`."""
        conv = partial(SpectralConv, train=train, kernel_init=self.kernel_init, dtype=self.dtype)
        for index, width in enumerate(self.features):
            if index:
                x = discriminator_block(x, width, conv=conv, halve=index < self.halvings)
            else:
                x = first_discriminator_block(x, width, conv=conv)
            if x.shape[1] == self.attention_side and index < self.halvings:
                x = SelfAttention(train, kernel_init=self.kernel_init, dtype=self.dtype)(x)
        features = jax.nn.relu(x).sum(axis=(1, 2))
        layer = {"train": train, "kernel_init": self.kernel_init, "dtype": self.dtype}
        return score_head(features, label, num_classes=self.num_classes, **layer)


def sagan(
    shape: Sequence[int],
    *,
    num_classes: int | None = None,
    latent_dim: int = 128,
    generator_features: Sequence[int] = (64, 128),
    discriminator_features: Sequence[int] = (64, 128, 128),
    halvings: int = 2,
    generator_attention: int = 0,
    discriminator_attention: int = 0,
    generator_loss: Any = hinge_generator_loss,
    discriminator_loss: Any = hinge_discriminator_loss,
    axis_name: str | None = None,
    dtype: Any = None,
    **options: Any,
) -> GenerativeModel:
    """Bind the two networks into a GAN on pictures in [-1, 1].

    Args:
        shape, num_classes, latent_dim, generator_features, discriminator_features, halvings, generator_loss,
            discriminator_loss, axis_name, dtype, options: as in `genjax.adversarial.sngan.sngan`.
        generator_attention: side of its maps that have an attention block; 0 for none.
        discriminator_attention: likewise.

    Returns:
        A model with the players 'generator' and 'discriminator', as `gan` makes it.

    Reference: Zhang et al. 2019, sections 3 and 4.
    """
    return gan(
        SAGANGenerator(shape, generator_features, generator_attention, num_classes, axis_name, dtype),
        SAGANDiscriminator(discriminator_features, halvings, discriminator_attention, num_classes, dtype=dtype),
        latent_dim=latent_dim,
        generator_loss=generator_loss,
        discriminator_loss=discriminator_loss,
        condition_of=None if num_classes is None else label_of,
        **options,
    )
