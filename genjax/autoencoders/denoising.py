"""Denoising autoencoder (Vincent et al. 2008; Bengio et al. 2013, arXiv:1305.6663).

A clean x is corrupted to x' ~ C(x' | x), and rebuilt from what is left:

    minimize  E_{x, x'} -log p(x | x'),   p(x | x') = likelihood(g(f(x')))

Copying its input is no longer the solution, so the code may have more numbers than x. Two things are then known:

    score    Under x' = x + sigma e and squared error the best reconstruction is r(x') = E[x | x'], and
             (r(x') - x') / sigma^2 = grad log p_sigma(x'),   p_sigma = data convolved with N(0, sigma^2 I)
             (Miyasawa 1961; Vincent 2011; Alain and Bengio 2014, theorem 1 in the limit sigma -> 0).
    samples  The chain x'_t ~ C(. | x_t), x_{t+1} ~ p(. | x'_t) has the distribution of the data as its own if p is the
             true one (Bengio et al. 2013, theorem 1).

Corruptions are functions (key, x [B, ...]) -> x' of the same shape.
"""

from typing import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.autoencoders.coder import bind_coder
from genjax.autoencoders.likelihoods import Likelihood
from genjax.contract import Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables

Corruption = Callable[[Array, Array], Array]


def gaussian_corruption(std: float) -> Corruption:
    """Make the corruption x' = x + std e, e ~ N(0, I)."""
    return lambda key, x: x + std * jax.random.normal(key, x.shape, x.dtype)


def masking_corruption(prob: float) -> Corruption:
    """Make the corruption that sets each entry to 0 with probability `prob`, independently."""
    return lambda key, x: jnp.where(jax.random.bernoulli(key, prob, x.shape), 0.0, x)


def salt_and_pepper_corruption(prob: float, *, low: float = 0.0, high: float = 1.0) -> Corruption:
    """Make the corruption that sets each entry with probability `prob` to `low` or `high`, as a fair coin falls."""

    def corrupt(key: Array, x: Array) -> Array:
        where_key, coin_key = jax.random.split(key)
        extremes = jnp.where(jax.random.bernoulli(coin_key, 0.5, x.shape), high, low).astype(x.dtype)
        return jnp.where(jax.random.bernoulli(where_key, prob, x.shape), extremes, x)

    return corrupt


def denoising_score(corrupted: Array, reconstruction: Array, *, std: float) -> Array:
    """Return the score that a reconstruction stands for, (r(x') - x') / std^2.

    Args:
        corrupted: x', [B, ...].
        reconstruction: r(x') = E[x | x'], [B, ...].
        std: of the Gaussian corruption.

    Returns:
        [B, ...], an estimate of grad log p_std(x').

    Raises:
        ValueError: the shapes differ.

    Reference: Alain and Bengio 2014, eq. 6; exact for every std as Miyasawa 1961 has it.
    """
    if jnp.shape(corrupted) != jnp.shape(reconstruction):
        shapes = f"{jnp.shape(corrupted)} and {jnp.shape(reconstruction)}"
        raise ValueError(f"x' and its reconstruction have shapes {shapes}; they must be the same.")
    return (reconstruction - corrupted) / std**2


def denoising_autoencoder(
    encoder: nn.Module,
    decoder: nn.Module,
    likelihood: Likelihood,
    *,
    latent_dim: int,
    corrupt: Corruption,
    shape: tuple[int, ...],
    chain_steps: int = 50,
) -> GenerativeModel:
    """Build a denoising autoencoder.

    Args:
        encoder: x' [B, ...] -> code [B, latent_dim]. No collections beside 'params'.
        decoder: z [B, latent_dim] -> [B, ..., n C], n = likelihood.outputs_per_entry. Likewise.
        likelihood: p(x|x').
        latent_dim: Z; may exceed the number of entries of x.
        corrupt: see Corruption.
        shape: of one x.
        chain_steps: default length of the chain that `sample` runs (static).

    Returns:
        A model with one update 'dae', metric distortion (-log p(x|x'), nats per example). `sample` runs `chain_steps`
        steps of the chain from N(1/2, 1/4) noise and returns the last E[x|x']; option chain_steps. Methods, each
        (variables, key, ...):

        encode(x) -> [B, Z]
        decode(z) -> [B, ...]
        reconstruct(x') -> [B, ...]                      E[x|x']
        corrupt(x) -> [B, ...]                           one draw from C
        chain(x, *, num_steps) -> [num_steps, B, ...]    E[x|x'_t] along the chain that starts at x

    Raises:
        ValueError: from `init`, where the networks do not fit the data, the code or the likelihood.
    """
    coder = bind_coder(encoder, decoder, likelihood, latent_dim=latent_dim)

    def init(key: Array, batch: Batch) -> Variables:
        if batch["x"].shape[1:] != tuple(shape):
            raise ValueError(f"the data have shape {batch['x'].shape[1:]} an example; the model was built for {shape}.")
        return Variables(params=coder.init(key, batch))

    def outputs(params: PyTree, corrupted: Array) -> Array:
        return coder.decode(params, coder.encode(params, corrupted))

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        x = batch["x"]
        distortion = -jnp.mean(likelihood.log_prob(x, outputs(variables.params, corrupt(key, x))))
        return distortion, Aux(state=variables.state, metrics={"distortion": distortion})

    def chain(variables: Variables, key: Array, x: Array, *, num_steps: int) -> Array:
        def step(x: Array, step_key: Array) -> tuple[Array, Array]:
            corrupt_key, sample_key = jax.random.split(step_key)
            rebuilt = outputs(variables.params, corrupt(corrupt_key, x))
            return likelihood.sample(sample_key, rebuilt), likelihood.mean(rebuilt)

        return jax.lax.scan(step, x, jax.random.split(key, num_steps))[1]

    def sample(
        variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None, chain_steps: int = chain_steps
    ) -> Array:
        if condition is not None:
            raise ValueError("this autoencoder is unconditional: sample takes no condition.")
        start_key, chain_key = jax.random.split(key)
        start = 0.5 + 0.5 * jax.random.normal(start_key, (num_samples, *shape))
        return chain(variables, chain_key, start, num_steps=chain_steps)[-1]

    return GenerativeModel(
        init=init,
        updates=(Update("dae", ("encoder", "decoder"), loss),),
        sample=sample,
        methods={
            "encode": lambda variables, key, x: coder.encode(variables.params, x),
            "decode": lambda variables, key, z: likelihood.mean(coder.decode(variables.params, z)),
            "reconstruct": lambda variables, key, x: likelihood.mean(outputs(variables.params, x)),
            "corrupt": lambda variables, key, x: corrupt(key, x),
            "chain": chain,
        },
    )
