"""What configs of autoencoders with discrete codes share: a PixelCNN over codes, and measures of code and picture."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments import evaluations
from genjax import evaluation as metrics
from genjax.autoregressive.categorical import softmax_head
from genjax.autoregressive.gated_pixelcnn import GatedLayer
from genjax.autoregressive.pixelcnn import Readout
from genjax.autoregressive.raster import raster_model
from genjax.autoregressive.spatial_condition import encode_condition
from genjax.contract import Array, GenerativeModel, PyTree
from genjax.evaluation import reconstruction as pictures
from genjax.nn.row_buffer import Place
from genjax.pixels import from_symmetric
from genjax.training.system import EvalContext


class CodePixelCNN(nn.Module):
    """A Gated PixelCNN whose first layer sees vectors of codes instead of levels of grey: codes have no order.

    num_codes: K.
    features: of the layers and of the vectors.
    layers: the first included.
    first_kernel: side of the first kernel.
    num_classes: classes to condition on; 0 for none or for a map.
    dropout: in all layers but the first.
    dtype: compute dtype; parameters and outputs are float32.
    """

    num_codes: int
    features: int
    layers: int
    first_kernel: int = 5
    num_classes: int = 0
    dropout: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(
        self, s: Array, condition: PyTree = None, *, at: Place | None = None, train: bool = False
    ) -> Array | None:
        """Map codes, as the frame of raster models scales them, [B, h, w, 1], to logits; see `raster`."""
        told = encode_condition(condition, self.num_classes, s.shape)
        codes = from_symmetric(s, self.num_codes)[..., 0].astype(jnp.int32)
        vectors = nn.Embed(self.num_codes, self.features, name="codes")(codes)
        settings = (self.dropout, not train, s.shape[1:3], self.dtype)
        first = GatedLayer(self.features, 1, self.first_kernel, True, *settings, name="first")
        stacks, _ = first((vectors, vectors), told, at)
        rest = nn.scan(
            GatedLayer,
            variable_axes={"params": 0, "cache": 0},
            split_rngs={"params": True, "dropout": True},
            in_axes=nn.broadcast,
            length=self.layers - 1,
        )
        (_, u), _ = rest(self.features, 1, 3, False, *settings, name="layers")(stacks, told, at)
        if u is None:
            return None
        return Readout(2 * self.features, self.num_codes, 1, self.dtype, name="readout")(u, at)


def pixelcnn_prior(
    settings: ConfigDict, dtype: Any, *, grid: tuple[int, int], num_codes: int, num_classes: int, conditional: bool
) -> GenerativeModel:
    """Return a `CodePixelCNN` as a model of code grids.

    Args:
        settings: features, layers, dropout.
        dtype: compute dtype.
        grid: (h, w).
        num_codes: K.
        num_classes: above 0, of the condition; 0 where the condition is a map, or none.
        conditional: whether batches have a condition.
    """
    network = CodePixelCNN(
        num_codes,
        features=settings.features,
        layers=settings.layers,
        first_kernel=settings.first_kernel,
        num_classes=num_classes,
        dropout=settings.dropout,
        dtype=dtype,
    )
    condition_of = (lambda batch: batch["condition"]) if conditional else None
    return raster_model(
        network,
        softmax_head(num_codes, 1),
        player="pixelcnn",
        shape=(*grid, 1),
        levels=num_codes,
        condition_of=condition_of,
    )


def map_of_codes(coarse: Array, grid: tuple[int, int], num_codes: int, labels: Array | None, num_classes: int) -> Array:
    """Return what a finer grid is told at each place: the coarse code above it and the class, both one-hot.

    Args:
        coarse: int32 [B, h, w].
        grid: (H, W), multiples of h and w.
        num_codes: K of the coarse grid.
        labels: int32 [B], or None.
        num_classes: of labels.

    Returns:
        float32 [B, H, W, K + num_classes].
    """
    factor = grid[0] // coarse.shape[1], grid[1] // coarse.shape[2]
    doubled = jnp.repeat(jnp.repeat(coarse, factor[0], axis=1), factor[1], axis=2)
    told = jax.nn.one_hot(doubled, num_codes)
    if labels is None:
        return told
    label = jax.nn.one_hot(labels, num_classes)[:, None, None, :]
    return jnp.concatenate([told, jnp.broadcast_to(label, (*told.shape[:3], num_classes))], axis=-1)


def cosine_adam(config: ConfigDict) -> optax.GradientTransformation:
    """Return AdamW under a warm-up of a twentieth of the run and a cosine."""
    train = config.train
    warmup = train.steps // 20
    rate = optax.warmup_cosine_decay_schedule(0.0, train.learning_rate, warmup, max(train.steps, warmup + 1))
    return optax.adamw(rate, b2=0.99, weight_decay=train.weight_decay)


def code_use(context: EvalContext) -> dict[str, Any]:
    """Return, for each grid, the share of codes that held-out pictures use at all, and their perplexity."""
    codes_of = jax.jit(context.system.model.methods["codes"])
    seen = [codes_of(context.variables, context.key, batch["x"]) for batch in context.test()]
    found = {}
    for index, grids in enumerate(zip(*seen)):
        codes = np.concatenate([np.asarray(grid).reshape(-1) for grid in grids])
        num_codes = int(context.config.model.num_codes)
        share = np.bincount(codes, minlength=num_codes) / codes.size
        used = share[share > 0]
        found[f"codes_used_{index}"] = float(np.mean(share > 0))
        found[f"perplexity_{index}"] = float(np.exp(-np.sum(used * np.log(used))))
    return found | {"num_codes": num_codes}


def reconstruction(context: EvalContext) -> dict[str, Any]:
    """Return PSNR and SSIM (uniform 7 x 7 windows) of reconstructed held-out pictures, and their classifier-FID.

    Returns:
        'psnr' in decibels, 'ssim', 'n'; 'sharpness', the mean squared Laplacian of reconstructions as a share of that
        of the pictures, below 1 where they are blurred; for data with a classifier, named 'features',
        'feature_distance', the mean squared distance of a picture and its reconstruction in the classifier's features,
        'reconstruction_fid', the Frechet distance of both sets there, and 'agreement', the share of pairs that it gives
        one class.
    """
    reconstruct, look = jax.jit(context.system.model.methods["reconstruct"]), context.system.to_picture
    pairs = []
    for index, batch in enumerate(context.test()):
        again = reconstruct(context.variables, jax.random.fold_in(context.key, index), batch["x"])
        pairs.append((np.asarray(look(batch["x"]), np.float32), np.asarray(look(again), np.float32)))
    before, after = (np.concatenate(side) for side in zip(*pairs))
    psnr, ssim = pictures.psnr(before, after), pictures.uniform_ssim(before, after)
    found = {"psnr": float(np.mean(psnr)), "ssim": float(np.mean(ssim)), "n": len(before)}
    detail_before, detail_after = (np.mean(pictures.sharpness(jnp.asarray(side))) for side in (before, after))
    found["sharpness"] = float(detail_after / detail_before)
    if context.config.data.name not in evaluations.RECIPES:
        return found
    classifier = evaluations.classifier_of(context.config.data.name, context.config.data.dir)
    real, made = (metrics.embed(classifier, images) for images in (before, after))
    squared = np.sum((real.features - made.features) ** 2, axis=1)
    found["feature_distance"] = float(np.mean(squared))
    both = (metrics.moments(side.features) for side in (real, made))
    found["reconstruction_fid"] = float(metrics.frechet_distance(*both))
    found["agreement"] = float(np.mean(real.log_probs.argmax(axis=1) == made.log_probs.argmax(axis=1)))
    return found | {"features": classifier.name}


def code_likelihood(context: EvalContext) -> dict[str, Any]:
    """Return nats of held-out codes under the priors, beside those of independent histograms of every place.

    Returns:
        For each grid 'code_nats_<i>' and 'code_histogram_nats_<i>' (fitted on training codes, one count added),
        means per example; the first must be above the second.
    """
    methods, config = context.system.model.methods, context.config
    conditional = config.model.num_classes > 0

    @jax.jit
    def score(variables: PyTree, batch: PyTree) -> tuple[Array, ...]:
        told = batch["label"] if conditional else None
        return methods["code_log_prob"](variables, context.key, batch["x"], condition=told)

    codes_of = jax.jit(methods["codes"])
    nats = [score(context.variables, batch) for batch in context.test()]
    collect = lambda batches: [codes_of(context.variables, context.key, batch["x"]) for batch in batches]
    train, test = collect(context.train()), collect(context.test())
    found = {}
    for index in range(len(test[0])):
        found[f"code_nats_{index}"] = float(np.mean(np.concatenate([np.asarray(part[index]) for part in nats])))
        flat = lambda parts: np.concatenate([np.asarray(p[index]).reshape(len(p[index]), -1) for p in parts])
        found[f"code_histogram_nats_{index}"] = _histogram_nats(flat(train), flat(test))
    return found


def _histogram_nats(train: np.ndarray, test: np.ndarray) -> float:
    num = max(train.max(), test.max()) + 1
    total = 0.0
    for place in range(train.shape[1]):
        counts = np.bincount(train[:, place], minlength=num) + 1.0
        total += np.mean(np.log(counts / counts.sum())[test[:, place]])
    return float(total)


def class_agreement(context: EvalContext) -> dict[str, Any]:
    """Return how many samples the classifier of the data finds in the class they were asked for.

    Returns:
        'agreement' in [0, 1], 'n', 'features'.
    """
    config = context.config
    classifier = evaluations.classifier_of(config.data.name, config.data.dir)
    wanted = np.arange(int(config.eval.num_samples)) % config.model.num_classes
    samples = context.sample(len(wanted), condition=jnp.asarray(wanted, jnp.int32))
    found = metrics.embed(classifier, np.asarray(context.system.to_picture(samples), np.float32))
    agreement = float(np.mean(found.log_probs.argmax(axis=1) == wanted))
    return {"agreement": agreement, "n": len(wanted), "features": classifier.name}


def symmetric_picture(x: Array) -> Array:
    """Map [-1, 1] onto [0, 1]."""
    return jnp.clip(0.5 * (x + 1.0), 0.0, 1.0)


def turns(num_classes: int) -> Callable[[Array, int], Array] | None:
    """Return (key, num) -> classes to sample under, in turns; None for no classes."""
    return (lambda key, num: jnp.arange(num, dtype=jnp.int32) % num_classes) if num_classes else None


def preview_means(model: GenerativeModel, condition: Callable[[Array, int], Any] | None):
    """Return (variables, key, num) -> E[x|codes] of drawn codes, to look at."""

    def preview(variables: PyTree, key: Array, num: int) -> Array:
        told = None if condition is None else condition(key, num)
        return model.methods["sample_mean"](variables, key, num, condition=told)

    return preview


def of_means(model: GenerativeModel) -> GenerativeModel:
    """Return a VAE that draws E[x|z] instead of x and reconstructs at the mean of q(z|x), as models of means do."""
    encode, decode = model.methods["encode"], model.methods["decode"]

    def sample(variables: PyTree, key: Array, num_samples: int, *, condition: PyTree = None) -> Array:
        if condition is not None:
            raise ValueError("this variational autoencoder is unconditional: sample takes no condition.")
        return model.methods["sample_mean"](variables, key, num_samples)

    def reconstruct(variables: PyTree, key: Array, x: Array) -> Array:
        return decode(variables, key, encode(variables, key, x).mean)

    return model._replace(sample=sample, methods={**model.methods, "reconstruct": reconstruct})


def with_untrained_stage(model: GenerativeModel, stage: GenerativeModel, name: str) -> GenerativeModel:
    """Return a second stage that makes its first one itself, untrained: to see that everything runs."""

    def init(key: Array, batch: PyTree) -> PyTree:
        return model.init(key, batch, **{name: stage.init(jax.random.fold_in(key, 7), batch)})

    return model._replace(init=init)
