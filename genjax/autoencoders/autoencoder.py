"""Autoencoder (Rumelhart, Hinton and Williams 1986; Hinton and Salakhutdinov 2006).

    z = f(x) of fewer numbers than x,   minimize  E -log p(x | z),   p(x|z) = likelihood(g(z))

Under a Gaussian of fixed variance that is the squared error, and where f and g are affine, its optimum is the subspace
of the first principal components (Baldi and Hornik 1989), though not the components themselves. What deeper networks
gain over them is the curvature of the data. There is no prior: how draws are made is told in
`genjax.autoencoders.coder`.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax

from genjax.autoencoders.coder import bind_coder, coded_model
from genjax.autoencoders.likelihoods import Likelihood
from genjax.autoencoders.networks import Activation
from genjax.contract import Array, GenerativeModel, PyTree
from genjax.nn.conv import Conv
from genjax.nn.mlp import MLP


class MLPCoder(nn.Module):
    """x -> flatten -> hidden layers -> code [B, latent_dim]; no hidden layers make an affine map."""

    latent_dim: int
    hidden: Sequence[int] = (256, 128)
    activation: Activation = jax.nn.relu
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return MLP(self.hidden, self.latent_dim, self.activation, dtype=self.dtype)(x.reshape(x.shape[0], -1))


class ConvCoder(nn.Module):
    """Images -> one strided 3x3 convolution a width, each halving the side -> dense -> code [B, latent_dim]."""

    latent_dim: int
    widths: Sequence[int] = (32, 64)
    activation: Activation = jax.nn.relu
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for width in self.widths:
            x = self.activation(Conv(width, kernel_size=3, stride=2, dtype=self.dtype)(x))
        return nn.Dense(self.latent_dim, dtype=self.dtype)(x.reshape(x.shape[0], -1))


def autoencoder(encoder: nn.Module, decoder: nn.Module, likelihood: Likelihood, *, latent_dim: int) -> GenerativeModel:
    """Build an autoencoder.

    Args:
        encoder: x [B, ...] -> code [B, latent_dim], `MLPCoder` or `ConvCoder`. No collections beside 'params'.
        decoder: z [B, latent_dim] -> [B, ..., n C], n = likelihood.outputs_per_entry. Likewise.
        likelihood: p(x|z), see `genjax.autoencoders.likelihoods`.
        latent_dim: Z.

    Returns:
        A model with one update 'ae', metric distortion (-log p(x|f(x)), nats per example); see `coder.coded_model` for
        the rest.

    Raises:
        ValueError: from `init`, where the networks do not fit the data, the code or the likelihood.
    """
    coder = bind_coder(encoder, decoder, likelihood, latent_dim=latent_dim)

    def terms(params: PyTree, x: Array, codes: Array) -> dict[str, Array]:
        return {"distortion": -likelihood.log_prob(x, coder.decode(params, codes))}

    return coded_model("ae", coder, likelihood, latent_dim=latent_dim, terms=terms)
