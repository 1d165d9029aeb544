"""VAE with a normalizing flow as posterior (Rezende and Mohamed 2015, arXiv:1505.05770; Kingma et al. 2016).

The encoder's Gaussian q_0 is only the start; invertible steps carry its draws on, so that q need not be a Gaussian:

    z_0 ~ q_0(z_0|x),   z_K = f_K o ... o f_1(z_0),   log q(z_K|x) = log q_0(z_0|x) - sum_k log |det df_k|       (13)
    F(x) = E_{q_0} [log q(z_K|x) - log p(z_K)] - E_{q_0} log p(x|z_K) = rate + distortion                        (15)

F is the free energy, minus the bound. The flow is an argument: `LatentFlow`, two functions. It reads what the encoder
says beside mean and log_std, the context: all parameters of planar steps (amortized), or the condition of an inverse
autoregressive flow, which has weights of its own. With no steps (K = 0) it is the VAE with the sampled rate.
"""

from collections.abc import Sequence
from typing import Any, Callable, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.autoencoders.binding import only_params, require_outputs, widened
from genjax.autoencoders.elbo import (
    Gaussian,
    LatentLogLikelihood,
    Terms,
    averaged,
    elbo,
    prior_log_prob,
    streamed_estimate,
)
from genjax.autoencoders.likelihoods import Likelihood
from genjax.autoencoders.networks import Activation
from genjax.contract import Array, Aux, Batch, GenerativeModel, LogProb, PyTree, Update, Variables
from genjax.nn.mlp import MLP

Transport = Callable[[Array], tuple[Array, Array]]


class LatentFlow(NamedTuple):
    """An invertible map of codes.

    init: (key, z_0 [B, Z], context [B, C]) -> its own weights, possibly none ({}).
    forward: (weights, z_0, context) -> (z_K [B, Z], log |det dz_K/dz_0| [B]).
    """

    init: Callable[[Array, Array, Array], PyTree]
    forward: Callable[[PyTree, Array, Array], tuple[Array, Array]]


class MLPFlowEncoder(nn.Module):
    """x -> flatten -> hidden layers -> (mean, log_std, context [B, context_dim]).

    As `MLPEncoder` in all but the context: without one its parameters are that one's.
    """

    latent_dim: int
    context_dim: int
    hidden: Sequence[int] = (200, 200)
    activation: Activation = jnp.tanh
    kernel_init: Callable[..., Array] = nn.initializers.glorot_uniform()
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, Array, Array]:
        flat, features = x.reshape(x.shape[0], -1), 2 * self.latent_dim + self.context_dim
        out = MLP(self.hidden, features, self.activation, self.kernel_init, self.kernel_init, self.dtype)(flat)
        mean, log_std, context = jnp.split(out, (self.latent_dim, 2 * self.latent_dim), axis=-1)
        return mean, log_std, context


def flow_terms(key: Array, base: Gaussian, transport: Transport, log_likelihood: LatentLogLikelihood) -> Terms:
    """Return the two terms of the free energy at one z_0 ~ q_0.

    Args:
        key: draws z_0.
        base: q_0(z_0|x), [B, Z].
        transport: z_0 [B, Z] -> (z_K [B, Z], log |det dz_K/dz_0| [B]).
        log_likelihood: z_K -> log p(x|z_K) [B].

    Returns:
        Terms of [B], nats; the rate is log q(z_K|x) - log p(z_K), and may be negative at single draws.

    Raises:
        ValueError: what `transport` or `log_likelihood` return has another shape.

    Reference: Rezende and Mohamed 2015, eq. 15.
    """
    z0 = base.sample(key)
    z, log_det = transport(z0)
    if z.shape != z0.shape or log_det.shape != z0.shape[:1]:
        raise ValueError(f"the flow returned shapes {z.shape} and {log_det.shape}; want {z0.shape}, {z0.shape[:1]}.")
    distortion = -log_likelihood(z)
    if distortion.shape != z0.shape[:1]:
        raise ValueError(f"log_likelihood returned shape {distortion.shape}; one value an example has {z0.shape[:1]}.")
    return Terms(rate=base.log_prob(z0) - log_det - prior_log_prob(z), distortion=distortion)


