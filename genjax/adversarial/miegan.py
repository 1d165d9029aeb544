"""MIEGAN: dark and noisy photographs made bright and clear, by a cascade of modules and judges of two kinds.

After the description of the paper. The generator has three modules: an encoder of two streams, of which one is led to
what is dark by the inverse luminance 1 - Y(y) of the picture y that is given; a transformer of features with a local
and a global branch, since noise is local and darkness is not; a decoder.

The discriminator has modules, too: one judges the whole picture and one its patches, with losses l_1 and l_2. How much
each counts adapts, by how much of the loss is its own:

    sum_k w_k l_k,   w_k = l_k / (l_1 + l_2), taken as a constant                                     `adaptive_loss`

so that the judge that is harder to please weighs more. Beside that the generator descends

    w_1 |G(y) - x| + w_c |sd Y(G(y)) - sd Y(x)|,   sd the standard deviation over the picture         `contrast_loss`

Reference: Pan et al. 2022, "MIEGAN: Mobile Image Enhancement via a Multi-Module Cascade Neural Network", IEEE
Transactions on Multimedia 24. Widths and weights are ours, and so is the formula of the weights w_k.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial.image_translation import PatchGAN, leaky_relu
from genjax.adversarial.losses import DiscriminatorTerms, gan_discriminator_loss, non_saturating_generator_loss
from genjax.adversarial.paired_game import paired_translation
from genjax.adversarial.pix2pix import weighted_l1
from genjax.contract import Array, GenerativeModel, PyTree
from genjax.nn import Conv, ConvTranspose

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, of red, green and blue


class EnhancementGenerator(nn.Module):
    """Photographs to photographs in [-1, 1]: encoder of two streams, local and global features, decoder.

    width: channels of a stream.
    dtype: compute dtype.
    """

    width: int
    dtype: Any = None

    @nn.compact
    def __call__(self, given: Array, *, train: bool) -> Array:
        """Map `[B, H, W, 3]` to `[B, H, W, 3]`; the sides are even."""
        del train
        conv = partial(Conv, dtype=self.dtype)
        dark = 1 - (luminance(given)[..., None] + 1) / 2
        plain = leaky_relu(conv(self.width, name="plain")(given))
        led = leaky_relu(conv(self.width, name="led")(jnp.concatenate([given, dark], axis=-1)))
        led = led * dark.astype(led.dtype)
        fine = jnp.concatenate([plain, led], axis=-1)
        h = leaky_relu(conv(2 * self.width, kernel_size=4, stride=2, name="down")(fine))
        local = conv(2 * self.width, name="local_out")(leaky_relu(conv(2 * self.width, name="local_in")(h)))
        everywhere = nn.Dense(2 * self.width, dtype=self.dtype, name="global")(h.mean(axis=(1, 2)))
        h = leaky_relu(h + local + everywhere[:, None, None])
        h = jnp.concatenate([leaky_relu(ConvTranspose(self.width, dtype=self.dtype, name="up")(h)), fine], axis=-1)
        return jnp.tanh(conv(given.shape[-1], name="out")(h))


class GlobalLocalDiscriminator(nn.Module):
    """Photographs, and what they were made of, to one score of the whole and scores of patches.

    features: channels of the convolutions of either module; each halves the side.
    dtype: compute dtype.
    """

    features: Sequence[int]
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, given: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` and `given` to scores `[B, 1 + S]`, that of the whole first."""
        patches = PatchGAN(self.features[:1], (2,), normalize=False, dtype=self.dtype, name="local")
        local = patches(x, given, train=train).reshape(x.shape[0], -1)
        h = jnp.concatenate([x, given], axis=-1)
        for width in self.features:
            h = leaky_relu(Conv(width, kernel_size=4, stride=2, dtype=self.dtype)(h))
        whole = nn.Dense(1, dtype=self.dtype)(h.reshape(h.shape[0], -1))
        return jnp.concatenate([whole, local], axis=1)


def luminance(x: Array) -> Array:
    """Return Y of photographs `[B, H, W, 3]`, in their own range: `[B, H, W]`.

    Reference: ITU-R BT.601.
    """
    chex.assert_shape(x, (None, None, None, 3))
    return x @ jnp.asarray(LUMINANCE, x.dtype)


def contrast_loss(made: Array, x: Array) -> Array:
    """Return how far the contrasts of photographs are apart.

    Args:
        made: `[B, H, W, 3]`.
        x: likewise.

    Returns:
        |sd Y(made) - sd Y(x)| `[B]`, sd the standard deviation over pixels.

    Reference: after the description of Pan et al. 2022.
    """
    chex.assert_rank([made, x], 4)
    spread = lambda of: jnp.sqrt(jnp.var(luminance(of), axis=(1, 2)) + 1e-12)  # a flat picture has no gradient else
    return jnp.abs(spread(made) - spread(x))


def adaptive_loss(losses: Array) -> Array:
    """Return losses of several judges weighed by their shares of the sum, which count as constants.

    Args:
        losses: positive `[B, K]`.

    Returns:
        sum_k w_k l_k with w_k = l_k / sum_j l_j, `[B]`.

    Reference: after the adaptive weights of Pan et al. 2022.
    """
    chex.assert_rank(losses, 2)
    weights = losses / jnp.sum(losses, axis=1, keepdims=True)
    return jnp.sum(jax.lax.stop_gradient(weights) * losses, axis=1)


def miegan(
    generator: nn.Module, discriminator: nn.Module, *, l1_weight: float = 20.0, contrast_weight: float = 5.0
) -> GenerativeModel:
    """Bind a generator that enhances and a discriminator of modules.

    Args:
        generator: module (given `[B, H, W, 3]`, train=) -> photographs `[B, H, W, 3]` in [-1, 1].
        discriminator: module (photograph, given, train=) -> scores `[B, 1 + S]`, that of the whole first.
        l1_weight: w_1.
        contrast_weight: w_c.

    Returns:
        A model of batches with 'x' and the given 'y', as `genjax.adversarial.paired_game.paired_translation` makes it.

    Reference: Pan et al. 2022.
    """
    return paired_translation(
        generator,
        discriminator,
        terms={"l1": partial(weighted_l1, weight=l1_weight), "contrast": partial(_contrast, weight=contrast_weight)},
        generator_loss=_generator_loss,
        discriminator_loss=_discriminator_loss,
    )


def _generator_loss(scores: Array) -> Array:
    return adaptive_loss(by_module(jax.vmap(non_saturating_generator_loss, in_axes=1, out_axes=1)(scores)))


def _discriminator_loss(real_scores: Array, fake_scores: Array) -> DiscriminatorTerms:
    each = jax.vmap(gan_discriminator_loss, in_axes=1, out_axes=1)(real_scores, fake_scores)
    return DiscriminatorTerms(adaptive_loss(by_module(each.real)), adaptive_loss(by_module(each.fake)))


def by_module(values: Array) -> Array:
    """Return the value of the whole and the mean over patches `[B, 2]` of values `[B, 1 + S]`."""
    return jnp.stack([values[:, 0], values[:, 1:].mean(axis=1)], axis=1)


def _contrast(frozen: PyTree, made: Array, x: Array, *, weight: float) -> Array:
    del frozen
    return weight * contrast_loss(made, x)
