"""A game about codes: a discriminator tells draws from a prior from codes of data, an encoder tries to be mistaken.

What adversarial autoencoders and WAE-GAN share. The losses on scores are arguments, functions of arrays such as those
of `genjax.adversarial`: discriminator_loss(real scores, fake scores) -> (real [B], fake [B]), encoder_loss(fake scores)
-> [B]. Real are the draws from the prior, fake the codes.
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.autoencoders.binding import only_params, widened
from genjax.autoencoders.coder import Coder
from genjax.autoencoders.latent_priors import Prior
from genjax.autoencoders.likelihoods import Likelihood
from genjax.contract import Array, Batch, GenerativeModel, PyTree, Update, Variables

ScoreLoss = Callable[[Array], Array]  # scores [B] -> [B]
ScoresLoss = Callable[[Array, Array], tuple[Array, Array]]  # real scores, fake scores -> (real [B], fake [B])


def init_discriminator(discriminator: nn.Module, key: Array, codes: Array) -> PyTree:
    """Return the parameters of a discriminator, called as module(codes [B, Z], train=True) -> scores [B].

    Raises:
        ValueError: it gives other than one score an example, or keeps more than parameters.
    """
    scores, variables = discriminator.init_with_output(key, codes, train=True)
    if scores.shape != codes.shape[:1]:
        raise ValueError(f"the discriminator gives {scores.shape} for codes {codes.shape}; scores are [B].")
    return only_params("discriminator", variables)


def score(discriminator: nn.Module, params: PyTree, codes: Array) -> Array:
    """Return scores [B] of codes [B, Z], float32; higher is more like the prior."""
    return widened(discriminator.apply({"params": params}, codes, train=True))


def discriminate(
    discriminator: nn.Module, params: PyTree, drawn: Array, codes: Array, *, loss: ScoresLoss
) -> tuple[Array, dict[str, Array]]:
    """Return the discriminator's mean loss and its metrics.

    Args:
        discriminator: module (codes, train=) -> scores.
        params: its parameters.
        drawn: from the prior, [B, Z].
        codes: of data, [B, Z].
        loss: see the module.
    """
    real_scores, fake_scores = score(discriminator, params, drawn), score(discriminator, params, codes)
    real, fake = loss(real_scores, fake_scores)
    metrics = {"real": jnp.mean(real), "fake": jnp.mean(fake)}
    return metrics["real"] + metrics["fake"], metrics


def prior_model(
    init: Callable[[Array, Batch], Variables],
    updates: tuple[Update, ...],
    coder: Coder,
    likelihood: Likelihood,
    prior: Prior,
    *,
    latent_dim: int,
    more: Mapping[str, Callable[..., Any]] | None = None,
) -> GenerativeModel:
    """Bind an autoencoder whose codes are to be distributed as a prior.

    Args:
        init: see `contract.InitFn`.
        updates: its training.
        coder: encoder and decoder.
        likelihood: p(x|z).
        prior: (key, (N, Z)) -> draws.
        latent_dim: Z.
        more: further methods.

    Returns:
        A model whose `sample` decodes draws from the prior to E[x|z]. Methods, each (variables, key, ...):

        encode(x) -> [B, Z],    decode(z) -> [B, ...],    reconstruct(x) -> [B, ...],    draw_prior(num) -> [num, Z]
        interpolate(x, y, *, num) -> [B, num, ...]               decoded along the line between codes
    """

    def encode(variables: Variables, key: Array, x: Array) -> Array:
        del key
        return coder.encode(variables.params, x)

    def decode(variables: Variables, key: Array, z: Array) -> Array:
        del key
        return likelihood.mean(coder.decode(variables.params, z))

    def reconstruct(variables: Variables, key: Array, x: Array) -> Array:
        return decode(variables, key, encode(variables, key, x))

    def draw_prior(variables: Variables, key: Array, num: int) -> Array:
        del variables
        return prior(key, (num, latent_dim))

    def interpolate(variables: Variables, key: Array, x: Array, y: Array, *, num: int = 8) -> Array:
        along = jnp.linspace(0.0, 1.0, num)[None, :, None]
        start, end = encode(variables, key, x)[:, None], encode(variables, key, y)[:, None]
        pictures = decode(variables, key, ((1.0 - along) * start + along * end).reshape(-1, latent_dim))
        return pictures.reshape(x.shape[0], num, *pictures.shape[1:])

    def sample(variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None) -> Array:
        if condition is not None:
            raise ValueError("this autoencoder is unconditional: sample takes no condition.")
        return decode(variables, key, prior(key, (num_samples, latent_dim)))

    methods = {method.__name__: method for method in (encode, decode, reconstruct, draw_prior, interpolate)}
    return GenerativeModel(init, updates, sample, methods=methods | dict(more or {}))


def init_with_discriminator(
    coder: Coder, discriminator: nn.Module, *, latent_dim: int
) -> Callable[[Array, Batch], Variables]:
    """Return the init of a model with the players encoder, decoder and discriminator."""

    def init(key: Array, batch: Batch) -> Variables:
        coder_key, discriminator_key = jax.random.split(key)
        codes = jnp.zeros((batch["x"].shape[0], latent_dim))
        params = coder.init(coder_key, batch)
        return Variables({**params, "discriminator": init_discriminator(discriminator, discriminator_key, codes)})

    return init
