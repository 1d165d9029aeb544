"""SAGAN (Zhang et al. 2019) on digits and MNIST: attention, spectral normalization in both players, two learning rates.

Variants:
    ''       8 x 8 digits, told their class; attention over maps of 4 x 4.
    plain    the same without classes.
    mnist    28 x 28, told their class; needs --config.data.dir.
    tiny     as '', small enough to compile in a second.

Any loss and any regularizer may be played with these networks, by the fields of `experiments.games.choices`:

    --config.model.loss=non_saturating --config.model.regularizers.r1=0.1
"""

import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import evaluations, games, raster
from experiments.configs.common import base
from genjax import adversarial
from genjax.contract import Array
from genjax.data import transforms
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "plain", "mnist", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"adversarial/sagan has no variant {variant!r}; it has {named}.")
    config = base("adversarial/sagan")
    _default(config)
    changes = {"plain": _plain, "mnist": _mnist, "tiny": _tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 64
    config.train.steps = 4_000
    config.train.steps_per_call = 50
    config.train.log_every = 500
    config.train.checkpoint_every = 2_000
    config.train.ema_decay = 0.999
    config.train.generator_rate = 3e-4
    config.train.discriminator_rate = 1e-3
    config.train.adam_b1 = 0.0
    config.train.adam_b2 = 0.9

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.num_classes = 10  # 0: not told
    config.model.latent_dim = 64
    config.model.generator_features = (16, 32)  # from the picture inwards
    config.model.discriminator_features = (32, 64)
    config.model.halvings = 2
    config.model.attention_side = 4  # of the maps that are attended over, in both; 0 for none
    games.choices(config)
    config.model.loss = "hinge"

    config.expected.result = "classifier-FID (ours) 9.4 on digits (floor 3.8), precision 0.91, recall 0.52; 99.1 % found in their class"
    config.expected.cost = "3.5 minutes of a CPU core shared with others"


def _plain(config: ConfigDict) -> None:
    config.model.num_classes = 0
    config.expected.result = "classifier-FID (ours) 10.7 on digits (floor 3.9), precision 0.66, recall 0.79"
    config.expected.cost = "4 minutes of one CPU core"


def _mnist(config: ConfigDict) -> None:
    config.data.name = "mnist"
    config.train.steps = 50_000
    config.train.checkpoint_every = 10_000
    config.train.generator_rate = 1e-4
    config.train.discriminator_rate = 4e-4
    config.model.shape = (28, 28, 1)
    config.model.levels = 256
    config.model.latent_dim = 128
    config.model.generator_features = (128, 128)
    config.model.discriminator_features = (128, 128, 128)
    config.model.attention_side = 14
    config.eval.num_samples = 10_000
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.latent_dim = 4
    config.model.generator_features = (4,)
    config.model.discriminator_features = (4,)
    config.model.halvings = 1
    config.model.attention_side = 4  # there the discriminator has one, and the generator none
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; `axis_name` is the mapped axis of batch normalization under pmap."""
    model, train = config.model, config.train
    rates = {"generator": train.generator_rate, "discriminator": train.discriminator_rate}
    built = adversarial.sagan(
        tuple(model.shape),
        num_classes=model.num_classes or None,
        latent_dim=model.latent_dim,
        generator_features=tuple(model.generator_features),
        discriminator_features=tuple(model.discriminator_features),
        halvings=model.halvings,
        generator_attention=model.attention_side,
        discriminator_attention=model.attention_side,
        axis_name=axis_name,
        dtype=jnp.dtype(train.precision),
        **games.options(model),
    )
    return System(
        model=games.penalized(built, model),
        optimizers={name: optax.adam(rate, b1=train.adam_b1, b2=train.adam_b2) for name, rate in rates.items()},
        transform=transforms.symmetric(model.levels),
        to_picture=_to_picture,
        evaluations=_evaluations(config),
        condition=raster.classes(model.num_classes),
    )


def _to_picture(x: Array) -> Array:
    """Map [-1, 1] onto [0, 1]."""
    return 0.5 * (x + 1.0)


def _evaluations(config: ConfigDict) -> dict:
    if config.data.name not in evaluations.RECIPES:
        return {}
    by_class = {"classes": raster.class_agreement} if config.model.num_classes else {}
    return {"samples": evaluations.classifier_fid} | by_class
