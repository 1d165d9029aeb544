"""Denoising in continuous time: the model under NCSN, score SDEs, EDM and their guided and conditional forms.

Along a Gaussian path x_t = alpha x_0 + sigma eps a network learns to tell noise from data,

    loss = E_{t, x_0, eps}  w(t) |eps - eps^(x_t, t)|^2                                                   (1)

which is denoising score matching (Vincent 2011): sigma score^ = -eps^, so that (1) is w sigma^2 |score - score^|^2 up to
a constant, and EDM's, v's and x_0's losses are (1) with other weights. What a paper chooses is the path, the
distribution of t, the prediction, the weight and the sampler; all of them are arguments here.

The network sees c_in x_t, of unit variance, and the noise level ln(sigma / alpha) / 4 times a scale: not t, but what t
means. A network trained on one path so serves any other (`on_path`).

With a probability-flow ODE a model has a likelihood: of stored integers a bound, by dequantization.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array, Aux, Batch, GenerativeModel, LogProb, PyTree, Update, Variables
from genjax.data_path import DataPath
from genjax.diffusion.guidance import ConditionalDenoiser, classifier_free
from genjax.diffusion.probability_flow import ode_log_prob
from genjax.diffusion.sampler import Sampler, Trajectory, draw, draw_trajectory
from genjax.distributions import per_example
from genjax.processes import (
    EPS,
    Denoiser,
    Path,
    Point,
    Prediction,
    forward,
    input_scale,
    like,
    noise_label,
    point_at,
    probability_flow,
    simple_weight,
)
from genjax.solvers import HEUN, Tableau, Trace, rademacher_trace

PLAYER = "denoiser"
Guide = Callable[[ConditionalDenoiser, PyTree, PyTree, Array], Denoiser]  # (denoise, condition, nothing, number)


class Given(NamedTuple):
    """What a model is conditional on.

    train: (key, batch) -> condition of a training step; drops and augments as it likes.
    of_batch: batch -> condition to score the batch under.
    nothing: condition -> what stands for none of it, for classifier-free guidance.
    """

    train: Callable[[Array, Batch], PyTree]
    of_batch: Callable[[Batch], PyTree]
    nothing: Callable[[PyTree], PyTree]


class FlowLikelihood(NamedTuple):
    """How the probability-flow ODE is solved for a likelihood.

    times: [N + 1], from data (sigma > 0) to noise.
    trace: an estimate, or `solvers.exact_trace()`.
    tableau: the scheme.
    """

    times: np.ndarray
    trace: Trace = rademacher_trace()
    tableau: Tableau = HEUN


def labels(num_classes: int, *, dropout: float = 0.0) -> Given:
    """Return the condition batch['label'], hidden as class `num_classes` with probability `dropout`, each on its own."""

    def train(key: Array, batch: Batch) -> Array:
        label = batch["label"]
        return jnp.where(jax.random.bernoulli(key, dropout, label.shape), num_classes, label)

    return Given(train, lambda batch: batch["label"], lambda label: jnp.full_like(label, num_classes))


def denoising_loss(
    output: Array,
    x0: Array,
    eps: Array,
    point: Point,
    *,
    prediction: Prediction = EPS,
    weight: Callable[[Point], Array] = simple_weight,
) -> Array:
    """Return w |eps - eps^|^2 of a network that predicts in any form.

    A prediction's eps is linear in (prediction, x_t), so the error of eps is the eps of the prediction's error at
    x_t = 0: no x_t is subtracted from itself.

    Args:
        output: the network's prediction, [B, ...].
        x0: data, [B, ...].
        eps: the noise in x_t, [B, ...].
        point: the path at the examples' times, [B].
        prediction: the form of `output`.
        weight: point -> w [B], of the error of eps.

    Returns:
        [B].

    Raises:
        ValueError: shapes differ, or have no axis of examples.
    """
    if not output.shape == x0.shape == eps.shape or output.ndim < 1:
        raise ValueError(f"output {output.shape}, x_0 {x0.shape} and noise {eps.shape} must have one shape [B, ...].")
    error = prediction.to_eps(prediction.target(x0, eps, point) - output, jnp.zeros_like(x0), point)
    return weight(point) * per_example(error**2)


def on_path(denoise: Denoiser, path: Path) -> Denoiser:
    """Return the denoiser on `path` of one whose alpha is 1 and whose time is sigma: x0(x / alpha, sigma / alpha)."""

    def moved(x: Array, t: Array) -> Array:
        point = point_at(path, t)
        return denoise(x / like(point.alpha, x), point.sigma / point.alpha)

    return moved


def denoising_model(
    network: nn.Module,
    *,
    shape: tuple[int, ...],
    data_path: DataPath,
    path: Path,
    times: Callable[[Array, tuple[int, ...]], Array],
    sampler_of: Callable[[Denoiser], Sampler],
    prediction: Prediction = EPS,
    weight: Callable[[Point], Array] = simple_weight,
    data_std: float = 1.0,
    label_scale: float = 100.0,
    constrain: Callable[[Array], Array] = lambda x0: x0,
    given: Given | None = None,
    guide: Guide = lambda denoise, condition, nothing, w: classifier_free(denoise, condition, nothing, weight=w),
    likelihood: FlowLikelihood | None = None,
) -> GenerativeModel:
    """Build a denoising model in continuous time.

    Args:
        network: (x [B, ...], level [B], condition, *, train) -> prediction [B, ...], float32. Parameters alone, and
            dropout under `train` (key 'dropout').
        shape: of one example.
        data_path: from stored data to reals, and back.
        path: the forward process.
        times: (key, [B]) -> t [B] of a training step.
        sampler_of: denoiser -> the sampler that `sample` and `trajectory` run.
        prediction: what the network predicts.
        weight: of the error of eps; its mean over t is the loss.
        data_std: s of c_in = 1 / sqrt(sigma^2 + (alpha s)^2).
        label_scale: of the noise level that the network is told, ln(sigma / alpha) / 4.
        constrain: applied to estimates of x_0 in sampling, after guidance; not in the likelihood, which it would bend.
        given: what the model is conditional on; None: nothing.
        guide: (denoise, condition, nothing, number) -> guided denoiser, for `guidance` in sampling.
        likelihood: how its ODE is solved; None: no likelihood.

    Returns:
        A model with one player 'denoiser' and one update 'denoise', metric mse (of eps, an entry, unweighted).
        `sample(..., condition, guidance)`: guidance, a number, is what `guide` takes; None: the conditional model.
        `log_prob` is of the data path's kind with an exact trace, and else an estimate. Its init takes the Variables of
        a stage 'diffusion', whose parameters it then starts from. Methods, each (variables, key, ...):

        denoise(x_t, t, *, condition) -> [B, ...]              the estimate of x_0
        denoise_at(x_t, point, *, condition) -> [B, ...]       the same at a point of any path, where eps, x_0 or the
                                                               preconditioned F is predicted, which know no scale
        forward(x, t) -> [B, ...]                              x_t of stored x
        point(t) -> Point                                      the path at t
        trajectory(num, *, frames, condition) -> Trajectory    what `sample` draws, and the way there, reals
        denoising_error(x, t) -> [B]                           the mean square error of eps at t, an entry

    Raises:
        ValueError: from `init`, where data or network do not have the shape; from `sample`, for a condition that is
            missing or not wanted.
    """
    point_of = lambda t: point_at(path, t)

    def predict(params: PyTree, x_t: Array, point: Point, condition: PyTree, **options: Any) -> Array:
        scaled = x_t * like(input_scale(point, data_std=data_std), x_t)
        level = label_scale * noise_label(point)
        return network.apply({"params": params[PLAYER]}, scaled, level, condition, **options).astype(jnp.float32)

    def denoise_at(variables: Variables, x_t: Array, point: Point, condition: PyTree) -> Array:
        point = jax.tree.map(lambda of: jnp.broadcast_to(of, x_t.shape[:1]), point)
        return prediction.to_x0(predict(variables.params, x_t, point, condition, train=False), x_t, point)

    def denoise_given(variables: Variables, x_t: Array, t: Array, condition: PyTree) -> Array:
        return denoise_at(variables, x_t, point_of(t), condition)

    def denoiser_of(variables: Variables, condition: PyTree, guidance: Array | float | None = None) -> Denoiser:
        conditional = lambda x_t, t, condition: denoise_given(variables, x_t, t, condition)
        if guidance is None:
            return lambda x_t, t: conditional(x_t, t, condition)
        return guide(conditional, condition, given.nothing(condition), jnp.asarray(guidance, jnp.float32))

    def init(key: Array, batch: Batch, *, diffusion: Variables | None = None) -> Variables:
        x0, _ = data_path.to_model(key, batch["x"])
        condition = None if given is None else given.train(key, batch)
        output, variables = network.init_with_output(key, x0, jnp.zeros(x0.shape[:1]), condition, train=False)
        _require_fit(x0.shape, output.shape, shape, variables)
        return Variables({PLAYER: variables["params"]} if diffusion is None else dict(diffusion.params))

    def noised(variables: Variables, keys: Array, x: Array, t: Array, condition: PyTree, **options: Any) -> tuple:
        x0, _ = data_path.to_model(keys[0], x)
        point = point_of(t)
        x_t, eps = forward(keys[1], x0, point)
        return predict(variables.params, x_t, point, condition, **options), x0, eps, point

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        time_key, given_key, dropout_key, *keys = jax.random.split(key, 5)
        t = times(time_key, batch["x"].shape[:1])
        condition = None if given is None else given.train(given_key, batch)
        found = noised(variables, keys, batch["x"], t, condition, train=True, rngs={"dropout": dropout_key})
        size = math.prod(shape)
        mse = jnp.mean(denoising_loss(*found, prediction=prediction)) / size
        value = jnp.mean(denoising_loss(*found, prediction=prediction, weight=weight)) / size
        return value, Aux(variables.state, {"mse": mse})

    def sampler(variables: Variables, condition: PyTree, guidance: Array | float | None) -> Sampler:
        _require_condition(given, condition)
        denoise = denoiser_of(variables, condition, guidance)
        return sampler_of(lambda x, t: constrain(denoise(x, t)))

    def sample(
        variables: Variables,
        key: Array,
        num_samples: int,
        *,
        condition: PyTree = None,
        guidance: Array | float | None = None,
    ) -> Array:
        return data_path.from_model(draw(sampler(variables, condition, guidance), key, (num_samples, *shape)))

    def trajectory(
        variables: Variables, key: Array, num: int, *, frames: int, condition: PyTree = None
    ) -> Trajectory:
        return draw_trajectory(sampler(variables, condition, None), key, (num, *shape), frames=frames)

    def log_prob(variables: Variables, key: Array, batch: Batch) -> Array:
        path_key, probe_key = jax.random.split(key)
        x, log_det = data_path.to_model(path_key, batch["x"])
        denoise = denoiser_of(variables, None if given is None else given.of_batch(batch))
        end = point_of(jnp.float32(likelihood.times[-1]))
        nats = ode_log_prob(
            probe_key,
            probability_flow(denoise, path),
            x,
            likelihood.times,
            trace=likelihood.trace,
            tableau=likelihood.tableau,
            end_std=jnp.sqrt(end.sigma**2 + (end.alpha * data_std) ** 2),
        )
        return nats + log_det

    def denoising_error(variables: Variables, key: Array, x: Array, t: Array, *, condition: PyTree = None) -> Array:
        found = noised(variables, jax.random.split(key), x, t, condition, train=False)
        return denoising_loss(*found, prediction=prediction) / math.prod(shape)

    kind = data_path.kind if likelihood is not None and likelihood.trace.exact else "estimate"
    return GenerativeModel(
        init=init,
        updates=(Update("denoise", (PLAYER,), loss),),
        sample=sample,
        log_prob=None if likelihood is None else LogProb(log_prob, kind),
        methods={
            "denoise": lambda variables, key, x_t, t, *, condition=None: denoise_given(variables, x_t, t, condition),
            "denoise_at": lambda variables, key, x_t, point, *, condition=None: denoise_at(
                variables, x_t, point, condition
            ),
            "forward": lambda variables, key, x, t: forward(key, data_path.to_model(key, x)[0], point_of(t))[0],
            "point": lambda variables, key, t: point_of(t),
            "trajectory": trajectory,
            "denoising_error": denoising_error,
        },
    )


def _require_fit(x_shape: tuple[int, ...], output_shape: tuple[int, ...], shape: tuple[int, ...], variables: PyTree):
    if x_shape[1:] != tuple(shape):
        raise ValueError(f"the data have shape {x_shape[1:]} an example; the model was built for {tuple(shape)}.")
    if output_shape != x_shape:
        raise ValueError(f"the network returned shape {output_shape} for x of shape {x_shape}; they must be equal.")
    others = sorted(set(variables) - {"params"})
    if others:
        raise ValueError(f"the network keeps collections {others}; a diffusion model's may have parameters alone.")


def _require_condition(given: Given | None, condition: PyTree) -> None:
    if (given is None) != (condition is None):
        wanted = "unconditional: sample takes no condition" if given is None else "conditional: give a condition"
        raise ValueError(f"this diffusion model is {wanted}.")
