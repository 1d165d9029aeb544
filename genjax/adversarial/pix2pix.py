"""pix2pix: pictures made of pictures, by a loss that is learned beside one that is not.

Of pairs (y, x), y given, x wanted, z the generator's dropout (eqs. 1, 3 and 4):

    L_cGAN = E log D(x, y) + E log(1 - D(G(y, z), y)),    L_L1 = E |x - G(y, z)|_1
    G* = arg min_G max_D L_cGAN + lambda L_L1

G descends the non-saturating form of L_cGAN; D's objective is halved, "which slows down the rate at which D learns"
(section 3.3). D scores patches, and L_cGAN is their mean. lambda = 100 in the paper, for |.| as a mean over entries,
which is how its code takes it.

Reference: Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks",
https://arxiv.org/abs/1611.07004
"""

from functools import partial
from typing import Any

import flax.linen as nn

from genjax.adversarial.game import DiscriminatorLoss, GeneratorLoss
from genjax.adversarial.image_translation import l1_loss, over_patches
from genjax.adversarial.losses import gan_discriminator_loss, non_saturating_generator_loss
from genjax.adversarial.paired_game import paired_translation
from genjax.contract import Array, GenerativeModel, PyTree


def weighted_l1(frozen: PyTree, made: Array, x: Array, *, weight: float) -> Array:
    """Return weight * `l1_loss`, as a term of a paired game."""
    del frozen
    return weight * l1_loss(made, x)


def pix2pix(
    generator: nn.Module,
    discriminator: nn.Module,
    *,
    l1_weight: float = 100.0,
    generator_loss: GeneratorLoss = non_saturating_generator_loss,
    discriminator_loss: DiscriminatorLoss = gan_discriminator_loss,
    **options: Any,
) -> GenerativeModel:
    """Bind a generator and a discriminator of patches into pix2pix.

    Args:
        generator: as `UNetGenerator`: (given, train=) -> pictures in [-1, 1] like batch['x'].
        discriminator: as `PatchGAN`: (x, given, train=) -> scores `[B, h, w]`.
        l1_weight: lambda.
        generator_loss: of the scores `[B]` of what was made -> `[B]`; taken as a mean over patches.
        discriminator_loss: of the scores `[B]` of x and of what was made; likewise.
        options: further arguments of `paired_translation`, such as `given_of` and `regularizers`; batch['y'] is given
            unless it is there.

    Returns:
        A model as `paired_translation` makes it: `sample` with pictures as `condition`, `translate`, `score`.

    Reference: Isola et al. 2017, eqs. 1, 3 and 4.
    """
    return paired_translation(
        generator,
        discriminator,
        terms={"l1": partial(weighted_l1, weight=l1_weight)},
        generator_loss=over_patches(generator_loss),
        discriminator_loss=over_patches(discriminator_loss),
        discriminator_weight=0.5,
        **options,
    )
