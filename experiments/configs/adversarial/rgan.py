"""RGAN and RCGAN (Esteban et al. 2017) on sine waves of 30 steps.

Variants:
    ''    RGAN.
    rcgan both players are told the band of the frequency.
    tiny  as '', small enough to compile in seconds.
"""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import series
from experiments.configs.common import base
from genjax import adversarial
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "rcgan", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"adversarial/rgan has no variant {variant!r}; it has {named}.")
    config = base("adversarial/rgan")
    _default(config)
    changes = {"rcgan": _rcgan, "tiny": _tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.name = "sines/30"
    config.data.batch_size = 128
    config.train.steps = 6_000
    config.train.steps_per_call = 50
    config.train.log_every = 200
    config.train.checkpoint_every = 2_000
    config.train.ema_decay = 0.99
    config.train.generator_rate = 1e-3
    config.train.discriminator_rate = 1e-3
    config.train.adam_b1 = 0.5

    config.model.shape = (30, 1)
    config.model.latent_dim = 5  # at each step
    config.model.generator_hidden = 64
    config.model.discriminator_hidden = 64
    config.model.num_classes = 0  # of the labels that both players are told; 0 for none

    config.sample.num = 16
    config.eval.num_samples = 1000
    config.expected.result = (
        "all samples are sines (residual 0.023, below 0.1 for all), frequency 2.55 +- 1.13 (data 2.93 +- 1.12), "
        "amplitude 0.54 +- 0.20 (0.50 +- 0.23); MMD^2 0.0060, floor -0.0002: the test still tells them (p = 0.002)"
    )
    config.expected.cost = "7 min, of one shared CPU core 3.6 min"


def _rcgan(config: ConfigDict) -> None:
    config.model.num_classes = 4
    config.expected.result = (
        "stopped after 2,200 of its steps: 95.1 % of samples in the band asked for, 94 % with a residual below "
        "0.1; MMD^2 0.0009 (p = 0.002)"
    )
    config.expected.cost = "about 8 min for all its steps"


def _tiny(config: ConfigDict) -> None:
    config.data.name = "sines/4"
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.shape = (4, 1)
    config.model.latent_dim = 2
    config.model.generator_hidden = 4
    config.model.discriminator_hidden = 4
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, train = config.model, config.train
    classes = model.num_classes
    return System(
        model=adversarial.rgan(
            tuple(model.shape),
            latent_dim=model.latent_dim,
            generator_hidden=model.generator_hidden,
            discriminator_hidden=model.discriminator_hidden,
            num_classes=classes,
            dtype=jnp.dtype(train.precision),
        ),
        optimizers={
            "generator": optax.adam(train.generator_rate, b1=train.adam_b1),
            "discriminator": optax.adam(train.discriminator_rate, b1=train.adam_b1),
        },
        to_picture=series.draw,
        evaluations={"sines": series.sine_quality, "mmd": series.mmd_test},
        condition=(lambda key, num: jax.random.randint(key, (num,), 0, classes)) if classes else None,
    )
