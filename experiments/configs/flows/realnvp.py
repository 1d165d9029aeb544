"""Real NVP (Dinh et al. 2017) on digits in all 17 levels, on points of the plane, and on MNIST.

Variants:
    ''     digits: two scales, residual networks.
    toy2d  a density of two moons, with couplings of vectors.
    mnist  MNIST, 50,000 training images, validation-selected. Needs --config.data.dir.
    mnist_cpu  the same with a network small enough for a CPU. Likewise.
    tiny   as '', small enough to compile in a second.
"""

import functools

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import evaluations
from experiments.configs.common import base
from genjax import flows
from genjax.contract import PyTree
from genjax.data import toy2d
from genjax.errors import UserError
from genjax.pixels import to_unit
from genjax.training.system import System

VARIANTS = ("", "toy2d", "mnist", "mnist_cpu", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"flows/realnvp has no variant {variant!r}; it has {named}.")
    config = base("flows/realnvp")
    _default(config)
    if variant:
        {"toy2d": _toy2d, "mnist": _mnist, "mnist_cpu": _mnist_cpu, "tiny": _tiny}[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 64
    config.train.steps = 1_000
    config.train.steps_per_call = 50
    config.train.log_every = 100
    config.train.checkpoint_every = 500
    config.train.ema_decay = 0.0  # running averages are those of the parameters as they are, not of averaged ones
    config.train.clip_norm = 100.0
    config.train.learning_rate = 1e-3  # at the start of a cosine
    config.train.weight_decay = 0.3  # of kernels

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.alpha = 0.05  # of the logit
    config.model.num_scales = 2
    config.model.num_pairs = 2
    config.model.channels = 32
    config.model.blocks = 1
    config.model.hidden = ()  # widths of the networks of vectors
    config.model.momentum = 0.9  # of the running averages

    config.expected.result = (
        "2.033 +- 0.015 bits/dim (bound), digits test split, last weights, seed 0; a histogram a pixel has 2.435, "
        "zuko's best held-out MAF 2.14 and NSF 1.98 on another split"
    )
    config.expected.cost = "2 minutes on one core of a CPU"


def _toy2d(config: ConfigDict) -> None:
    config.data.name = "toy2d/two_moons"
    config.data.batch_size = 512
    config.train.steps = 10_000
    config.train.steps_per_call = 200
    config.train.log_every = 1_000
    config.train.weight_decay = 0.0
    config.model.shape = (2,)
    config.model.num_pairs = 4
    config.model.hidden = (64, 64)
    config.eval.num_samples = 2000
    config.expected.result = "1.063 +- 0.006 nats on two moons, test split, last weights, seed 0; entropy 1.008"
    config.expected.cost = "25 seconds on one core of a CPU"


def _mnist(config: ConfigDict) -> None:
    config.data.name = "mnist"
    config.data.split = "train[:50000]"
    config.data.valid_split = "train[50000:]"
    config.train.steps = 100_000
    config.train.log_every = 500
    config.train.valid_every = 2_500
    config.train.checkpoint_every = 2_500
    config.model.shape = (28, 28, 1)
    config.model.levels = 256
    config.model.channels = 64
    config.model.blocks = 2
    config.expected.result = "not measured; 1.06 bits/dim is quoted for Real NVP"
    config.expected.cost = "not measured"


def _mnist_cpu(config: ConfigDict) -> None:
    _mnist(config)
    config.data.batch_size = 32
    config.train.steps = 4_000
    config.train.steps_per_call = 10
    config.train.log_every = 100
    config.train.valid_every = 500
    config.train.checkpoint_every = 500
    config.train.weight_decay = 0.0
    config.model.alpha = 1e-3
    config.model.channels = 24
    config.model.blocks = 1
    config.expected.result = "1.279 +- 0.003 bits/dim, MNIST test split, last weights, seed 0; strokes, some digits"
    config.expected.cost = "20 minutes on one core of a CPU to itself"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.num_scales = 1
    config.model.num_pairs = 1
    config.model.channels = 4
    config.eval.num_samples = 32


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; batch normalization takes its statistics over `axis_name` as well."""
    model, train = config.model, config.train
    shape = tuple(model.shape)
    normalization = functools.partial(flows.batch_norm, momentum=model.momentum, axis_name=axis_name)
    schedule = optax.cosine_decay_schedule(train.learning_rate, train.steps)
    optimizers = {"flow": optax.adamw(schedule, weight_decay=train.weight_decay, mask=_kernels)}
    network = _network(config)
    if len(shape) == 1:
        bijection = flows.realnvp_vector_bijection(network, num_pairs=model.num_pairs, normalization=normalization)
        found = {"wasserstein": evaluations.wasserstein}
        entropy = toy2d.SETS[config.data.name.removeprefix("toy2d/")].entropy
        if entropy is not None:
            found["entropy"] = lambda context: {"entropy_nats": entropy}
        return System(flows.flow_model(bijection, shape=shape), optimizers, evaluations=found)
    bijection = flows.realnvp_bijection(
        shape, network, num_scales=model.num_scales, num_pairs=model.num_pairs, normalization=normalization
    )
    return System(
        model=flows.flow_model(bijection, shape=shape, path=flows.dequantized_logit(model.levels, model.alpha)),
        optimizers=optimizers,
        to_picture=lambda x: to_unit(x, model.levels),
        evaluations={"samples": evaluations.classifier_fid},
    )


def _network(config: ConfigDict):
    """Return the couplings' network, for vectors or for pictures."""
    model, dtype = config.model, jnp.dtype(config.train.precision)
    if model.hidden:
        return lambda features: flows.TanhScale(flows.CouplingMLP(2 * features, tuple(model.hidden), dtype=dtype))
    return lambda features: flows.TanhScale(
        flows.CouplingResNet(2 * features, channels=model.channels, blocks=model.blocks, dtype=dtype)
    )


def _kernels(params: PyTree) -> PyTree:
    """Mark what weight decay shrinks: kernels of networks, not the scales of the flow itself."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)