def flow_vae(
    encoder: nn.Module, decoder: nn.Module, likelihood: Likelihood, flow: LatentFlow, *, latent_dim: int
) -> GenerativeModel:
    """Build a variational autoencoder whose posterior is a flow.

    Args:
        encoder: x [B, ...] -> (mean, log_std, context), [B, Z], [B, Z], [B, C]; `MLPFlowEncoder`.
        decoder: z [B, latent_dim] -> [B, ..., n C], n = likelihood.outputs_per_entry.
        likelihood: p(x|z).
        flow: see LatentFlow.
        latent_dim: Z.

    Returns:
        A model with one update 'flow_vae' that moves 'encoder', 'flow' and 'decoder'; metrics elbo, rate, distortion.
        `log_prob` is the bound at one draw. Methods, each (variables, key, ...):

        infer(x) -> [B, Z]                                       one z_K ~ q(z|x)
        decode(z) -> [B, ...]                                    E[x|z]
        reconstruct(x) -> [B, ...]                               E[x|z_K] at one draw
        sample_mean(num) -> [num, ...]                           E[x|z] at z ~ p(z)
        terms(x, *, num_samples) -> Terms                        averaged over draws
        importance_weighted(x, *, num_samples, chunk) -> [B]     L_k, nats
    """

    def init(key: Array, batch: Batch) -> Variables:
        encoder_key, flow_key, decoder_key = jax.random.split(key, 3)
        x = batch["x"]
        (mean, log_std, context), encoder_variables = encoder.init_with_output(encoder_key, x)
        if mean.shape != (x.shape[0], latent_dim) or log_std.shape != mean.shape:
            raise ValueError(f"the encoder returned {mean.shape}, {log_std.shape}; want {(x.shape[0], latent_dim)}.")
        weights = flow.init(flow_key, widened(mean), widened(context))
        outputs, decoder_variables = decoder.init_with_output(decoder_key, jnp.zeros((x.shape[0], latent_dim)))
        require_outputs(outputs, x, likelihood.outputs_per_entry)
        params = {"encoder": only_params("encoder", encoder_variables), "flow": weights}
        return Variables(params=params | {"decoder": only_params("decoder", decoder_variables)})

    def posterior(params: PyTree, x: Array) -> tuple[Gaussian, Transport]:
        mean, log_std, context = encoder.apply({"params": params["encoder"]}, x)
        context = widened(context)
        return Gaussian(widened(mean), widened(log_std)), lambda z0: flow.forward(params["flow"], z0, context)

    def decode(params: PyTree, z: Array) -> Array:
        return widened(decoder.apply({"params": params["decoder"]}, z))

    def drawn_terms(variables: Variables, x: Array) -> Callable[[Array], Terms]:
        base, transport = posterior(variables.params, x)
        log_likelihood = lambda z: likelihood.log_prob(x, decode(variables.params, z))
        return lambda key: flow_terms(key, base, transport, log_likelihood)

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        terms = drawn_terms(variables, batch["x"])(key)
        rate, distortion = jnp.mean(terms.rate), jnp.mean(terms.distortion)
        metrics = {"elbo": -rate - distortion, "rate": rate, "distortion": distortion}
        return rate + distortion, Aux(state=variables.state, metrics=metrics)

    def infer(variables: Variables, key: Array, x: Array) -> Array:
        base, transport = posterior(variables.params, x)
        return transport(base.sample(key))[0]

    def mean_picture(variables: Variables, key: Array, z: Array) -> Array:
        del key
        return likelihood.mean(decode(variables.params, z))

    def sample(variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None) -> Array:
        if condition is not None:
            raise ValueError("this variational autoencoder is unconditional: sample takes no condition.")
        prior_key, likelihood_key = jax.random.split(key)
        z = jax.random.normal(prior_key, (num_samples, latent_dim))
        return likelihood.sample(likelihood_key, decode(variables.params, z))

    def terms(variables: Variables, key: Array, x: Array, *, num_samples: int = 64) -> Terms:
        return averaged(key, drawn_terms(variables, x), num_samples=num_samples)

    def importance_weighted(
        variables: Variables, key: Array, x: Array, *, num_samples: int = 5000, chunk: int = 100
    ) -> Array:
        draw = drawn_terms(variables, x)
        return streamed_estimate(key, lambda key: elbo(draw(key)), num_samples=num_samples, chunk=chunk)

    return GenerativeModel(
        init=init,
        updates=(Update("flow_vae", ("encoder", "flow", "decoder"), loss),),
        sample=sample,
        log_prob=LogProb(lambda variables, key, batch: elbo(drawn_terms(variables, batch["x"])(key)), "lower_bound"),
        methods={
            "infer": infer,
            "decode": mean_picture,
            "reconstruct": lambda variables, key, x: mean_picture(variables, key, infer(variables, key, x)),
            "sample_mean": lambda variables, key, num: mean_picture(
                variables, key, jax.random.normal(key, (num, latent_dim))
            ),
            "terms": terms,
            "importance_weighted": importance_weighted,
        },
    )
