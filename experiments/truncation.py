"""What the truncation trick does to samples, in numbers: fidelity (precision) against variety (recall)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import evaluations
from genjax import evaluation as metrics
from genjax.training import EvalContext


def truncation_curve(context: EvalContext) -> dict[str, Any]:
    """Sample at each of `config.eval.truncations`, under standing statistics made at it, and at none.

    Returns:
        For each t (and 'none'): 'precision_t', 'recall_t' against held-out pictures in the classifier's features,
        'agreement_t', the share of samples found in the class they were asked for, and 'spread_t', the mean over
        classes of the features' total standard deviation; 'stale_precision_t', 'stale_recall_t' with the running
        statistics of training in the place of standing ones; 'n', 'features', 'split'.
    """
    config = context.config
    classifier = evaluations.classifier_of(config.data.name, config.data.dir)
    held_out = np.concatenate([_pictures(context, batch["x"]) for batch in context.test()])
    real = metrics.embed(classifier, held_out).features
    num = config.model.num_classes * (int(config.eval.num_samples) // config.model.num_classes)
    wanted = np.arange(num) % config.model.num_classes
    model, found = context.system.model, {}
    sample = jax.jit(model.sample, static_argnums=2)
    standing = jax.jit(model.methods["standing_statistics"], static_argnames="num_batches")
    for t in (np.inf, *config.eval.truncations):
        name = "none" if np.isinf(t) else f"{t:g}"
        classes = np.arange(16 * 64, dtype=np.int32) % config.model.num_classes
        moved = standing(context.variables, jax.random.fold_in(context.key, 1), classes, truncation=t, num_batches=16)
        for prefix, variables in (("", moved), ("stale_", context.variables)):
            key = jax.random.fold_in(context.key, 2)
            drawn = sample(variables, key, num, condition=jnp.asarray(wanted, jnp.int32), truncation=t)
            embedding = metrics.embed(classifier, _pictures(context, drawn))
            shares = metrics.improved_precision_recall(*_equally_many(real, embedding.features))
            found |= {f"{prefix}precision_{name}": shares.precision, f"{prefix}recall_{name}": shares.recall}
            if not prefix:
                found[f"agreement_{name}"] = float(np.mean(embedding.log_probs.argmax(axis=1) == wanted))
                found[f"spread_{name}"] = _spread(embedding.features, wanted)
    return found | {"n": num, "features": classifier.name, "split": config.data.test_split}


def _pictures(context: EvalContext, x: Any) -> np.ndarray:
    return np.asarray(context.system.to_picture(x), np.float32)


def _equally_many(real: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return as many of both: precision and recall depend on the numbers."""
    num, random = min(len(real), len(drawn)), np.random.default_rng(0)
    return tuple(x[random.permutation(len(x))[:num]] for x in (real, drawn))


def _spread(features: np.ndarray, label: np.ndarray) -> float:
    """Return the mean over classes of the square root of the features' total variance."""
    return float(np.mean([np.sqrt(features[label == c].var(axis=0).sum()) for c in np.unique(label)]))
