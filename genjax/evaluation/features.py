"""Features to measure pictures in: those of a small classifier that is trained here when it is first asked for.

`digits_classifier` and `mnist_classifier` stand in for Inception-v3 where no weights can be had. Trained once in
seconds (digits) or a minute or two (MNIST) by whatever `fit` is handed in, that is by the engine, they are kept under
XDG_CACHE_HOME/genjax/features (by default ~/.cache) in a file whose name has a hash of all that they depend on: the
recipe, the seed, the data and this code. The same hash in two results means the same features.
"""

import hashlib
import os
import pathlib
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import serialization

from genjax.contract import Array, GenerativeModel, Variables
from genjax.evaluation import classifier as classifiers
from genjax.evaluation.classifier import Recipe, build_classifier, classifier_optimizers, classifier_transform

DIGITS = Recipe(
    name="digits_classifier",
    shape=(8, 8, 1),
    levels=17,
    num_classes=10,
    channels=(32, 64),
    num_features=64,
    max_shift=1,
    dropout=0.2,
    steps=600,
    batch_size=128,
    learning_rate=3e-3,
)

MNIST = Recipe(
    name="mnist_classifier",
    shape=(28, 28, 1),
    levels=256,
    num_classes=10,
    channels=(16, 32, 64),
    num_features=128,
    max_shift=2,
    dropout=0.2,
    steps=1500,
    batch_size=128,
    learning_rate=2e-3,
)


class Examples(Protocol):
    """Examples by index: 'x' as stored and 'label', as `genjax.data.Source` gives them."""

    def __len__(self) -> int: ...

    def fetch(self, indices: np.ndarray) -> dict[str, np.ndarray]: ...


class FitFn(Protocol):
    """(model, optimizers, transform, source, *, steps, batch_size, seed) -> trained Variables."""

    def __call__(
        self, model: GenerativeModel, optimizers: Any, transform: Any, source: Examples, *,
        steps: int, batch_size: int, seed: int,
    ) -> Variables: ...  # fmt: skip


class Classifier(NamedTuple):
    """A trained classifier.

    name: recipe and hash, such as 'digits_classifier-1f0c9a52'.
    recipe: what it is.
    variables: its parameters.
    accuracy: on the held-out examples as stored, in [0, 1].
    """

    name: str
    recipe: Recipe
    variables: Variables
    accuracy: float


class Embedding(NamedTuple):
    """What a classifier makes of pictures.

    features: [N, num_features], float32.
    log_probs: log p(c | x), [N, num_classes], float32, nats.
    """

    features: np.ndarray
    log_probs: np.ndarray


def load_classifier(
    recipe: Recipe, *, train: Examples, test: Examples, fit: FitFn, seed: int = 0, folder: pathlib.Path | None = None
) -> Classifier:
    """Return a trained classifier, from its file where there is one, else trained now and kept.

    Args:
        recipe: what to train.
        train: labelled examples to train on.
        test: labelled examples to state the accuracy on.
        fit: see FitFn.
        seed: of initialization, order and augmentation.
        folder: where files are kept; by default `cache_folder()`.

    Returns:
        See Classifier.

    Raises:
        ValueError: the examples have no labels or are of another shape than the recipe's.
    """
    _check_examples(recipe, train)
    _check_examples(recipe, test)
    name = f"{recipe.name}-{fingerprint(recipe, train, test, seed)}"
    path = (cache_folder() if folder is None else pathlib.Path(folder)) / f"{name}.msgpack"
    kept = _read(path)
    if kept is None:
        variables = fit(
            build_classifier(recipe),
            classifier_optimizers(recipe),
            classifier_transform(recipe),
            train,
            steps=recipe.steps,
            batch_size=recipe.batch_size,
            seed=seed,
        )
        params = jax.tree.map(np.asarray, variables.params)
        accuracy = _accuracy(Classifier(name, recipe, Variables(params), 0.0), test)
        kept = {"params": params, "accuracy": accuracy}
        _write(path, kept)
    return Classifier(name, recipe, Variables(kept["params"]), float(kept["accuracy"]))


