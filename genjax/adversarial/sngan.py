"""SN-GAN: a discriminator whose every layer is spectrally normalized, and which is told the class by projection.

The discriminator's layers are those of `spectral_norm`, so that its Lipschitz constant is bounded without a penalty;
any loss on scores will do, the paper's second is the hinge (eq. 16, 17). Both players are residual networks (figures
9, 10 and table 4 of the paper), of `residual`'s blocks. The generator's first feature map is a linear function of z.

Told a class, the generator normalizes by `LabelBatchNorm`, and the discriminator adds a projection (Miyato & Koyama
2018, eq. 8):

    f(x, y) = <v_y, phi(x)> + psi(phi(x)),

phi(x) the last features, summed over the picture, psi linear. It is the form that the optimum
log p(x | y) p(y) - log q(x | y) q(y) = [log p(y | x) - log q(y | x)] + [log p(x) - log q(x)]
takes where both posteriors are log-linear in phi: v_y is then the difference of their weights, and the partition
functions go into psi.

u moves in the discriminator's own update, by one round of power iteration for the real and one for the generated
batch, and in no other.

Reference: Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks",
https://arxiv.org/abs/1802.05957; Miyato & Koyama 2018, "cGANs with Projection Discriminator",
https://arxiv.org/abs/1802.05637
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
from genjax.adversarial.spectral_norm import SpectralConv, SpectralDense, SpectralEmbed
from genjax.contract import Array, GenerativeModel
from genjax.nn import BatchNorm, Conv

glorot = nn.initializers.glorot_uniform()


class SNGANGenerator(nn.Module):
    """Latents, and classes, to pictures in [-1, 1].

    shape: (H, W, C) of a picture, square.
    features: channels of the blocks, from the picture inwards; each doubles the side once.
    num_classes: classes to be told; None for none.
    axis_name: mapped axis of batch normalization under pmap.
    dtype: compute dtype.
    """

    shape: Sequence[int]
    features: Sequence[int]
    num_classes: int | None = None
    axis_name: str | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array, label: Array | None = None, *, train: bool) -> Array:
        """Map latents `[B, L]` and classes int `[B]`, or None, to pictures `[B, H, W, C]`."""
        conv = partial(Conv, kernel_init=glorot, dtype=self.dtype)

        def norm(h: Array) -> Array:
            if self.num_classes is None:
                return BatchNorm(axis_name=self.axis_name, dtype=self.dtype)(h, train=train)
            return LabelBatchNorm(self.num_classes, axis_name=self.axis_name, dtype=self.dtype)(h, label, train=train)

        base = base_side(self.shape, self.features)
        width = self.features[-1]
        x = nn.Dense(base * base * width, kernel_init=glorot, dtype=self.dtype)(z).reshape(-1, base, base, width)
        for width in reversed(self.features):
            x = generator_block(x, width, conv=conv, norm=norm)
        x = jax.nn.relu(BatchNorm(axis_name=self.axis_name, dtype=self.dtype, name="last_norm")(x, train=train))
        return jnp.tanh(conv(self.shape[-1], name="picture")(x))


class SNGANDiscriminator(nn.Module):
    """Pictures, and classes, to scores.

    features: channels of the blocks, from the picture inwards.
    halvings: how many of the blocks, from the picture inwards, halve the side.
    num_classes: classes to be told; None for none.
    dtype: compute dtype.
    """

    features: Sequence[int]
    halvings: int
    num_classes: int | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, label: Array | None = None, *, train: bool) -> Array:
        """Map pictures `[B, H, W, C]` and classes int `[B]`, or None, to scores `[B]`."""
        conv = partial(SpectralConv, train=train, kernel_init=glorot, dtype=self.dtype)
        first, *inner = self.features
        x = first_discriminator_block(x, first, conv=conv)
        for index, width in enumerate(inner, start=1):
            x = discriminator_block(x, width, conv=conv, halve=index < self.halvings)
        features = jax.nn.relu(x).sum(axis=(1, 2))
        layer = {"train": train, "kernel_init": glorot, "dtype": self.dtype}
        return score_head(features, label, num_classes=self.num_classes, **layer)


def score_head(features: Array, label: Array | None, *, num_classes: int | None, **layer: Any) -> Array:
    """Return psi(phi(x)), with the projection on the class where there are classes; for use in a compact method.

    Args:
        features: phi(x) `[B, D]`.
        label: int `[B]`, or None.
        num_classes: classes to be told; None for none.
        layer: train, kernel_init and dtype of the layers, 'score' and 'embed'.

    Returns:
        `[B]`.
    """
    # Without a bias: a shift of all scores has no gradient under Wasserstein losses, nor under hinges within 1.
    plain = SpectralDense(1, use_bias=False, name="score", **layer)(features)[:, 0]
    if num_classes is None:
        return plain
    return projection_score(features, SpectralEmbed(num_classes, features.shape[-1], name="embed", **layer)(label), plain)


def projection_score(features: Array, embedded: Array, plain: Array) -> Array:
    """Return <v_y, phi(x)> + psi(phi(x)).

    Args:
        features: phi(x) `[B, D]`.
        embedded: v_y `[B, D]`.
        plain: psi(phi(x)) `[B]`.

    Returns:
        `[B]`.

    Reference: Miyato & Koyama 2018, eq. 8.
    """
    chex.assert_rank([features, embedded, plain], [2, 2, 1])
    chex.assert_equal_shape([features, embedded])
    return jnp.sum(embedded * features, axis=-1) + plain


def sngan(
    shape: Sequence[int],
    *,
    num_classes: int | None = None,
    latent_dim: int = 128,
    generator_features: Sequence[int] = (64, 128),
    discriminator_features: Sequence[int] = (64, 128, 128),
    halvings: int = 2,
    generator_loss: Any = hinge_generator_loss,
    discriminator_loss: Any = hinge_discriminator_loss,
    axis_name: str | None = None,
    dtype: Any = None,
    **options: Any,
) -> GenerativeModel:
    """Bind the two networks into a GAN on pictures in [-1, 1].

    Args:
        shape: (H, W, C) of a picture.
        num_classes: batches have 'label', int32 `[B]` in 0 .. num_classes - 1, which both players are told; None for a
            model without classes.
        latent_dim: coordinates of a latent.
        generator_features: channels of its blocks, from the picture inwards.
        discriminator_features: likewise.
        halvings: how many of the discriminator's blocks halve the side, from the picture inwards.
        generator_loss: of the scores of generated examples.
        discriminator_loss: of the scores of real and of generated examples.
        axis_name: mapped axis of the generator's batch normalization under pmap.
        dtype: compute dtype of both.
        options: further arguments of `genjax.adversarial.gan.gan` (prior, discriminator_steps, regularizers).

    Returns:
        A model with the players 'generator' and 'discriminator', as `gan` makes it.

    Reference: Miyato et al. 2018, eq. 16, 17 and appendix B.4; Miyato & Koyama 2018, eq. 8.
    """
    return gan(
        SNGANGenerator(shape, generator_features, num_classes, axis_name, dtype),
        SNGANDiscriminator(discriminator_features, halvings, num_classes, dtype),
        latent_dim=latent_dim,
        generator_loss=generator_loss,
        discriminator_loss=discriminator_loss,
        condition_of=None if num_classes is None else label_of,
        **options,
    )
