"""Evaluations of pictures made from parts of held-out ones: completed halves, and enlarged small pictures."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import evaluations
from genjax import evaluation as metrics
from genjax.data import open_source
from genjax.diffusion import average_pool, enlarged, low_resolution
from genjax.training import EvalContext


def half_mask(name: str, shape: tuple[int, int, int, int]) -> np.ndarray:
    """Return masks [N, H, W, 1] that know the 'top' or the 'left' half."""
    mask = np.zeros((*shape[:3], 1), np.float32)
    rows, columns = (shape[1] // 2, shape[2]) if name == "top" else (shape[1], shape[2] // 2)
    mask[:, :rows, :columns] = 1.0
    return mask


def held_out_pictures(config: Any, num: int) -> np.ndarray:
    """Return the first `num` stored pictures of the test split, again from the first where there are fewer."""
    source = open_source(config.data.name, config.data.test_split, config.data.dir)
    return source.fetch(np.arange(num) % len(source))["x"]


def halves(context: EvalContext, *, resamples: int) -> dict[str, Any]:
    """Complete the known halves of held-out pictures in three ways.

    Args:
        context: of a `mask_channel` system of digits or MNIST.
        resamples: of RePaint.

    Returns:
        For 'top' and 'left' and each of 'mask_channel', 'replacement' and 'repaint': 'agreement', the share of
        completions that the classifier gives the label of the whole picture, and 'mse' in the unknown half, in units of
        the range; 'known_kept', the share of known pixels unchanged over all; 'truth', the agreement of the pictures
        themselves; 'other', that of halves joined with the unknown half of another picture; 'n'.
    """
    model, config = context.system.model, context.config
    classifier = evaluations.classifier_of(config.data.name, config.data.dir)
    x, label = evaluations.gather(context.test(), "x", "label")
    key, replace = jax.random.fold_in(context.key, 7), jax.jit(model.methods["replace"], static_argnames="resamples")
    given = lambda known, mask: {"known": known, "mask": mask}
    fill = jax.jit(lambda v, key, known, mask: model.sample(v, key, len(known), condition=given(known, mask)))
    ways: dict[str, Callable] = {
        "mask_channel": fill,
        "replacement": replace,
        "repaint": lambda *parts: replace(*parts, resamples=resamples),
    }
    agreement = lambda x: float(np.mean(_classes(classifier, context, x) == label))
    found: dict[str, Any] = {"truth": agreement(x), "n": len(x), "features": classifier.name}
    kept = []
    for side in ("top", "left"):
        mask = half_mask(side, x.shape)
        found[f"{side}_other_agreement"] = agreement(np.where(mask > 0, x, np.roll(x, len(x) // 2, axis=0)))
        for name, way in ways.items():
            completed = np.asarray(way(context.variables, key, jnp.asarray(x), jnp.asarray(mask)))
            error = ((completed.astype(np.float64) - x) / (config.model.levels - 1)) ** 2
            kept.append(np.mean((completed == x)[np.broadcast_to(mask > 0, x.shape)]))
            found[f"{side}_{name}_agreement"] = agreement(completed)
            found[f"{side}_{name}_mse"] = float(error[np.broadcast_to(mask == 0, x.shape)].mean())
    return found | {"known_kept": float(np.mean(kept))}


def enlargement(context: EvalContext, *, factor: int, repeats: int = 8) -> dict[str, Any]:
    """Enlarge the low resolution of held-out pictures, and compare with bicubic interpolation.

    Args:
        context: of a `super_resolution` system.
        factor: of the low resolution.
        repeats: samples a picture, for the PSNR of their mean, which is the better estimate, if no sample.

    Returns:
        'psnr' of samples, of the mean of `repeats` and of bicubic interpolation, decibels, means over pictures;
        'consistency', the mean square error of the low resolution of what is made, in units of the range; 'agreement',
        the share that the classifier gives the picture's label, for samples, bicubic and truth; 'n'.
    """
    model, config = context.system.model, context.config
    levels = config.model.levels
    classifier = evaluations.classifier_of(config.data.name, config.data.dir)
    x, label = evaluations.gather(context.test(), "x", "label")
    low = low_resolution(jnp.asarray(x), factor, levels=levels)
    drawn = jax.jit(lambda v, key, low: model.sample(v, key, len(low), condition={"low": low}))
    keys = jax.random.split(jax.random.fold_in(context.key, 8), repeats)
    samples = np.stack([np.asarray(drawn(context.variables, key, low)) for key in keys]) / (levels - 1.0)
    # From the middle of a level of (-1, 1) back to [0, 1], where levels are spread end on end.
    unit = lambda y: np.clip((levels * (np.asarray(y, np.float64) + 1.0) / 2.0 - 0.5) / (levels - 1.0), 0.0, 1.0)
    truth, bicubic, small = x / (levels - 1.0), unit(enlarged(low, factor)), unit(low)
    made = {"samples": samples[0], "bicubic": bicubic, f"mean_of_{repeats}": samples.mean(axis=0)}
    found: dict[str, Any] = {"n": len(x), "features": classifier.name}
    for name, picture in made.items():
        found[f"psnr_{name}"] = float(np.mean(metrics.psnr(jnp.asarray(picture), jnp.asarray(truth))))
        again = average_pool(jnp.asarray(picture), factor)
        found[f"consistency_{name}"] = float(np.mean(metrics.mean_squared_error(again, jnp.asarray(small))))
    for name, picture in (("samples", samples[0]), ("bicubic", bicubic), ("truth", truth)):
        found[f"agreement_{name}"] = float(np.mean(_of(classifier, picture) == label))
    return found


def _classes(classifier: Any, context: EvalContext, x: np.ndarray) -> np.ndarray:
    return _of(classifier, np.asarray(context.system.to_picture(jnp.asarray(x))))


def _of(classifier: Any, pictures: np.ndarray) -> np.ndarray:
    return metrics.embed(classifier, pictures).log_probs.argmax(axis=1)
