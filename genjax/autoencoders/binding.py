"""From two Linen modules to the functions that a model with a Gaussian code is made of."""

from typing import Callable, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.autoencoders.elbo import Gaussian
from genjax.autoencoders.likelihoods import Likelihood
from genjax.contract import Array, Batch, PyTree, Variables


class Networks(NamedTuple):
    """An encoder and a decoder as pure functions of their parameters; results are float32 at least.

    init: (key, batch) -> Variables with the groups 'encoder' and 'decoder'.
    encode: (params, x [B, ...]) -> q(z|x), [B, Z].
    decode: (params, z [B, Z]) -> the array that the likelihood reads.
    log_likelihood: (params, x, z) -> log p(x|z) [B], nats.
    """

    init: Callable[[Array, Batch], Variables]
    encode: Callable[[PyTree, Array], Gaussian]
    decode: Callable[[PyTree, Array], Array]
    log_likelihood: Callable[[PyTree, Array, Array], Array]


def bind_networks(encoder: nn.Module, decoder: nn.Module, likelihood: Likelihood, *, latent_dim: int) -> Networks:
    """Turn two Linen modules into functions, and check that they fit together when they are initialised."""

    def init(key: Array, batch: Batch) -> Variables:
        encoder_key, decoder_key = jax.random.split(key)
        x = batch["x"]
        (mean, log_std), encoder_variables = encoder.init_with_output(encoder_key, x)
        outputs, decoder_variables = decoder.init_with_output(decoder_key, jnp.zeros((x.shape[0], latent_dim)))
        _require_codes(mean, log_std, (x.shape[0], latent_dim))
        require_outputs(outputs, x, likelihood.outputs_per_entry)
        params = {"encoder": only_params("encoder", encoder_variables)}
        return Variables(params=params | {"decoder": only_params("decoder", decoder_variables)})

    def encode(params: PyTree, x: Array) -> Gaussian:
        mean, log_std = encoder.apply({"params": params["encoder"]}, x)
        return Gaussian(widened(mean), widened(log_std))

    def decode(params: PyTree, z: Array) -> Array:
        return widened(decoder.apply({"params": params["decoder"]}, z))

    def log_likelihood(params: PyTree, x: Array, z: Array) -> Array:
        return likelihood.log_prob(x, decode(params, z))

    return Networks(init, encode, decode, log_likelihood)


def widened(values: Array) -> Array:
    """Return values in float32 at least: losses are not computed in bfloat16."""
    return values if values.dtype == jnp.float64 else values.astype(jnp.float32)


def only_params(name: str, variables: PyTree) -> PyTree:
    """Return the parameters of a module's variables; refuse other collections by a ValueError."""
    others = sorted(set(variables) - {"params"})
    if others:
        raise ValueError(f"the {name} keeps collections {others}; an autoencoder's networks may have parameters alone.")
    return variables["params"]


def _require_codes(mean: Array, log_std: Array, expected: tuple[int, ...]) -> None:
    if mean.shape != expected or log_std.shape != expected:
        raise ValueError(f"the encoder returned shapes {mean.shape} and {log_std.shape}; both must be {expected}.")


def require_outputs(outputs: Array, x: Array, outputs_per_entry: int) -> None:
    """Refuse, by a ValueError, a decoder's output that a likelihood of x cannot read."""
    expected = (*x.shape[:-1], outputs_per_entry * x.shape[-1])
    if outputs.shape != expected:
        raise ValueError(
            f"the decoder returned shape {outputs.shape}; for x {x.shape} this likelihood reads {expected}."
        )
