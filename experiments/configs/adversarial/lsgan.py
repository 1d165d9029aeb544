"""LSGAN (Mao et al. 2017) on digits, points and MNIST: targets a, b, c.

Variants:
    ''       8 x 8 digits, DCGAN's networks, a, b, c = 0, 1, 1 (eq. 9).
    toy2d    eight gaussians, perceptrons.
    mnist    28 x 28; needs --config.data.dir.
    tiny     as '', small enough to compile in a second.
"""

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
        raise UserError(f"adversarial/lsgan has no variant {variant!r}; it has {named}.")
    config = base("adversarial/lsgan")
    _default(config)
    changes = {"toy2d": _toy2d, "mnist": games.mnist, "tiny": games.tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    games.pictures(config)
    config.train.steps = 20_000
    config.train.learning_rate = 2e-4  # of both players
    config.train.adam_b1 = 0.5
    config.model.a = 0.0  # target of generated examples
    config.model.b = 1.0  # of real ones
    config.model.c = 1.0  # what the generator wants its examples to score
    config.expected.result = (
        "classifier-FID 5.3 (floor 3.8), precision 0.79, recall 0.92 on the test split; digits can be read"
    )
    config.expected.cost = "4 minutes of one CPU core"


def _toy2d(config: ConfigDict) -> None:
    games.points(config)
    config.train.learning_rate = 5e-4
    # By -1, 1, 0 (eq. 8) the generator asks for scores of 0 alone. Once half of the modes have all samples, the best
    # scores are -1/3 there and 1 at the rest: on its way from one to the other it passes 0, and stays.
    config.expected.result = "8 of 8 modes, 98.2 % within 3 standard deviations; 2-Wasserstein 0.264 (floor 0.160)"
    config.expected.cost = "76 s on one core, beside other work"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; `axis_name` is the mapped axis of batch normalization under pmap."""
    model, train = config.model, config.train
    generator, discriminator = games.players(config, axis_name=axis_name)
    built = adversarial.lsgan(generator, discriminator, latent_dim=model.latent_dim, a=model.a, b=model.b, c=model.c)
    adam = optax.adam(train.learning_rate, b1=train.adam_b1)
    return games.system(config, built, {"generator": adam, "discriminator": adam})
