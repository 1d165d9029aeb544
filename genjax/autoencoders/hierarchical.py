"""Hierarchical VAE with a Markovian chain of codes (Rezende et al. 2014; Sonderby et al. 2016; Luo 2022).

    q(z_1..z_L | x) = q(z_1|x) q(z_2|z_1) ... q(z_L|z_{L-1}),       p(x, z_1..z_L) = p(x|z_1) p(z_1|z_2) ... p(z_L)

with p(z_L) = N(0, I) and all conditionals diagonal Gaussians. The bound falls into one rate a layer,

    log p(x) >= E_q [ log p(x|z_1) - sum_{l=1}^L r_l ],    r_l = log q(z_l|z_{l-1}) - log p(z_l|z_{l+1}),    z_0 = x,

of which the last is a divergence in closed form given z_{L-1}. L = 1 is the VAE.

A diffusion model is the case in which nothing of q is learned: z_t as large as x, q(z_t|z_{t-1}) = N(sqrt(1 - beta_t)
z_{t-1}, beta_t I), one network for all p(z_{t-1}|z_t); `genjax.diffusion.bound` rewrites the same sum with less
variance (Ho et al. 2020, eq. 3 and 5; Luo 2022, arXiv:2208.11970, eq. 34-58).
"""

from collections.abc import Sequence
from typing import Callable, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.autoencoders.binding import only_params, require_outputs, widened
from genjax.autoencoders.elbo import (
    Gaussian,
    LatentLogLikelihood,
    analytic_rate,
    averaged,
    sampled_rate,
    streamed_estimate,
)
from genjax.autoencoders.likelihoods import Likelihood
from genjax.contract import Array, Aux, Batch, GenerativeModel, LogProb, PyTree, Update, Variables

Conditional = Callable[[Array], Gaussian]


class ChainTerms(NamedTuple):
    """The terms of the bound.

    rates: [L, B], nats; entry l - 1 is r_l, at single draws of either sign but for the last.
    distortion: [B], nats; -log p(x|z_1).
    """

    rates: Array
    distortion: Array


def chain_terms(
    key: Array,
    x: Array,
    *,
    infer: Sequence[Conditional],
    generate: Sequence[Conditional],
    log_likelihood: LatentLogLikelihood,
    top_rate: Callable[[Gaussian, Array], Array] = analytic_rate,
) -> ChainTerms:
    """Return the terms of the bound at one draw of all codes.

    Args:
        key: draws z_1 ... z_L.
        x: [B, ...].
        infer: L functions; the first x -> q(z_1|x), then z_l -> q(z_{l+1}|z_l), each [B, Z_l].
        generate: L - 1 functions; entry l - 1 is z_{l+1} -> p(z_l|z_{l+1}).
        log_likelihood: z_1 -> log p(x|z_1) [B].
        top_rate: `analytic_rate`, or `sampled_rate` where the terms of one draw must add up to an importance weight.

    Returns:
        ChainTerms.

    Raises:
        ValueError: L and the number of generating conditionals do not fit, or the code sizes do not.
    """
    if not infer or len(generate) != len(infer) - 1:
        raise ValueError(f"a chain of L codes has L inferring and L - 1 generating conditionals, not {len(infer)}, "
                         f"{len(generate)}.")  # fmt: skip
    posteriors, codes = draw_chain(key, x, infer)
    rates = []
    for index, conditional in enumerate(generate):
        prior = conditional(codes[index + 1])
        _require_same_size(index + 1, prior, codes[index])
        rates.append(posteriors[index].log_prob(codes[index]) - prior.log_prob(codes[index]))
    rates.append(top_rate(posteriors[-1], codes[-1]))
    return ChainTerms(jnp.stack(rates), -log_likelihood(codes[0]))


