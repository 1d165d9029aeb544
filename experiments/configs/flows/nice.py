"""NICE (Dinh et al. 2014) on digits in all 17 levels, and on MNIST.

Variants:
    ''     digits.
    mnist  MNIST with the paper's network, four couplings of five hidden layers of 1000 units; 50,000 training images.
           Needs --config.data.dir.
    tiny   as '', small enough to compile in a second.
"""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import evaluations
from experiments.configs.common import base
from genjax import flows
from genjax.contract import PyTree
from genjax.errors import UserError
from genjax.pixels import to_unit
from genjax.training.system import System

VARIANTS = ("", "mnist", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"flows/nice has no variant {variant!r}; it has {named}.")
    config = base("flows/nice")
    _default(config)
    if variant:
        {"mnist": _mnist, "tiny": _tiny}[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 128
    config.train.steps = 5_000
    config.train.steps_per_call = 100
    config.train.log_every = 250
    config.train.checkpoint_every = 2_500
    config.train.ema_decay = 0.995
    config.train.clip_norm = 100.0
    config.train.learning_rate = 1e-3  # at the start of a cosine
    config.train.weight_decay = 1.0  # of kernels

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.alpha = 0.05  # of the logit; 0 for none, as in the paper
    config.model.hidden = (64, 64)
    config.model.num_pairs = 4
    config.model.base = "logistic"  # or normal

    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _mnist(config: ConfigDict) -> None:
    config.data.name = "mnist"
    config.data.split = "train[:50000]"
    config.data.valid_split = "train[50000:]"
    config.train.steps = 200_000
    config.train.log_every = 1_000
    config.train.valid_every = 5_000
    config.model.shape = (28, 28, 1)
    config.model.levels = 256
    config.model.alpha = 0.0
    config.model.hidden = (1000, 1000, 1000, 1000, 1000)
    config.model.num_pairs = 2
    config.train.weight_decay = 1e-2
    config.expected.result = "not measured; the paper has 1980.50 nats of the dequantized density"
    config.expected.cost = "not measured"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.hidden = (16,)
    config.model.num_pairs = 1
    config.eval.num_samples = 32


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, train = config.model, config.train
    bases = {"logistic": flows.standard_logistic, "normal": flows.standard_normal}
    if model.base not in bases:
        raise UserError(f"model.base={model.base!r} is none of {', '.join(bases)}.")
    shape, dtype = tuple(model.shape), jnp.dtype(train.precision)
    network = lambda features: flows.CouplingMLP(features, tuple(model.hidden), dtype=dtype)
    bijection = flows.nice_bijection(shape, network, num_pairs=model.num_pairs)
    path = flows.dequantized_logit(model.levels, model.alpha) if model.alpha else flows.dequantized(model.levels)
    schedule = optax.cosine_decay_schedule(train.learning_rate, train.steps)
    return System(
        model=flows.flow_model(bijection, shape=shape, base=bases[model.base](), path=path),
        optimizers={"flow": optax.adamw(schedule, weight_decay=train.weight_decay, mask=_kernels)},
        to_picture=lambda x: to_unit(x, model.levels),
        evaluations={"samples": evaluations.classifier_fid},
    )


def _kernels(params: PyTree) -> PyTree:
    """Mark what weight decay shrinks: kernels of networks, not the scales of the flow itself."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)
