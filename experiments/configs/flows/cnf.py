"""Continuous normalizing flows, FFJORD (Chen et al. 2018; Grathwohl et al. 2018).

Variants:
    ''      eight gaussians in the plane: exact trace, adaptive Dormand-Prince, adjoint gradients.
    digits  8 x 8 digits in all 17 levels: Hutchinson's trace, RK4 in equal steps, checkpointed gradients.
    mnist   28 x 28, likewise; log_prob is an estimate. For an accelerator; needs --config.data.dir.
    tiny    points of the plane, small enough to compile in a second.
"""

import math

import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import evaluations
from experiments.configs.common import base
from genjax import flows, solvers
from genjax.data import toy2d
from genjax.errors import UserError
from genjax.pixels import to_unit
from genjax.training.system import System

VARIANTS = ("", "digits", "mnist", "tiny")
TRACES = {"exact": solvers.exact_trace, "rademacher": solvers.rademacher_trace, "normal": solvers.normal_trace}


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"flows/cnf has no variant {variant!r}; it has {named}.")
    config = base("flows/cnf")
    _default(config)
    changes = {"digits": _digits, "mnist": _mnist, "tiny": _tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.name = "toy2d/eight_gaussians"
    config.data.batch_size = 256
    config.train.steps = 3_000
    config.train.steps_per_call = 50
    config.train.log_every = 250
    config.train.checkpoint_every = 1_000
    config.train.ema_decay = 0.998
    config.train.clip_norm = 10.0
    config.train.learning_rate = 5e-3  # at the start of a cosine
    config.train.weight_decay = 0.0

    config.model.shape = (2,)
    config.model.levels = 0  # of stored integers; 0 for reals
    config.model.alpha = 0.05  # of the logit
    config.model.widths = (64, 64, 64)
    config.model.trace = "exact"  # in training: exact, rademacher or normal
    config.model.test_trace = "exact"
    config.model.steps = 0  # of RK4; 0 for adaptive steps and the adjoint
    config.model.tolerance = 1e-4  # of adaptive steps, relative and absolute
    config.model.test_tolerance = 1e-5
    config.model.kinetic = 0.0
    config.model.num_classes = 0

    config.sample.num = 1000
    config.eval.num_samples = 2000
    config.expected.result = "2.835 nats (standard error 0.007) on the test split of eight gaussians; entropy 2.832"
    config.expected.cost = "10 minutes on half a CPU core"


def _digits(config: ConfigDict) -> None:
    config.data.name = "digits"
    config.data.batch_size = 64
    config.train.steps = 4_000
    config.train.learning_rate = 2e-3
    config.train.weight_decay = 1e-2
    config.train.log_every = 200
    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.widths = (256, 256)
    config.model.trace = "rademacher"
    config.model.steps = 6
    config.model.kinetic = 0.01
    config.sample.num = 64
    config.eval.num_samples = 1000
    config.eval.batch_size = 60
    config.expected.result = "2.18 bits/dim (standard error 0.01) on the test split; histogram 2.435; readable digits"
    config.expected.cost = "4 minutes on a shared CPU core"


def _mnist(config: ConfigDict) -> None:
    _digits(config)
    config.data.name = "mnist"
    config.data.split = "train[:55000]"
    config.data.valid_split = "train[55000:]"
    config.data.batch_size = 200
    config.train.steps = 100_000
    config.train.learning_rate = 1e-3
    config.model.shape = (28, 28, 1)
    config.model.levels = 256
    config.model.alpha = 1e-6
    config.model.widths = (1024, 1024, 1024)
    config.model.test_trace = "rademacher"
    config.model.steps = 16
    config.eval.batch_size = 200
    config.expected.result = "not measured; the paper's convolutional flow has 0.99 bits/dim"
    config.expected.cost = "not measured"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.widths = (8,)
    config.model.trace = "rademacher"
    config.model.steps = 2
    config.sample.num = 16
    config.eval.num_samples = 32


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, train = config.model, config.train
    shape, num_classes = tuple(model.shape), model.num_classes
    if model.steps:
        solve = test_solve = solvers.fixed_solve(model.steps)
    else:
        solve = solvers.adaptive_solve(rtol=model.tolerance, atol=model.tolerance)
        test_solve = solvers.adaptive_solve(rtol=model.test_tolerance, atol=model.test_tolerance)
    system = System(
        model=flows.cnf(
            flows.ConcatSquash(tuple(model.widths), dtype=jnp.dtype(train.precision)),
            shape=shape,
            solve=solve,
            trace=_trace(model, "trace"),
            test_solve=test_solve,
            test_trace=_trace(model, "test_trace"),
            path=flows.dequantized_logit(model.levels, model.alpha) if model.levels else flows.continuous(),
            kinetic=model.kinetic,
            num_classes=num_classes,
        ),
        optimizers={
            "flow": optax.adamw(
                optax.cosine_decay_schedule(train.learning_rate, train.steps), weight_decay=train.weight_decay
            )
        },
        condition=(lambda key, num: jnp.arange(num) % num_classes) if num_classes else None,
    )
    if model.levels:
        found = {"samples": evaluations.classifier_fid} if config.data.name in evaluations.RECIPES else {}
        return system._replace(to_picture=lambda x: to_unit(x, model.levels), evaluations=found)
    entropy = toy2d.SETS[config.data.name.removeprefix("toy2d/")].entropy if math.prod(shape) == 2 else None
    found = {"wasserstein": evaluations.wasserstein}
    if entropy is not None:
        found["entropy"] = lambda context: {"entropy_nats": entropy}
    return system._replace(evaluations=found)


def _trace(model: ConfigDict, field: str) -> solvers.Trace:
    if model[field] not in TRACES:
        raise UserError(f"model.{field}={model[field]!r} is none of {', '.join(TRACES)}.")
    return TRACES[model[field]]()
