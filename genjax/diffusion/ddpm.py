"""Denoising diffusion probabilistic models (Ho, Jain & Abbeel 2020, arXiv:2006.11239).

A fixed forward process turns data into noise in T steps (`genjax.processes.schedules`); a network learns to undo it.
From x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps it predicts eps (or x_0, or v), and is trained by

    L_simple = E_{t ~ U{1..T}, x_0, eps} || eps - eps_theta(x_t, t) ||^2                              eq. 14

which is the variational bound (`genjax.diffusion.bound`) with other weights of its terms. Samples are drawn by the
reverse process (`genjax.diffusion.ancestral`). The data are stored integers, scaled to [-1, 1] inside the model; so
are the samples, and the bound is on the log-probability of the integers themselves.

The network counts steps from 0, as the authors' code does: it is given t - 1.
"""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array, Aux, Batch, GenerativeModel, LogProb, PyTree, Update, Variables
from genjax.diffusion.ancestral import ancestral
from genjax.diffusion.bound import BoundTerms, bound_terms, total_bound
from genjax.diffusion.sampler import Sampler, Trajectory, draw, draw_trajectory
from genjax.distributions import per_example
from genjax.pixels import from_symmetric, to_symmetric
from genjax.processes import (
    EPS,
    Denoiser,
    Prediction,
    Schedule,
    clip_symmetric,
    denoiser,
    forward,
    marginal,
    num_steps,
    upper_variance,
)


def simple_loss(output: Array, target: Array) -> Array:
    """Return || target - output ||^2, summed over each example's entries.

    Args:
        output: what the network predicts, [B, ...].
        target: what it should have, of the same shape.

    Returns:
        [B].

    Raises:
        ValueError: the shapes differ, or have no axis of examples.

    Reference: Ho et al. 2020, eq. 14.
    """
    if output.shape != target.shape:
        raise ValueError(f"output of shape {output.shape} and target of shape {target.shape} differ.")
    if output.ndim == 0:
        raise ValueError("output and target have shape (), without an axis of examples; they must be [B, ...].")
    return per_example((target - output) ** 2)


def simple_loss_per_dim(output: Array, target: Array) -> Array:
    """Return `simple_loss` divided by the number of entries of an example, [B]; 1 for eps and output 0, on average."""
    return simple_loss(output, target) / math.prod(output.shape[1:])


