"""What configs that make pictures of pictures share: their data, a preview, and how near translations are to the truth."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import evaluations
from genjax import evaluation as metrics
from genjax.contract import Array, Batch
from genjax.data import available_splits, open_source
from genjax.pixels import to_symmetric
from genjax.training.system import EvalContext

COLUMNS = 9  # of a preview; with three rows of each three kinds its grid is square, as `pictures.grid` has it


def symmetric_pair(levels: int) -> Callable[[Array, Batch], Batch]:
    """Return (key, batch) -> batch with the pictures of both domains on [-1, 1]."""

    def transform(key: Array, batch: Batch) -> Batch:
        del key
        return {**batch, "x": to_symmetric(batch["x"], levels), "y": to_symmetric(batch["y"], levels)}

    return transform


def to_picture(x: Array) -> Array:
    """Map [-1, 1] onto [0, 1]; what lies outside is cut off."""
    return 0.5 * (jnp.clip(x, -1.0, 1.0) + 1.0)


def held_out(config: Any, num: int) -> Batch:
    """Return the first `num` examples of the test split as stored, again from the first where there are fewer.

    Of a few pictures of a user's own none may fall into a test split: then they are those of training.
    """
    data = config.data
    kept = data.test_split.partition("[")[0] in available_splits(data.name, data.dir)
    source = open_source(data.name, data.test_split if kept else data.split, data.dir)
    return {name: jnp.asarray(values) for name, values in source.fetch(np.arange(num) % len(source)).items()}


def rows(*stacks: Array, columns: int = COLUMNS) -> Array:
    """Return pictures for a grid: a row of the first stack, one of the second, ..., then the next row of each.

    Args:
        stacks: `[N, H, W, C]` each; where one is in colour, grey ones become so.
        columns: of the grid; divides N.
    """
    channels = max(stack.shape[-1] for stack in stacks)
    of_rows = lambda stack: jnp.broadcast_to(stack, (*stack.shape[:3], channels)).reshape(
        -1, columns, *stack.shape[1:3], channels
    )
    mixed = jnp.stack([of_rows(stack) for stack in stacks], axis=1)
    return mixed.reshape(-1, *mixed.shape[3:])


def pairs_preview(
    config: Any, levels: int, translate: Callable[..., Array], *, back: Callable[..., Array] | None = None
) -> Callable[..., Array]:
    """Return a System's `preview`: rows of what is given, what is made of it, and the truth, of held-out pairs.

    Args:
        config: with the data and their test split.
        levels: of the pictures.
        translate: (variables, key, pictures) -> pictures.
        back: where the pictures have no counterparts, the way back, whose pictures stand in the place of the truth.
    """

    def preview(variables: Any, key: Array, num: int) -> Array:
        batch = symmetric_pair(levels)(key, held_out(config, max(num // (3 * COLUMNS), 1) * COLUMNS))
        made = translate(variables, key, batch["y"])
        return rows(batch["y"], made, batch["x"] if back is None else back(variables, key, made))

    return preview


def translated(context: EvalContext, translate: Callable[..., Array], given: str, wanted: str) -> dict[str, np.ndarray]:
    """Translate the held-out pictures.

    Args:
        context: of a system of pairs on the test split.
        translate: (variables, key, pictures) -> pictures.
        given: name of what is given in a batch.
        wanted: name of what is to be made of it.

    Returns:
        'made', 'wanted' and 'given' in [0, 1], and 'label' where there are labels.
    """
    run, look = jax.jit(translate), lambda x: np.asarray(to_picture(x), np.float64)
    found: dict[str, list[np.ndarray]] = {}
    for index, batch in enumerate(context.test()):
        made = run(context.variables, jax.random.fold_in(context.key, index), batch[given])
        parts = {"made": look(made), "wanted": look(batch[wanted]), "given": look(batch[given])}
        parts |= {"label": np.asarray(batch["label"])} if "label" in batch else {}
        for name, values in parts.items():
            found.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in found.items()}


def errors(made: np.ndarray, wanted: np.ndarray, suffix: str = "") -> dict[str, float]:
    """Return 'l1', mean absolute error of pictures in [0, 1], and 'psnr', mean over pictures in decibels."""
    # Identical pictures have no PSNR; a thousandth of a level is as good as none.
    psnr = np.minimum(np.asarray(metrics.psnr(jnp.asarray(made), jnp.asarray(wanted))), 100.0)
    return {f"l1{suffix}": float(np.abs(made - wanted).mean()), f"psnr{suffix}": float(psnr.mean())}


def translation_errors(
    context: EvalContext, *, way: str = "translate", given: str = "y", wanted: str = "x"
) -> dict[str, Any]:
    """Compare translations of held-out pictures with their counterparts.

    Args:
        context: of a system of pairs on the test split.
        way: the model's method that translates.
        given: name of what is given in a batch.
        wanted: name of what is to be made of it.

    Returns:
        'l1' and 'psnr' of translations; the same with '_of_mean' for the mean training picture in their place, and
        '_of_given' where what is given has the shape of what is wanted; for digits 'class_kept', the share to which a
        classifier trained here gives their label, with '_of_truth' for the true pictures; 'n' and 'split'.
    """
    found = translated(context, context.system.model.methods[way], given, wanted)
    mean = _mean_picture(context, wanted)
    result = errors(found["made"], found["wanted"])
    result |= errors(np.broadcast_to(mean, found["wanted"].shape), found["wanted"], "_of_mean")
    if found["given"].shape == found["wanted"].shape:
        result |= errors(found["given"], found["wanted"], "_of_given")
    result |= _classes(context, found) if wanted == "x" else {}
    return result | {"n": len(found["made"]), "split": context.config.data.test_split}


def _mean_picture(context: EvalContext, name: str) -> np.ndarray:
    total, number = 0.0, 0
    for batch in context.train():
        pictures = np.asarray(to_picture(batch[name]), np.float64)
        total, number = total + pictures.sum(axis=0), number + len(pictures)
    return total / number


def _classes(context: EvalContext, found: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return how many translations keep their class, where x are pictures that a classifier here knows."""
    *_, name = context.config.data.name.split("/")
    name = "digits" if context.config.data.name.count("/") == 1 else name
    known = name in evaluations.RECIPES and found["made"].shape[1:] == evaluations.RECIPES[name].shape
    if "label" not in found or not known:
        return {}
    classifier = evaluations.classifier_of(name, context.config.data.dir)
    share = lambda x: float(
        np.mean(metrics.embed(classifier, x.astype(np.float32)).log_probs.argmax(1) == found["label"])
    )
    kept = {"class_kept": share(found["made"]), "class_kept_of_truth": share(found["wanted"])}
    return kept | {"features": classifier.name}
