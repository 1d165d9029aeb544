"""A small convolutional classifier, trained by this project, whose last hidden layer is a space of features.

It is a model like the others, of labels given pictures: log p(c | x) = log softmax(W f(x) + b)_c, with f some 3 x 3
convolutions, all but the first halving the side, and one dense layer. One update minimizes -log p(c | x), the engine
trains it, and drawing from it draws labels for given pictures.

It is no Inception: what is measured in its features carries its name (`genjax.evaluation.features`).
"""

from collections.abc import Mapping
from typing import Any, Callable, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from genjax.contract import Array, Aux, Batch, GenerativeModel, Update, Variables


class Recipe(NamedTuple):
    """A classifier and how it is trained.

    name: of the classifier, part of the name of all that is measured with it.
    shape: of a picture, (H, W, C).
    levels: stored pictures hold 0..levels-1.
    num_classes: labels are 0..num_classes-1.
    channels: of the convolutions, from the second on each with stride 2.
    num_features: width of the dense layer whose activations are the features.
    max_shift: pictures are moved while training by up to so many pixels along each axis.
    dropout: share of the features that training leaves out.
    steps: of training.
    batch_size: of training.
    learning_rate: at its peak, after a twentieth of the steps; a cosine takes it to zero.
    """

    name: str
    shape: tuple[int, int, int]
    levels: int
    num_classes: int
    channels: tuple[int, ...]
    num_features: int
    max_shift: int
    dropout: float
    steps: int
    batch_size: int
    learning_rate: float


class Network(nn.Module):
    """Pictures `[B, H, W, C]` in [0, 1] -> (features `[B, num_features]`, logits `[B, num_classes]`)."""

    channels: tuple[int, ...]
    num_features: int
    num_classes: int
    dropout: float

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> tuple[Array, Array]:
        x = 2.0 * x - 1.0
        for index, width in enumerate(self.channels):
            x = nn.relu(nn.Dense(width)(neighbourhoods(x, stride=1 if index == 0 else 2)))
        features = nn.relu(nn.Dense(self.num_features)(x.reshape(x.shape[0], -1)))
        kept = nn.Dropout(self.dropout, deterministic=not train)(features)
        return features, nn.Dense(self.num_classes)(kept)


def neighbourhoods(x: Array, *, stride: int) -> Array:
    """Return the 3 x 3 neighbourhood of every `stride`-th pixel, zeros outside the picture.

    A dense layer on it is a convolution. Written so, its gradients are matrix products, which are fast on any
    device; the gradient of a convolution's kernel, inside a compiled loop on a CPU, is some hundred times slower.

    Args:
        x: [B, H, W, C].
        stride: 1 or more (static).

    Returns:
        [B, ceil(H / stride), ceil(W / stride), 9 C], ordered as a kernel [3, 3, C, F] that is flattened to [9 C, F].
    """
    chex.assert_rank(x, 4)
    _, height, width, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifts = [padded[:, i : i + height : stride, j : j + width : stride] for i in range(3) for j in range(3)]
    return jnp.concatenate(shifts, axis=-1)


def cross_entropy(logits: Array, label: Array) -> Array:
    """Return -log p(label) of a categorical distribution.

    Args:
        logits: [B, K].
        label: [B], integers 0..K-1.

    Returns:
        [B], nats.
    """
    chex.assert_rank([logits, label], [2, 1])
    return optax.softmax_cross_entropy_with_integer_labels(logits, label)


def build_classifier(recipe: Recipe) -> GenerativeModel:
    """Build the model of labels given pictures.

    Batches have 'x', `[B, H, W, C]` in [0, 1], and 'label', `[B]`. The model has one player, `classifier`, one update
    of the same name, and the methods

        classify: (variables, key, x) -> log p(c | x), `[B, num_classes]`;
        features: (variables, key, x) -> `[B, num_features]`, >= 0;

    neither of which uses its key. `sample` draws labels, int32 `[num_samples]`, for the pictures given as condition.
    """
    network = Network(recipe.channels, recipe.num_features, recipe.num_classes, recipe.dropout)

    def init(key: Array, batch: Batch, **stages: Variables) -> Variables:
        del stages
        return Variables({"classifier": network.init(key, batch["x"], train=False)["params"]})

    def apply(variables: Variables, x: Array) -> tuple[Array, Array]:
        chex.assert_shape(x, (None, *recipe.shape))
        return network.apply({"params": variables.params["classifier"]}, x, train=False)

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        params = {"params": variables.params["classifier"]}
        _, logits = network.apply(params, batch["x"], train=True, rngs={"dropout": key})
        nats = jnp.mean(cross_entropy(logits, batch["label"]))
        correct = jnp.argmax(logits, axis=-1) == batch["label"]
        return nats, Aux(variables.state, {"accuracy": jnp.mean(correct, dtype=jnp.float32)})

    def classify(variables: Variables, key: Array, x: Array) -> Array:
        del key
        return jax.nn.log_softmax(apply(variables, x)[1])

    def features(variables: Variables, key: Array, x: Array) -> Array:
        del key
        return apply(variables, x)[0]

    def sample(variables: Variables, key: Array, num_samples: int, *, condition: Any = None, **options: Any) -> Array:
        if options:
            raise TypeError(f"a classifier has no sampling options, but was given {', '.join(options)}.")
        if condition is None:
            raise ValueError("a classifier models labels of given pictures: give them as `condition`, [N, H, W, C].")
        chex.assert_axis_dimension(condition, 0, num_samples)
        return jax.random.categorical(key, classify(variables, key, condition)).astype(jnp.int32)

    return GenerativeModel(
        init=init,
        updates=(Update("classifier", ("classifier",), loss),),
        sample=sample,
        methods={"classify": classify, "features": features},
    )


def classifier_optimizers(recipe: Recipe) -> Mapping[str, optax.GradientTransformation]:
    """Return the optimizer of the one update: AdamW under a warm-up and a cosine."""
    warmup = max(1, recipe.steps // 20)
    rate = optax.warmup_cosine_decay_schedule(0.0, recipe.learning_rate, warmup, max(recipe.steps, warmup + 1))
    return {"classifier": optax.adamw(rate, weight_decay=1e-2)}


def classifier_transform(recipe: Recipe) -> Callable[[Array, Batch], Batch]:
    """Return (key, batch as stored) -> batch in [0, 1], each picture moved at random, zeros coming in."""

    def transform(key: Array, batch: Batch) -> Batch:
        x = batch["x"].astype(jnp.float32) / (recipe.levels - 1)
        return {"x": random_shift(key, x, recipe.max_shift), "label": batch["label"]}

    return transform


def random_shift(key: Array, x: Array, max_shift: int) -> Array:
    """Move each picture by up to `max_shift` pixels along either axis; what comes in is zero.

    Args:
        key: random key.
        x: [B, H, W, C].
        max_shift: 0 leaves all as they are (static).

    Returns:
        [B, H, W, C].
    """
    chex.assert_rank(x, 4)
    padded = jnp.pad(x, ((0, 0), (max_shift, max_shift), (max_shift, max_shift), (0, 0)))
    starts = jax.random.randint(key, (x.shape[0], 2), 0, 2 * max_shift + 1)
    cut = lambda picture, start: jax.lax.dynamic_slice(picture, (start[0], start[1], 0), x.shape[1:])
    return jax.vmap(cut)(padded, starts)
