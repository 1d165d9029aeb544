"""Tangent propagation (Simard et al. 1992): digits from about a hundred labels.

Of the training pictures one in fourteen, picked by a hash of its pixels, has its label; the others are told to the
penalty alone. What is modelled is the label; the picture is given. Drawn samples are labels of training pictures,
shown as which of ten lamps is lit.

Variants:
    ''           shifts, scaling, rotation and two deformations do not matter.
    plain        as '', without the penalty: what to compare with.
    mnist        MNIST, a twentieth of 2,000 pictures with label. Needs --config.data.dir.
    mnist_plain  as 'mnist', without the penalty.
    tiny         as '', small enough to compile in a second.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments.configs.common import base
from genjax import autoencoders
from genjax.contract import Array, Batch
from genjax.data import open_source
from genjax.data.transforms import hash_levels
from genjax.errors import UserError
from genjax.nn.mlp import MLP
from genjax.pixels import to_unit
from genjax.training.system import EvalContext, System

VARIANTS = ("", "plain", "mnist", "mnist_plain", "tiny")
NUM_SHOWN = 64  # training pictures that samples are drawn for


class Flat(MLP):
    """A perceptron of flattened pictures."""

    def __call__(self, x: Array) -> Array:
        """Map x [B, H, W, C] to [B, features]."""
        return super().__call__(x.reshape(x.shape[0], -1))


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"autoencoders/tangent_prop has no variant {variant!r}; it has {named}.")
    config = base("autoencoders/tangent_prop")
    _default(config)
    if variant.startswith("mnist"):
        _mnist(config)
    if variant.endswith("plain"):
        config.model.weight = 0.0
    if variant == "tiny":
        _tiny(config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 128
    config.train.steps = 2_000
    config.train.steps_per_call = 100
    config.train.log_every = 100
    config.train.checkpoint_every = 1_000
    config.train.learning_rate = 2e-3  # at the start of a cosine
    config.train.weight_decay = 1e-2

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.num_classes = 10
    config.model.hidden = (128, 128)
    config.model.labelled = 0.07  # share of the training pictures whose labels are looked at
    config.model.choice = 0  # another number has other pictures labelled
    config.model.weight = 1.0  # lambda
    # How far each tangent reaches: pixels, pixels, log scale, radians, two deformations.
    config.model.reach = (0.5, 0.5, 0.15, 0.25, 0.15, 0.15)
    config.model.smoothing = 0.7  # standard deviation of what smooths before derivatives are taken, pixels

    config.expected.result = "error of the digits test split 6.9 %, without the penalty 11.1 % (98 labels)"
    config.expected.cost = "10 s of a CPU core"


def _mnist(config: ConfigDict) -> None:
    config.data.name = "mnist"
    config.data.split = "train[:2000]"
    config.data.batch_size = 256
    config.train.steps = 1_500
    config.train.checkpoint_every = 1_500
    config.train.learning_rate = 1e-3
    config.model.shape = (28, 28, 1)
    config.model.levels = 256
    config.model.labelled = 0.05
    config.model.weight = 0.3
    config.model.reach = (1.0, 1.0, 0.1, 0.2, 0.1, 0.1)
    config.model.smoothing = 1.0
    config.expected.result = "error of the MNIST test split 20.2 %, without the penalty 25.7 % (96 labels)"
    config.expected.cost = "24 s of a CPU core"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.train.learning_rate = 0.3  # so that four steps make a sure classifier
    config.model.hidden = (8,)
    config.model.labelled = 1.0
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, train = config.model, config.train
    reach = np.asarray(model.reach, np.float32).reshape(1, -1, 1, 1, 1)

    def tangents(images: Array) -> Array:
        return autoencoders.image_tangents(images, smoothing=model.smoothing)[:, : reach.shape[1]] * reach

    network = Flat(tuple(model.hidden), model.num_classes, jnp.tanh, dtype=jnp.dtype(train.precision))
    built = autoencoders.tangent_classifier(
        network,
        tangents,
        weight=model.weight,
        shape=tuple(model.shape),
    )

    def transform(key: Array, batch: Batch) -> Batch:
        del key
        chosen_by = lambda image: hash_levels(jnp.append(image.reshape(-1), jnp.asarray([model.choice], image.dtype)))
        hashes = jax.vmap(chosen_by)(batch["x"]).astype(jnp.float32) / 2.0**32
        weight = jnp.where(hashes < model.labelled, 1.0 / model.labelled, 0.0)
        return {"x": batch["label"], "image": to_unit(batch["x"], model.levels), "weight": weight}

    def condition(key: Array, num: int) -> Array:
        """Return training pictures [num, H, W, C], picked at random."""
        shown = open_source(config.data.name, config.data.split, config.data.dir).fetch(np.arange(NUM_SHOWN))["x"]
        return to_unit(jnp.asarray(shown), model.levels)[jax.random.randint(key, (num,), 0, NUM_SHOWN)]

    rate = optax.cosine_decay_schedule(train.learning_rate, train.steps)
    return System(
        model=built,
        optimizers={"classifier": optax.adamw(rate, weight_decay=train.weight_decay)},
        transform=transform,
        to_picture=lambda labels: jax.nn.one_hot(labels, model.num_classes)[:, None, :, None],
        evaluations={"error": _error},
        condition=condition,
    )


def _error(context: EvalContext) -> dict[str, float]:
    """Return the share of test pictures that are given a wrong label, as they are and shifted by half a pixel."""
    classify = jax.jit(context.system.model.methods["classify"])
    wrong = {"error": [], "error_shifted": []}
    for batch in context.test():
        shifted = autoencoders.move_images(batch["image"], shift=(0.5, 0.5))
        for name, images in (("error", batch["image"]), ("error_shifted", shifted)):
            wrong[name].append(
                np.asarray(classify(context.variables, context.key, images).argmax(axis=1) != batch["x"])
            )
    num_labels = sum(int((batch["weight"] > 0.0).sum()) for batch in context.train())
    return {"num_labels": num_labels} | {name: float(np.concatenate(parts).mean()) for name, parts in wrong.items()}
