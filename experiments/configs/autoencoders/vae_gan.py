"""VAE-GAN (Larsen et al. 2016) on digits.

Variants:
    ''         a discriminator's features are what is reconstructed.
    pixels     the same encoder and decoder as a plain VAE of pixels, with a Gaussian of standard deviation 0.5, to
               compare with: evaluation 'reconstruction' has the distance in features of a third network.
    tiny       as '', small enough to compile in a second.
"""

import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import codes, evaluations
from experiments.configs.common import base
from genjax import adversarial, autoencoders
from genjax.data import transforms
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "pixels", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"autoencoders/vae_gan has no variant {variant!r}; it has {named}.")
    config = base("autoencoders/vae_gan")
    _default(config)
    changes = {"pixels": _pixels, "tiny": _tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 64
    config.train.steps = 4_000
    config.train.steps_per_call = 50
    config.train.log_every = 500
    config.train.checkpoint_every = 2_000
    config.train.ema_decay = 0.998
    config.train.learning_rate = 1e-3  # of encoder and decoder
    config.train.discriminator_rate = 3e-4

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.widths = (32, 64)  # of the encoder; the decoder has them reversed
    config.model.latent_dim = 16
    config.model.similarity = 0.1  # gamma, of a squared distance summed over features
    config.model.judge_widths = (32, 64)
    config.model.judge_features = 64
    config.model.pixels = False  # whether it is a plain VAE

    config.expected.result = (
        "sharpness of reconstructions 0.86 of the data's (with pixels alone 0.72), PSNR 17.4 dB (19.9); "
        "classifier-FID (ours) of samples 6.8 (26.7)"
    )
    config.expected.cost = "3.3 min of a CPU core"


def _pixels(config: ConfigDict) -> None:
    config.model.pixels = True


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.train.ema_decay = 0.0
    config.model.widths = (4,)
    config.model.latent_dim = 2
    config.model.judge_widths = (4,)
    config.model.judge_features = 4
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, train, dtype = config.model, config.train, jnp.dtype(config.train.precision)
    widths = tuple(model.widths)
    encoder = autoencoders.ConvEncoder(model.latent_dim, widths, dtype=dtype)
    decoder = autoencoders.ConvDecoder(tuple(model.shape), 1, widths[::-1], dtype=dtype)
    adam = optax.adam(train.learning_rate, b1=0.5)
    if model.pixels:
        built = autoencoders.vae(encoder, decoder, autoencoders.fixed_gaussian(0.5), latent_dim=model.latent_dim)
        built, optimizers = codes.of_means(built), {"vae": adam}
    else:
        built = autoencoders.vae_gan(
            encoder,
            decoder,
            autoencoders.ConvJudge(tuple(model.judge_widths), model.judge_features, dtype),
            latent_dim=model.latent_dim,
            similarity=model.similarity,
            discriminator_loss=adversarial.gan_discriminator_loss,
            decoder_loss=adversarial.non_saturating_generator_loss,
        )
        optimizers = {"encoder": adam, "decoder": adam}
        optimizers["discriminator"] = optax.adam(train.discriminator_rate, b1=0.5)
    found = {"reconstruction": codes.reconstruction}
    if config.data.name in evaluations.RECIPES:
        found["samples"] = evaluations.classifier_fid
    return System(
        model=built,
        optimizers=optimizers,
        transform=transforms.symmetric(model.levels),
        to_picture=codes.symmetric_picture,
        evaluations=found,
    )
