"""A deterministic code, and a Gaussian over it.

    z = f(x),   p(x|z) = likelihood(g(z)),   minimize E -log p(x|f(x)) + penalties

Nothing in such a model says how its codes are distributed. To draw from it all the same, a Gaussian is fitted to the
codes: training keeps moving averages of z and z z^T in the state, whose mean and covariance N(m, S) has. (Averages of
sums, not of covariances: those of equal parts of a batch average to those of the batch.) What the decoder makes of
draws from N(m, S) shows how much of the code space it knows.

Reference: Ghosh et al. 2020 (arXiv:1903.12436), section 4, for density estimation after the fact.
"""

from collections.abc import Mapping
from typing import Callable, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.autoencoders.binding import only_params, require_outputs, widened
from genjax.autoencoders.likelihoods import Likelihood
from genjax.contract import Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables

DECAY = 0.99  # of the moving averages


class Coder(NamedTuple):
    """An encoder and a decoder as pure functions of their parameters; results are float32 at least.

    init: (key, batch) -> params with the groups 'encoder' and 'decoder'.
    encode: (params, x [B, ...]) -> codes [B, Z].
    decode: (params, z [B, Z]) -> the array that the likelihood reads.
    """

    init: Callable[[Array, Batch], Mapping[str, PyTree]]
    encode: Callable[[PyTree, Array], Array]
    decode: Callable[[PyTree, Array], Array]


class Moments(NamedTuple):
    """Moving averages over codes, not yet divided by their weight.

    weight: [], 0 at the start, towards 1.
    first: [Z], of z.
    second: [Z, Z], of z z^T.
    """

    weight: Array
    first: Array
    second: Array


def bind_coder(encoder: nn.Module, decoder: nn.Module, likelihood: Likelihood, *, latent_dim: int) -> Coder:
    """Turn two Linen modules into functions, and check that they fit together when they are initialised.

    Args:
        encoder: x [B, ...] -> codes [B, latent_dim]. No collections beside 'params'.
        decoder: z [B, latent_dim] -> [B, ..., n C], n = likelihood.outputs_per_entry. Likewise.
        likelihood: p(x|z).
        latent_dim: Z.
    """

    def init(key: Array, batch: Batch) -> Mapping[str, PyTree]:
        encoder_key, decoder_key = jax.random.split(key)
        x = batch["x"]
        codes, encoder_variables = encoder.init_with_output(encoder_key, x)
        if codes.shape != (x.shape[0], latent_dim):
            raise ValueError(f"the encoder returned shape {codes.shape}; codes have {(x.shape[0], latent_dim)}.")
        outputs, decoder_variables = decoder.init_with_output(decoder_key, jnp.zeros_like(codes))
        require_outputs(outputs, x, likelihood.outputs_per_entry)
        return {
            "encoder": only_params("encoder", encoder_variables),
            "decoder": only_params("decoder", decoder_variables),
        }

    encode = lambda params, x: widened(encoder.apply({"params": params["encoder"]}, x))
    decode = lambda params, z: widened(decoder.apply({"params": params["decoder"]}, z))
    return Coder(init, encode, decode)


def no_moments(latent_dim: int) -> Moments:
    """Return the moments of no codes."""
    return Moments(jnp.zeros(()), jnp.zeros(latent_dim), jnp.zeros((latent_dim, latent_dim)))


def add_moments(moments: Moments, codes: Array, *, decay: float = DECAY) -> Moments:
    """Move the averages towards those of a batch.

    Args:
        moments: so far.
        codes: [B, Z]; no gradient passes.
        decay: share of what was there.

    Returns:
        Moments.

    Raises:
        ValueError: codes have another rank.
    """
    if jnp.ndim(codes) != 2:
        raise ValueError(f"codes have shape {jnp.shape(codes)}; their moments are taken over [B, Z].")
    codes = jax.lax.stop_gradient(codes)
    second = jnp.einsum("bi,bj->ij", codes, codes, precision=jax.lax.Precision.HIGHEST) / codes.shape[0]
    batch = Moments(jnp.ones(()), jnp.mean(codes, axis=0), second)
    return jax.tree.map(lambda old, new: decay * old + (1.0 - decay) * new, moments, batch)


