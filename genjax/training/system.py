"""A system: a model together with what one experiment decides about it.

`build(config)` of a config file returns one. It holds functions and no arrays.
"""

from collections.abc import Mapping
from typing import Any, Callable, NamedTuple

import jax
import optax

from genjax.contract import Array, Batch, GenerativeModel, Variables


def identity_transform(key: Array, batch: Batch) -> Batch:
    """Return the batch as it is."""
    del key
    return batch


class EvalContext(NamedTuple):
    """What an evaluation may use.

    system: the system under evaluation.
    variables: its variables, averaged parameters in place where the run keeps them.
    key: a key of its own.
    train: () -> iterable of transformed training batches, one pass.
    test: () -> iterable of transformed held-out batches, one pass, every example once; each a dict of
        arrays plus the last, shorter one (never padded).
    sample: (num, condition=None) -> array [num, ...], drawn in chunks with the averaged parameters.
    config: the run's config.
    """

    system: "System"
    variables: Variables
    key: Array
    train: Callable[[], Any]
    test: Callable[[], Any]
    sample: Callable[..., Array]
    config: Any


class System(NamedTuple):
    """One experiment as functions.

    model: the GenerativeModel.
    optimizers: an optax transformation for each optimizer that the model's updates name.
    transform: (key, batch) -> batch, pure jnp, run inside the compiled step and by the evaluations
        (scaling, dynamic binarization, flips). The loader delivers stored values (uint8 levels).
    preview: (variables, key, num) -> array to draw; None: `model.sample`.
    to_picture: array of samples -> images [N, H, W, C] in [0, 1], or points [N, 2].
    evaluations: name -> (EvalContext) -> {metric: float}; run by experiments.evaluate beside the
        held-out likelihood that every model with `log_prob` gets.
    condition: (key, num) -> condition to sample under, for models that need one; None: none.
    """

    model: GenerativeModel
    optimizers: Mapping[str, optax.GradientTransformation]
    transform: Callable[[Array, Batch], Batch] = identity_transform
    preview: Callable[[Variables, Array, int], Array] | None = None
    to_picture: Callable[[Array], Array] = lambda samples: samples
    evaluations: Mapping[str, Callable[[EvalContext], Mapping[str, float]]] = {}
    condition: Callable[[Array, int], Any] | None = None


def draw(system: System, variables: Variables, key: Array, num: int, **options: Any) -> Array:
    """Draw `num` samples to look at: the system's preview, or its model's samples, always these under `options`."""
    if system.preview is not None and not options:
        return system.preview(variables, key, num)
    sample_key, condition_key = jax.random.split(key)
    condition = None if system.condition is None else system.condition(condition_key, num)
    return system.model.sample(variables, sample_key, num, condition=condition, **options)
