"""MidiNet (Yang et al. 2017) on made melodies: bars of 8 steps on 8 degrees, each under the one before it.

Two bars may follow each one. A discriminator that is steep asks for the nearer, whatever z says; the zero-centred
penalties of Mescheder et al. 2018 are as strong here as it takes for both to be learned.

Any loss and any regularizer but consistency may be played with these networks, by the fields of
`experiments.games.choices`.

Variants:
    ''    the data `melodies`, whose bars are the one before shifted by one or two degrees.
    tiny  as '', small enough to compile in a second.
"""

from functools import partial

import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments import games, series
from experiments.configs.common import base
from genjax import adversarial
from genjax.contract import Array, Variables
from genjax.data import open_source
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"adversarial/midinet has no variant {variant!r}; it has {named}.")
    config = base("adversarial/midinet")
    _default(config)
    if variant == "tiny":
        _tiny(config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.name = "melodies"
    config.data.batch_size = 128
    config.train.steps = 10_000
    config.train.steps_per_call = 100
    config.train.log_every = 500
    config.train.checkpoint_every = 4_000
    config.train.ema_decay = 0.99
    config.train.generator_rate = 5e-4  # both fall to 0 in the second half
    config.train.discriminator_rate = 1e-3
    config.train.adam_b1 = 0.0

    config.model.shape = (8, 8)
    config.model.latent_dim = 4
    config.model.generator_features = 64
    config.model.discriminator_features = 128
    games.choices(config, consistency=False)
    config.model.regularizers.r1 = config.model.regularizers.r2 = 10.0

    config.sample.num = 16
    config.expected.result = (
        "91.3 % of bars are the one before shifted as a whole (chance 1e-7), 47.5 % of them by one degree and the others by "
        "two (the data: 50), 92.3 % in melodies made from nothing; in the others both shifts meet: 99.9 % of steps are right"
    )
    config.expected.cost = "4 minutes 16 s on one core"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.latent_dim = 2
    config.model.generator_features = 4
    config.model.discriminator_features = 4
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    train = config.train
    adam = lambda rate, moves: optax.adam(games.falling(rate, train.steps, moves), b1=train.adam_b1)
    played = adversarial.midinet(
        tuple(config.model.shape),
        latent_dim=config.model.latent_dim,
        generator_features=config.model.generator_features,
        discriminator_features=config.model.discriminator_features,
        dtype=jnp.dtype(config.train.precision),
        **games.options(config.model),
    )
    model = games.penalized(played, config.model)

    def preview(variables: Variables, key: Array, num: int) -> Array:
        return model.methods["melody"](variables, key, num, num_bars=4)

    return System(
        model=model,
        optimizers={
            "generator": adam(config.train.generator_rate, 1),
            "discriminator": adam(config.train.discriminator_rate, config.model.discriminator_steps),
        },
        preview=preview,
        to_picture=series.draw_bars,
        evaluations={"melodies": series.melody_rule},
        condition=partial(_bars_before, config),
    )


def _bars_before(config: ConfigDict, key: Array, num: int) -> np.ndarray:
    """Return held-out bars that another one follows."""
    del key
    source = open_source(config.data.name, config.data.test_split)
    stored = source.fetch(np.arange(len(source)))
    previous = stored["previous"][stored["label"] > 0]
    return previous[np.arange(num) % len(previous)]
