"""Per-example (stochastic) variational inference: fit q(z|x) to each x by ascent on its own bound.

An encoder answers for every x at once and pays for it: the best q in the family,

    q*(z|x) = argmax_q L(q),   L(q) = E_q [log p(x|z)] - KL(q || p(z)),

lies above the amortized one by the amortization gap L(q*) - L(q(z|x)) >= 0. What remains, log p(x) - L(q*), is the
approximation gap: the family's own. Here m and l of each example are free parameters, moved by any elementwise
optimizer, all examples in parallel; the decoder stays as it is.

Reference: Hoffman et al. 2013 (stochastic variational inference); Cremer et al. 2018 (arXiv:1801.03558), section 3,
for the gaps.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from genjax.autoencoders.elbo import Gaussian, LatentLogLikelihood, elbo, elbo_terms
from genjax.contract import Array


class Fit(NamedTuple):
    """A fitted posterior.

    posterior: q*, [B, Z].
    elbos: [num_steps, B], nats; the estimate each step ascended.
    """

    posterior: Gaussian
    elbos: Array


def fit_posterior(
    key: Array,
    initial: Gaussian,
    log_likelihood: LatentLogLikelihood,
    *,
    optimizer: optax.GradientTransformation,
    num_steps: int,
    num_particles: int = 1,
) -> Fit:
    """Ascend L(q) in the mean and log_std of every example, as one scan.

    Args:
        key: draws the reparameterization noise.
        initial: where to start, [B, Z]: an encoder's answer, or the prior (zeros).
        log_likelihood: z [B, Z] -> log p(x|z) [B], of the examples in question.
        optimizer: an elementwise optax transformation (adam, sgd, with schedules). One that couples entries, such as
            clipping by the global norm, would let examples act on one another.
        num_steps: static.
        num_particles: draws a step and example (static).

    Returns:
        Fit. The last iterate; a decaying learning rate averages the noise away.
    """

    def objective(posterior: Gaussian, step_key: Array) -> tuple[Array, Array]:
        def one(particle_key: Array) -> Array:
            return elbo(elbo_terms(particle_key, posterior, log_likelihood))

        values = jnp.mean(jax.vmap(one)(jax.random.split(step_key, num_particles)), axis=0)
        # The sum, not the mean: each example's gradient, hence its fit, is the same whatever it is batched with.
        return -jnp.sum(values), values

    def step(carry: tuple[Gaussian, optax.OptState], step_key: Array):
        posterior, optimizer_state = carry
        gradient, values = jax.grad(objective, has_aux=True)(posterior, step_key)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes int32 counts with floats
            moves, optimizer_state = optimizer.update(gradient, optimizer_state, posterior)
        return (optax.apply_updates(posterior, moves), optimizer_state), values

    start = (initial, optimizer.init(initial))
    (posterior, _), elbos = jax.lax.scan(step, start, jax.random.split(key, num_steps))
    return Fit(posterior, elbos)
