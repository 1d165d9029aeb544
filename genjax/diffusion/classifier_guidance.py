"""Classifier guidance (Dhariwal & Nichol 2021, arXiv:2105.05233): an unconditional model led by a classifier of noise.

A classifier learns p(y | x_t) of noisy pictures at every noise level,

    L = E_t -log p(y | x_t, t)

and its gradient is added to the score of a diffusion model that knows no classes,

    score(x_t) + s grad log p(y | x_t)  =  the score of p(x_t) p(y | x_t)^s / Z                    eq. 10, 14

s = 1 is the conditional model where both are right; larger s sharpens the classes and costs variety. The diffusion
model is a stage of its own and stays frozen in the state. Samplers that take the gradient in eps (algorithm 2) or
shift the mean of a step (algorithm 1) are in `genjax.diffusion.guidance`.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables
from genjax.data_path import DataPath
from genjax.diffusion.guidance import LogClassifier
from genjax.diffusion.sampler import Sampler, draw
from genjax.nn import Conv, Downsample, GroupNorm, ResidualBlock, TimeEmbedding
from genjax.processes import Denoiser, Path, Point, coefficients, forward, input_scale, like, noise_label, point_at


class NoisyClassifier(nn.Module):
    """The down half of a diffusion U-Net, its last map averaged over pixels: pictures and their noise level -> logits.

    num_classes: of the output.
    channels: of each level, finest first.
    blocks: residual blocks a level.
    groups: of the normalizations; divides all channels.
    dropout: rate inside blocks.
    dtype: compute dtype; the output is float32.
    """

    num_classes: int
    channels: tuple[int, ...] = (32, 64)
    blocks: int = 1
    groups: int = 8
    dropout: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, level: Array, *, train: bool = False) -> Array:
        """Map x [B, H, W, C] at levels [B] to logits [B, num_classes]."""
        embedding = TimeEmbedding(self.channels[0], dtype=self.dtype, name="level")(level)
        h = Conv(self.channels[0], padding=1, dtype=self.dtype, name="conv_in")(x)
        for i, channels in enumerate(self.channels):
            if i > 0:
                h = Downsample(self.dtype, name=f"downsample_{i}")(h)
            for j in range(self.blocks):
                block = ResidualBlock(channels, self.groups, self.dropout, self.dtype, name=f"block_{i}_{j}")
                h = block(h, embedding, train=train)
        h = nn.silu(GroupNorm(self.groups, dtype=self.dtype, name="norm_out")(h))
        return nn.Dense(self.num_classes, dtype=self.dtype, name="out")(h.mean(axis=(1, 2))).astype(jnp.float32)


def classification_loss(logits: Array, label: Array) -> Array:
    """Return -log p(label).

    Args:
        logits: [B, K].
        label: integers 0 ... K - 1, [B].

    Returns:
        [B], nats.

    Raises:
        ValueError: other shapes.
    """
    if logits.ndim != 2 or label.shape != logits.shape[:1]:
        raise ValueError(f"logits have shape {logits.shape} and labels {label.shape}; they must be [B, K] and [B].")
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), label[:, None], axis=1)[:, 0]


def step_variances(point_of: Callable[[Array], Point], times: np.ndarray) -> np.ndarray:
    """Return the variance of q(x_s | x_t, x_0) of each step of a grid, the noise of `ddim` with eta = 1, [N].

    Reference: Song et al. 2021 (DDIM), eq. 16; for `mean_shifted`.
    """
    alpha, sigma = coefficients(point_of, times)
    fresh = sigma[:-1] ** 2 - (alpha[:-1] / alpha[1:] * sigma[1:]) ** 2
    return (sigma[1:] / sigma[:-1]) ** 2 * np.maximum(fresh, 0.0)


def classifier_guidance(
    classifier: nn.Module,
    diffusion: GenerativeModel,
    path: Path,
    *,
    shape: tuple[int, ...],
    data_path: DataPath,
    times: Callable[[Array, tuple[int, ...]], Array],
    sampler_of: Callable[[Denoiser, LogClassifier, Array], Sampler],
    scale: float = 1.0,
    data_std: float = 1.0,
    label_scale: float = 100.0,
) -> GenerativeModel:
    """Build the classifier of noisy data that guides a diffusion model.

    Args:
        classifier: (x [B, ...], level [B], *, train) -> logits [B, K], float32. Parameters alone, and dropout under
            `train` (key 'dropout').
        diffusion: the stage, an unconditional `denoising_model`; any path's, see its method `denoise_at`.
        path: on which the classifier is trained and samples are drawn.
        shape: of one example.
        data_path: from stored data to reals, and back.
        times: (key, [B]) -> t [B] of a training step.
        sampler_of: (denoise, log_classifier, s) -> the guided sampler.
        scale: s, unless `sample` is given another.
        data_std: as in `denoising_model`, of the classifier's input.
        label_scale: as in `denoising_model`.

    Returns:
        A model with one player 'classifier' and one update 'classify', metric accuracy (under noise). Its init takes the
        Variables of the stage as `diffusion`; without them the stage starts untrained, which serves tests alone.
        `sample(..., condition, scale)`: labels [num_samples], and s. Methods, each (variables, key, ...):

        classify(x_t, t) -> [B, K]                log p(y | x_t)
        accuracy(x, label, t) -> [B]              whether a noisy x at time t [B] is told right, 0 or 1
    """

    def logits_of(params: PyTree, x_t: Array, point: Point, **options: Any) -> Array:
        scaled = x_t * like(input_scale(point, data_std=data_std), x_t)
        level = jnp.broadcast_to(label_scale * noise_label(point), x_t.shape[:1])
        return classifier.apply({"params": params["classifier"]}, scaled, level, **options)

    def init(key: Array, batch: Batch, *, diffusion_stage: Variables | None = None) -> Variables:
        own_key, stage_key = jax.random.split(key)
        x0, _ = data_path.to_model(key, batch["x"])
        if x0.shape[1:] != tuple(shape):
            raise ValueError(f"the data have shape {x0.shape[1:]} an example; the model was built for {tuple(shape)}.")
        params = classifier.init(own_key, x0, jnp.zeros(x0.shape[:1]), train=False)["params"]
        stage = diffusion.init(stage_key, batch) if diffusion_stage is None else diffusion_stage
        return Variables({"classifier": params}, {"diffusion": stage})

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        path_key, time_key, noise_key, dropout_key = jax.random.split(key, 4)
        x0, _ = data_path.to_model(path_key, batch["x"])
        point = point_at(path, times(time_key, x0.shape[:1]))
        x_t, _ = forward(noise_key, x0, point)
        logits = logits_of(variables.params, x_t, point, train=True, rngs={"dropout": dropout_key})
        right = jnp.mean(jnp.argmax(logits, axis=1) == batch["label"], dtype=jnp.float32)
        return jnp.mean(classification_loss(logits, batch["label"])), Aux(variables.state, {"accuracy": right})

    def sample(
        variables: Variables,
        key: Array,
        num_samples: int,
        *,
        condition: PyTree = None,
        scale: Array | float = scale,
    ) -> Array:
        if condition is None:
            raise ValueError("guidance by a classifier leads to a class: give labels [num_samples] as the condition.")
        stage = variables.state["diffusion"]
        denoise = lambda x, t: diffusion.methods["denoise_at"](stage, key, x, point_at(path, t))

        def log_classifier(x: Array, t: Array) -> Array:
            return -classification_loss(logits_of(variables.params, x, point_at(path, t), train=False), condition)

        sampler = sampler_of(denoise, log_classifier, jnp.asarray(scale, jnp.float32))
        return data_path.from_model(draw(sampler, key, (num_samples, *shape)))

    def classify(variables: Variables, key: Array, x_t: Array, t: Array) -> Array:
        del key
        return jax.nn.log_softmax(logits_of(variables.params, x_t, point_at(path, t), train=False))

    def accuracy(variables: Variables, key: Array, x: Array, label: Array, t: Array) -> Array:
        path_key, noise_key = jax.random.split(key)
        x_t, _ = forward(noise_key, data_path.to_model(path_key, x)[0], point_at(path, t))
        return (jnp.argmax(classify(variables, key, x_t, t), axis=1) == label).astype(jnp.float32)

    return GenerativeModel(
        init=lambda key, batch, *, diffusion=None: init(key, batch, diffusion_stage=diffusion),
        updates=(Update("classify", ("classifier",), loss),),
        sample=sample,
        methods={"classify": classify, "accuracy": accuracy},
    )
