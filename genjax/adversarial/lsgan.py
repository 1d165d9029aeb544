"""LSGAN: least squares in the place of the cross-entropy.

A discriminator with cross-entropy gives no gradient to generated examples that it takes for real, however far they lie
from the data. Least squares punish a score for its distance to a target on both sides, so that such examples are still
pulled to the decision boundary (section 3.2):

    discriminator   descends  E (s(x) - b)^2 / 2 + E (s(G(z)) - a)^2 / 2        (eq. 2)
    generator       descends  E (s(G(z)) - c)^2 / 2

With b - c = 1 and b - a = 2 the generator minimises Pearson's chi^2(p + q, 2 q) at the discriminator's optimum
s* = (b p + a q) / (p + q) (Theorem 1): a, b, c = -1, 1, 0 (eq. 8). With c = b it makes its examples look as real as
possible: a, b, c = 0, 1, 1 (eq. 9), which the paper found no worse and used.

Reference: Mao et al. 2017, "Least Squares Generative Adversarial Networks", https://arxiv.org/abs/1611.04076
"""

from functools import partial
from typing import Any

import flax.linen as nn

from genjax.adversarial.gan import gan
from genjax.adversarial.losses import least_squares_discriminator_loss, least_squares_generator_loss
from genjax.contract import GenerativeModel


def lsgan(
    generator: nn.Module,
    discriminator: nn.Module,
    *,
    latent_dim: int,
    a: float = 0.0,
    b: float = 1.0,
    c: float = 1.0,
    **options: Any,
) -> GenerativeModel:
    """Bind two players into a least-squares game.

    Args:
        generator, discriminator, latent_dim: as in `genjax.adversarial.gan.gan`.
        a: target of generated examples.
        b: target of real ones.
        c: what the generator wants its examples to score.
        options: further arguments of `gan` (regularizers, discriminator_steps, condition_of, prior).

    Returns:
        A model as `gan` makes it.

    Raises:
        ValueError: if a = b, which asks the discriminator to tell nothing apart.

    Reference: Mao et al. 2017, eq. 2.
    """
    if a == b:
        raise ValueError(f"Real and generated examples need different targets, not a = b = {a}.")
    return gan(
        generator,
        discriminator,
        latent_dim=latent_dim,
        generator_loss=partial(least_squares_generator_loss, c=c),
        discriminator_loss=partial(least_squares_discriminator_loss, a=a, b=b),
        **options,
    )
