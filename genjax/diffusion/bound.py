"""The variational bound of diffusion models on integer data (Ho et al. 2020, eq. 5).

    -log p(x_0) <= L_T + sum_{t=2}^{T} L_{t-1} + L_0

    L_T      = KL(q(x_T | x_0) || N(0, I))                                            no parameters
    L_{t-1}  = E_{q(x_t | x_0)} KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t))         two normals, eq. 8
    L_0      = E_{q(x_1 | x_0)} [-log p(x_0 | x_1)]                                   the discretized decoder, eq. 13

Expectations are taken at one x_t each, so that the bound is unbiased; its mean over keys lies above -log p(x_0).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array
from genjax.diffusion.decoder import discretized_normal_log_prob
from genjax.distributions import normal_kl, per_example
from genjax.pixels import to_symmetric
from genjax.processes import Denoiser, Schedule, forward, like, marginal, num_steps
from genjax.processes.schedules import at, require_variance


class BoundTerms(NamedTuple):
    """The terms of the bound, nats per example, all >= 0 in expectation.

    prior: L_T, [B].
    transitions: L_1 ... L_{T-1}, [T - 1, B]; entry t - 2 is of the step from x_t to x_{t-1}.
    decoder: L_0, [B].
    """

    prior: Array
    transitions: Array
    decoder: Array


def total_bound(terms: BoundTerms) -> Array:
    """Return L_T + sum L_{t-1} + L_0, [B] nats: an upper bound on -log p(x_0)."""
    return terms.prior + terms.transitions.sum(axis=0) + terms.decoder


def bound_terms(
    key: Array, x: Array, denoise: Denoiser, schedule: Schedule, variance: np.ndarray, *, levels: int
) -> BoundTerms:
    """Estimate every term of the bound at one x_t each; T calls of the denoiser, one after the other.

    Args:
        key: draws x_1 ... x_T, each from q(x_t | x_0) on its own.
        x: stored integers 0 ... levels - 1, [B, ...].
        denoise: (x_t [B, ...], t []) -> estimate of x_0.
        schedule: the forward process.
        variance: sigma_t^2 of p(x_{t-1} | x_t), [T + 1].
        levels: how many values an entry of x may have.

    Returns:
        The BoundTerms.

    Raises:
        ValueError: x holds no integers or has no axis of examples, or the variance is not [T + 1].

    Reference: Ho et al. 2020, eq. 5.
    """
    x0 = to_symmetric(x, levels)

    def noisy(t: Array) -> Array:
        return forward(jax.random.fold_in(key, t), x0, marginal(schedule, t))[0]

    def transition(t: Array) -> Array:
        return transition_kl(x0, denoise(noisy(t), t), t, schedule, variance)

    first = jnp.ones((), jnp.int32)
    mean = denoise(noisy(first), first)  # a_1 = 1 and b_1 = 0: the mean of the last step is the estimate of x_0
    log_std = 0.5 * jnp.log(at(variance, first))
    decoder = -per_example(discretized_normal_log_prob(x0, mean, log_std=log_std, levels=levels))
    transitions = jax.lax.map(transition, jnp.arange(2, num_steps(schedule) + 1, dtype=jnp.int32))
    return BoundTerms(prior_kl(x0, schedule), transitions, decoder)


def prior_kl(x0: Array, schedule: Schedule) -> Array:
    """Return L_T = KL(N(alpha_T x_0, sigma_T^2 I) || N(0, I)), the part of the bound that nothing can change.

    Args:
        x0: data [B, ...] in [-1, 1].
        schedule: the forward process.

    Returns:
        [B], nats.

    Raises:
        ValueError: x_0 has no axis of examples, or holds integers.
    """
    _require_examples(x0)
    alpha, sigma = schedule.alpha[-1], schedule.sigma[-1]
    return per_example(normal_kl(alpha * x0, jnp.full_like(x0, np.log(sigma))))


def transition_kl(x0: Array, estimate: Array, t: Array, schedule: Schedule, variance: np.ndarray) -> Array:
    """Return L_{t-1} = KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) for t in 2 ... T.

    The means differ by a_t (x_0 - estimate) alone: what they have of x_t is the same.

    Args:
        x0: data [B, ...] in [-1, 1].
        estimate: the denoiser's x_0, [B, ...].
        t: integer steps, [] or [B].
        schedule: the forward process.
        variance: sigma_t^2, [T + 1].

    Returns:
        [B], nats.

    Raises:
        ValueError: x_0 has no axis of examples or holds integers, its estimate has another shape, or the variance
            is not [T + 1].

    Reference: Ho et al. 2020, eq. 8.
    """
    _require_examples(x0)
    require_variance(schedule, variance)
    if x0.shape != estimate.shape:
        raise ValueError(f"x_0 of shape {x0.shape} and its estimate of shape {estimate.shape} differ.")
    factor = like(at(schedule.posterior_x0, t), x0)
    log_std = lambda values: jnp.broadcast_to(0.5 * jnp.log(like(at(values, t), x0)), x0.shape)
    posterior, model = log_std(schedule.posterior_variance), log_std(variance)
    return per_example(normal_kl(factor * x0, posterior, other_mean=factor * estimate, other_log_std=model))


def _require_examples(x0: Array) -> None:
    if x0.ndim == 0:
        raise ValueError("x_0 has shape (), without an axis of examples; it must be [B, ...].")
    if not jnp.issubdtype(x0.dtype, jnp.floating):
        raise ValueError(f"x_0 must hold reals in [-1, 1], got {x0.dtype}: scale stored levels first.")
