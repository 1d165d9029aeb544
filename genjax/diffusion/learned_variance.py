"""The reverse process with a variance that the network chooses (Nichol & Dhariwal 2021, arXiv:2102.09672).

    log sigma^2(x_t, t) = v log beta_t + (1 - v) log btilde_t,    v = (output + 1) / 2                    eq. 15

between what is right for data N(0, I) and for a single point (Ho et al. 2020, section 3.2); v may leave [0, 1]. The
terms of the bound are those of `genjax.diffusion.bound`, one at a time for training:

    L_{t-1} = KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)),  t >= 2;     L_0 = -log p(x_0 | x_1)

A schedule of T steps is walked in fewer (respacing, section 4): the betas of a sub-sequence of its abar, the network
told the steps of the whole.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array, PyTree
from genjax.diffusion.bound import BoundTerms, prior_kl
from genjax.diffusion.decoder import discretized_normal_log_prob
from genjax.diffusion.sampler import Sampler, Step, gaussian_start
from genjax.distributions import normal_kl, per_example
from genjax.processes import (
    Schedule,
    forward,
    like,
    lower_variance,
    marginal,
    num_steps,
    posterior_mean,
    schedule_from_alphas_bar,
    sub_sequence,
)
from genjax.processes.schedules import at

Reverse = Callable[[Array, Array], tuple[Array, Array]]  # (x_t [B, ...], t []) -> estimate of x_0 and v, both [B, ...]


def learned_log_variance(v: Array, schedule: Schedule, t: Array) -> Array:
    """Return v log beta_t + (1 - v) log btilde_t; at t = 1, where btilde is 0, btilde_2 stands for it.

    Args:
        v: [B, ...].
        schedule: the forward process.
        t: integer steps in 1 ... T, [] or [B].

    Returns:
        [B, ...].

    Reference: Nichol & Dhariwal 2021, eq. 15.
    """
    log_of = lambda values: like(jnp.log(at(values, t)), v)
    return v * log_of(schedule.betas) + (1.0 - v) * log_of(lower_variance(schedule))


def step_bound(x0: Array, estimate: Array, v: Array, t: Array, schedule: Schedule, *, levels: int) -> Array:
    """Return L_{t-1}, a step's term of the bound.

    Args:
        x0: data on the grid of `levels` values over [-1, 1], [B, ...].
        estimate: the reverse process's x_0, of the same shape.
        v: where its variance lies, of the same shape.
        t: integer steps in 1 ... T, [] or [B].
        schedule: the forward process.
        levels: how many values an entry of the data may have.

    Returns:
        [B], nats.

    Raises:
        ValueError: shapes differ, or have no axis of examples.
    """
    if not x0.shape == estimate.shape == v.shape or x0.ndim < 1:
        raise ValueError(f"x_0 {x0.shape}, its estimate {estimate.shape} and v {v.shape} must have one shape [B, ...].")
    log_std = 0.5 * learned_log_variance(v, schedule, t)
    posterior = jnp.broadcast_to(0.5 * jnp.log(like(at(lower_variance(schedule), t), x0)), x0.shape)
    factor = like(at(schedule.posterior_x0, t), x0)
    transition = normal_kl(factor * x0, posterior, other_mean=factor * estimate, other_log_std=log_std)
    decoder = -discretized_normal_log_prob(x0, estimate, log_std=log_std, levels=levels)
    return per_example(jnp.where(like(t, x0) == 1, decoder, transition))


def learned_bound_terms(key: Array, x0: Array, reverse: Reverse, schedule: Schedule, *, levels: int) -> BoundTerms:
    """Estimate every term of the bound at one x_t each; T calls of the network, one after the other.

    Args:
        key: draws x_1 ... x_T, each from q(x_t | x_0) on its own.
        x0: as in `step_bound`.
        reverse: (x_t, t) -> estimate of x_0 and v.
        schedule: the forward process.
        levels: how many values an entry of the data may have.
    """

    def term(t: Array) -> Array:
        x_t, _ = forward(jax.random.fold_in(key, t), x0, marginal(schedule, t))
        return step_bound(x0, *reverse(x_t, t), t, schedule, levels=levels)

    terms = jax.lax.map(term, jnp.arange(1, num_steps(schedule) + 1, dtype=jnp.int32))
    return BoundTerms(prior_kl(x0, schedule), terms[1:], terms[0])


def respaced(schedule: Schedule, num: int) -> tuple[Schedule, np.ndarray]:
    """Return the schedule of `num` steps among those of another, and which they are, int32 [num + 1], 0 first.

    Reference: Nichol & Dhariwal 2021, section 4.
    """
    steps = sub_sequence(num_steps(schedule), num)[::-1]
    alphas_bar = np.exp(np.cumsum(np.log1p(-schedule.betas)))
    return schedule_from_alphas_bar(alphas_bar[steps], max_beta=1.0 - 1e-9), steps


def learned_ancestral(reverse: Reverse, schedule: Schedule, steps: np.ndarray) -> Sampler:
    """Return the ancestral sampler with learned variances.

    Args:
        reverse: (x_t, t) -> estimate of x_0 and v; t counts in the steps that the network was trained on.
        schedule: of the steps to be made, K.
        steps: what each of its steps 0 ... K is for the network, [K + 1]; see `respaced`.
    """
    steps, total = np.asarray(steps, np.int32), num_steps(schedule)

    def step(key: Array, x: Array, memory: PyTree, n: Array) -> Step:
        k = total - n
        x0, v = reverse(x, jnp.asarray(steps)[k])
        std = jnp.where(k > 1, jnp.exp(0.5 * learned_log_variance(v, schedule, k)), 0.0)
        return Step(posterior_mean(schedule, x0, x, k) + std * jax.random.normal(key, x.shape, x.dtype), x0, memory)

    return Sampler(steps[::-1], gaussian_start(1.0), step)