def code_gaussian(moments: Moments) -> tuple[Array, Array]:
    """Return mean [Z] and covariance [Z, Z] of the codes; zeros before the first batch."""
    weight = jnp.maximum(moments.weight, 1e-12)
    mean = moments.first / weight
    return mean, moments.second / weight - mean[:, None] * mean[None, :]


def draw_codes(key: Array, moments: Moments, num: int) -> Array:
    """Draw codes [num, Z] from N(m, S); directions without spread, or with less than rounding leaves, get none."""
    mean, covariance = code_gaussian(moments)
    values, vectors = jnp.linalg.eigh(covariance)
    root = vectors * jnp.sqrt(jnp.maximum(values, 0.0))[None, :]
    return mean[None] + jax.random.normal(key, (num, mean.shape[0])) @ root.T


def coded_model(
    name: str,
    coder: Coder,
    likelihood: Likelihood,
    *,
    latent_dim: int,
    terms: Callable[[PyTree, Array, Array], Mapping[str, Array]],
) -> GenerativeModel:
    """Bind a coder and the terms of its objective into a model.

    Args:
        name: of the update.
        coder: see Coder.
        likelihood: p(x|z).
        latent_dim: Z.
        terms: (params, x, codes) -> named terms [B], whose sum is minimized; they become metrics.

    Returns:
        A model with one update that moves 'encoder' and 'decoder'. `sample` decodes draws from the Gaussian of the
        codes to E[x|z]. Methods, each (variables, key, ...):

        encode(x) -> [B, Z]
        decode(z) -> [B, ...]                        E[x|z]
        reconstruct(x) -> [B, ...]
        sample_mean(num) -> [num, ...]               what `sample` returns
        interpolate(x, y, *, num) -> [B, num, ...]   decoded along the line between codes
    """

    def init(key: Array, batch: Batch) -> Variables:
        return Variables(params=coder.init(key, batch), state={"codes": no_moments(latent_dim)})

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del key, step
        codes = coder.encode(variables.params, batch["x"])
        metrics = {name: jnp.mean(values) for name, values in terms(variables.params, batch["x"], codes).items()}
        state = {"codes": add_moments(variables.state["codes"], codes)}
        return sum(metrics.values()), Aux(state=state, metrics=metrics)

    def encode(variables: Variables, key: Array, x: Array) -> Array:
        del key
        return coder.encode(variables.params, x)

    def decode(variables: Variables, key: Array, z: Array) -> Array:
        del key
        return likelihood.mean(coder.decode(variables.params, z))

    def reconstruct(variables: Variables, key: Array, x: Array) -> Array:
        return decode(variables, key, encode(variables, key, x))

    def sample_mean(variables: Variables, key: Array, num: int) -> Array:
        return decode(variables, key, draw_codes(key, variables.state["codes"], num))

    def interpolate(variables: Variables, key: Array, x: Array, y: Array, *, num: int = 8) -> Array:
        along = jnp.linspace(0.0, 1.0, num)[None, :, None]
        start, end = encode(variables, key, x)[:, None], encode(variables, key, y)[:, None]
        pictures = decode(variables, key, ((1.0 - along) * start + along * end).reshape(-1, latent_dim))
        return pictures.reshape(x.shape[0], num, *pictures.shape[1:])

    def sample(variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None) -> Array:
        if condition is not None:
            raise ValueError("this autoencoder is unconditional: sample takes no condition.")
        return sample_mean(variables, key, num_samples)

    methods = (encode, decode, reconstruct, sample_mean, interpolate)
    return GenerativeModel(
        init=init,
        updates=(Update(name, ("encoder", "decoder"), loss),),
        sample=sample,
        methods={method.__name__: method for method in methods},
    )
