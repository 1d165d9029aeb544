"""Wasserstein autoencoders (Tolstikhin et al. 2018) on digits.

Variants:
    ''       MMD under inverse multiquadratic kernels of several scales.
    rbf      MMD under an RBF kernel.
    gan      a discriminator of codes.
    vae      the same networks as a VAE with the same p(x|z), to compare with: its rate asks each q(z|x) to be near the
             prior, where a WAE asks that of their aggregate alone.
    mnist    as '', MNIST. Needs --config.data.dir.
    tiny     as '', small enough to compile in a second.
"""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import codes, evaluations, latent_match
from experiments.configs.common import base
from genjax import adversarial, autoencoders
from genjax.classical import divergences
from genjax.contract import GenerativeModel
from genjax.data import transforms
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "rbf", "gan", "vae", "mnist", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"autoencoders/wae has no variant {variant!r}; it has {named}.")
    config = base("autoencoders/wae")
    _default(config)
    changes = {"rbf": _rbf, "gan": _gan, "vae": _vae, "mnist": _mnist, "tiny": _tiny}
    if variant:
        config.expected.result = config.expected.cost = "not measured"
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 256
    config.train.steps = 6_000
    config.train.steps_per_call = 100
    config.train.log_every = 500
    config.train.checkpoint_every = 3_000
    config.train.learning_rate = 1e-3  # at the start of a cosine
    config.train.discriminator_rate = 5e-4
    config.train.weight_decay = 1e-3

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.hidden = (256, 128)  # widths of the encoder's layers; the decoder has them reversed
    config.model.latent_dim = 8
    config.model.divergence = "imq"  # imq, rbf or gan; vae for no WAE
    config.model.weight = 100.0  # lambda, beside a squared error in [-1, 1]
    config.model.discriminator = (128, 128)

    config.expected.result = (
        "codes of the digits test split (360) cannot be told from the prior by MMD: p = 0.88; classifier-FID (ours) "
        "28.7, floor 3.8; reconstructions 19.5 dB"
    )
    config.expected.cost = "63 s on one CPU core shared with others"


def _rbf(config: ConfigDict) -> None:
    config.model.divergence = "rbf"


def _gan(config: ConfigDict) -> None:
    config.model.divergence = "gan"
    config.model.weight = 3.0


def _vae(config: ConfigDict) -> None:
    config.model.divergence = "vae"


def _mnist(config: ConfigDict) -> None:
    config.data.name = "mnist"
    config.data.split = "train[:50000]"
    config.train.steps = 40_000
    config.train.checkpoint_every = 10_000
    config.model.shape = (28, 28, 1)
    config.model.levels = 256
    config.model.hidden = (512, 256)
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.hidden = (8,)
    config.model.latent_dim = 2
    config.model.discriminator = (8,)
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; a mean of unbiased estimates over devices is one itself, so `axis_name` is not used."""
    del axis_name
    model, train = config.model, config.train
    rate = lambda start: optax.cosine_decay_schedule(start, train.steps)
    plain = model.divergence == "vae"
    descend = optax.adamw(rate(train.learning_rate), weight_decay=train.weight_decay)
    optimizers = {"vae" if plain else "wae": descend}
    if model.divergence == "gan":
        optimizers["discriminator"] = optax.adam(rate(train.discriminator_rate), b1=0.5)
    matched = latent_match.aggregate_match if plain else latent_match.prior_match
    found = {"latents": matched, "reconstruction": codes.reconstruction}
    if config.data.name in evaluations.RECIPES:
        found["samples"] = evaluations.classifier_fid
    return System(
        model=_plain_vae(config) if plain else _model(config),
        optimizers=optimizers,
        transform=transforms.symmetric(model.levels),
        to_picture=codes.symmetric_picture,
        evaluations=found,
    )


def _plain_vae(config: ConfigDict) -> GenerativeModel:
    """Return a VAE of the WAE's networks, which like it draws and reconstructs means."""
    model, dtype = config.model, jnp.dtype(config.train.precision)
    widths, size = tuple(model.hidden), model.latent_dim
    built = autoencoders.vae(
        autoencoders.MLPEncoder(size, widths, jax.nn.relu, dtype=dtype),
        autoencoders.MLPDecoder(tuple(model.shape), 1, widths[::-1], jax.nn.relu, dtype=dtype),
        autoencoders.fixed_gaussian(0.5**0.5),
        latent_dim=size,
    )
    return codes.of_means(built)


def _model(config: ConfigDict) -> GenerativeModel:
    model, dtype = config.model, jnp.dtype(config.train.precision)
    widths, size = tuple(model.hidden), model.latent_dim
    networks = (
        autoencoders.MLPCoder(size, widths, dtype=dtype),
        autoencoders.MLPDecoder(tuple(model.shape), 1, widths[::-1], jax.nn.relu, dtype=dtype),
    )
    likelihood = autoencoders.fixed_gaussian(0.5**0.5)  # the squared error, and a constant
    settings = {"latent_dim": size, "prior": autoencoders.gaussian_prior(), "weight": model.weight}
    if model.divergence == "gan":
        return autoencoders.wae_gan(
            *networks,
            adversarial.MLPDiscriminator(tuple(model.discriminator), dtype),
            likelihood,
            discriminator_loss=adversarial.gan_discriminator_loss,
            encoder_loss=adversarial.non_saturating_generator_loss,
            **settings,
        )
    kernels = {
        "imq": lambda: autoencoders.imq_kernels(size, divergences.imq_kernel),
        "rbf": lambda: divergences.rbf_kernel(bandwidth=float(size) ** 0.5),
    }
    if model.divergence not in kernels:
        raise UserError(f"model.divergence={model.divergence!r} is none of imq, rbf, gan, vae.")
    kernel = kernels[model.divergence]()
    discrepancy = lambda z, drawn: divergences.mmd_squared(z, drawn, kernel)
    return autoencoders.wae_mmd(*networks, likelihood, discrepancy=discrepancy, **settings)

