"""WGAN-GP (Gulrajani et al. 2017) on digits, points and MNIST: a critic under a gradient penalty.

Variants:
    ''       8 x 8 digits, DCGAN's generator, a critic with layer normalization.
    toy2d    eight gaussians, perceptrons.
    ring     toy2d/ring_of_8, grid: toy2d/grid_of_25: the mode-collapse benchmarks.
    mnist    28 x 28; needs --config.data.dir.
    tiny     as '', small enough to compile in a second.
"""

from functools import partial

import optax
from ml_collections import ConfigDict

from experiments import games
from experiments.configs.common import base
from genjax import adversarial
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "toy2d", "ring", "grid", "mnist", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"adversarial/wgan_gp has no variant {variant!r}; it has {named}.")
    config = base("adversarial/wgan_gp")
    _default(config)
    changes = {"toy2d": _toy2d, "ring": _ring, "grid": _grid, "mnist": games.mnist, "tiny": games.tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    games.pictures(config)
    config.train.steps = 3_000
    config.train.sample_every = 0
    config.train.ema_decay = 0.995
    config.train.learning_rate = 5e-4  # of both players; the paper's is 1e-4
    config.train.final_rate = 1.0  # learning rates at the end of a cosine, as a share of those at its start
    config.train.adam_b1 = 0.5
    config.train.adam_b2 = 0.9
    config.model.architecture = "layer_norm"
    config.model.critic_steps = 5
    config.model.penalty_weight = 10.0  # lambda
    config.model.one_sided = False  # whether norms below 1 are left alone
    config.expected.result = (
        "classifier-FID 7.0 (floor 3.8), precision 0.78, recall 0.86 on the test split; most digits can be read"
    )
    config.expected.cost = "3 minutes of one CPU core"


def _toy2d(config: ConfigDict) -> None:
    games.points(config)
    config.data.batch_size = 256
    config.train.steps = 4_000
    config.train.learning_rate = 5e-4
    config.model.penalty_weight = 0.1  # the authors' program has this for points
    config.expected.result = "8 of 8 modes, 96.0 % of samples within 3 standard deviations; 2-Wasserstein 0.22, floor 0.16"
    config.expected.cost = "77 s of one CPU core"


def _narrow(config: ConfigDict) -> None:
    _toy2d(config)
    config.train.steps = 8_000
    config.train.learning_rate = 1e-3
    config.train.final_rate = 0.0
    config.model.penalty_weight = 0.02  # between narrow modes the best critic is steep: a greater weight blurs them


def _ring(config: ConfigDict) -> None:
    _narrow(config)
    config.data.name = "toy2d/ring_of_8"
    config.expected.result = (
        "seeds 0, 1, 2: 8 of 8 modes each, 91.8, 90.8, 90.8 % of samples within 3 standard deviations; 2-Wasserstein "
        "0.14, 0.13, 0.17, floor 0.11"
    )
    config.expected.cost = "2.5 minutes of one CPU core"


def _grid(config: ConfigDict) -> None:
    _narrow(config)
    config.data.name = "toy2d/grid_of_25"
    config.expected.result = (
        "seeds 0, 1, 2: 25 of 25 modes each, 70.9, 47.4, 44.6 % of samples within 3 standard deviations; 2-Wasserstein "
        "0.59, 0.57, 0.60 (floor 0.62)"
    )
    config.expected.cost = "2.5 minutes of one CPU core"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; `axis_name` is the mapped axis of the generator's batch normalization under pmap."""
    model, train = config.model, config.train
    generator, critic = games.players(config, axis_name=axis_name)
    penalty = adversarial.one_sided_gradient_penalty if model.one_sided else adversarial.gradient_penalty
    built = adversarial.wgan_gp(
        generator,
        critic,
        latent_dim=model.latent_dim,
        critic_steps=model.critic_steps,
        penalty=partial(penalty, weight=model.penalty_weight),
    )
    # The critic moves more often, and its rate counts its own moves.
    moves = {"generator": train.steps, "discriminator": train.steps * model.critic_steps}
    falling = lambda steps: optax.cosine_decay_schedule(train.learning_rate, steps, train.final_rate)
    adam = {name: optax.adam(falling(steps), b1=train.adam_b1, b2=train.adam_b2) for name, steps in moves.items()}
    return games.system(config, built, adam)
