"""Importance weighted autoencoder (Burda et al. 2015, arXiv:1509.00519), and its doubly reparameterized gradient.

With k codes z_i = m + exp(l) e_i and w_i = p(x|z_i) p(z_i) / q(z_i|x), the objective is (eq. 8)

    L_k = E log (1/k) sum_i w_i,   L_1 = ELBO,   L_k <= L_{k+1} <= log p(x).

Its reparameterized gradient weights each sample by v_i = w_i / sum_j w_j. In the encoder's parameters phi it has a part
that vanishes in expectation for k = 1 and whose noise drowns the rest as k grows: the derivative of log q(z_i|x) with
respect to phi at a fixed z_i. Reparameterizing that part a second time gives (Tucker et al. 2019, arXiv:1810.04152,
eq. 8)

    grad_phi L_k = E sum_i v_i^2  d log w_i / d z_i  d z_i / d phi,

the same expectation with less variance, none at all where q is the posterior. The decoder's gradient stays as it was.

The noise e is an argument, so that both estimators are functions whose expectation can be integrated.
"""

from typing import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.autoencoders.binding import bind_networks
from genjax.autoencoders.elbo import Gaussian, LatentLogLikelihood, importance_weighted_bound, sampled_rate
from genjax.autoencoders.likelihoods import Likelihood
from genjax.autoencoders.vae import vae
from genjax.contract import Array, Aux, Batch, GenerativeModel, LogProb, Update, Variables

Bound = Callable[[Array, Gaussian, LatentLogLikelihood], Array]


def reparameterized_bound(noise: Array, posterior: Gaussian, log_likelihood: LatentLogLikelihood) -> Array:
    """Return L_k at given noise, with the gradient that autodiff gives it.

    Args:
        noise: e ~ N(0, I), [k, B, Z].
        posterior: q(z|x), [B, Z].
        log_likelihood: z [B, Z] -> log p(x|z) [B].

    Returns:
        [B], nats.

    Raises:
        ValueError: noise or posterior have other shapes.

    Reference: Burda et al. 2015, eq. 8 and 14.
    """
    _require_noise(noise, posterior)
    return importance_weighted_bound(_log_weights(_codes(noise, posterior), posterior, log_likelihood))


def doubly_reparameterized_bound(noise: Array, posterior: Gaussian, log_likelihood: LatentLogLikelihood) -> Array:
    """Return L_k at given noise, with the doubly reparameterized gradient in the posterior; as `reparameterized_bound`.

    What `log_likelihood` closes over gets the gradient it gets there. The weights are computed twice, first without
    gradients.

    Reference: Tucker et al. 2019, eq. 8.
    """
    _require_noise(noise, posterior)
    density = jax.lax.stop_gradient(posterior)
    codes = _codes(noise, posterior)
    weights = jax.lax.stop_gradient(_log_weights(codes, density, log_likelihood))
    # The bound's own gradient brings one factor v_i to each code; this brings the second.
    codes = scale_gradient(codes, jax.nn.softmax(weights, axis=0)[..., None])
    return importance_weighted_bound(_log_weights(codes, density, log_likelihood))


@jax.custom_vjp
def scale_gradient(x: Array, factor: Array) -> Array:
    """Return x, whose gradient is multiplied by `factor` (of x's rank, broadcast to its shape) on the way back."""
    del factor
    return x


scale_gradient.defvjp(
    lambda x, factor: (x, factor), lambda factor, gradient: (factor * gradient, jnp.zeros_like(factor))
)


def iwae(
    encoder: nn.Module,
    decoder: nn.Module,
    likelihood: Likelihood,
    *,
    latent_dim: int,
    num_samples: int,
    bound: Bound = doubly_reparameterized_bound,
) -> GenerativeModel:
    """Build an importance weighted autoencoder.

    Args:
        encoder: as for `vae`.
        decoder: likewise.
        likelihood: p(x|z).
        latent_dim: Z.
        num_samples: k (static).
        bound: `doubly_reparameterized_bound` or `reparameterized_bound`.

    Returns:
        `vae`'s model and methods with one update 'iwae' that ascends L_k; metric bound (nats). `log_prob` is L_k.
    """
    model = vae(encoder, decoder, likelihood, latent_dim=latent_dim)
    networks = bind_networks(encoder, decoder, likelihood, latent_dim=latent_dim)

    def nats(variables: Variables, key: Array, batch: Batch) -> Array:
        posterior = networks.encode(variables.params, batch["x"])
        noise = jax.random.normal(key, (num_samples, *posterior.mean.shape), posterior.mean.dtype)
        return bound(noise, posterior, lambda z: networks.log_likelihood(variables.params, batch["x"], z))

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        mean = jnp.mean(nats(variables, key, batch))
        return -mean, Aux(state=variables.state, metrics={"bound": mean})

    update = Update(name="iwae", players=("encoder", "decoder"), loss=loss)
    return model._replace(updates=(update,), log_prob=LogProb(nats, "lower_bound"))


def _codes(noise: Array, posterior: Gaussian) -> Array:
    return posterior.mean[None] + jnp.exp(posterior.log_std)[None] * noise


def _log_weights(codes: Array, posterior: Gaussian, log_likelihood: LatentLogLikelihood) -> Array:
    """Return log w_i [k, B] at codes [k, B, Z]."""
    return jax.vmap(lambda z: log_likelihood(z) - sampled_rate(posterior, z))(codes)


def _require_noise(noise: Array, posterior: Gaussian) -> None:
    if jnp.ndim(noise) != 3 or jnp.shape(noise)[1:] != jnp.shape(posterior.mean):
        shapes = f"{jnp.shape(noise)} and the posterior {jnp.shape(posterior.mean)}"
        raise ValueError(f"noise has shape {shapes}; they must be [k, B, Z] and [B, Z].")
