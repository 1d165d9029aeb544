"""Contractive autoencoder (Rifai et al. 2011, ICML).

Next to the reconstruction, the encoder is asked to ignore its input:

    minimize  E [ -log p(x | f(x)) + lambda |J_f(x)|_F^2 ],   J_f(x) = df/dx                                       (7)

The reconstruction lets only directions survive in which the data vary: the right singular vectors of J_f(x) with large
singular values span the tangent space of the data at x (Rifai et al. 2011b, The manifold tangent classifier, section
3; `genjax.autoencoders.tangents`).

For one layer h = s(W^T x + b) of logistic units the penalty costs no more than the layer (eq. 8 and after):

    |J|_F^2 = sum_j (h_j (1 - h_j))^2 sum_i W_ij^2

and the decoder has the same weights, s(W h + c): with free ones the encoder would shrink W, and the decoder undo it.
"""

import math
from typing import Any, Callable

import jax
import jax.numpy as jnp

from genjax.autoencoders.coder import Coder, coded_model
from genjax.autoencoders.likelihoods import Likelihood
from genjax.autoencoders.tangents import code_jacobian
from genjax.contract import Array, Batch, GenerativeModel, PyTree
from genjax.distributions import per_example


def jacobian_penalty(encode: Callable[[Array], Array], x: Array) -> Array:
    """Return |J_f(x)|_F^2 of any encoder, at the cost of Z backward passes.

    Args:
        encode: x [B, ...] -> codes [B, Z], each example on its own.
        x: [B, ...].

    Returns:
        [B], in units of z^2 / x^2.

    Reference: Rifai et al. 2011, eq. 5.
    """
    return per_example(code_jacobian(encode, x) ** 2)


def sigmoid_layer_penalty(codes: Array, kernel: Array) -> Array:
    """Return |J_f(x)|_F^2 of f(x) = s(W^T x + b) in closed form.

    Args:
        codes: h = f(x), [B, Z], in [0, 1].
        kernel: W, [D, Z].

    Returns:
        [B], in units of 1 / x^2.

    Raises:
        ValueError: the shapes do not fit.

    Reference: Rifai et al. 2011, eq. 8.
    """
    if jnp.ndim(codes) != 2 or jnp.ndim(kernel) != 2 or codes.shape[1] != kernel.shape[1]:
        raise ValueError(f"codes have shape {jnp.shape(codes)}, the kernel {jnp.shape(kernel)}; want [B, Z], [D, Z].")
    slopes = codes * (1.0 - codes)
    return jnp.sum(slopes**2 * jnp.sum(kernel**2, axis=0)[None], axis=1)


def tied_sigmoid_coder(shape: tuple[int, ...], *, latent_dim: int, dtype: Any = None) -> Coder:
    """Make the paper's coder: h = s(W^T x + b), logits W h + c; W and b are the encoder's, c the decoder's.

    Args:
        shape: of one x.
        latent_dim: Z.
        dtype: compute dtype of the two products.
    """
    size = math.prod(shape)

    def product(a: Array, b: Array) -> Array:
        a, b = (a, b) if dtype is None else (a.astype(dtype), b.astype(dtype))
        return (a @ b).astype(jnp.float32)

    def init(key: Array, batch: Batch) -> dict[str, PyTree]:
        del batch
        kernel = jax.nn.initializers.glorot_uniform()(key, (size, latent_dim))
        return {"encoder": {"kernel": kernel, "bias": jnp.zeros(latent_dim)}, "decoder": {"bias": jnp.zeros(size)}}

    def encode(params: PyTree, x: Array) -> Array:
        encoder = params["encoder"]
        return jax.nn.sigmoid(product(x.reshape(x.shape[0], size), encoder["kernel"]) + encoder["bias"][None])

    def decode(params: PyTree, z: Array) -> Array:
        logits = product(z, params["encoder"]["kernel"].T) + params["decoder"]["bias"][None]
        return logits.reshape(z.shape[0], *shape)

    return Coder(init, encode, decode)


def contractive_autoencoder(
    coder: Coder,
    likelihood: Likelihood,
    *,
    latent_dim: int,
    weight: float,
    penalty: Callable[[PyTree, Array, Array], Array] | None = None,
) -> GenerativeModel:
    """Build a contractive autoencoder.

    Args:
        coder: `tied_sigmoid_coder`, or `bind_coder` of two modules.
        likelihood: p(x|z).
        latent_dim: Z; may exceed the number of entries of x.
        weight: lambda.
        penalty: (params, x, codes) -> |J_f(x)|_F^2 [B]; None: `jacobian_penalty`.

    Returns:
        A model with one update 'cae', metrics distortion (-log p(x|f(x)), nats per example) and contraction
        (lambda |J|_F^2); see `coder.coded_model` for the rest.
    """
    if penalty is None:
        penalty = lambda params, x, codes: jacobian_penalty(lambda x: coder.encode(params, x), x)

    def terms(params: PyTree, x: Array, codes: Array) -> dict[str, Array]:
        distortion = -likelihood.log_prob(x, coder.decode(params, codes))
        return {"distortion": distortion, "contraction": weight * penalty(params, x, codes)}

    return coded_model("cae", coder, likelihood, latent_dim=latent_dim, terms=terms)


def tied_sigmoid_penalty(params: PyTree, x: Array, codes: Array) -> Array:
    """Return the penalty [B] of `tied_sigmoid_coder`, from codes [B, Z] that are already there."""
    del x
    return sigmoid_layer_penalty(codes, params["encoder"]["kernel"])
