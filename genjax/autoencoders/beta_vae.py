"""beta-VAE (Higgins et al. 2017; Burgess et al. 2018, arXiv:1804.03599).

The VAE's two terms with another price of information:

    beta-VAE    minimize  distortion + beta rate                                            (Higgins et al. 2017, eq. 4)
    capacity    minimize  distortion + gamma |rate - C|,   C rising from 0 while training   (Burgess et al. 2018, eq. 8)

beta = 1 is the VAE. Every beta is a point of the rate-distortion curve D(R), where its slope is -beta: as beta rises,
the optimal rate falls and the optimal distortion rises (Alemi et al. 2018, arXiv:1711.00464). Above 1 the objective is
still a bound on -log p(x), below 1 it is none; `log_prob` is the bound of beta = 1 whatever beta is.
"""

from typing import Callable

import flax.linen as nn
import jax.numpy as jnp

from genjax.autoencoders.binding import bind_networks
from genjax.autoencoders.elbo import Gaussian, Terms, analytic_rate, elbo
from genjax.autoencoders.likelihoods import Likelihood
from genjax.autoencoders.vae import vae, vae_terms
from genjax.contract import Array, Aux, Batch, GenerativeModel, Update, Variables


def beta_objective(terms: Terms, *, beta: Array | float) -> Array:
    """Return distortion + beta rate.

    Args:
        terms: of [B], nats.
        beta: price of a nat of rate, >= 0.

    Returns:
        [B], nats.

    Reference: Higgins et al. 2017, eq. 4.
    """
    elbo(terms)  # refuses terms that are not [B]
    return terms.distortion + beta * terms.rate


def capacity_objective(terms: Terms, *, gamma: Array | float, capacity: Array | float) -> Array:
    """Return distortion + gamma |rate - C|.

    Args:
        terms: of [B], nats.
        gamma: price of a nat away from C; 1000 in the paper.
        capacity: C, nats an example.

    Returns:
        [B], nats.

    Reference: Burgess et al. 2018, eq. 8.
    """
    elbo(terms)
    return terms.distortion + gamma * jnp.abs(terms.rate - capacity)


def linear_capacity(largest: float, num_steps: int) -> Callable[[Array], Array]:
    """Make the schedule step -> C in nats: from 0 to `largest` in `num_steps` steps, then constant."""
    return lambda step: largest * jnp.minimum(jnp.asarray(step, jnp.float32) / num_steps, 1.0)


def beta_vae(
    encoder: nn.Module,
    decoder: nn.Module,
    likelihood: Likelihood,
    *,
    latent_dim: int,
    objective: Callable[[Terms, Array], Array],
    rate: Callable[[Gaussian, Array], Array] = analytic_rate,
) -> GenerativeModel:
    """Build a variational autoencoder under another objective.

    Args:
        encoder: as for `vae`.
        decoder: likewise.
        likelihood: p(x|z).
        latent_dim: Z.
        objective: (terms, step) -> [B], e.g. `lambda terms, step: beta_objective(terms, beta=4.0)`.
        rate: `analytic_rate` or `sampled_rate`.

    Returns:
        `vae`'s model, whose one update 'vae' minimizes the mean objective; metrics objective, elbo, rate, distortion.
    """
    model = vae(encoder, decoder, likelihood, latent_dim=latent_dim, rate=rate)
    networks = bind_networks(encoder, decoder, likelihood, latent_dim=latent_dim)

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        terms = vae_terms(
            key,
            batch["x"],
            encode=lambda x: networks.encode(variables.params, x),
            decode=lambda z: networks.decode(variables.params, z),
            log_likelihood=likelihood.log_prob,
            rate=rate,
        )
        total = jnp.mean(objective(terms, step))
        mean_rate, mean_distortion = jnp.mean(terms.rate), jnp.mean(terms.distortion)
        metrics = {"objective": total, "rate": mean_rate, "distortion": mean_distortion}
        return total, Aux(variables.state, metrics | {"elbo": -mean_rate - mean_distortion})

    return model._replace(updates=(Update("vae", ("encoder", "decoder"), loss),))
