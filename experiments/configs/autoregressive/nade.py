"""NADE (Larochelle & Murray 2011) on binarized digits, and on MNIST.

Variants:
    ''           digits, binarized anew each time a pixel is seen. Nats against 27.20 for independent pixels.
    conditional  as '', conditional on the class.
    mnist        dynamically binarized MNIST, 500 hidden units, 50,000 training images; validation-selected. Needs
                 --config.data.dir.
    mnist_cpu    as 'mnist', as long as one CPU core gets in half an hour.
    tiny         as 'conditional', small enough to compile in a second.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments.configs.common import base
from genjax import autoregressive
from genjax.data import transforms
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "conditional", "mnist", "mnist_cpu", "tiny")
ACTIVATIONS = {"sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu}


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"autoregressive/nade has no variant {variant!r}; it has {named}.")
    config = base("autoregressive/nade")
    _default(config)
    changes = {"conditional": _conditional, "mnist": _mnist, "mnist_cpu": _mnist_cpu, "tiny": _tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 128
    config.train.steps = 6_000
    config.train.steps_per_call = 50
    config.train.log_every = 500
    config.train.checkpoint_every = 3_000
    config.train.ema_decay = 0.995
    config.train.learning_rate = 2e-3  # at the start of a cosine
    config.train.weight_decay = 1e-4

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.hidden = 200
    config.model.activation = "relu"  # or sigmoid, the paper's
    config.model.ordering = "raster"  # or column, random
    config.model.ordering_seed = 0
    config.model.num_classes = 0

    config.expected.result = "22.13 nats (exact), digits test split, dynamically binarized; independent pixels 27.20"
    config.expected.cost = "12 s on one CPU core"


def _conditional(config: ConfigDict) -> None:
    config.model.num_classes = 10
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _mnist(config: ConfigDict) -> None:
    config.data.name = "mnist"
    config.data.split = "train[:50000]"
    config.data.valid_split = "train[50000:]"
    config.data.batch_size = 100
    config.train.steps = 100_000
    config.train.steps_per_call = 50
    config.train.log_every = 500
    config.train.valid_every = 2_500
    config.train.checkpoint_every = 2_500
    config.train.ema_decay = 0.999
    config.train.learning_rate = 1e-3
    config.train.weight_decay = 0.0
    config.model.shape = (28, 28, 1)
    config.model.levels = 256
    config.model.hidden = 500
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _mnist_cpu(config: ConfigDict) -> None:
    _mnist(config)
    config.train.steps = 30_000
    config.train.log_every = 200
    config.train.valid_every = 3_000
    config.train.checkpoint_every = 3_000
    config.expected.result = (
        "84.46 nats (exact; standard error 0.22), MNIST test split, dynamically binarized; a run of 12,000 steps 86.06"
    )
    config.expected.cost = "28 minutes on one CPU core"


def _tiny(config: ConfigDict) -> None:
    _conditional(config)
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.hidden = 8
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, train = config.model, config.train
    if model.activation not in ACTIVATIONS:
        raise UserError(f"model.activation={model.activation!r} is none of {', '.join(ACTIVATIONS)}.")
    schedule = optax.cosine_decay_schedule(train.learning_rate, train.steps)
    return System(
        model=autoregressive.nade(
            tuple(model.shape),
            hidden=model.hidden,
            ordering=_ordering(model),
            activation=ACTIVATIONS[model.activation],
            num_classes=model.num_classes,
            dtype=jnp.dtype(train.precision),
        ),
        optimizers={"nade": optax.adamw(schedule, weight_decay=train.weight_decay)},
        transform=transforms.binarize_dynamic(model.levels),
        condition=_labels(model.num_classes),
    )


def _ordering(model: ConfigDict) -> np.ndarray:
    shape = tuple(model.shape)
    if model.ordering == "raster":
        return autoregressive.raster_ordering(shape)
    if model.ordering == "column":
        return autoregressive.column_ordering(shape)
    if model.ordering == "random":
        return autoregressive.random_ordering(np.random.RandomState(model.ordering_seed), shape)
    raise UserError(f"model.ordering={model.ordering!r} is none of raster, column, random.")


def _labels(num_classes: int):
    """Return how classes to sample under are drawn; None for an unconditional model."""
    return (lambda key, num: jax.random.randint(key, (num,), 0, num_classes)) if num_classes else None
