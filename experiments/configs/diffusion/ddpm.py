"""DDPM (Ho et al. 2020) on digits and MNIST.

Variants:
    ''         8 x 8 digits in all 17 levels, in minutes on a CPU.
    mnist      28 x 28 (28 -> 14 -> 7), 256 levels; for an accelerator. Needs --config.data.dir.
    mnist_cpu  the same with a network on 2 x 2 patches that gives priors of pixels, small enough for a CPU. Likewise.
    tiny       as '', small enough to compile in seconds.
"""

import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import evaluations
from experiments.configs.common import base, mnist_on_a_cpu
from genjax import diffusion, processes
from genjax.errors import UserError
from genjax.nn import PLAIN, UNet, adaptive_blocks
from genjax.pixels import to_unit
from genjax.training.system import System

VARIANTS = ("", "mnist", "mnist_cpu", "tiny")
SCHEDULES = {
    "linear": lambda model: processes.linear_schedule(model.steps, first=0.1 / model.steps, last=20.0 / model.steps),
    "cosine": lambda model: processes.cosine_schedule(model.steps, offset=model.offset),
    "arc": lambda model: processes.arc_schedule(model.steps),
    "sigmoid": lambda model: processes.sigmoid_schedule(model.steps),
    "log_snr": lambda model: processes.log_snr_schedule(model.steps, first=model.log_snr[0], last=model.log_snr[1]),
}
PREDICTIONS = {"eps": processes.EPS, "x0": processes.X0, "v": processes.V}
NETWORKS = {
    "none": lambda unet, schedule, channels: unet,
    "ends": lambda unet, schedule, channels: diffusion.with_end_priors(unet.clone(out_channels=4 * channels), schedule),
}
VARIANCES = {"upper": processes.upper_variance, "lower": processes.lower_variance}


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"diffusion/ddpm has no variant {variant!r}; it has {named}.")
    config = base("diffusion/ddpm")
    _default(config)
    changes = {"mnist": _mnist, "mnist_cpu": _mnist_cpu, "tiny": _tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 64
    config.train.steps = 2_000
    config.train.steps_per_call = 20
    config.train.log_every = 100
    config.train.checkpoint_every = 500
    config.train.ema_decay = 0.995
    config.train.clip_norm = 1.0
    config.train.learning_rate = 2e-3
    config.train.warmup = 100  # steps to the full learning rate, which then falls to 0 along a cosine
    config.train.decay = True

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.channels = (32, 64)
    config.model.blocks = 1
    config.model.attention = (1,)
    config.model.head_channels = 0  # 0: a single head
    config.model.groups = 8
    config.model.dropout = 0.0
    config.model.patch = 1  # side of the patches that are the network's pixels
    config.model.adaptive = False  # blocks that the time scales and shifts (ADM's, without rescaling), not shifts alone
    config.model.fourier = ()  # exponents n of the features sin(2^n pi x), cos(2^n pi x) that it sees beside x
    config.model.num_classes = 0  # 0: unconditional

    # The noise of the first step should lie just below the gap between two levels (Nichol & Dhariwal 2021, section
    # 3.2): the paper's T and schedule are for 2/255; far below the gap, 2/16 here, every step costs bits for nothing.
    config.model.steps = 200  # T
    config.model.schedule = "cosine"  # linear, cosine, arc, sigmoid or log_snr
    config.model.offset = 0.1  # s, of the cosine alone
    config.model.log_snr = (12.0, -8.0)  # of x_1 and x_T, of log_snr alone
    config.model.prediction = "eps"  # eps, x0 or v
    config.model.prior = "none"  # ends: the network gives priors of pixels, see genjax.diffusion.output_prior; then eps
    config.model.variance = "upper"  # sigma_t^2: upper (beta_t) or lower (btilde_t)

    config.expected.result = "bound 2.00 bits/dim (standard error 0.01) on the test split; readable digits"
    config.expected.cost = "2 minutes on two CPU cores, 3 on one"


def _mnist(config: ConfigDict) -> None:
    config.data.name = "mnist"
    config.data.split = "train[:55000]"
    config.data.valid_split = "train[55000:]"
    config.data.batch_size = 128
    config.train.steps = 100_000
    config.train.steps_per_call = 50
    config.train.log_every = 500
    config.train.sample_every = 20_000
    config.train.checkpoint_every = 10_000
    config.train.ema_decay = 0.9999
    config.train.learning_rate = 2e-4
    config.train.warmup = 5_000
    config.train.decay = False
    config.model.shape = (28, 28, 1)
    config.model.levels = 256
    config.model.channels = (128, 256, 256)
    config.model.blocks = 2
    config.model.groups = 32
    config.model.dropout = 0.1
    config.model.steps = 1000
    config.model.schedule = "linear"
    config.eval.num_samples = 10_000
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _mnist_cpu(config: ConfigDict) -> None:
    _mnist(config)
    mnist_on_a_cpu(config)
    config.model.adaptive = True
    config.model.schedule = "log_snr"  # cosine's steps are too coarse near the data for pixels that are not known yet
    config.model.log_snr = (12.6, -8.0)  # noise of 0.0018 in the first step, a quarter of a step of grey
    config.model.steps = 500
    config.model.prior = "ends"
    config.model.variance = "lower"  # right for known pixels, which are most
    config.data.test_split = "test[:256]"  # of T steps each
    config.train.decay = True
    config.eval.num_samples = 256
    config.expected.result = "bound 1.383 bits/dim (0.022) of 256 test pictures; most digits can be read"
    config.expected.cost = "44 minutes on a CPU core shared with others, 25 more for the bound and samples"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.train.warmup = 0
    config.model.channels = (4, 8)
    config.model.blocks = 0
    config.model.groups = 2
    config.model.steps = 4


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model = config.model
    schedule = _chosen(SCHEDULES, "schedule", model)(model)
    unet = UNet(
        channels=tuple(model.channels),
        blocks=model.blocks,
        attention=tuple(model.attention),
        head_channels=model.head_channels or None,
        groups=model.groups,
        dropout=model.dropout,
        num_classes=model.num_classes,
        patch=model.patch,
        fourier=tuple(model.fourier),
        parts=adaptive_blocks() if model.adaptive else PLAIN,
        dtype=jnp.dtype(config.train.precision),
    )
    system = diffusion.ddpm(
        _chosen(NETWORKS, "prior", model)(unet, schedule, model.shape[-1]),
        schedule,
        shape=tuple(model.shape),
        levels=model.levels,
        prediction=_chosen(PREDICTIONS, "prediction", model),
        variance=_chosen(VARIANCES, "variance", model),
        condition_of=(lambda batch: batch["label"]) if model.num_classes else None,
    )
    return System(
        model=system,
        optimizers={"denoise": optax.adam(_learning_rate(config))},
        to_picture=lambda x: to_unit(x, model.levels),
        evaluations={"samples": evaluations.classifier_fid} if config.data.name in evaluations.RECIPES else {},
        condition=(lambda key, num: jnp.arange(num, dtype=jnp.int32) % model.num_classes) if model.num_classes else None,
    )


def _chosen(choices, field: str, model: ConfigDict):
    if model[field] not in choices:
        raise UserError(f"model.{field}={model[field]!r} is none of {', '.join(choices)}.")
    return choices[model[field]]


def _learning_rate(config: ConfigDict) -> optax.Schedule:
    """Return the learning rate over the run: a linear start, then constant or a cosine down to 0."""
    train = config.train
    if train.decay:
        return optax.warmup_cosine_decay_schedule(0.0, train.learning_rate, train.warmup, max(train.steps, train.warmup + 1))
    return optax.linear_schedule(0.0, train.learning_rate, train.warmup)
