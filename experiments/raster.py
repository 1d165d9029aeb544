"""What configs of models pixel by pixel share: the data they see, the optimizer, and evaluations of their own."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments import evaluations
from genjax import evaluation as metrics
from genjax.contract import Array, Batch
from genjax.data import transforms
from genjax.errors import UserError
from genjax.pixels import bits_per_dim, to_unit
from genjax.training.system import EvalContext


def apply_variant(config: ConfigDict, variant: str, changes: dict[str, Any]) -> ConfigDict:
    """Return the config of a variant.

    Args:
        config: the default.
        variant: '' for the default, or a name in `changes`.
        changes: name -> function that changes the config.

    Raises:
        UserError: there is no such variant.
    """
    if variant and variant not in changes:
        named = ", ".join(repr(name) for name in ("", *changes))
        raise UserError(f"{config.name} has no variant {variant!r}; it has {named}.")
    if variant:
        changes[variant](config)
    return config


def training_fields(config: ConfigDict, *, steps: int, batch_size: int, learning_rate: float) -> None:
    """Fill the fields that `optimizer` and the engine read."""
    config.data.batch_size = batch_size
    config.train.steps = steps
    config.train.steps_per_call = 20
    config.train.log_every = 200
    config.train.checkpoint_every = 1_000
    config.train.clip_norm = 0.0
    config.train.ema_decay = 0.995
    config.train.learning_rate = learning_rate  # after the warm-up; a cosine takes it to 0
    config.train.warmup = 100
    config.train.weight_decay = 0.0


def mnist_fields(config: ConfigDict) -> None:
    """Take dynamically binarized MNIST, 50,000 training pictures, the rest for choosing the checkpoint."""
    config.data.name = "mnist"
    config.data.split = "train[:50000]"
    config.data.valid_split = "train[50000:]"
    config.data.batch_size = 64
    config.train.steps = 100_000
    config.train.steps_per_call = 10
    config.train.log_every = 100
    config.train.valid_every = 5_000
    config.train.checkpoint_every = 5_000
    config.train.warmup = 500
    config.train.ema_decay = 0.9995
    config.train.learning_rate = 1e-3
    config.model.shape = (28, 28, 1)
    config.model.stored_levels = 256
    config.model.levels = 2
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def tiny_fields(config: ConfigDict) -> None:
    """Make a run a handful of steps."""
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.train.warmup = 0
    config.train.ema_decay = 0.0
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def optimizer(config: ConfigDict) -> optax.GradientTransformation:
    """Return AdamW under a warm-up and a cosine."""
    train = config.train
    steps = max(train.steps, train.warmup + 1)
    rate = optax.warmup_cosine_decay_schedule(0.0, train.learning_rate, train.warmup, steps)
    return optax.adamw(rate, b2=0.99, weight_decay=train.weight_decay)


def stored_or_binary(config: ConfigDict) -> transforms.Transform:
    """Return the levels as stored, or, where the model has two and the data more, drawn from Bernoulli(x / (L - 1))."""
    model = config.model
    if model.levels == model.stored_levels:
        return lambda key, batch: batch
    if model.levels != 2:
        raise UserError(f"model.levels={model.levels} is neither 2 nor model.stored_levels={model.stored_levels}.")
    to_integers = transforms.on_x(lambda key, x: x.astype(jnp.uint8))
    return transforms.chain(transforms.binarize_dynamic(model.stored_levels), to_integers)


def picture(config: ConfigDict):
    """Return samples -> pictures in [0, 1]."""
    return lambda x: to_unit(x, config.model.levels)


def classes(num_classes: int):
    """Return (key, num) -> classes to sample under, in turns; None for a model without."""
    return (lambda key, num: jnp.arange(num, dtype=jnp.int32) % num_classes) if num_classes else None


def labels(num_classes: int):
    """Return batch -> its classes; None for a model without."""
    return (lambda batch: batch["label"]) if num_classes else None


def sample_evaluations(config: ConfigDict) -> dict[str, Any]:
    """Return the evaluations of samples that a config's data allow."""
    grey = config.model.levels == config.model.stored_levels
    if config.data.name not in evaluations.RECIPES or not grey:
        return {"floor": histogram_floor}
    by_class = {"classes": class_agreement} if config.model.num_classes else {}
    return {"floor": histogram_floor, "samples": evaluations.classifier_fid} | by_class


def class_agreement(context: EvalContext) -> dict[str, Any]:
    """Return how many samples the classifier of the data finds in the class they were asked for.

    Returns:
        'agreement' of the samples, in [0, 1], 'classifier_accuracy' on held-out pictures beside it, 'n', 'features'.
    """
    config = context.config
    classifier = evaluations.classifier_of(config.data.name, config.data.dir)
    wanted = np.arange(int(config.eval.num_samples)) % config.model.num_classes
    found = _class_of(classifier, context, context.sample(len(wanted), condition=jnp.asarray(wanted, jnp.int32)))
    held_out = list(context.test())
    right = np.concatenate([_class_of(classifier, context, b["x"]) == np.asarray(b["label"]) for b in held_out])
    return {
        "agreement": float(np.mean(found == wanted)),
        "classifier_accuracy": float(np.mean(right)),
        "n": len(wanted),
        "features": classifier.name,
    }


def _class_of(classifier: Any, context: EvalContext, x: Array) -> np.ndarray:
    pictures = np.asarray(context.system.to_picture(x), np.float32)
    return metrics.embed(classifier, pictures).log_probs.argmax(axis=1)


def histogram_floor(context: EvalContext) -> dict[str, Any]:
    """Return bits/dim of histograms that know of no dependence: what any model of it must stay below.

    Returns:
        'pooled_bits_per_dim': one histogram a colour; 'entry_bits_per_dim': one for every entry of a picture; both
        fitted on training data with one count added to every level, scored on held-out data.
    """
    levels = context.config.model.levels
    train, test = (_stack(batches()) for batches in (context.train, context.test))
    size, channels = train[0].size, train.shape[-1]
    scores = {}
    for name, width in (("pooled", channels), ("entry", size)):
        counts = np.stack([np.bincount(x, minlength=levels) + 1.0 for x in train.reshape(-1, width).T])
        log_p = np.log(counts / counts.sum(axis=1, keepdims=True))
        held_out = test.reshape(-1, width)
        nats = log_p[np.arange(width), held_out].sum() / len(test)
        scores[f"{name}_bits_per_dim"] = float(bits_per_dim(np.float64(nats), size))
    return scores


def _stack(batches: Any) -> np.ndarray:
    return np.concatenate([np.asarray(jax.device_get(batch["x"])).astype(np.int64) for batch in batches])


def low_resolution(factor: int, levels: int) -> transforms.Transform:
    """Return what adds 'map': the picture averaged over squares of factor x factor, at its own size, in [-1, 1]."""

    def transform(key: Array, batch: Batch) -> Batch:
        del key
        x = 2.0 * to_unit(batch["x"], levels) - 1.0
        shape = (x.shape[0], x.shape[1] // factor, factor, x.shape[2] // factor, factor, x.shape[3])
        means = jnp.mean(x.reshape(shape), axis=(2, 4), keepdims=True)
        return batch | {"map": jnp.broadcast_to(means, shape).reshape(x.shape)}

    return transform
