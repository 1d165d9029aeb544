"""DCGAN (Radford et al. 2016) on digits and MNIST.

Variants:
    ''       8 x 8 digits (2 -> 4 -> 8).
    mnist    MNIST padded to 32 x 32 (4 -> 8 -> 16 -> 32): 28 x 28 can be halved but twice, and a discriminator without
             hidden layers on the whole picture then knows strokes, not digits; needs --config.data.dir.
    mnist_cpu  the same, half as wide, with fewer and smaller steps.
    cifar10  32 x 32 in colour (4 -> 8 -> 16 -> 32), likewise.
    stacked  three digits as the channels of a picture: a thousand modes, counted.
    stacked_mnist  the same of MNIST, by the networks of mnist_cpu; needs --config.data.dir.
    tiny     as '', small enough to compile in a second.

Any loss and any regularizer may be played with these networks, by the fields of `experiments.games.choices`:

    --config.model.loss=least_squares --config.model.regularizers.consistency=10
"""

from functools import partial

import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import evaluations, games, stacked_modes
from experiments.configs.common import base
from genjax import adversarial
from genjax.contract import Array
from genjax.data import transforms
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "mnist", "mnist_cpu", "cifar10", "stacked", "stacked_mnist", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"adversarial/dcgan has no variant {variant!r}; it has {named}.")
    config = base("adversarial/dcgan")
    _default(config)
    changes = {"mnist": _mnist, "cifar10": _cifar10, "tiny": _tiny}
    changes |= {"mnist_cpu": _mnist_cpu, "stacked": _stacked, "stacked_mnist": _stacked_mnist}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 64
    config.train.steps = 20_000
    config.train.steps_per_call = 50
    config.train.log_every = 500
    config.train.sample_every = 5_000
    config.train.checkpoint_every = 5_000
    config.train.ema_decay = 0.999
    config.train.generator_rate = config.train.discriminator_rate = 2e-4
    config.train.adam_b1 = 0.5

    config.model.shape = (8, 8, 1)
    config.model.margin = 0  # pixels that the stored pictures are padded by on each side
    config.model.levels = 17
    config.model.latent_dim = 64
    config.model.generator_features = (64, 128)  # from the picture inwards
    config.model.discriminator_features = (64, 128)
    config.model.kernel_size = 4
    games.choices(config)

    config.expected.result = (
        "seeds 0, 1: classifier-FID 4.9, 6.3 (floor 3.8), precision 0.79, recall 0.89, 0.88 on the test split; digits "
        "can be read"
    )
    config.expected.cost = "95 s on two CPU cores"


def _mnist(config: ConfigDict) -> None:
    config.data.name = "mnist"
    config.data.batch_size = 128
    config.train.steps = 20_000
    config.model.shape = (32, 32, 1)
    config.model.margin = 2
    config.model.levels = 256
    config.model.latent_dim = 100
    config.model.generator_features = (64, 128, 256)
    config.model.discriminator_features = (64, 128, 256)
    config.eval.num_samples = 10_000
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _mnist_cpu(config: ConfigDict) -> None:
    _mnist(config)
    config.data.batch_size = 64
    config.train.steps = 2_500
    config.train.sample_every = 0
    config.train.checkpoint_every = 2_500
    config.train.ema_decay = 0.995
    config.train.generator_rate = 1e-3  # what a short run takes
    config.model.latent_dim = 64
    config.model.generator_features = (32, 64, 128)
    config.model.discriminator_features = (32, 64, 128)
    config.eval.num_samples = 2_000
    config.expected.result = "classifier-FID (ours) 21.7 (floor 3.6), precision 0.62, recall 0.85; most digits can be read"
    config.expected.cost = "9 minutes of one CPU core"


def _cifar10(config: ConfigDict) -> None:
    _mnist(config)
    config.data.name = "cifar10"
    config.train.steps = 100_000
    config.model.shape = (32, 32, 3)
    config.model.margin = 0


def _stacked(config: ConfigDict) -> None:
    config.data.name = "stacked/digits"
    config.train.steps = 6_000
    config.train.sample_every = 0
    config.train.checkpoint_every = 3_000
    config.model.shape = (8, 8, 3)
    config.eval.num_samples = 26_000
    config.expected.result = "1,000 of 1,000 modes in 26,000 samples, KL 0.046 nats (floor 0.023)"
    config.expected.cost = "2.5 minutes of one CPU core"


def _stacked_mnist(config: ConfigDict) -> None:
    _mnist_cpu(config)
    config.data.name = "stacked/mnist"
    config.model.shape = (32, 32, 3)
    config.eval.num_samples = 26_000
    config.expected.result = "994 of 1,000 modes in 26,000 samples, KL 0.38 nats (floor 0.02)"
    config.expected.cost = "8 to 14 minutes of one CPU core"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.latent_dim = 4
    config.model.generator_features = (4, 8)
    config.model.discriminator_features = (4, 8)
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; `axis_name` is the mapped axis of batch normalization under pmap."""
    model, train = config.model, config.train
    rates = {"generator": train.generator_rate, "discriminator": train.discriminator_rate}
    built = adversarial.dcgan(
        tuple(model.shape),
        latent_dim=model.latent_dim,
        generator_features=tuple(model.generator_features),
        discriminator_features=tuple(model.discriminator_features),
        kernel_size=model.kernel_size,
        axis_name=axis_name,
        dtype=jnp.dtype(train.precision),
        **games.options(model),
    )
    return System(
        model=games.penalized(built, model),
        optimizers={name: optax.adam(rate, b1=train.adam_b1) for name, rate in rates.items()},
        transform=transforms.chain(transforms.pad_to(model.shape[0]), transforms.symmetric(model.levels)),
        to_picture=partial(_to_picture, margin=model.margin),
        evaluations=_evaluations(config.data.name),
    )


def _evaluations(name: str) -> dict:
    if name.startswith("stacked/"):
        return {"modes": stacked_modes.modes}
    return {"samples": evaluations.classifier_fid} if name in evaluations.RECIPES else {}


def _to_picture(x: Array, margin: int) -> Array:
    """Map [-1, 1] onto [0, 1]; cut away what was padded."""
    return 0.5 * (x[:, margin : x.shape[1] - margin, margin : x.shape[2] - margin] + 1.0)
