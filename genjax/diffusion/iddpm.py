"""Improved denoising diffusion (Nichol & Dhariwal 2021, arXiv:2102.09672): learned variances, a better bound.

The network predicts, beside eps, where between btilde_t and beta_t the reverse variance lies
(`genjax.diffusion.learned_variance`), and is trained by

    L_hybrid = L_simple + lambda L_vlb,  lambda = 0.001, no gradient from L_vlb into the mean        eq. 16
    L_vlb    = E_t L_t / p_t, with steps drawn as their terms deserve                                eq. 18

L_simple is per entry and L_vlb, the whole bound, in bits per entry. L_vlb alone is noisy: draw its steps by
`importance_steps`, whose losses seen are the state of the model.

Of a picture with a plain background much of the bound is lost there, in the last steps, to errors of x_0 that are far
smaller than a level. `constrained_bound` trains on the bound as it is reported, of estimates brought back into the
data's range: a black pixel's estimate may then lie anywhere below black. L_simple beside it, which keeps the noisy half
of the steps from being neglected, is of these estimates as well; its gradient passes straight through the constraint
(Bengio et al. 2013, arXiv:1308.3432), so that an estimate beyond the wrong end is called back.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.contract import Array, Aux, Batch, GenerativeModel, LogProb, PyTree, Update, Variables
from genjax.diffusion.bound import BoundTerms, total_bound
from genjax.diffusion.ddpm import simple_loss_per_dim
from genjax.diffusion.learned_variance import Reverse, learned_ancestral, learned_bound_terms, respaced, step_bound
from genjax.diffusion.sampler import Sampler, Trajectory, draw, draw_trajectory
from genjax.diffusion.step_samplers import StepSampler, uniform_steps
from genjax.pixels import from_symmetric, to_symmetric
from genjax.processes import EPS, Prediction, Schedule, clip_symmetric, forward, like, marginal, num_steps


class Objective(NamedTuple):
    """What is minimized.

    combine: (mse [B], bound [B], in bits per entry) -> [B].
    held: applied to the prediction that the bound's mean is made of; `stop_gradient`, or nothing.
    constrained: whether both are of the constrained estimate of x_0: the bound as it is reported, mse = |eps - eps^|^2
        of the eps that goes with that estimate.
    """

    combine: Callable[[Array, Array], Array]
    held: Callable[[Array], Array]
    constrained: bool = False


def hybrid(weight: float = 1e-3) -> Objective:
    """Return L_simple + lambda L_vlb, the bound moving the variances alone."""
    return Objective(lambda mse, bound: mse + weight * bound, jax.lax.stop_gradient)


def whole_bound() -> Objective:
    """Return L_vlb."""
    return Objective(lambda mse, bound: bound, lambda prediction: prediction)


def constrained_bound(error_weight: float = 1.0) -> Objective:
    """Return L_vlb + error_weight L_simple, both of constrained estimates."""
    return Objective(lambda mse, bound: bound + error_weight * mse, lambda prediction: prediction, True)


def iddpm(
    network: nn.Module,
    schedule: Schedule,
    *,
    shape: tuple[int, ...],
    levels: int,
    prediction: Prediction = EPS,
    objective: Objective = hybrid(),
    steps: StepSampler | None = None,
    sample_steps: int | None = None,
    constrain: Callable[[Array], Array] = clip_symmetric,
    condition_of: Callable[[Batch], PyTree] | None = None,
    axis_name: str | None = None,
) -> GenerativeModel:
    """Build an improved diffusion model of integer data.

    Args:
        network: (x [B, ..., C], t [B], condition, *, train) -> [B, ..., 2 C], the prediction and 2 v - 1, float32; t
            counts from 0. Parameters alone, and dropout under `train` (key 'dropout').
        schedule: the forward process.
        shape: of one example.
        levels: an entry of x is one of 0 ... levels - 1.
        prediction: what the first half of the output is.
        objective: `hybrid()`, `whole_bound()` or `constrained_bound()`.
        steps: which steps are trained on; None: all alike.
        sample_steps: how many steps sampling makes; None: T.
        constrain: applied to estimates of x_0, in sampling and in the bound that is reported.
        condition_of: batch -> what the network is conditioned on; None: an unconditional model.
        axis_name: of pmap, over which the losses seen are gathered.

    Returns:
        A model with one player 'denoiser' and one update 'denoise', metrics mse and bound (bits per entry). `sample`
        draws integers as stored. `log_prob` is minus the bound over all T steps. The state is that of `steps`.
        Methods, each (variables, key, ...):

        reverse(x_t, t, *, condition) -> (x0, v)               the network's estimate and its variance's place
        bound_terms(batch) -> BoundTerms                       nats per example
        trajectory(num, *, frames, condition) -> Trajectory    what `sample` draws, and the way there, in [-1, 1]
    """
    total = num_steps(schedule)
    steps = steps or uniform_steps(total)
    bits = math.prod(shape) * math.log(2.0)

    def outputs(params: PyTree, x_t: Array, t: Array, condition: PyTree, **options) -> tuple[Array, Array]:
        output = network.apply({"params": params["denoiser"]}, x_t, t - 1, condition, **options).astype(jnp.float32)
        predicted, place = jnp.split(output, 2, axis=-1)
        return predicted, 0.5 * (place + 1.0)

    def reverse_of(variables: Variables, condition: PyTree) -> Reverse:
        def reverse(x_t: Array, t: Array) -> tuple[Array, Array]:
            t = jnp.broadcast_to(jnp.asarray(t), x_t.shape[:1])
            predicted, v = outputs(variables.params, x_t, t, condition, train=False)
            return constrain(prediction.to_x0(predicted, x_t, marginal(schedule, t))), v

        return reverse

    def conditions(batch: Batch) -> PyTree:
        return None if condition_of is None else condition_of(batch)

    def init(key: Array, batch: Batch) -> Variables:
        x0, t = to_symmetric(batch["x"], levels), jnp.zeros(batch["x"].shape[:1], jnp.int32)
        output, variables = network.init_with_output(key, x0, t, conditions(batch), train=False)
        wanted = (*x0.shape[:-1], 2 * x0.shape[-1])
        if x0.shape[1:] != tuple(shape) or output.shape != wanted or set(variables) != {"params"}:
            raise ValueError(
                f"data of shape {x0.shape} gave an output of {output.shape} and {sorted(variables)}; this model is of "
                f"{tuple(shape)} an example, and its network returns {wanted} and has parameters alone."
            )
        return Variables({"denoiser": variables["params"]}, steps.init())

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        time_key, noise_key, dropout_key = jax.random.split(key, 3)
        x0 = to_symmetric(batch["x"], levels)
        t, weight = steps.draw(time_key, variables.state, x0.shape[0])
        point = marginal(schedule, t)
        x_t, eps = forward(noise_key, x0, point)
        rngs = {"dropout": dropout_key}
        predicted, v = outputs(variables.params, x_t, t, conditions(batch), train=True, rngs=rngs)
        estimate = prediction.to_x0(objective.held(predicted), x_t, point)
        if objective.constrained:
            through = estimate + jax.lax.stop_gradient(constrain(estimate) - estimate)
            mse = simple_loss_per_dim(like(point.alpha / point.sigma, x0) * (x0 - through), jnp.zeros_like(x0))
            estimate = constrain(estimate)
        else:
            mse = simple_loss_per_dim(predicted, prediction.target(x0, eps, point))
        bound = total * step_bound(x0, estimate, v, t, schedule, levels=levels) / bits
        seen = t, jax.lax.stop_gradient(bound)
        if axis_name is not None:
            seen = tuple(jax.lax.all_gather(values, axis_name, tiled=True) for values in seen)
        metrics = {"mse": jnp.mean(weight * mse), "bound": jnp.mean(weight * bound)}
        value = jnp.mean(weight * objective.combine(mse, bound))
        return value, Aux(steps.record(variables.state, *seen), metrics)

    def sampler(variables: Variables, condition: PyTree) -> Sampler:
        if (condition_of is None) != (condition is None):
            wanted = "unconditional: sample takes no condition" if condition_of is None else "conditional: give one"
            raise ValueError(f"this diffusion model is {wanted}.")
        return learned_ancestral(reverse_of(variables, condition), *respaced(schedule, sample_steps or total))

    def sample(variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None) -> Array:
        return from_symmetric(draw(sampler(variables, condition), key, (num_samples, *shape)), levels)

    def terms(variables: Variables, key: Array, batch: Batch) -> BoundTerms:
        x0, reverse = to_symmetric(batch["x"], levels), reverse_of(variables, conditions(batch))
        return learned_bound_terms(key, x0, reverse, schedule, levels=levels)

    def trajectory(
        variables: Variables, key: Array, num: int, *, frames: int, condition: PyTree = None
    ) -> Trajectory:
        return draw_trajectory(sampler(variables, condition), key, (num, *shape), frames=frames)

    return GenerativeModel(
        init=init,
        updates=(Update("denoise", ("denoiser",), loss),),
        sample=sample,
        log_prob=LogProb(lambda variables, key, batch: -total_bound(terms(variables, key, batch)), "lower_bound"),
        methods={
            "reverse": lambda variables, key, x_t, t, *, condition=None: reverse_of(variables, condition)(x_t, t),
            "bound_terms": terms,
            "trajectory": trajectory,
        },
    )
