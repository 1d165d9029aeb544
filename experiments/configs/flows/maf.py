"""Masked and inverse autoregressive flows (Papamakarios et al. 2017; Kingma et al. 2016).

Variants:
    ''           MAF on digits in all 17 levels.
    conditional  as '', conditional on the class.
    toy2d        MAF as a density of two moons.
    iaf          the same flow of two moons turned round: samples in one pass, densities entry by entry.
    mnist        MAF(5) on MNIST, 1000 hidden units, logit with alpha 1e-6, 50,000 training images, validation-selected
                 (the paper's protocol). Needs --config.data.dir.
    tiny         as 'conditional', small enough to compile in a second.
"""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments import evaluations
from experiments.configs.common import base
from genjax import flows
from genjax.contract import Array, Batch, PyTree, Variables
from genjax.data import toy2d
from genjax.errors import UserError
from genjax.pixels import to_unit
from genjax.training.system import EvalContext, System

VARIANTS = ("", "conditional", "toy2d", "iaf", "mnist", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"flows/maf has no variant {variant!r}; it has {named}.")
    config = base("flows/maf")
    _default(config)
    changes = {"conditional": _conditional, "toy2d": _toy2d, "iaf": _iaf, "mnist": _mnist, "tiny": _tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 64
    config.train.steps = 1_200
    config.train.steps_per_call = 100
    config.train.log_every = 100
    config.train.checkpoint_every = 600
    config.train.ema_decay = 0.99
    config.train.clip_norm = 100.0
    config.train.learning_rate = 1e-3  # at the start of a cosine
    config.train.weight_decay = 1.0  # of kernels

    config.model.direction = "maf"  # or iaf
    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.alpha = 0.05  # of the logit; 0 for none
    config.model.hidden = (128, 128)
    config.model.num_layers = 5
    config.model.normalization = "actnorm"  # after each layer; or batch, as in the paper, or none
    config.model.num_classes = 0

    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _conditional(config: ConfigDict) -> None:
    config.model.num_classes = 10
    config.expected.result = "not measured"


def _toy2d(config: ConfigDict) -> None:
    config.data.name = "toy2d/two_moons"
    config.data.batch_size = 512
    config.train.steps = 10_000
    config.train.steps_per_call = 200
    config.train.log_every = 1_000
    config.train.checkpoint_every = 5_000
    config.train.ema_decay = 0.999
    config.train.weight_decay = 0.0
    config.model.shape = (2,)
    config.model.hidden = (64, 64)
    config.model.num_layers = 8
    config.eval.num_samples = 2000
    config.expected.result = "1.015 +- 0.005 nats on two moons, test split, averaged weights, seed 0; entropy 1.008"
    config.expected.cost = "20 seconds on one core of a CPU"


def _iaf(config: ConfigDict) -> None:
    _toy2d(config)
    config.model.direction = "iaf"
    config.expected.result = "1.069 +- 0.005 nats on two moons, test split, averaged weights, seed 0; entropy 1.008"
    config.expected.cost = "a minute on one core of a CPU"


def _mnist(config: ConfigDict) -> None:
    config.data.name = "mnist"
    config.data.split = "train[:50000]"
    config.data.valid_split = "train[50000:]"
    config.data.batch_size = 100
    config.train.steps = 100_000
    config.train.log_every = 500
    config.train.valid_every = 2_500
    config.train.checkpoint_every = 2_500
    config.train.weight_decay = 0.0
    config.train.learning_rate = 1e-4
    config.model.shape = (28, 28, 1)
    config.model.levels = 256
    config.model.alpha = 1e-6
    config.model.hidden = (1000,)
    config.model.normalization = "batch"
    config.train.ema_decay = 0.0  # running averages are those of the parameters as they are, not of averaged ones
    config.expected.result = "not measured; the paper has -1300.5 nats in logit space"
    config.expected.cost = "not measured"


def _tiny(config: ConfigDict) -> None:
    _conditional(config)
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.hidden = (32,)
    config.model.normalization = "batch"
    config.model.num_layers = 2
    config.eval.num_samples = 32


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; batch normalization takes its statistics over `axis_name` as well."""
    model, train = config.model, config.train
    shape, num_classes = tuple(model.shape), model.num_classes
    directions = {"maf": flows.maf_bijection, "iaf": flows.iaf_bijection}
    if model.direction not in directions:
        raise UserError(f"model.direction={model.direction!r} is none of {', '.join(directions)}.")
    normalizations = {
        "actnorm": flows.actnorm,
        "batch": functools.partial(flows.batch_norm, axis_name=axis_name),
        "none": None,
    }
    if model.normalization not in normalizations:
        raise UserError(f"model.normalization={model.normalization!r} is none of {', '.join(normalizations)}.")
    bijection = directions[model.direction](
        math.prod(shape),
        tuple(model.hidden),
        num_layers=model.num_layers,
        conditioned=num_classes > 0,
        normalization=normalizations[model.normalization],
        dtype=jnp.dtype(train.precision),
    )
    if len(shape) > 1:
        bijection = flows.chain(flows.flatten(shape), bijection)
    schedule = optax.cosine_decay_schedule(train.learning_rate, train.steps)
    system = System(
        model=flows.flow_model(bijection, shape=shape, path=_path(config), num_classes=num_classes),
        optimizers={"flow": optax.adamw(schedule, weight_decay=train.weight_decay, mask=_kernels)},
        condition=(lambda key, num: jax.random.randint(key, (num,), 0, num_classes)) if num_classes else None,
    )
    if len(shape) == 1:
        return system._replace(evaluations=_point_evaluations(config))
    found = {"samples": evaluations.classifier_fid, "logit_space": _logit_space}
    return system._replace(to_picture=lambda x: to_unit(x, model.levels), evaluations=found)


def _path(config: ConfigDict) -> flows.DataPath:
    """Return the path of points or of pictures."""
    if len(config.model.shape) == 1:
        return flows.continuous()
    levels, alpha = config.model.levels, config.model.alpha
    return flows.dequantized_logit(levels, alpha) if alpha else flows.dequantized(levels)


def _logit_space(context: EvalContext) -> dict[str, float]:
    """Return log p of the logits themselves, as Papamakarios et al. 2017 quote it, in nats on the test split."""
    density, path = context.system.model.methods["density"], _path(context.config)
    conditional = context.config.model.num_classes > 0

    @jax.jit
    def score(variables: Variables, key: Array, batch: Batch) -> Array:
        condition = batch["label"] if conditional else None
        return density(variables, key, path.to_model(key, batch["x"])[0], condition=condition)

    keys = (jax.random.fold_in(context.key, index) for index in itertools.count())
    scores = [score(context.variables, key, batch) for key, batch in zip(keys, context.test())]
    nats = np.concatenate([np.asarray(values) for values in scores])
    return {"logit_space_nats": float(nats.mean()), "logit_space_stderr": float(nats.std() / len(nats) ** 0.5)}


def _point_evaluations(config: ConfigDict) -> dict:
    """Return the distance of samples, and what the likelihood is to be read against."""
    found = {"wasserstein": evaluations.wasserstein}
    entropy = toy2d.SETS[config.data.name.removeprefix("toy2d/")].entropy
    if entropy is not None:
        found["entropy"] = lambda context: {"entropy_nats": entropy}
    return found


def _kernels(params: PyTree) -> PyTree:
    """Mark what weight decay shrinks: kernels of networks, not the scales of the flow itself."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)