def draw_chain(key: Array, x: Array, infer: Sequence[Conditional]) -> tuple[list[Gaussian], list[Array]]:
    """Return q(z_l|z_{l-1}) and z_l drawn from it, for l = 1 ... L."""
    posteriors, codes, below = [], [], x
    for conditional, layer_key in zip(infer, jax.random.split(key, len(infer))):
        posteriors.append(conditional(below))
        below = posteriors[-1].sample(layer_key)
        codes.append(below)
    return posteriors, codes


def chain_elbo(terms: ChainTerms) -> Array:
    """Return -sum_l r_l - distortion, [B] nats: a lower bound on log p(x) in expectation."""
    if jnp.ndim(terms.rates) != 2 or jnp.shape(terms.rates)[1:] != jnp.shape(terms.distortion):
        shapes = f"{jnp.shape(terms.rates)} and {jnp.shape(terms.distortion)}"
        raise ValueError(f"rates and distortion have shapes {shapes}; they must be [L, B] and [B].")
    return -jnp.sum(terms.rates, axis=0) - terms.distortion


def hierarchical_vae(
    encoders: Sequence[nn.Module],
    generators: Sequence[nn.Module],
    decoder: nn.Module,
    likelihood: Likelihood,
    *,
    latent_dims: Sequence[int],
) -> GenerativeModel:
    """Build a hierarchical variational autoencoder of any depth.

    Args:
        encoders: L modules; the first x [B, ...] -> (mean, log_std) of z_1, then z_l -> those of z_{l+1}.
        generators: L - 1 modules; entry l - 1 is z_{l+1} -> (mean, log_std) of z_l.
        decoder: z_1 [B, Z_1] -> [B, ..., n C], n = likelihood.outputs_per_entry.
        likelihood: p(x|z_1).
        latent_dims: Z_1 ... Z_L.

    Returns:
        A model with one update 'hvae' that moves 'encoder' and 'decoder' (which holds the generators too); metrics
        elbo, distortion, rate_1 ... rate_L. `log_prob` is the bound at one draw. Methods, each (variables, key, ...):

        infer(x) -> [B, Z_1 + ... + Z_L]                         one draw of all codes
        reconstruct(x) -> [B, ...]                               E[x|z_1] at one draw
        sample_mean(num) -> [num, ...]                           E[x|z_1] at one draw from the prior
        terms(x, *, num_samples) -> ChainTerms                   averaged over draws
        importance_weighted(x, *, num_samples, chunk) -> [B]     L_k, nats
    """
    depth = len(latent_dims)
    if len(encoders) != depth or len(generators) != depth - 1:
        raise ValueError(f"{depth} codes need {depth} encoders and {depth - 1} generators.")

    def init(key: Array, batch: Batch) -> Variables:
        encoder_keys, generator_keys = jax.random.split(key, (2, depth))
        x, codes = batch["x"], [jnp.zeros((batch["x"].shape[0], size)) for size in latent_dims]
        params = {"encoder": {}, "decoder": {}}
        for index, module in enumerate(encoders):
            below = x if index == 0 else codes[index - 1]
            params["encoder"][f"layer_{index + 1}"] = _checked_init(encoder_keys[index], module, below, codes[index])
        for index, module in enumerate(generators):
            tree = _checked_init(generator_keys[index], module, codes[index + 1], codes[index])
            params["decoder"][f"layer_{index + 1}"] = tree
        outputs, variables = decoder.init_with_output(generator_keys[-1], codes[0])
        require_outputs(outputs, x, likelihood.outputs_per_entry)
        params["decoder"]["layer_0"] = only_params("decoder", variables)
        return Variables(params=params)

    def conditionals(params: PyTree, modules: Sequence[nn.Module], player: str) -> list[Conditional]:
        bind = lambda module, tree: lambda below: Gaussian(*map(widened, module.apply({"params": tree}, below)))
        return [bind(module, params[player][f"layer_{index + 1}"]) for index, module in enumerate(modules)]

    def decode(params: PyTree, z: Array) -> Array:
        return widened(decoder.apply({"params": params["decoder"]["layer_0"]}, z))

    def drawn_terms(
        variables: Variables, x: Array, top_rate: Callable = analytic_rate
    ) -> Callable[[Array], ChainTerms]:
        parts = dict(
            infer=conditionals(variables.params, encoders, "encoder"),
            generate=conditionals(variables.params, generators, "decoder"),
            log_likelihood=lambda z: likelihood.log_prob(x, decode(variables.params, z)),
        )
        return lambda key: chain_terms(key, x, top_rate=top_rate, **parts)

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        terms = drawn_terms(variables, batch["x"])(key)
        rates, distortion = jnp.mean(terms.rates, axis=1), jnp.mean(terms.distortion)
        total = jnp.sum(rates) + distortion
        metrics = {f"rate_{index + 1}": rates[index] for index in range(depth)}
        return total, Aux(state=variables.state, metrics=metrics | {"elbo": -total, "distortion": distortion})

    def draw_prior(variables: Variables, key: Array, num: int) -> Array:
        """Return the decoder's output at z_1 drawn down the chain."""
        keys = jax.random.split(key, depth)
        z = jax.random.normal(keys[-1], (num, latent_dims[-1]))
        for conditional, layer_key in zip(conditionals(variables.params, generators, "decoder")[::-1], keys[:-1]):
            z = conditional(z).sample(layer_key)
        return decode(variables.params, z)

    def sample(variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None) -> Array:
        if condition is not None:
            raise ValueError("this variational autoencoder is unconditional: sample takes no condition.")
        prior_key, likelihood_key = jax.random.split(key)
        return likelihood.sample(likelihood_key, draw_prior(variables, prior_key, num_samples))

    def codes_of(variables: Variables, key: Array, x: Array) -> list[Array]:
        return draw_chain(key, x, conditionals(variables.params, encoders, "encoder"))[1]

    def terms(variables: Variables, key: Array, x: Array, *, num_samples: int = 64) -> ChainTerms:
        return averaged(key, drawn_terms(variables, x), num_samples=num_samples)

    def importance_weighted(
        variables: Variables, key: Array, x: Array, *, num_samples: int = 5000, chunk: int = 100
    ) -> Array:
        draw = drawn_terms(variables, x, sampled_rate)
        return streamed_estimate(key, lambda key: chain_elbo(draw(key)), num_samples=num_samples, chunk=chunk)

    def log_prob(variables: Variables, key: Array, batch: Batch) -> Array:
        return chain_elbo(drawn_terms(variables, batch["x"])(key))

    return GenerativeModel(
        init=init,
        updates=(Update("hvae", ("encoder", "decoder"), loss),),
        sample=sample,
        log_prob=LogProb(log_prob, "lower_bound"),
        methods={
            "infer": lambda variables, key, x: jnp.concatenate(codes_of(variables, key, x), axis=1),
            "reconstruct": lambda variables, key, x: likelihood.mean(
                decode(variables.params, codes_of(variables, key, x)[0])
            ),
            "sample_mean": lambda variables, key, num: likelihood.mean(draw_prior(variables, key, num)),
            "terms": terms,
            "importance_weighted": importance_weighted,
        },
    )


def _checked_init(key: Array, module: nn.Module, below: Array, code: Array) -> PyTree:
    (mean, log_std), variables = module.init_with_output(key, below)
    if mean.shape != code.shape or log_std.shape != code.shape:
        raise ValueError(f"a conditional returned shapes {mean.shape} and {log_std.shape}; both must be {code.shape}.")
    return only_params("conditional", variables)


def _require_same_size(layer: int, prior: Gaussian, code: Array) -> None:
    if prior.mean.shape != code.shape:
        raise ValueError(f"p(z_{layer}|z_{layer + 1}) has shape {prior.mean.shape}, q(z_{layer}|.) {code.shape}.")
