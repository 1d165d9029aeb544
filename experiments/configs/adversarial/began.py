"""BEGAN (Berthelot et al. 2017) on digits, points and MNIST: an autoencoder for a discriminator, in balance.

Variants:
    ''       8 x 8 digits (8 -> 4 -> 8).
    toy2d    eight gaussians, perceptrons.
    mnist    28 x 28 (28 -> 14 -> 7 -> 14 -> 28); needs --config.data.dir.
    tiny     as '', small enough to compile in a second.
"""

import flax.linen as nn
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import games
from experiments.configs.common import base
from genjax import adversarial
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "toy2d", "mnist", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"adversarial/began has no variant {variant!r}; it has {named}.")
    config = base("adversarial/began")
    _default(config)
    changes = {"toy2d": _toy2d, "mnist": _mnist, "tiny": _tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    games.pictures(config)
    config.data.batch_size = 16
    config.train.steps = 10_000
    config.train.sample_every = 0
    config.train.learning_rate = 2e-4  # of both players
    config.train.adam_b1 = 0.5
    config.model.latent_dim = 8  # of z and of the code
    config.model.halvings = 1
    config.model.width = 16  # n
    config.model.depth = 2  # convolutions at each side
    config.model.gamma = 1.0  # diversity ratio; at 0.5 all samples are one digit
    config.model.rate = 0.05  # lambda_k; the paper's 1e-3 does not reach balance in so few steps
    config.model.eta = 1  # power of the reconstruction errors
    config.expected.result = "classifier-FID (ours) 110.8 on digits (floor 3.8), precision 0.85, recall 0.29: few shapes"
    config.expected.cost = "2.6 minutes of a CPU core shared with others"


def _toy2d(config: ConfigDict) -> None:
    games.points(config)
    config.data.batch_size = 256
    config.train.learning_rate = 5e-4
    config.model.gamma, config.model.rate = 0.5, 1e-3
    config.model.code = 1  # of points; through as many numbers as they have every point could be given back
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _mnist(config: ConfigDict) -> None:
    games.mnist(config)
    config.data.batch_size = 16
    config.model.latent_dim = 64
    config.model.gamma, config.model.rate = 0.5, 1e-3
    config.model.halvings = 2
    config.model.width = 32


def _tiny(config: ConfigDict) -> None:
    games.tiny(config)
    config.model.width = 2
    config.model.depth = 1


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; under pmap the errors that move k are averaged over `axis_name`."""
    model, train = config.model, config.train
    generator, autoencoder = _players(config)
    balance = {"gamma": model.gamma, "rate": model.rate, "eta": model.eta}
    built = adversarial.began(generator, autoencoder, latent_dim=model.latent_dim, axis_name=axis_name, **balance)
    adam = optax.adam(train.learning_rate, b1=train.adam_b1)
    return games.system(config, built, {"generator": adam, "discriminator": adam})


def _players(config: ConfigDict) -> tuple[nn.Module, nn.Module]:
    model, dtype = config.model, jnp.dtype(config.train.precision)
    if len(model.shape) == 3:
        size = (model.halvings, model.width, model.depth, dtype)
        generator = adversarial.BEGANDecoder(tuple(model.shape), *size)
        return generator, adversarial.BEGANAutoencoder(model.latent_dim, *size)
    generator, _ = games.players(config)
    return generator, adversarial.BEGANPerceptron(model.code, tuple(model.discriminator_hidden), dtype)
