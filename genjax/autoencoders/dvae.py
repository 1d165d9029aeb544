"""The discrete VAE of DALL-E: Gumbel-softmax instead of nearest vectors (Ramesh et al. 2021, arXiv:2102.12092, 2.1).

The encoder gives logits l of K codes at each of h w places, q(k|x) = softmax(l)_k. A code drawn from q has no gradient;
in training it is relaxed to a point of the simplex,

    y = softmax((l + g) / tau),   g_k independent Gumbel,        argmax y ~ q, and y -> its one-hot as tau -> 0

(Jang et al. 2017, arXiv:1611.01144, eq. 2; Maddison et al. 2017), on which the decoder's first layer, a matrix of K
code vectors, works as on one-hot codes. With a uniform prior the objective is that of a VAE,

    distortion + beta rate,   distortion = -log p(x|y),   rate = sum over places KL(q || uniform)

tau goes down and beta up while training, by schedules. Used afterwards, codes are the argmax of l.
"""

import math
from collections.abc import Callable

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.autoencoders.binding import only_params, require_outputs, widened
from genjax.autoencoders.likelihoods import Likelihood
from genjax.autoencoders.vq_vae import Codes, DiscreteStage, discrete_model
from genjax.contract import Array, Aux, Batch, GenerativeModel, LogProb, Update, Variables

Schedule = Callable[[Array], Array]  # step, traced -> value


def gumbel_softmax(key: Array, logits: Array, temperature: Array | float) -> Array:
    """Draw from the relaxed categorical distribution.

    Args:
        key: of the Gumbel noise.
        logits: [..., K].
        temperature: tau > 0, traced; at 0 the one-hot of argmax(l + g), without gradient.

    Returns:
        [..., K], on the simplex, of the dtype of the logits.

    Reference: Jang et al. 2017, eq. 2.
    """
    perturbed = logits + jax.random.gumbel(key, logits.shape, logits.dtype)
    hard = jax.nn.one_hot(jnp.argmax(perturbed, axis=-1), logits.shape[-1], dtype=logits.dtype)
    temperature = jnp.asarray(temperature, logits.dtype)
    # The inner where keeps the branch that is not taken finite, and its gradient with it.
    soft = jax.nn.softmax(perturbed / jnp.where(temperature > 0.0, temperature, 1.0), axis=-1)
    return jnp.where(temperature > 0.0, soft, hard)


def uniform_kl(logits: Array) -> Array:
    """Return KL(softmax(l) || uniform), summed over the places of an example.

    Args:
        logits: [B, ..., K].

    Returns:
        [B], nats, in [0, places log K].

    Raises:
        ValueError: there is no axis of places.
    """
    if logits.ndim < 3:
        raise ValueError(f"logits have shape {logits.shape}; they must be [B, places, K] or of higher rank.")
    log_q = jax.nn.log_softmax(logits)
    each = jnp.sum(jnp.exp(log_q) * log_q, axis=-1) + math.log(logits.shape[-1])
    return jnp.sum(each, axis=tuple(range(1, each.ndim)))


def cosine_ramp(start: float, end: float, *, steps: int) -> Schedule:
    """Return step -> a value that goes from `start` to `end` within `steps` along half a cosine, and stays there."""

    def value(step: Array) -> Array:
        share = jnp.clip(jnp.asarray(step, jnp.float32) / steps, 0.0, 1.0)
        return end + (start - end) * 0.5 * (1.0 + jnp.cos(math.pi * share))

    return value


class CodeVectors(nn.Module):
    """One-hot or relaxed codes [B, h, w, K] -> vectors [B, h, w, features], then `decoder`.

    decoder: what follows.
    features: size of a code vector.
    """

    decoder: nn.Module
    features: int
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, y: Array) -> Array:
        return self.decoder(nn.Dense(self.features, use_bias=False, dtype=self.dtype, name="vectors")(y))


def dvae(
    encoder: nn.Module,
    decoder: nn.Module,
    likelihood: Likelihood,
    *,
    num_codes: int,
    grid: tuple[int, int],
    temperature: Schedule,
    rate_weight: Schedule,
) -> GenerativeModel:
    """Build a discrete VAE.

    Args:
        encoder: x [B, H, W, C] -> logits [B, h, w, num_codes]. No collections beside 'params'.
        decoder: one-hot codes [B, h, w, num_codes] -> [B, H, W, n C], n = likelihood.outputs_per_entry; `CodeVectors`.
        likelihood: p(x|codes).
        num_codes: K.
        grid: (h, w).
        temperature: step -> tau, such as `cosine_ramp(1, 1 / 16, steps=...)`.
        rate_weight: step -> beta.

    Returns:
        A model with one update 'dvae' that moves 'encoder' and 'decoder'; metrics distortion and rate (nats),
        temperature and rate_weight. `sample` and the methods are those of `vq_vae_ema`, with codes argmax l, and
        logits(x) -> [B, h, w, K]. `log_prob` is the bound -distortion - rate at codes drawn from q, unrelaxed, beta =
        1.
    """

    def logits_of(variables: Variables, x: Array) -> Array:
        return widened(encoder.apply({"params": variables.params["encoder"]}, x))

    def decode(variables: Variables, y: Array) -> Array:
        return widened(decoder.apply({"params": variables.params["decoder"]}, y))

    def decode_codes(variables: Variables, codes: Codes) -> Array:
        return decode(variables, jax.nn.one_hot(codes[0], num_codes))

    def init(key: Array, batch: Batch) -> Variables:
        encoder_key, decoder_key = jax.random.split(key)
        logits, encoder_variables = encoder.init_with_output(encoder_key, batch["x"])
        chex.assert_shape(logits, (batch["x"].shape[0], *grid, num_codes))
        outputs, decoder_variables = decoder.init_with_output(decoder_key, jax.nn.softmax(logits))
        require_outputs(outputs, batch["x"], likelihood.outputs_per_entry)
        params = {"encoder": only_params("encoder", encoder_variables)}
        return Variables(params | {"decoder": only_params("decoder", decoder_variables)})

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        tau, beta = temperature(step), rate_weight(step)
        logits = logits_of(variables, batch["x"])
        outputs = decode(variables, gumbel_softmax(key, logits, tau))
        distortion = jnp.mean(-likelihood.log_prob(batch["x"], outputs))
        rate = jnp.mean(uniform_kl(logits))
        metrics = {"distortion": distortion, "rate": rate, "temperature": tau, "rate_weight": beta}
        return distortion + beta * rate, Aux(variables.state, metrics)

    def log_prob(variables: Variables, key: Array, batch: Batch) -> Array:
        logits = logits_of(variables, batch["x"])
        drawn = jax.random.categorical(key, logits)
        return likelihood.log_prob(batch["x"], decode_codes(variables, (drawn,))) - uniform_kl(logits)

    stage = DiscreteStage(
        num_codes=(num_codes,),
        codes=lambda variables, x: (jnp.argmax(logits_of(variables, x), axis=-1).astype(jnp.int32),),
        decode=decode_codes,
        likelihood=likelihood,
    )
    model = discrete_model(init, (Update("dvae", ("encoder", "decoder"), loss),), stage, (grid,))
    logits = lambda variables, key, x: logits_of(variables, x)
    return model._replace(log_prob=LogProb(log_prob, "lower_bound"), methods=dict(model.methods) | {"logits": logits})
