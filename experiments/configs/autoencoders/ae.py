"""Autoencoder on the grey levels of digits, against principal components of equal code size.

Variants:
    ''         digits scaled to [0, 1], dense networks, squared error.
    conv       as '', with strided and transposed convolutions.
    linear     as '', affine: the subspace of the principal components.
    binarized  the networks, data and likelihood of autoencoders/vae.py, without its prior: what a code space without
               one looks like (evaluation 'holes' of both).
    tiny       as '', small enough to compile in a second.
"""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import latents
from experiments.configs.common import base
from genjax import autoencoders
from genjax.data import transforms
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "conv", "linear", "binarized", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"autoencoders/ae has no variant {variant!r}; it has {named}.")
    config = base("autoencoders/ae")
    _default(config)
    changes = {"conv": _conv, "linear": _linear, "binarized": _binarized, "tiny": _tiny}
    if variant:
        config.expected.result = config.expected.cost = "not measured"
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 128
    config.train.steps = 6_000
    config.train.steps_per_call = 100
    config.train.log_every = 500
    config.train.checkpoint_every = 3_000
    config.train.learning_rate = 1e-3  # at the start of a cosine
    config.train.weight_decay = 1e-3

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.likelihood = "gaussian"  # of standard deviation 1, half the squared error; or bernoulli
    config.model.network = "mlp"  # or conv
    config.model.hidden = (256, 128)  # widths of the encoder's layers; the decoder has them reversed
    config.model.latent_dim = 8

    config.expected.result = "mean squared error 0.0113 a pixel, digits test split; as many principal components 0.0236"
    config.expected.cost = "35 s on one CPU core"


def _conv(config: ConfigDict) -> None:
    config.model.network = "conv"
    config.model.hidden = (16, 32)
    config.train.steps = 4_000


def _linear(config: ConfigDict) -> None:
    config.model.hidden = ()
    config.train.weight_decay = 0.0
    config.train.learning_rate = 3e-3


def _binarized(config: ConfigDict) -> None:
    config.model.likelihood = "bernoulli"
    config.model.hidden = (200, 200)
    config.model.latent_dim = 16
    config.train.weight_decay = 0.0
    config.train.steps = 20_000


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.hidden = (8,)
    config.model.latent_dim = 2


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, train = config.model, config.train
    likelihoods = {"gaussian": lambda: autoencoders.fixed_gaussian(1.0), "bernoulli": autoencoders.bernoulli}
    if model.likelihood not in likelihoods:
        raise UserError(f"model.likelihood={model.likelihood!r} is none of {', '.join(likelihoods)}.")
    binary = model.likelihood == "bernoulli"
    encoder, decoder = _networks(config)
    built = autoencoders.autoencoder(encoder, decoder, likelihoods[model.likelihood](), latent_dim=model.latent_dim)
    rate = optax.cosine_decay_schedule(train.learning_rate, train.steps)
    return System(
        model=built,
        optimizers={"ae": optax.adamw(rate, weight_decay=train.weight_decay)},
        transform=transforms.binarize_dynamic(model.levels) if binary else transforms.unit(model.levels),
        to_picture=lambda x: jnp.clip(x, 0.0, 1.0),
        evaluations={"reconstruction": latents.reconstruction_against_pca, "holes": latents.holes},
    )


def _networks(config: ConfigDict):
    model, dtype = config.model, jnp.dtype(config.train.precision)
    widths, shape = tuple(model.hidden), tuple(model.shape)
    if model.network == "mlp":
        encoder = autoencoders.MLPCoder(model.latent_dim, widths, dtype=dtype)
        return encoder, autoencoders.MLPDecoder(shape, 1, widths[::-1], jax.nn.relu, dtype=dtype)
    if model.network == "conv":
        encoder = autoencoders.ConvCoder(model.latent_dim, widths, dtype=dtype)
        return encoder, autoencoders.ConvDecoder(shape, 1, widths[::-1], dtype=dtype)
    raise UserError(f"model.network={model.network!r} is none of mlp, conv.")
