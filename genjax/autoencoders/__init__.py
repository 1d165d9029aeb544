"""Autoencoders: models with a code."""

from genjax.autoencoders.binding import Networks, bind_networks
from genjax.autoencoders.diagnostics import active_units
from genjax.autoencoders.elbo import (
    Gaussian,
    Terms,
    analytic_rate,
    elbo,
    elbo_terms,
    importance_weighted_bound,
    importance_weighted_estimate,
    log_weights,
    mean_terms,
    sampled_rate,
)
from genjax.autoencoders.likelihoods import (
    Likelihood,
    bernoulli,
    bernoulli_log_likelihood,
    discretized_logistic,
    discretized_logistic_log_likelihood,
    fixed_gaussian,
    gaussian,
    gaussian_log_likelihood,
)
from genjax.autoencoders.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder, SharedScale
from genjax.autoencoders.svi import Fit, fit_posterior
from genjax.autoencoders.vae import vae, vae_terms

__all__ = [
    "ConvDecoder",
    "ConvEncoder",
    "Fit",
    "Gaussian",
    "Likelihood",
    "MLPDecoder",
    "MLPEncoder",
    "Networks",
    "SharedScale",
    "Terms",
    "active_units",
    "analytic_rate",
    "bernoulli",
    "bernoulli_log_likelihood",
    "bind_networks",
    "discretized_logistic",
    "discretized_logistic_log_likelihood",
    "elbo",
    "elbo_terms",
    "fit_posterior",
    "fixed_gaussian",
    "gaussian",
    "gaussian_log_likelihood",
    "importance_weighted_bound",
    "importance_weighted_estimate",
    "log_weights",
    "mean_terms",
    "sampled_rate",
    "vae",
    "vae_terms",
]
