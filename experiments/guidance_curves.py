"""Fidelity and variety of labelled samples against the strength of guidance: the curve of cfg and of classifiers.

A stronger guidance makes samples easier to recognize and more alike: the share that a classifier gives their class
rises, recall falls, and the classifier-FID has its least in between (Dhariwal & Nichol 2021, figure 4; Ho & Salimans
2022, figures 3 and 4).
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import evaluations
from genjax import evaluation as metrics
from genjax.training import EvalContext

MEASURED = ("classifier_fid", "precision", "recall", "density", "coverage")


def curve(context: EvalContext, option: str, strengths: Sequence[float]) -> dict[str, Any]:
    """Measure samples, all classes in equal shares, under several strengths of guidance.

    Args:
        context: of a system of digits or MNIST that is conditional on labels.
        option: name of the number in `model.sample`.
        strengths: its values.

    Returns:
        For each strength, behind its number: 'accuracy' (share of samples that the classifier gives the class they were
        drawn as) and MEASURED; 'n' samples, 'features'.
    """
    config, system = context.config, context.system
    classifier = evaluations.classifier_of(config.data.name, config.data.dir)
    size, num = config.eval.batch_size, int(config.eval.num_samples)

    @functools.partial(jax.jit, static_argnums=3)
    def drawn(variables: Any, key: jax.Array, strength: jax.Array, num: int) -> tuple[jax.Array, jax.Array]:
        label = system.condition(key, num)
        return system.model.sample(variables, key, num, condition=label, **{option: strength}), label

    found: dict[str, Any] = {}
    for strength in strengths:
        keys = jax.random.split(jax.random.fold_in(context.key, 6), -(-num // size))
        parts = [drawn(context.variables, key, jnp.float32(strength), size) for key in keys]
        samples, wanted = (np.concatenate([np.asarray(part) for part in of])[:num] for of in zip(*parts))
        measured = evaluations.compare_pictures(context._replace(sample=lambda num: samples[:num]), classifier)
        pictures = np.asarray(system.to_picture(samples), np.float32)
        right = metrics.embed(classifier, pictures).log_probs.argmax(axis=1) == wanted
        found[f"accuracy_{strength:g}"] = float(np.mean(right))
        found |= {f"{name}_{strength:g}": measured[name] for name in MEASURED}
    return found | {"n": num, "features": classifier.name}
