"""Wasserstein autoencoders (Tolstikhin, Bousquet, Gelly and Schoelkopf 2018, arXiv:1711.01558).

    min over encoder Q and decoder G of   E c(x, G(Q(x))) + weight D(Q_Z, P_Z)                                      (4)

Q_Z, the distribution of the codes of all data, is matched to the prior P_Z as a whole; a VAE pulls the q(z|x) of each
example towards it, so that they overlap and pictures blur. Encoders are functions, Q(x) one code. The cost c is
-log p(x|z) under the likelihood: `fixed_gaussian(0.5 ** 0.5)` makes it the paper's squared error, up to a constant.

    wae_mmd    D is a discrepancy between two samples, an estimate of MMD^2 under a kernel     (Algorithm 2)
    wae_gan    D is the Jensen-Shannon divergence by a discriminator in the space of codes     (Algorithm 1)
"""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax.numpy as jnp

from genjax.autoencoders.coder import bind_coder
from genjax.autoencoders.latent_game import (
    ScoreLoss,
    ScoresLoss,
    discriminate,
    init_with_discriminator,
    prior_model,
    score,
)
from genjax.autoencoders.latent_priors import Prior
from genjax.autoencoders.likelihoods import Likelihood
from genjax.contract import Array, Aux, Batch, GenerativeModel, Update, Variables

Kernel = Callable[[Array, Array], Array]  # x [N, D], y [M, D] -> [N, M]
SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def imq_kernels(
    latent_dim: int, imq: Callable[..., Kernel], *, std: float = 1.0, scales: Sequence[float] = SCALES
) -> Kernel:
    """Return the mean of inverse multiquadratic kernels C / (C + |x - y|^2) over several C.

    One C alone has no gradient for codes much further off than its root, and none for details much finer. The paper has
    one; its authors' code sums these seven, so that its weight is seven times ours.

    Args:
        latent_dim: Z.
        imq: (scale=C) -> kernel, such as `genjax.classical.divergences.imq_kernel`.
        std: of the prior; C = 2 Z std^2 is the expected squared distance of two draws (section 4).
        scales: what C is multiplied with.
    """
    kernels = [imq(scale=2.0 * latent_dim * std**2 * scale) for scale in scales]
    return lambda x, y: sum(kernel(x, y) for kernel in kernels) / len(kernels)


def wae_mmd(
    encoder: nn.Module,
    decoder: nn.Module,
    likelihood: Likelihood,
    *,
    latent_dim: int,
    prior: Prior,
    discrepancy: Callable[[Array, Array], Array],
    weight: float = 10.0,
) -> GenerativeModel:
    """Build a WAE-MMD.

    Args:
        encoder: x [B, ...] -> codes [B, latent_dim]. No collections beside 'params'.
        decoder: z [B, latent_dim] -> [B, ..., n C], n = likelihood.outputs_per_entry. Likewise.
        likelihood: p(x|z).
        latent_dim: Z.
        prior: (key, (N, Z)) -> draws.
        discrepancy: (codes [B, Z], draws [B, Z]) -> scalar, an unbiased estimate of MMD^2; it may be negative.
        weight: lambda.

    Returns:
        A model with one update 'wae' that moves 'encoder' and 'decoder'; metrics distortion (nats) and discrepancy. For
        the rest see `latent_game.prior_model`.
    """
    coder = bind_coder(encoder, decoder, likelihood, latent_dim=latent_dim)

    def init(key: Array, batch: Batch) -> Variables:
        return Variables(coder.init(key, batch))

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        codes = coder.encode(variables.params, batch["x"])
        distortion = jnp.mean(-likelihood.log_prob(batch["x"], coder.decode(variables.params, codes)))
        apart = discrepancy(codes, prior(key, codes.shape))
        return distortion + weight * apart, Aux(variables.state, {"distortion": distortion, "discrepancy": apart})

    updates = (Update("wae", ("encoder", "decoder"), loss),)
    return prior_model(init, updates, coder, likelihood, prior, latent_dim=latent_dim)


def wae_gan(
    encoder: nn.Module,
    decoder: nn.Module,
    discriminator: nn.Module,
    likelihood: Likelihood,
    *,
    latent_dim: int,
    prior: Prior,
    discriminator_loss: ScoresLoss,
    encoder_loss: ScoreLoss,
    weight: float = 10.0,
) -> GenerativeModel:
    """Build a WAE-GAN.

    Args:
        encoder, decoder, likelihood, latent_dim, prior: as for `wae_mmd`.
        discriminator: (codes [B, Z], train=) -> scores [B]. No collections beside 'params'.
        discriminator_loss: (scores of draws, scores of codes) -> (real [B], fake [B]).
        encoder_loss: scores of codes -> [B], -log D in the paper.
        weight: lambda.

    Returns:
        A model with the updates 'discriminator', then 'wae', which moves encoder and decoder together (Algorithm 1).
    """
    coder = bind_coder(encoder, decoder, likelihood, latent_dim=latent_dim)

    def told_apart(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        codes = coder.encode(variables.params, batch["x"])
        players = variables.params["discriminator"]
        total, metrics = discriminate(
            discriminator, players, prior(key, codes.shape), codes, loss=discriminator_loss
        )
        return total, Aux(variables.state, metrics)

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del key, step
        codes = coder.encode(variables.params, batch["x"])
        distortion = jnp.mean(-likelihood.log_prob(batch["x"], coder.decode(variables.params, codes)))
        penalty = jnp.mean(encoder_loss(score(discriminator, variables.params["discriminator"], codes)))
        metrics = {"distortion": distortion, "penalty": penalty}
        return distortion + weight * penalty, Aux(variables.state, metrics)

    updates = (Update("discriminator", ("discriminator",), told_apart), Update("wae", ("encoder", "decoder"), loss))
    init = init_with_discriminator(coder, discriminator, latent_dim=latent_dim)
    return prior_model(init, updates, coder, likelihood, prior, latent_dim=latent_dim)
