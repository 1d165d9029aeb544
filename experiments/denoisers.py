"""What the configs of energies, scores and diffusion share: fields, networks, optimizers, and evaluations of both."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments import evaluations
from experiments.configs.common import mnist_on_a_cpu
from genjax.contract import GenerativeModel
from genjax.data import toy2d
from genjax.errors import UserError
from genjax.nn import PLAIN, UNet, adaptive_blocks
from genjax.pixels import to_unit
from genjax.training import EvalContext, System


def point_fields(config: ConfigDict) -> None:
    """Set the fields of a model of points in the plane."""
    config.data.name = "toy2d/eight_gaussians"
    config.data.batch_size = 256
    config.train.steps = 10_000
    config.train.steps_per_call = 100
    config.train.log_every = 1_000
    config.train.checkpoint_every = 5_000
    config.train.ema_decay = 0.999
    config.train.learning_rate = 1e-3  # at the start of a cosine
    config.train.warmup = 0
    config.model.shape = (2,)
    config.model.widths = (64, 64, 64)
    config.sample.num = 1000
    config.eval.num_samples = 2048


def tiny_points(config: ConfigDict) -> None:
    """Set the fields of a model of points that compiles in a second."""
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.widths = (8,)
    config.sample.num = 16
    config.eval.num_samples = 32


def picture_fields(config: ConfigDict) -> None:
    """Set the fields of a model of 8 x 8 digits, with the U-Net of diffusion/ddpm."""
    config.data.name = "digits"
    config.data.batch_size = 64
    config.train.steps = 1_500
    config.train.steps_per_call = 20
    config.train.log_every = 100
    config.train.checkpoint_every = 500
    config.train.ema_decay = 0.995
    config.train.clip_norm = 1.0
    config.train.learning_rate = 2e-3
    config.train.warmup = 100
    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.channels = (32, 64)
    config.model.blocks = 1
    config.model.attention = (1,)
    config.model.head_channels = 0  # 0: a single head
    config.model.groups = 8
    config.model.dropout = 0.0
    config.model.adaptive = False  # blocks that the time scales and shifts (ADM's, without rescaling), not shifts alone
    config.model.patch = 1  # side of the patches that are the network's pixels
    config.model.fourier = ()  # exponents n of the features sin(2^n pi x), cos(2^n pi x) that it sees beside x
    config.model.data_std = 0.8  # of digits in [-1, 1], about 0
    config.sample.num = 64
    config.eval.num_samples = 1000


def mnist_fields(config: ConfigDict) -> None:
    """Set the fields of a model of MNIST, for an accelerator; after `picture_fields`."""
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
    config.model.shape = (28, 28, 1)
    config.model.levels = 256
    config.model.channels = (128, 256, 256)
    config.model.blocks = 2
    config.model.groups = 32
    config.model.dropout = 0.1
    config.model.data_std = 1.0
    config.eval.num_samples = 10_000
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def mnist_cpu_fields(config: ConfigDict) -> None:
    """Set the fields of a model of MNIST small enough for a CPU; after `picture_fields`."""
    mnist_fields(config)
    mnist_on_a_cpu(config)
    config.data.test_split = "test[:1000]"
    config.model.adaptive = True
    config.eval.num_samples = 500


def tiny_pictures(config: ConfigDict) -> None:
    """Set the fields of a model of digits that compiles in a second or two; after `picture_fields`."""
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.train.warmup = 0
    config.model.channels = (4,)
    config.model.blocks = 0
    config.model.attention = ()
    config.model.groups = 2


def unet(config: ConfigDict, **others: Any) -> UNet:
    """Return the U-Net of a config's `model`; `others` are its fields."""
    model = config.model
    return UNet(
        channels=tuple(model.channels),
        blocks=model.blocks,
        attention=tuple(model.attention),
        head_channels=model.head_channels or None,
        groups=model.groups,
        dropout=model.dropout,
        patch=model.patch,
        fourier=tuple(model.fourier),
        parts=adaptive_blocks() if model.adaptive else PLAIN,
        dtype=jnp.dtype(config.train.precision),
        **others,
    )


