"""MADE (Germain et al. 2015) on binarized digits, and on MNIST.

Variants:
    ''           digits, binarized anew each time a pixel is seen; one ordering, one mask. Nats against 27.20 for
                 independent pixels.
    agnostic     as '', trained under 16 masks of 16 orderings, of which the model is the mixture.
    conditional  as '', conditional on the class.
    mnist        dynamically binarized MNIST, one hidden layer of 2000 units, 32 masks of one ordering, 50,000 training
                 images; validation-selected. Needs --config.data.dir.
    mnist_cpu    as 'mnist', as long as one CPU core gets in half an hour.
    tiny         as 'conditional', with two masks of two orderings, small enough to compile in a second.
"""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments.configs.common import base
from genjax import autoregressive
from genjax.data import transforms
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "agnostic", "conditional", "mnist", "mnist_cpu", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"autoregressive/made has no variant {variant!r}; it has {named}.")
    config = base("autoregressive/made")
    _default(config)
    changes = {"agnostic": _agnostic, "conditional": _conditional, "tiny": _tiny}
    changes |= {"mnist": _mnist, "mnist_cpu": _mnist_cpu}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 128
    config.train.steps = 10_000
    config.train.steps_per_call = 100
    config.train.log_every = 500
    config.train.checkpoint_every = 5_000
    config.train.ema_decay = 0.995
    config.train.learning_rate = 1e-3  # at the start of a cosine
    config.train.weight_decay = 1e-3

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.hidden = (300,)
    config.model.num_masks = 1
    config.model.num_orderings = 1
    config.model.mask_seed = 0
    config.model.mask_bias = False
    config.model.direct = True
    config.model.num_classes = 0

    config.expected.result = "22.42 nats (exact), digits test split, dynamically binarized; independent pixels 27.20"
    config.expected.cost = "6 s on one CPU core"


def _agnostic(config: ConfigDict) -> None:
    config.model.num_masks = 16
    config.model.num_orderings = 16
    config.model.mask_bias = True
    config.expected.result = "22.75 nats (exact, the mixture of 16 orderings), digits test split, dynamically binarized"
    config.expected.cost = "7 s on one CPU core"


def _conditional(config: ConfigDict) -> None:
    config.model.num_classes = 10
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _mnist(config: ConfigDict) -> None:
    config.data.name = "mnist"
    config.data.split = "train[:50000]"
    config.data.valid_split = "train[50000:]"
    config.data.batch_size = 100
    config.train.steps = 200_000
    config.train.steps_per_call = 100
    config.train.log_every = 1_000
    config.train.valid_every = 5_000
    config.train.checkpoint_every = 5_000
    config.train.ema_decay = 0.999
    config.train.weight_decay = 0.0
    config.model.shape = (28, 28, 1)
    config.model.levels = 256
    config.model.hidden = (2000,)
    config.model.num_masks = 32
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _mnist_cpu(config: ConfigDict) -> None:
    _mnist(config)
    config.model.num_masks = 1  # learns faster, and would overfit sooner
    config.train.steps = 15_000
    config.train.log_every = 200
    config.train.valid_every = 2_000
    config.train.checkpoint_every = 2_000
    config.expected.result = "86.09 nats (exact; standard error 0.22), MNIST test split, dynamically binarized"
    config.expected.cost = "5 minutes on one CPU core"


def _tiny(config: ConfigDict) -> None:
    _conditional(config)
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.hidden = (8,)
    config.model.num_masks = 2
    config.model.num_orderings = 2
    config.model.mask_bias = True
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, train = config.model, config.train
    schedule = optax.cosine_decay_schedule(train.learning_rate, train.steps)
    num_classes = model.num_classes
    return System(
        model=autoregressive.made(
            tuple(model.shape),
            hidden=tuple(model.hidden),
            num_masks=model.num_masks,
            num_orderings=model.num_orderings,
            mask_seed=model.mask_seed,
            mask_bias=model.mask_bias,
            direct=model.direct,
            num_classes=num_classes,
            dtype=jnp.dtype(train.precision),
        ),
        optimizers={"made": optax.adamw(schedule, weight_decay=train.weight_decay)},
        transform=transforms.binarize_dynamic(model.levels),
        condition=(lambda key, num: jax.random.randint(key, (num,), 0, num_classes)) if num_classes else None,
    )
