"""VQ-VAE, an autoencoder with discrete codes (van den Oord, Vinyals and Kavukcuoglu 2017, arXiv:1711.00937).

    z = encoder(x) [B, h, w, D],    e = the nearest of K code vectors, at each of h w places,    p(x|e) by decoder(e)

    L = -log p(x|e) + |sg[z] - e|^2 + beta |z - sg[e]|^2                                                         (3)

in which the first term's gradient passes e as if it were z. The reconstruction is in nats an example, the other two
are averages over the h w places (`genjax.autoencoders.quantization`). `vq_vae` learns the code vectors by the second
term; `vq_vae_ema` has none, and moves them as averages of what is assigned to them (appendix A.1).

While the model is trained all codes are equally likely a priori. As q(z|x) is a point, a bound is

    log p(x) >= log p(x|e) - h w log K,

and a prior that is fitted to the codes afterwards (`genjax.autoencoders.code_prior`) takes the second term's place.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.autoencoders import quantization as vq
from genjax.autoencoders.binding import only_params, require_outputs, widened
from genjax.autoencoders.likelihoods import Likelihood
from genjax.contract import Array, Aux, Batch, GenerativeModel, LogProb, PyTree, Update, Variables

Codes = tuple[Array, ...]  # int32 grids [B, h, w], of the coarsest first


class DiscreteStage(NamedTuple):
    """What a model with discrete codes can do, from which its methods are made.

    num_codes: K of each grid.
    codes: (variables, x) -> Codes.
    decode: (variables, Codes) -> what the likelihood reads.
    likelihood: p(x|codes).
    """

    num_codes: tuple[int, ...]
    codes: Callable[[Variables, Array], Codes]
    decode: Callable[[Variables, Codes], Array]
    likelihood: Likelihood


def vq_vae(
    encoder: nn.Module,
    decoder: nn.Module,
    likelihood: Likelihood,
    *,
    num_codes: int,
    grid: tuple[int, int],
    commitment: float = 0.25,
    decay: float = 0.99,
    restart_below: float = 0.0,
    axis_name: str | None = None,
) -> GenerativeModel:
    """Build a VQ-VAE whose code vectors are parameters, a third player 'codebook' of the one update.

    Args:
        encoder: x [B, H, W, C] -> z [B, h, w, D]. No collections beside 'params'.
        decoder: e [B, h, w, D] -> [B, H, W, n C], n = likelihood.outputs_per_entry. Likewise.
        likelihood: p(x|e).
        num_codes: K.
        grid: (h, w).
        commitment: beta.
        decay: of the counts, by which dead codes are told.
        restart_below: see `quantization.restart_dead_codes`.
        axis_name: mapped axis over which counts are added under pmap; None elsewhere.

    Returns:
        See `vq_vae_ema`; metrics have 'codebook_loss' as well.
    """
    coder = _bind(encoder, decoder, likelihood, grid)

    def init(key: Array, batch: Batch) -> Variables:
        key, codebook_key = jax.random.split(key)
        params, z = coder.init(key, batch["x"])
        vectors, counts = vq.initial_codebook(codebook_key, z, num_codes)
        return Variables(params | {"codebook": {"vectors": vectors}}, {"counts": counts})

    def vectors_of(variables: Variables) -> Array:
        return variables.params["codebook"]["vectors"]

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del key, step
        x, vectors = batch["x"], vectors_of(variables)
        z = coder.encode(variables.params, x)
        codes = vq.nearest_codes(z, vectors)
        quantized = vq.look_up(codes, vectors)
        outputs = coder.decode(variables.params, vq.straight_through(z, quantized))
        terms = {"distortion": -likelihood.log_prob(x, outputs)}
        terms |= {"codebook_loss": vq.codebook_loss(z, quantized), "commitment": vq.commitment_loss(z, quantized)}
        means = {name: jnp.mean(value) for name, value in terms.items()}
        used, _ = vq.code_statistics(z, codes, num_codes, axis_name=axis_name)
        counts = decay * variables.state["counts"] + (1.0 - decay) * used
        total = means["distortion"] + means["codebook_loss"] + commitment * means["commitment"]
        return total, Aux({"counts": counts}, means | vq.use_metrics(vq.Codebook(vectors, counts)))

    def restart(params: Mapping[str, PyTree], state: PyTree) -> tuple[Mapping[str, PyTree], PyTree]:
        codebook = vq.Codebook(params["codebook"]["vectors"], state["counts"])
        vectors, counts = vq.restart_dead_codes(codebook, below=restart_below)
        return {**params, "codebook": {"vectors": vectors}}, {"counts": counts}

    players = ("encoder", "decoder", "codebook")
    stage = DiscreteStage(
        num_codes=(num_codes,),
        codes=lambda variables, x: (vq.nearest_codes(coder.encode(variables.params, x), vectors_of(variables)),),
        decode=lambda variables, codes: coder.decode(variables.params, vq.look_up(codes[0], vectors_of(variables))),
        likelihood=likelihood,
    )
    return discrete_model(init, (Update("vq_vae", players, loss, after=restart),), stage, (grid,))


def vq_vae_ema(
    encoder: nn.Module,
    decoder: nn.Module,
    likelihood: Likelihood,
    *,
    num_codes: int,
    grid: tuple[int, int],
    commitment: float = 0.25,
    decay: float = 0.99,
    restart_below: float = 0.0,
    axis_name: str | None = None,
) -> GenerativeModel:
    """Build a VQ-VAE whose code vectors are moving averages, in the state.

    Args:
        as for `vq_vae`; decay is that of vectors and counts.

    Returns:
        A model with one update 'vq_vae'; metrics distortion (nats), commitment, perplexity and codes_in_use. `sample`
        draws codes that are equally likely, `log_prob` is the bound under these. Methods, each (variables, key, ...):

        codes(x) -> (int32 [B, h, w],)                      a tuple of grids, here of one
        from_codes(codes) -> [B, H, W, C]                   E[x|e]
        sample_from_codes(codes) -> [B, H, W, C]            x ~ p(x|e)
        code_distortion(x, codes) -> [B]                    -log p(x|e), nats
        reconstruct(x) -> [B, H, W, C]                      E[x|e]
        sample_mean(num) -> [num, H, W, C]                  E[x|e] of equally likely codes

    Raises:
        ValueError: from `init`, where the networks do not fit the data, the grid or the likelihood.
    """
    coder = _bind(encoder, decoder, likelihood, grid)

    def init(key: Array, batch: Batch) -> Variables:
        key, codebook_key = jax.random.split(key)
        params, z = coder.init(key, batch["x"])
        return Variables(params, {"codebook": vq.initial_codebook(codebook_key, z, num_codes)})

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del key, step
        z = coder.encode(variables.params, batch["x"])
        quantized = vq.quantize(
            variables.state["codebook"], z, decay=decay, restart_below=restart_below, axis_name=axis_name
        )
        outputs = coder.decode(variables.params, quantized.vectors)
        distortion = jnp.mean(-likelihood.log_prob(batch["x"], outputs))
        committed = jnp.mean(quantized.commitment)
        metrics = {"distortion": distortion, "commitment": committed} | vq.use_metrics(quantized.codebook)
        return distortion + commitment * committed, Aux({"codebook": quantized.codebook}, metrics)

    def vectors_of(variables: Variables) -> Array:
        return variables.state["codebook"].vectors

    stage = DiscreteStage(
        num_codes=(num_codes,),
        codes=lambda variables, x: (vq.nearest_codes(coder.encode(variables.params, x), vectors_of(variables)),),
        decode=lambda variables, codes: coder.decode(variables.params, vq.look_up(codes[0], vectors_of(variables))),
        likelihood=likelihood,
    )
    return discrete_model(init, (Update("vq_vae", ("encoder", "decoder"), loss),), stage, (grid,))


def discrete_model(
    init: Callable[[Array, Batch], Variables],
    updates: tuple[Update, ...],
    stage: DiscreteStage,
    grids: tuple[tuple[int, int], ...],
) -> GenerativeModel:
    """Bind what a model with discrete codes has in common with its kind: samples, the bound and the methods.

    Args:
        init: see `contract.InitFn`.
        updates: its training.
        stage: see DiscreteStage.
        grids: (h, w) of each grid, for codes drawn from nothing.
    """
    likelihood = stage.likelihood
    prior_nats = sum(height * width * math.log(num) for (height, width), num in zip(grids, stage.num_codes))

    def uniform_codes(key: Array, num: int) -> Codes:
        keys = jax.random.split(key, len(grids))
        return tuple(
            jax.random.randint(k, (num, *grid), 0, count) for k, grid, count in zip(keys, grids, stage.num_codes)
        )

    def codes(variables: Variables, key: Array, x: Array) -> Codes:
        del key
        return stage.codes(variables, x)

    def from_codes(variables: Variables, key: Array, codes: Codes) -> Array:
        del key
        return likelihood.mean(stage.decode(variables, codes))

    def sample_from_codes(variables: Variables, key: Array, codes: Codes) -> Array:
        return likelihood.sample(key, stage.decode(variables, codes))

    def code_distortion(variables: Variables, key: Array, x: Array, codes: Codes) -> Array:
        del key
        return -likelihood.log_prob(x, stage.decode(variables, codes))

    def reconstruct(variables: Variables, key: Array, x: Array) -> Array:
        return from_codes(variables, key, stage.codes(variables, x))

    def sample_mean(variables: Variables, key: Array, num: int) -> Array:
        return from_codes(variables, key, uniform_codes(key, num))

    def sample(variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None) -> Array:
        if condition is not None:
            raise ValueError("the codes of this model are drawn at random: sample takes no condition.")
        code_key, likelihood_key = jax.random.split(key)
        return sample_from_codes(variables, likelihood_key, uniform_codes(code_key, num_samples))

    def log_prob(variables: Variables, key: Array, batch: Batch) -> Array:
        return -code_distortion(variables, key, batch["x"], stage.codes(variables, batch["x"])) - prior_nats

    methods = (codes, from_codes, sample_from_codes, code_distortion, reconstruct, sample_mean)
    named = {method.__name__: method for method in methods}
    return GenerativeModel(init, updates, sample, LogProb(log_prob, "lower_bound"), named)


class _Coder(NamedTuple):
    """init: (key, x) -> (params, z); encode: (params, x) -> z; decode: (params, e) -> outputs; all float32."""

    init: Callable[[Array, Array], tuple[dict[str, PyTree], Array]]
    encode: Callable[[PyTree, Array], Array]
    decode: Callable[[PyTree, Array], Array]


def _bind(encoder: nn.Module, decoder: nn.Module, likelihood: Likelihood, grid: tuple[int, int]) -> _Coder:
    def init(key: Array, x: Array) -> tuple[dict[str, PyTree], Array]:
        encoder_key, decoder_key = jax.random.split(key)
        z, encoder_variables = encoder.init_with_output(encoder_key, x)
        require_grid(z, x, grid)
        outputs, decoder_variables = decoder.init_with_output(decoder_key, z)
        require_outputs(outputs, x, likelihood.outputs_per_entry)
        params = {"encoder": only_params("encoder", encoder_variables)}
        return params | {"decoder": only_params("decoder", decoder_variables)}, widened(z)

    encode = lambda params, x: widened(encoder.apply({"params": params["encoder"]}, x))
    decode = lambda params, vectors: widened(decoder.apply({"params": params["decoder"]}, vectors))
    return _Coder(init, encode, decode)


def require_grid(z: Array, x: Array, grid: tuple[int, int]) -> None:
    """Refuse, by a ValueError, an encoder's answer that is no grid of the size told."""
    if z.ndim != 4 or z.shape[:3] != (x.shape[0], *grid):
        wanted = f"{(x.shape[0], *grid)} + [D]"
        raise ValueError(f"the encoder returned shape {z.shape}; codes on a grid {grid} need {wanted}.")
