"""POLY-GAN: one network with several conditions, run stage after stage: shape, stitching, refinement.

After the description of the paper, which dresses people: a garment is first brought into the shape of a pose, then
stitched to the model, then what is torn is mended, all by one architecture that takes several conditions. Here one
network with one set of weights does all three, and is told the stage s:

    shape        G(reference, pose, s = 0)      the reference turned to the pose, of which only a coarse shadow is known
    stitching    G(shaped, background, s = 1)   both in one picture
    refinement   G(torn, holes, s = 2)          the holes filled

The conditions, what is given and the stage as planes, enter at every layer of the encoder, pooled to its size, and the
coarse layers of the encoder alone are joined to the decoder by skips, since the fine ones hold what is to be turned.

    discriminator   descends   (D(x, c) - 1)^2 / 2 + D(G(c), c)^2 / 2
    generator       descends   (D(G(c), c) - 1)^2 / 2 + w |G(c) - x|

Reference: Pandey & Savakis 2020, "Poly-GAN: Multi-Conditioned GAN for Fashion Synthesis", Neurocomputing 414,
https://doi.org/10.1016/j.neucom.2020.07.092. Widths and weights are ours.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial.image_translation import leaky_relu, over_patches
from genjax.adversarial.losses import least_squares_discriminator_loss, least_squares_generator_loss
from genjax.adversarial.metrogan import pooled
from genjax.adversarial.paired_game import paired_translation
from genjax.adversarial.pix2pix import weighted_l1
from genjax.contract import Array, GenerativeModel, Variables
from genjax.nn import Conv, ConvTranspose

STAGES = ("shape", "stitching", "refinement")


class PolyGenerator(nn.Module):
    """Conditions to pictures in [-1, 1]; the conditions enter every layer of the encoder.

    features: channels of the encoder's layers, from the picture inwards; each halves the side.
    hidden: width of a dense layer over the innermost maps, which may bring every place to every other.
    dtype: compute dtype.
    """

    features: Sequence[int]
    hidden: int
    dtype: Any = None

    @nn.compact
    def __call__(self, given: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H, W, 1]`."""
        del train
        maps, h = [], given
        for depth, width in enumerate(self.features):
            told = given if depth == 0 else pooled(given, 2**depth)
            h = told if depth == 0 else jnp.concatenate([h, told.astype(h.dtype)], axis=-1)
            h = leaky_relu(Conv(width, kernel_size=4, stride=2, dtype=self.dtype)(h))
            maps.append(h)
        flat = leaky_relu(nn.Dense(self.hidden, dtype=self.dtype)(h.reshape(h.shape[0], -1)))
        h = h + nn.Dense(h[0].size, dtype=self.dtype)(flat).reshape(h.shape)
        # The finest map has no skip.
        for beside in reversed(maps[1:-1]):
            h = jnp.concatenate([leaky_relu(ConvTranspose(beside.shape[-1], dtype=self.dtype)(h)), beside], axis=-1)
        for _ in range(min(2, len(maps)) - 1):
            h = leaky_relu(ConvTranspose(self.features[0], dtype=self.dtype)(h))
        return jnp.tanh(ConvTranspose(1, dtype=self.dtype)(h))


def conditions(first: Array, second: Array, stage: Array) -> Array:
    """Return what the network is given: two pictures and a plane for each stage.

    Args:
        first: the picture that is worked on `[B, H, W, 1]`.
        second: the pose, the background or the holes `[B, H, W, 1]`.
        stage: integers 0..2 `[B]`.

    Returns:
        `[B, H, W, 5]`.
    """
    chex.assert_rank([first, second, stage], [4, 4, 1])
    planes = jax.nn.one_hot(stage, len(STAGES), dtype=first.dtype)[:, None, None]
    planes = jnp.broadcast_to(planes, (*first.shape[:3], len(STAGES)))
    return jnp.concatenate([first, second, planes], axis=-1)


def shadow(x: Array, times: int) -> Array:
    """Return pictures `[B, H, W, C]` as means of blocks, repeated to their size: what is known of a pose."""
    chex.assert_rank(x, 4)
    return jnp.repeat(jnp.repeat(pooled(x, times), times, axis=1), times, axis=2)


def stitched(picture: Array, background: Array) -> Array:
    """Return a picture of ink laid over a background, both in [-1, 1]: a picture's ink covers by (x + 1) / 2."""
    chex.assert_equal_shape([picture, background])
    cover = (picture + 1) / 2
    return cover * picture + (1 - cover) * background


def torn(x: Array, holes: Array) -> Array:
    """Return pictures with 0 where `holes` is 1; where it is 0 they stay."""
    chex.assert_equal_shape([x, holes])
    return x * (1 - holes)


def poly_gan(generator: nn.Module, discriminator: nn.Module, *, l1_weight: float = 10.0) -> GenerativeModel:
    """Bind the network of all stages and its discriminator.

    Args:
        generator: module (conditions `[B, H, W, 5]`, train=) -> pictures `[B, H, W, 1]` in [-1, 1].
        discriminator: module (picture, conditions, train=) -> scores of patches `[B, h, w]`.
        l1_weight: w.

    Returns:
        A model of batches with 'x' and the `conditions` 'y' of some stage each, as
        `genjax.adversarial.paired_game.paired_translation` makes it, with the further method
        `dress(variables, key, reference, pose, background, holes)` -> the pictures of the three stages, each made of
        the one before, `[3, N, H, W, 1]`.

    Reference: Pandey & Savakis 2020.
    """
    model = paired_translation(
        generator,
        discriminator,
        terms={"l1": partial(weighted_l1, weight=l1_weight)},
        generator_loss=over_patches(least_squares_generator_loss),
        discriminator_loss=over_patches(least_squares_discriminator_loss),
    )

    def dress(
        variables: Variables, key: Array, reference: Array, pose: Array, background: Array, holes: Array
    ) -> Array:
        made, picture = [], reference
        for number, second in enumerate((pose, background, holes)):
            picture = torn(picture, holes) if number == 2 else picture
            stage = jnp.full(picture.shape[:1], number)
            picture = model.methods["translate"](variables, key, conditions(picture, second, stage))
            made.append(picture)
        return jnp.stack(made)

    return model._replace(methods={**model.methods, "dress": dress})