def ddpm(
    network: nn.Module,
    schedule: Schedule,
    *,
    shape: tuple[int, ...],
    levels: int,
    prediction: Prediction = EPS,
    variance: Callable[[Schedule], np.ndarray] = upper_variance,
    constrain: Callable[[Array], Array] = clip_symmetric,
    condition_of: Callable[[Batch], PyTree] | None = None,
    sampler_of: Callable[[Denoiser], Sampler] | None = None,
) -> GenerativeModel:
    """Build a denoising diffusion model of integer data.

    Args:
        network: (x [B, ...], t [B], condition, *, train) -> prediction [B, ...], float32; t counts from 0. Parameters
            alone, and dropout under `train` (key 'dropout').
        schedule: the forward process.
        shape: of one example.
        levels: an entry of x is one of 0 ... levels - 1.
        prediction: what the network predicts: `processes.EPS`, `X0` or `V`.
        variance: sigma_t^2 of the reverse process: `upper_variance` (beta_t) or `lower_variance` (btilde_t).
        constrain: applied to every estimate of x_0, in sampling and in the bound; `clip_symmetric` is the authors'.
        condition_of: batch -> what the network is conditioned on, e.g. `lambda batch: batch['label']`; `sample` then
            needs a condition. None: an unconditional model.
        sampler_of: denoiser -> the sampler that `sample` and `trajectory` run, e.g. `lambda denoise: ddim(denoise,
            lambda t: marginal(schedule, t), sub_sequence(1000, 50))`. None: `ancestral`, with `variance`.

    Returns:
        A model with one player 'denoiser' and one update 'denoise', metric mse (per entry). `sample` draws integers as
        stored. `log_prob` is minus the bound, at one x_t a term. Methods, each (variables, key, ...):

        predict(x_t, t, *, condition) -> [B, ...]              the network's output at steps t [B] in 1 ... T
        denoise(x_t, t, *, condition) -> [B, ...]              the estimate of x_0, in [-1, 1]
        forward(x, t) -> [B, ...]                              x_t ~ q(x_t | x_0) of stored x
        bound_terms(batch) -> BoundTerms                       nats per example
        trajectory(num, *, frames, condition) -> Trajectory    what `sample` draws, and the way there, in [-1, 1]

    Raises:
        ValueError: from `init`, where data or network do not have the shape; from `sample`, for a condition that is
            missing or not wanted.
    """
    sigma_squared = variance(schedule)
    sampler_of = sampler_of or (lambda denoise: ancestral(denoise, schedule, sigma_squared))

    def predict(params: PyTree, x_t: Array, t: Array, condition: PyTree, **options) -> Array:
        output = network.apply({"params": params["denoiser"]}, x_t, t - 1, condition, **options)
        return output.astype(jnp.float32)

    def denoiser_of(variables: Variables, condition: PyTree) -> Denoiser:
        bound_network = lambda x_t, t: predict(variables.params, x_t, t, condition, train=False)
        return denoiser(bound_network, prediction, lambda t: marginal(schedule, t), constrain=constrain)

    def conditions(batch: Batch) -> PyTree:
        return None if condition_of is None else condition_of(batch)

    def init(key: Array, batch: Batch) -> Variables:
        x0, t = to_symmetric(batch["x"], levels), jnp.zeros(batch["x"].shape[:1], jnp.int32)
        output, variables = network.init_with_output(key, x0, t, conditions(batch), train=False)
        _require_fit(batch["x"].shape, output.shape, shape, variables)
        return Variables(params={"denoiser": variables["params"]})

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        time_key, noise_key, dropout_key = jax.random.split(key, 3)
        x0 = to_symmetric(batch["x"], levels)
        t = jax.random.randint(time_key, x0.shape[:1], 1, num_steps(schedule) + 1)
        point = marginal(schedule, t)
        x_t, eps = forward(noise_key, x0, point)
        output = predict(variables.params, x_t, t, conditions(batch), train=True, rngs={"dropout": dropout_key})
        mse = jnp.mean(simple_loss_per_dim(output, prediction.target(x0, eps, point)))
        return mse, Aux(state=variables.state, metrics={"mse": mse})

    def sample(variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None) -> Array:
        _require_condition(condition_of, condition)
        x0 = draw(sampler_of(denoiser_of(variables, condition)), key, (num_samples, *shape))
        return from_symmetric(x0, levels)

    def terms(variables: Variables, key: Array, batch: Batch) -> BoundTerms:
        denoise = denoiser_of(variables, conditions(batch))
        return bound_terms(key, batch["x"], denoise, schedule, sigma_squared, levels=levels)

    def log_prob(variables: Variables, key: Array, batch: Batch) -> Array:
        return -total_bound(terms(variables, key, batch))

    def trajectory(
        variables: Variables, key: Array, num: int, *, frames: int, condition: PyTree = None
    ) -> Trajectory:
        _require_condition(condition_of, condition)
        return draw_trajectory(sampler_of(denoiser_of(variables, condition)), key, (num, *shape), frames=frames)

    return GenerativeModel(
        init=init,
        updates=(Update("denoise", ("denoiser",), loss),),
        sample=sample,
        log_prob=LogProb(log_prob, "lower_bound"),
        methods={
            "predict": lambda variables, key, x_t, t, *, condition=None: predict(
                variables.params, x_t, t, condition, train=False
            ),
            "denoise": lambda variables, key, x_t, t, *, condition=None: denoiser_of(variables, condition)(x_t, t),
            "forward": lambda variables, key, x, t: forward(key, to_symmetric(x, levels), marginal(schedule, t))[0],
            "bound_terms": terms,
            "trajectory": trajectory,
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


def _require_condition(condition_of: Callable | None, condition: PyTree) -> None:
    if (condition_of is None) != (condition is None):
        wanted = "unconditional: sample takes no condition" if condition_of is None else "conditional: give a condition"
        raise ValueError(f"this diffusion model is {wanted}.")
