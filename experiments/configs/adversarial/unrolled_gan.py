"""Unrolled GAN (Metz et al. 2017) on the ring of eight narrow Gaussians.

Variants:
    ''     toy2d/ring_of_8, 5 unrolled steps.
    plain  the same with none: the plain GAN at the same settings, which drops modes.
    tiny   as '', small enough to compile in a second.

Any loss and any regularizer may be played with these networks, by the fields of `experiments.games.choices`; the
unrolled steps descend the loss with its penalties on gradients, and neither penalize weights nor clip them:

    --config.model.loss=wasserstein --config.model.regularizers.one_sided_gradient_penalty=1
"""

import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import evaluations, games, toy_modes
from experiments.configs.common import base
from genjax import adversarial
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "plain", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"adversarial/unrolled_gan has no variant {variant!r}; it has {named}.")
    config = base("adversarial/unrolled_gan")
    _default(config)
    changes = {"plain": _plain, "tiny": _tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.name = "toy2d/ring_of_8"
    config.data.batch_size = 256
    config.train.steps = 6_000
    config.train.steps_per_call = 100
    config.train.log_every = 500
    config.train.checkpoint_every = 3_000
    config.train.ema_decay = 0.99
    config.train.generator_rate = 1e-3
    config.train.discriminator_rate = 1e-4
    config.train.adam_b1 = 0.5

    config.model.latent_dim = 64
    config.model.generator_hidden = (64, 64)
    config.model.discriminator_hidden = (64, 64)
    config.model.unroll_steps = 5  # K
    games.choices(config, loss="minimax")

    config.sample.num = 1000
    config.eval.num_samples = 2500
    config.expected.result = (
        "seeds 0, 1, 2: 8 of 8 modes each, 20.8, 41.8, 3.2 % of samples within 3 standard deviations; 2-Wasserstein "
        "0.16, 0.14, 0.38, floor 0.11"
    )
    config.expected.cost = "91 s, of one shared CPU core 45 s"


def _plain(config: ConfigDict) -> None:
    config.model.unroll_steps = 0
    config.expected.result = (
        "seeds 0, 1, 2: 5, 2, 5 of 8 modes; 7.0, 0.1, 0.7 % of samples within 3 standard deviations; 2-Wasserstein "
        "0.37, 0.84, 0.44"
    )
    config.expected.cost = "26 s, of one shared CPU core 12 s"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.latent_dim = 2
    config.model.generator_hidden = (8,)
    config.model.discriminator_hidden = (8,)
    config.model.unroll_steps = 2
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, train = config.model, config.train
    dtype = jnp.dtype(train.precision)
    # The root keeps Adam differentiable where a gradient is zero.
    answer = optax.adam(train.discriminator_rate, b1=train.adam_b1, eps_root=1e-12)
    built = adversarial.unrolled_gan(
        adversarial.MLPGenerator((2,), tuple(model.generator_hidden), dtype=dtype),
        adversarial.MLPDiscriminator(tuple(model.discriminator_hidden), dtype),
        latent_dim=model.latent_dim,
        unroll_steps=model.unroll_steps,
        inner_optimizer=answer,
        **games.options(model),
    )
    return System(
        model=games.penalized(built, model),
        optimizers={
            "generator": optax.adam(train.generator_rate, b1=train.adam_b1),
            "discriminator": answer,
        },
        evaluations={"wasserstein": evaluations.wasserstein, "modes": toy_modes.modes},
    )
