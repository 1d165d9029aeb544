"""Adversarial models: a generator against a discriminator."""

from genjax.adversarial.dcgan import DCGANDiscriminator  # strided convolutions to a score
from genjax.adversarial.dcgan import DCGANGenerator  # transposed convolutions to a picture
from genjax.adversarial.dcgan import dcgan  # the two bound into a GAN
from genjax.adversarial.gan import MLPDiscriminator  # a perceptron to a score
from genjax.adversarial.gan import MLPGenerator  # a perceptron to an example
from genjax.adversarial.gan import gan  # any two networks, any losses on scores, any penalties
from genjax.adversarial.latents import latent_arithmetic  # mean(base) - mean(minus) + mean(plus)
from genjax.adversarial.latents import lerp  # the straight line between latents
from genjax.adversarial.latents import slerp  # the great circle between latents
from genjax.adversarial.losses import DiscriminatorTerms  # real and fake, [B] each
from genjax.adversarial.losses import gan_discriminator_loss  # -log D(x), -log(1 - D(G(z)))
from genjax.adversarial.losses import minimax_generator_loss  # log(1 - D(G(z)))
from genjax.adversarial.losses import non_saturating_generator_loss  # -log D(G(z))

__all__ = [
    "DCGANDiscriminator",
    "DCGANGenerator",
    "DiscriminatorTerms",
    "MLPDiscriminator",
    "MLPGenerator",
    "dcgan",
    "gan",
    "gan_discriminator_loss",
    "latent_arithmetic",
    "lerp",
    "minimax_generator_loss",
    "non_saturating_generator_loss",
    "slerp",
]