def embed(classifier: Classifier, images: Array | np.ndarray, *, batch_size: int = 500) -> Embedding:
    """Return features and log-probabilities of pictures, a batch at a time.

    Args:
        classifier: see Classifier.
        images: [N, H, W, C] in [0, 1], N > 0; H, W and C are the classifier's.
        batch_size: pictures at a time; the last batch is filled up, so that one program serves all.

    Returns:
        See Embedding.

    Raises:
        ValueError: pictures of another shape or range.
    """
    images = np.asarray(images, np.float32)
    wanted = classifier.recipe.shape
    if images.ndim != 4 or images.shape[1:] != wanted or len(images) == 0:
        raise ValueError(f"images have shape {images.shape}; {classifier.name} takes [N, *{wanted}] with N > 0.")
    if not (images.min() >= -1e-3 and images.max() <= 1.0 + 1e-3):  # also refuses what is not a number
        raise ValueError(f"images lie in [{images.min():.4g}, {images.max():.4g}]; {classifier.name} takes [0, 1].")
    model = build_classifier(classifier.recipe)
    key = jax.random.key(0)  # the methods take one and use none

    @jax.jit
    def both(variables: Variables, x: Array) -> tuple[Array, Array]:
        return model.methods["features"](variables, key, x), model.methods["classify"](variables, key, x)

    size = min(batch_size, len(images))
    parts = []
    for start in range(0, len(images), size):
        rows = np.minimum(np.arange(start, start + size), len(images) - 1)
        parts.append([np.asarray(part) for part in both(classifier.variables, jnp.asarray(images[rows]))])
    features, log_probs = (np.concatenate(part)[: len(images)] for part in zip(*parts))
    return Embedding(features, log_probs)


def cache_folder() -> pathlib.Path:
    """Return where trained classifiers are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "genjax" / "features"


def fingerprint(recipe: Recipe, train: Examples, test: Examples, seed: int) -> str:
    """Return eight hexadecimal digits of a hash of all that a trained classifier depends on.

    Of the data the sizes and 256 examples of either set, evenly spaced, are looked at, so that a large set need not
    be read.
    """
    digest = hashlib.sha256(repr((tuple(recipe), seed)).encode())
    digest.update(pathlib.Path(classifiers.__file__).read_bytes())
    for source in (train, test):
        size = len(source)
        picked = source.fetch(np.unique(np.linspace(0, size - 1, 256).astype(np.int64)))
        digest.update(str(size).encode())
        for name in ("x", "label"):
            digest.update(np.ascontiguousarray(picked[name]).tobytes())
    return digest.hexdigest()[:8]


def _accuracy(classifier: Classifier, examples: Examples, batch_size: int = 1000) -> float:
    """Return the share of examples whose label is the most probable one."""
    correct = 0
    for start in range(0, len(examples), batch_size):
        batch = examples.fetch(np.arange(start, min(start + batch_size, len(examples))))
        images = batch["x"].astype(np.float32) / (classifier.recipe.levels - 1)
        correct += int((embed(classifier, images).log_probs.argmax(axis=1) == batch["label"]).sum())
    return correct / len(examples)


def _check_examples(recipe: Recipe, examples: Examples) -> None:
    one = examples.fetch(np.zeros(1, np.int64))
    if "label" not in one:
        raise ValueError(f"{recipe.name} is trained on labels, but the examples have none.")
    if one["x"].shape[1:] != recipe.shape:
        raise ValueError(f"{recipe.name} takes pictures {recipe.shape}, but the examples are {one['x'].shape[1:]}.")


def _write(path: pathlib.Path, kept: dict[str, Any]) -> None:
    """Write a file whole or not at all, its own digest first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = serialization.msgpack_serialize(kept)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_bytes(hashlib.sha256(body).digest() + body)
    os.replace(part, path)


def _read(path: pathlib.Path) -> dict[str, Any] | None:
    """Return what a file holds; None where there is none or it is damaged, since it can be made again."""
    if not path.exists():
        return None
    data = path.read_bytes()
    digest, body = data[:32], data[32:]
    return serialization.msgpack_restore(body) if hashlib.sha256(body).digest() == digest else None
