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
    # Where there are more than 1 / k times as many samples as pictures the autoencoder rebuilds them worse; below it
    # does not mind. Samples spread if k is near 1, and it is where the generator is the faster and wider player; were
    # the autoencoder half as fast, k would stay at 1 and nothing be rebuilt.
    config.train.generator_rate = 1e-3
    config.train.discriminator_rate = 2e-4
    config.train.final_rate = 0.1  # learning rates at the end of a cosine, as a share of those at its start
    config.train.adam_b1 = 0.5
    config.model.latent_dim = 16  # of z and of the code
    config.model.halvings = 1
    config.model.width = 16  # n of the autoencoder
    config.model.generator_width = 32  # of the generator; the paper's has n
    config.model.depth = 2  # convolutions at each side
    config.model.gamma = 1.0  # diversity ratio, the largest
    config.model.rate = 0.05  # lambda_k; the paper's 1e-3 does not reach balance in so few steps
    config.model.eta = 1  # power of the reconstruction errors
    config.expected.result = (
        "classifier-FID (ours) 10.8 on digits (floor 3.9), precision 0.88, recall 0.61; digits can be read"
    )
    config.expected.cost = "3 minutes of a CPU core"


def _toy2d(config: ConfigDict) -> None:
    games.points(config)
    config.data.batch_size = 256
    config.train.generator_rate = config.train.discriminator_rate = 5e-4
    config.model.rate = 0.01
    config.model.code = 1  # of points; through as many numbers as they have every point could be given back
    config.expected.result = "4 of 8 modes, 98.5 % of samples within 3 standard deviations; 2-Wasserstein 2.44, floor 0.16"
    config.expected.cost = "2 minutes of one CPU core"


def _mnist(config: ConfigDict) -> None:
    games.mnist(config)
    config.data.batch_size = 16
    config.model.latent_dim = 64
    config.model.gamma, config.model.rate = 0.5, 1e-3
    config.model.halvings = 2
    config.model.width = config.model.generator_width = 32


def _tiny(config: ConfigDict) -> None:
    games.tiny(config)
    config.model.width = config.model.generator_width = 2
    config.model.depth = 1


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; under pmap the errors that move k are averaged over `axis_name`."""
    model, train = config.model, config.train
    generator, autoencoder = _players(config)
    balance = {"gamma": model.gamma, "rate": model.rate, "eta": model.eta}
    built = adversarial.began(generator, autoencoder, latent_dim=model.latent_dim, axis_name=axis_name, **balance)
    rates = {"generator": train.generator_rate, "discriminator": train.discriminator_rate}
    decay = lambda rate: optax.cosine_decay_schedule(rate, train.steps, train.final_rate)
    adam = {name: optax.adam(decay(rate), b1=train.adam_b1) for name, rate in rates.items()}
    return games.system(config, built, adam)


def _players(config: ConfigDict) -> tuple[nn.Module, nn.Module]:
    model, dtype = config.model, jnp.dtype(config.train.precision)
    if len(model.shape) == 3:
        n, wide = ((model.halvings, width, model.depth, dtype) for width in (model.width, model.generator_width))
        generator = adversarial.BEGANDecoder(tuple(model.shape), *wide)
        return generator, adversarial.BEGANAutoencoder(model.latent_dim, *n)
    generator, _ = games.players(config)
    return generator, adversarial.BEGANPerceptron(model.code, tuple(model.discriminator_hidden), dtype)
