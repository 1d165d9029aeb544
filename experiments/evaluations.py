"""Ready evaluations of samples, for a config to attach to its system: (EvalContext) -> {metric: value}.

    System(..., evaluations={"samples": evaluations.classifier_fid})

Samples and data meet where they are looked at: both go through the transform of the system (the data) and through
its `to_picture`. Whatever is measured against held-out data stands beside its floor, the same figure for training
data in the samples' place.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from genjax import evaluation as metrics
from genjax.contract import Array, Batch, GenerativeModel, Variables
from genjax.data import Loader, Source, open_source
from genjax.errors import UserError
from genjax.evaluation import features
from genjax.training import EvalContext, System, fit

RECIPES = {"digits": features.DIGITS, "mnist": features.MNIST}
MAX_POINTS = 2048  # an exact assignment costs their cube


def gather(batches: Iterable[Batch], *names: str) -> tuple[np.ndarray, ...]:
    """Return the entries that batches have under the names, each as one array [N, ...] on the host."""
    parts = zip(*([np.asarray(batch[name]) for name in names] for batch in batches))
    return tuple(np.concatenate(part) for part in parts)


def classifier_fid(context: EvalContext) -> dict[str, Any]:
    """Compare samples with held-out pictures in the features of a classifier trained here.

    Args:
        context: of a system whose data are digits or MNIST; as many samples as `config.eval.num_samples`.

    Returns:
        'classifier_fid' and 'classifier_fid_floor' (training against held-out pictures); 'classifier_kid', the kernel
        distance, with 'classifier_kid_std' between its blocks of 'block_size' and 'classifier_kid_floor';
        'classifier_accuracy' on the held-out pictures as the system sees them; 'precision', 'recall', 'density',
        'coverage' of the samples, and of training pictures in their place with '_of_train' behind; 'n' samples,
        'n_train' and 'n_test' pictures; 'features', the classifier by name; 'split'.
    """
    return compare_pictures(context, _classifier_of(context))


def wasserstein(context: EvalContext) -> dict[str, Any]:
    """Compare samples with held-out points by the exact 2-Wasserstein distance; for points, not for pictures.

    Args:
        context: of a system whose `to_picture` gives points `[N, 2]`.

    Returns:
        'wasserstein2' and 'wasserstein2_floor' (training against held-out points), 'sliced_wasserstein2' with its
        floor, 'n' points in each cloud, 'split'.
    """
    samples, train, test, _ = _three_sets(context)
    num = min(len(samples), len(train), len(test), MAX_POINTS)
    random = np.random.default_rng(0)
    samples, train, test = (points[random.permutation(len(points))[:num]] for points in (samples, train, test))
    key = jax.random.fold_in(context.key, 3)
    return {
        "wasserstein2": metrics.wasserstein2(samples, test),
        "wasserstein2_floor": metrics.wasserstein2(train, test),
        "sliced_wasserstein2": float(metrics.sliced_wasserstein(key, samples, test)),
        "sliced_wasserstein2_floor": float(metrics.sliced_wasserstein(key, train, test)),
        "n": num,
        "split": context.config.data.test_split,
    }


def compare_pictures(context: EvalContext, classifier: features.Classifier) -> dict[str, Any]:
    """Return what `classifier_fid` does, with a classifier that is already there."""
    samples, train, test, label = _three_sets(context)
    held_out = metrics.embed(classifier, test)
    drawn, trained = (metrics.embed(classifier, images).features for images in (samples, train))
    fid = metrics.classifier_fid(drawn, train=trained, test=held_out.features)
    result = {"classifier_fid": fid.value, "classifier_fid_floor": fid.floor}
    result |= _kernel_distances(context.key, held_out.features, drawn, trained)
    result |= _shares(held_out.features, drawn) | _shares(held_out.features, trained, suffix="_of_train")
    result |= {
        "n": fid.num_samples,
        "n_train": fid.num_train,
        "n_test": fid.num_test,
        "features": classifier.name,
        "split": context.config.data.test_split,
    }
    if label is not None:
        result["classifier_accuracy"] = float(np.mean(held_out.log_probs.argmax(axis=1) == label))
    return result


def classifier_of(name: str, data_dir: str = "") -> features.Classifier:
    """Return the classifier of a data set, trained on its whole training split if it has not been yet.

    Args:
        name: of the data set, 'digits' or 'mnist'.
        data_dir: where it lies, if it needs a place.

    Raises:
        UserError: no classifier is provided for this data set.
    """
    if name not in RECIPES:
        raise UserError(f"there is no classifier for data.name={name!r}, only for {', '.join(RECIPES)}: add a recipe.")
    train, test = open_source(name, "train", data_dir), open_source(name, "test", data_dir)
    return features.load_classifier(RECIPES[name], train=train, test=test, fit=train_by_engine)


def train_by_engine(
    model: GenerativeModel,
    optimizers: Mapping[str, Any],
    transform: Any,
    source: Source,
    *,
    steps: int,
    batch_size: int,
    seed: int,
) -> Variables:
    """Train a model in memory by the one engine; a `features.FitFn`."""
    loader = Loader(source, batch_size=batch_size, seed=seed)
    print(f"training the classifier of the features, once: {steps} steps", flush=True)
    try:
        return fit(System(model, optimizers, transform=transform), loader, steps=steps, seed=seed, show=True)[0]
    finally:
        loader.close()


def _classifier_of(context: EvalContext) -> features.Classifier:
    data = context.config.data
    return classifier_of(data.name, data.dir)


def _three_sets(context: EvalContext) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Return pictures of samples, of as many training and of all held-out examples, and the last ones' labels."""
    num = int(context.config.eval.num_samples)
    look = lambda x: np.asarray(context.system.to_picture(x), np.float32)
    samples = look(context.sample(num))
    train = _random_subset((look(batch["x"]) for batch in context.train()), num)
    held_out: list[Batch] = list(context.test())
    test = np.concatenate([look(batch["x"]) for batch in held_out])
    label = np.concatenate([np.asarray(batch["label"]) for batch in held_out]) if "label" in held_out[0] else None
    return samples, train, test, label


