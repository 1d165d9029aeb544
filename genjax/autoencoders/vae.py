"""Variational autoencoder (Kingma & Welling 2013, arXiv:1312.6114; Rezende et al. 2014).

    p(z) = N(0, I),   p(x|z) = likelihood(decoder(z)),   q(z|x) = N(m(x), diag(exp(2 l(x)))),  (m, l) = encoder(x)

Encoder and decoder ascend the same bound on log p(x), at one z = m + exp(l) e, e ~ N(0, I), an example:

    L = -rate - distortion,   rate = KL(q(z|x) || p(z)),   distortion = -log p(x|z)               (3), (10)

The terms themselves are in `genjax.autoencoders.elbo`, p(x|z) in `genjax.autoencoders.likelihoods`. Encoder and
decoder are two groups of parameters that one update moves, so that a model which moves one of them alone (an
adversarial autoencoder's encoder) has them by name.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from genjax.autoencoders.binding import Networks, bind_networks
from genjax.autoencoders.elbo import (
    Gaussian,
    Terms,
    analytic_rate,
    elbo,
    elbo_terms,
    importance_weighted_estimate,
    mean_terms,
)
from genjax.autoencoders.likelihoods import Likelihood
from genjax.autoencoders.svi import Fit, fit_posterior
from genjax.contract import Array, Aux, Batch, GenerativeModel, LogProb, PyTree, Update, Variables


def vae_terms(
    key: Array,
    x: Array,
    *,
    encode: Callable[[Array], Gaussian],
    decode: Callable[[Array], Array],
    log_likelihood: Callable[[Array, Array], Array],
    rate: Callable[[Gaussian, Array], Array] = analytic_rate,
) -> Terms:
    """Return rate and distortion under amortized inference, at one z ~ q(z|x).

    Args:
        key: draws z.
        x: [B, ...].
        encode: x -> q(z|x), [B, Z].
        decode: z [B, Z] -> parameters of p(x|z).
        log_likelihood: (x, decoder output) -> log p(x|z) [B].
        rate: `analytic_rate` or `sampled_rate`.

    Returns:
        Terms of [B], nats; the objective to minimise is the mean of rate + distortion.

    Reference: Kingma & Welling 2013, eq. 7 (analytic) and eq. 6 (sampled).
    """
    return elbo_terms(key, encode(x), lambda z: log_likelihood(x, decode(z)), rate=rate)


def vae(
    encoder: nn.Module,
    decoder: nn.Module,
    likelihood: Likelihood,
    *,
    latent_dim: int,
    rate: Callable[[Gaussian, Array], Array] = analytic_rate,
) -> GenerativeModel:
    """Build a variational autoencoder.

    Args:
        encoder: x [B, ...] -> (mean, log_std), each [B, latent_dim]. No collections beside 'params'.
        decoder: z [B, latent_dim] -> [B, ..., n C], n = likelihood.outputs_per_entry. Likewise.
        likelihood: p(x|z), see `genjax.autoencoders.likelihoods`.
        latent_dim: Z.
        rate: `analytic_rate` (the paper's main estimator) or `sampled_rate`.

    Returns:
        A model with one update 'vae' that moves 'encoder' and 'decoder'; metrics elbo, rate, distortion (nats per
        example). `sample` draws x ~ p(x|z), z ~ p(z). `log_prob` is the bound at one z with the analytic rate: its mean
        over keys lies below log p(x). Methods, each (variables, key, ...):

        encode(x) -> Gaussian                                    q(z|x), [B, Z]
        decode(z [B, Z]) -> [B, ...]                             E[x|z]
        reconstruct(x) -> [B, ...]                               E[x|z] at one z ~ q(z|x)
        sample_mean(num) -> [num, ...]                           E[x|z] at z ~ p(z)
        interpolate(x, y, *, num) -> [B, num, ...]               E[x|z] along the line between posterior means
        terms(x, *, num_samples) -> Terms                        rate and distortion, averaged over z ~ q
        importance_weighted(x, *, num_samples, chunk) -> [B]     L_k, nats
        svi(x, *, num_steps, num_particles, learning_rate) -> Fit    q fitted per example, from the encoder's answer
        fitted_terms(x, posterior, *, num_samples) -> Terms      rate and distortion under any q

    Raises:
        ValueError: from `init`, where the networks do not fit the data, the code or the likelihood.
    """
    networks = bind_networks(encoder, decoder, likelihood, latent_dim=latent_dim)

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        terms = vae_terms(
            key,
            batch["x"],
            encode=lambda x: networks.encode(variables.params, x),
            decode=lambda z: networks.decode(variables.params, z),
            log_likelihood=likelihood.log_prob,
            rate=rate,
        )
        mean_rate, mean_distortion = jnp.mean(terms.rate), jnp.mean(terms.distortion)
        total = mean_rate + mean_distortion
        metrics = {"elbo": -total, "rate": mean_rate, "distortion": mean_distortion}
        return total, Aux(state=variables.state, metrics=metrics)

    def sample(variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None) -> Array:
        if condition is not None:
            raise ValueError("this variational autoencoder is unconditional: sample takes no condition.")
        prior_key, likelihood_key = jax.random.split(key)
        z = jax.random.normal(prior_key, (num_samples, latent_dim))
        return likelihood.sample(likelihood_key, networks.decode(variables.params, z))

    def log_prob(variables: Variables, key: Array, batch: Batch) -> Array:
        posterior = networks.encode(variables.params, batch["x"])
        return elbo(elbo_terms(key, posterior, lambda z: networks.log_likelihood(variables.params, batch["x"], z)))

    return GenerativeModel(
        init=networks.init,
        updates=(Update(name="vae", players=("encoder", "decoder"), loss=loss),),
        sample=sample,
        log_prob=LogProb(log_prob, "lower_bound"),
        methods=_picture_methods(networks, likelihood, latent_dim) | _inference_methods(networks),
    )


def _picture_methods(networks: Networks, likelihood: Likelihood, latent_dim: int) -> dict[str, Callable]:
    def encode(variables: Variables, key: Array, x: Array) -> Gaussian:
        del key
        return networks.encode(variables.params, x)

    def decode(variables: Variables, key: Array, z: Array) -> Array:
        del key
        return likelihood.mean(networks.decode(variables.params, z))

    def reconstruct(variables: Variables, key: Array, x: Array) -> Array:
        return decode(variables, key, networks.encode(variables.params, x).sample(key))

    def sample_mean(variables: Variables, key: Array, num: int) -> Array:
        return decode(variables, key, jax.random.normal(key, (num, latent_dim)))

    def interpolate(variables: Variables, key: Array, x: Array, y: Array, *, num: int = 8) -> Array:
        start = networks.encode(variables.params, x).mean
        end = networks.encode(variables.params, y).mean
        along = jnp.linspace(0.0, 1.0, num)[None, :, None]
        codes = (1.0 - along) * start[:, None, :] + along * end[:, None, :]
        pictures = decode(variables, key, codes.reshape(-1, latent_dim))
        return pictures.reshape(x.shape[0], num, *pictures.shape[1:])

    methods = (encode, decode, reconstruct, sample_mean, interpolate)
    return {method.__name__: method for method in methods}


def _inference_methods(networks: Networks) -> dict[str, Callable]:
    def fitted_terms(
        variables: Variables, key: Array, x: Array, posterior: Gaussian, *, num_samples: int = 64
    ) -> Terms:
        log_likelihood = lambda z: networks.log_likelihood(variables.params, x, z)
        return mean_terms(key, posterior, log_likelihood, num_samples=num_samples)

    def terms(variables: Variables, key: Array, x: Array, *, num_samples: int = 64) -> Terms:
        return fitted_terms(variables, key, x, networks.encode(variables.params, x), num_samples=num_samples)

    def importance_weighted(
        variables: Variables, key: Array, x: Array, *, num_samples: int = 5000, chunk: int = 100
    ) -> Array:
        posterior = networks.encode(variables.params, x)
        log_likelihood = lambda z: networks.log_likelihood(variables.params, x, z)
        return importance_weighted_estimate(key, posterior, log_likelihood, num_samples=num_samples, chunk=chunk)

    def svi(
        variables: Variables,
        key: Array,
        x: Array,
        *,
        num_steps: int = 500,
        num_particles: int = 8,
        learning_rate: Array | float = 0.02,
    ) -> Fit:
        # The cosine takes the step to zero, so that the last iterate is no noisier than the optimum is flat.
        decay = optax.cosine_decay_schedule(1.0, num_steps)
        optimizer = optax.adam(lambda count: learning_rate * decay(count))
        initial = networks.encode(variables.params, x)
        log_likelihood = lambda z: networks.log_likelihood(variables.params, x, z)
        return fit_posterior(
            key, initial, log_likelihood, optimizer=optimizer, num_steps=num_steps, num_particles=num_particles
        )

    methods = (fitted_terms, terms, importance_weighted, svi)
    return {method.__name__: method for method in methods}
