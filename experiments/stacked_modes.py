"""Modes of stacked pictures that samples cover: an evaluation for a config to attach to its system.

    System(..., evaluations={"modes": stacked_modes.modes})
"""

from typing import Any

import numpy as np

from experiments import evaluations
from genjax import evaluation as metrics
from genjax.data.stacked import CHANNELS
from genjax.training.system import EvalContext


def modes(context: EvalContext) -> dict[str, Any]:
    """Read every channel of samples by the classifier of the base set, and count the triples of classes.

    Args:
        context: of a system of 'stacked/<set>' whose set has a classifier here; as many samples as
            `config.eval.num_samples`.

    Returns:
        'modes_covered' of 'modes', those with a sample at least; 'kl', of the samples' modes from those of independent
        channels with the classes of the training stacks, in nats; both with '_of_data' for as many of these in the
        samples' place; 'n', 'features'.

    Reference: Metz et al. 2017, section 3.3.1; Srivastava et al. 2017, section 4 (26,000 samples).
    """
    data, num = context.config.data, int(context.config.eval.num_samples)
    classifier = evaluations.classifier_of(data.name.removeprefix("stacked/"), data.dir)
    many = classifier.recipe.num_classes
    x, label = _first(context, num)
    shares = [np.bincount(label // many**c % many, minlength=many) / len(label) for c in reversed(range(CHANNELS))]
    expected = np.einsum("a,b,c->abc", *shares).ravel()
    result: dict[str, Any] = {"modes": many**CHANNELS, "n": num, "features": classifier.name}
    for suffix, pictures in (("", context.sample(num)), ("_of_data", x)):
        counts = np.bincount(_triples(classifier, context, pictures), minlength=many**CHANNELS)
        share, there = counts / counts.sum(), counts > 0
        result[f"modes_covered{suffix}"] = int(there.sum())
        result[f"kl{suffix}"] = float(np.sum(share[there] * np.log(share[there] / expected[there])))
    return result


def _first(context: EvalContext, num: int) -> tuple[np.ndarray, np.ndarray]:
    """Return 'x' and 'label' of the first `num` training stacks, or of as many as there are."""
    batches, count = [], 0
    for batch in context.train():
        batches.append(batch)
        count += len(batch["x"])
        if count >= num:
            break
    x, label = evaluations.gather(batches, "x", "label")
    return x[:num], label[:num]


def _triples(classifier: Any, context: EvalContext, x: Any) -> np.ndarray:
    """Return 100 a + 10 b + c of the classes that the channels are read as."""
    pictures = np.asarray(context.system.to_picture(x), np.float32)
    each = np.moveaxis(pictures, -1, 0)[..., None].reshape(-1, *pictures.shape[1:3], 1)
    read = metrics.embed(classifier, each).log_probs.argmax(axis=1).reshape(CHANNELS, -1)
    return np.ravel_multi_index(tuple(read), (classifier.recipe.num_classes,) * CHANNELS)