def _kernel_distances(key: Array, real: np.ndarray, drawn: np.ndarray, trained: np.ndarray) -> dict[str, Any]:
    """Return the kernel distance of samples, and of training pictures in their place, to held-out ones."""
    distance = metrics.kernel_distance(jax.random.fold_in(key, 1), drawn, real)
    floor = metrics.kernel_distance(jax.random.fold_in(key, 2), trained, real)
    found = {"classifier_kid": distance.mean, "classifier_kid_std": distance.std, "classifier_kid_floor": floor.mean}
    return found | {"block_size": distance.block_size}


def _shares(real: np.ndarray, drawn: np.ndarray, suffix: str = "") -> dict[str, float]:
    """Return precision, recall, density and coverage at equal numbers on both sides, as they must be taken."""
    num = min(len(real), len(drawn))
    random = np.random.default_rng(0)
    real, drawn = (x[random.permutation(len(x))[:num]] for x in (real, drawn))
    shares = metrics.improved_precision_recall(real, drawn)._asdict() | metrics.density_coverage(real, drawn)._asdict()
    return {name + suffix: value for name, value in shares.items()}


def _random_subset(batches: Iterable[np.ndarray], num: int, seed: int = 0) -> np.ndarray:
    """Return `num` examples, each subset equally likely, of a stream of which no more than that is held.

    Data may be ordered (by class, in a folder of pictures), so the first ones will not do.
    """
    random = np.random.default_rng(seed)
    kept, tickets = None, np.zeros(0)
    for batch in batches:
        kept = batch if kept is None else np.concatenate([kept, batch])
        tickets = np.concatenate([tickets, random.random(len(batch))])
        if len(kept) > num:
            lowest = np.sort(np.argpartition(tickets, num)[:num])
            kept, tickets = kept[lowest], tickets[lowest]
    return kept
