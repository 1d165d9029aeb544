"""Glow (Kingma and Dhariwal 2018) on digits in all 17 levels, and on MNIST.

Variants:
    ''           digits: two levels; the 1x1 convolution in its LU form.
    plain        as '', with the free 1x1 convolution.
    conditional  as '', conditional on the class.
    mnist        MNIST, 50,000 training images, validation-selected. Needs --config.data.dir.
    mnist_cpu    the same with a network small enough for a CPU. Likewise.
    tiny         as 'conditional', small enough to compile in a second.
"""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import evaluations
from experiments.configs.common import base
from genjax import flows
from genjax.contract import Array, PyTree, Variables
from genjax.errors import UserError
from genjax.pixels import to_unit
from genjax.training.system import System

VARIANTS = ("", "plain", "conditional", "mnist", "mnist_cpu", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"flows/glow has no variant {variant!r}; it has {named}.")
    config = base("flows/glow")
    _default(config)
    if variant:
        {"plain": _plain, "conditional": _conditional, "mnist": _mnist, "mnist_cpu": _mnist_cpu, "tiny": _tiny}[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 64
    config.train.steps = 3_000
    config.train.steps_per_call = 50
    config.train.log_every = 250
    config.train.checkpoint_every = 1_000
    config.train.ema_decay = 0.995
    config.train.clip_norm = 100.0
    config.train.learning_rate = 1e-3  # at the start of a cosine, after a warm-up
    config.train.warmup = 100
    config.train.weight_decay = 0.3  # of kernels

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.alpha = 0.05  # of the logit
    config.model.mixing = "lu"  # or plain
    config.model.num_levels = 2
    config.model.num_steps = 6
    config.model.channels = 64
    config.model.num_classes = 0

    config.sample.temperature = 1.0

    config.expected.result = "2.126 +- 0.020 bits/dim (bound), digits test split, last weights; a histogram a pixel has 2.435"
    config.expected.cost = "1 minute on one core of a CPU"


def _plain(config: ConfigDict) -> None:
    config.model.mixing = "plain"
    config.expected.result = "2.132 +- 0.020 bits/dim (bound), digits test split, last weights"


def _conditional(config: ConfigDict) -> None:
    config.model.num_classes = 10
    config.expected.result = "2.031 +- 0.019 bits/dim (bound) given the class, digits test split, last weights"


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
    config.model.num_steps = 16
    config.model.channels = 128
    config.expected.result = "not measured; 1.05 bits/dim is quoted for Glow"
    config.expected.cost = "not measured"


def _mnist_cpu(config: ConfigDict) -> None:
    _mnist(config)
    config.data.batch_size = 32
    config.train.steps = 8_000
    config.train.steps_per_call = 10
    config.train.log_every = 200
    config.train.valid_every = 1_000
    config.train.checkpoint_every = 1_000
    config.train.ema_decay = 0.998
    config.train.weight_decay = 0.0
    config.model.alpha = 1e-3
    config.model.num_steps = 8
    config.model.channels = 64
    config.expected.result = "1.270 +- 0.003 bits/dim (bound), MNIST test; 1.05 is quoted for Glow, after far more training"
    config.expected.cost = "22 minutes on one core of a CPU"


def _tiny(config: ConfigDict) -> None:
    _conditional(config)
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.train.warmup = 0
    config.train.learning_rate = 1e-2  # three steps must show in the samples' 17 levels
    config.model.num_steps = 1
    config.model.channels = 8
    config.eval.num_samples = 32


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; its normalization looks at the batch at the start alone, so `axis_name` is not used."""
    del axis_name
    model, train = config.model, config.train
    shape, dtype, num_classes = tuple(model.shape), jnp.dtype(train.precision), model.num_classes
    mixings = {"lu": flows.invertible_conv_lu, "plain": flows.invertible_conv}
    if model.mixing not in mixings:
        raise UserError(f"model.mixing={model.mixing!r} is none of {', '.join(mixings)}.")
    body = lambda features: flows.CouplingConv(2 * features, channels=model.channels, dtype=dtype)
    bijection = flows.glow_bijection(
        shape,
        lambda features: flows.SigmoidScale(body(features)),
        prior=lambda features: flows.TanhScale(body(features)),
        num_levels=model.num_levels,
        num_steps=model.num_steps,
        mixing=mixings[model.mixing],
        class_prior=num_classes > 0,
    )
    path = flows.dequantized_logit(model.levels, model.alpha)
    flow = flows.flow_model(bijection, shape=shape, path=path, num_classes=num_classes)
    rate, warmup = train.learning_rate, train.warmup
    cosine = optax.cosine_decay_schedule(rate, train.steps)
    schedule = (lambda step: cosine(step) * jnp.minimum(1.0, (step + 1) / warmup)) if warmup else cosine
    condition = (lambda key, num: jax.random.randint(key, (num,), 0, num_classes)) if num_classes else None

    def preview(variables: Variables, key: Array, num: int) -> Array:
        labels = None if condition is None else jnp.arange(num) % num_classes
        return flow.sample(variables, key, num, condition=labels, temperature=config.sample.temperature)

    return System(
        model=flow,
        optimizers={"flow": optax.adamw(schedule, weight_decay=train.weight_decay, mask=_kernels)},
        preview=preview,
        to_picture=lambda x: to_unit(x, model.levels),
        evaluations={"samples": evaluations.classifier_fid},
        condition=condition,
    )


def _kernels(params: PyTree) -> PyTree:
    """Mark what weight decay shrinks: kernels of networks, not the scales of the flow itself."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)