def picture_system(config: ConfigDict, model: GenerativeModel, *, num_classes: int = 0, **others: Any) -> System:
    """Return the system of a model of pictures with one update; sampled under all classes in turn, if it has any."""
    levels = config.model.levels
    fields = {
        "model": model,
        "optimizers": {model.updates[0].name: optax.adam(learning_rate(config))},
        "to_picture": lambda x: to_unit(x, levels),
        "evaluations": {"samples": evaluations.classifier_fid} if config.data.name in evaluations.RECIPES else {},
        "condition": (lambda key, num: jnp.arange(num, dtype=jnp.int32) % num_classes) if num_classes else None,
    }
    return System(**(fields | others))


def learning_rate(config: ConfigDict) -> optax.Schedule:
    """Return a linear start, then a cosine down to 0."""
    train = config.train
    return optax.warmup_cosine_decay_schedule(0.0, train.learning_rate, train.warmup, max(train.steps, train.warmup + 1))


def chosen(choices: dict[str, Any], field: str, model: ConfigDict) -> Any:
    """Return what a field names.

    Raises:
        UserError: it names nothing that there is.
    """
    if model[field] not in choices:
        raise UserError(f"model.{field}={model[field]!r} is none of {', '.join(choices)}.")
    return choices[model[field]]


def require_variant(name: str, variant: str, variants: tuple[str, ...]) -> None:
    """Raise UserError unless a config has the variant."""
    if variant not in variants:
        named = ", ".join(repr(each) for each in variants)
        raise UserError(f"{name} has no variant {variant!r}; it has {named}.")


def mixture_of(name: str) -> tuple[np.ndarray, float]:
    """Return the means [K, 2] and the standard deviation of a Gaussian mixture of toy2d.

    Raises:
        UserError: the set is none, so that its score is not known here.
    """
    toy = toy2d.SETS.get(name.removeprefix("toy2d/"))
    if toy is None or toy.centers is None:
        raise UserError(f"data.name={name!r} is no Gaussian mixture of toy2d, whose score is known.")
    return toy.centers, toy.std


def mixture_score(centers: np.ndarray, std: float, x: jax.Array) -> jax.Array:
    """Return the score [N, 2] of an equal mixture of normals at x [N, 2]."""
    away = jnp.asarray(centers, x.dtype)[None] - x[:, None]
    share = jax.nn.softmax(-0.5 * jnp.sum(away**2, axis=-1) / std**2, axis=1)
    return jnp.sum(share[:, :, None] * away, axis=1) / std**2


def known_density(name: str) -> dict[str, Callable[[EvalContext], Any]]:
    """Return the evaluations that go with what is known of a set of points: its entropy, its score."""
    toy = toy2d.SETS.get(name.removeprefix("toy2d/"))
    found: dict[str, Callable[[EvalContext], Any]] = {}
    if toy is not None and toy.entropy is not None:
        found["entropy"] = lambda context: {"entropy_nats": toy.entropy}
    if toy is not None and toy.centers is not None:
        found["score"] = fisher_divergence
    return found


def fisher_divergence(context: EvalContext) -> dict[str, float]:
    """Measure a learned score against the known one, on held-out points of a Gaussian mixture.

    Returns:
        'fisher_divergence', E |s - score|^2 / 2 over held-out points, and 'fisher_information', the same for s = 0.
    """
    centers, std = mixture_of(context.config.data.name)
    (x,) = evaluations.gather(context.test(), "x")
    learned = jax.jit(context.system.model.methods["score"])(context.variables, context.key, x)
    known = mixture_score(centers, std, x)
    half = lambda v: float(0.5 * jnp.mean(jnp.sum(v**2, axis=1)))
    return {"fisher_divergence": half(learned - known), "fisher_information": half(known), "n": len(x)}
