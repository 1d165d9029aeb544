"""MI-GAN: medical pictures made for masks that are known, to train what segments them where few have been marked.

After the description of the paper. A generator turns a mask m of vessels and noise z into a picture of a retina; with
its mask it is a marked example that nobody had to mark. Beside fooling a discriminator of (picture, mask) it descends
what transfers a style,

    generator       descends   -log D(G(m, z), m) + w_c |G - x| + w_s sum_l |Gram_l(G) - Gram_l(x)|^2 + w_v TV(G)
    discriminator   descends   -log D(x, m) - log(1 - D(G(m, z), m))

with Gram_l the mean products of the maps of layer l of a network that is not trained, Gram(f) = f^T f / (H W) with f
the maps as columns. The paper's is a VGG network trained on photographs; here its filters are random (`style_filters`),
drawn once: such Gram matrices, too, know texture and no places. TV is the total variation, which holds down the noise.

The Dice coefficient 2 |a b| / (|a| + |b|) measures how well masks agree.

Reference: Iqbal & Ali 2018, "Generative Adversarial Network for Medical Images (MI-GAN)", Journal of Medical Systems
42, https://doi.org/10.1007/s10916-018-1072-9; Gatys et al. 2016 (Gram matrices)
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial.image_translation import l1_loss, over_patches
from genjax.adversarial.losses import gan_discriminator_loss, non_saturating_generator_loss
from genjax.adversarial.paired_game import paired_translation
from genjax.contract import Array, GenerativeModel, PyTree
from genjax.nn import conv2d


class MIWeights(NamedTuple):
    """Weights of the generator's terms beside the adversarial one: of content, of style and of total variation."""

    content: float = 2.0
    style: float = 10.0
    smooth: float = 0.1


def style_filters(channels: int, widths: Sequence[int], seed: int = 0) -> list[Array]:
    """Return random 3 x 3 filters of layers with these widths, scaled to keep the variance: `[3, 3, C, width]` each."""
    filters, keys = [], jax.random.split(jax.random.key(seed), len(widths))
    for key, width in zip(keys, widths):
        filters.append(jax.random.normal(key, (3, 3, channels, width)) * (2 / (9 * channels)) ** 0.5)
        channels = width
    return filters


def gram_matrix(maps: Array) -> Array:
    """Return the mean products of maps.

    Args:
        maps: `[B, H, W, C]`.

    Returns:
        f^T f / (H W) `[B, C, C]`.

    Reference: Gatys et al. 2016, eq. 3, over H W.
    """
    chex.assert_rank(maps, 4)
    columns = maps.reshape(maps.shape[0], -1, maps.shape[3])
    return jnp.einsum("bnc,bnd->bcd", columns, columns) / columns.shape[1]


def style_loss(filters: Sequence[Array], made: Array, x: Array) -> Array:
    """Return how far the Gram matrices of pictures are apart.

    Args:
        filters: of the layers of a network, `[3, 3, C, width]` each; a layer halves the side and is rectified.
        made: `[B, H, W, C]`.
        x: likewise.

    Returns:
        sum over layers of the mean squared difference of Gram matrices, `[B]`.

    Reference: Iqbal & Ali 2018; Gatys et al. 2016, eq. 4 and 5.
    """
    chex.assert_rank([made, x], 4)
    total = jnp.zeros(made.shape[0], made.dtype)
    for kernel in filters:
        made, x = (jax.nn.relu(conv2d(of, kernel, stride=2)) for of in (made, x))
        total += jnp.mean((gram_matrix(made) - gram_matrix(x)) ** 2, axis=(1, 2))
    return total


def total_variation(x: Array) -> Array:
    """Return the mean absolute difference of neighbours in pictures `[B, H, W, C]`, down plus across: `[B]`."""
    chex.assert_rank(x, 4)
    mean = lambda of: jnp.abs(of).mean(axis=(1, 2, 3))
    return mean(x[:, 1:] - x[:, :-1]) + mean(x[:, :, 1:] - x[:, :, :-1])


def dice_coefficient(mask: Array, truth: Array) -> Array:
    """Return 2 |mask truth| / (|mask| + |truth|) of masks in {0, 1} `[B, ...]`: `[B]`; 1 where both are empty."""
    chex.assert_equal_shape([mask, truth])
    whole = lambda of: of.reshape(of.shape[0], -1).sum(axis=1)
    both, either = 2 * whole(mask * truth), whole(mask) + whole(truth)
    return jnp.where(either > 0, both, 1.0) / jnp.where(either > 0, either, 1.0)


def mi_gan(
    generator: nn.Module,
    discriminator: nn.Module,
    *,
    channels: int,
    weights: MIWeights = MIWeights(),
    style_widths: Sequence[int] = (16, 32),
) -> GenerativeModel:
    """Bind a generator of pictures for masks and a discriminator of pairs.

    Args:
        generator: module (given `[B, H, W, G]`: mask and noise, train=) -> pictures `[B, H, W, C]` in [-1, 1].
        discriminator: module (picture, given, train=) -> scores of patches `[B, h, w]`.
        channels: C.
        weights: see MIWeights.
        style_widths: of the random network whose Gram matrices are compared.

    Returns:
        A model of batches with 'x' and 'y' (given), as `genjax.adversarial.paired_game.paired_translation` makes it:
        `sample` takes masks and noise as its condition.

    Reference: Iqbal & Ali 2018.
    """
    return paired_translation(
        generator,
        discriminator,
        terms={
            "content": partial(_content, weight=weights.content),
            "style": partial(_style, weight=weights.style),
            "smooth": partial(_smooth, weight=weights.smooth),
        },
        generator_loss=over_patches(non_saturating_generator_loss),
        discriminator_loss=over_patches(gan_discriminator_loss),
        frozen=partial(style_filters, channels, tuple(style_widths)),
    )


def _content(frozen: PyTree, made: Array, x: Array, *, weight: float) -> Array:
    del frozen
    return weight * l1_loss(made, x)


def _style(frozen: Any, made: Array, x: Array, *, weight: float) -> Array:
    return weight * style_loss(frozen, made, x)


def _smooth(frozen: PyTree, made: Array, x: Array, *, weight: float) -> Array:
    del frozen, x
    return weight * total_variation(made)
