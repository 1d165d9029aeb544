"""The invertible 1x1 convolution of Glow (Kingma and Dhariwal 2018, section 3.2): z_ij = W x_ij at every pixel.

    log_det = H W log |det W|                                                                                     (10)

plain with a free W [C, C], or with its decomposition, which makes the determinant a sum:

    W = P L (U + diag(s)),    log |det W| = sum log |s|                                                       (11), (12)

L is unit lower, U strictly upper triangular; the permutation P and the signs of s stay what they were at the start.
Both start from a random rotation.
"""

import math

import jax
import jax.numpy as jnp
from jax.scipy.linalg import lu, solve_triangular

from genjax.contract import Array, PyTree
from genjax.flows.bijection import Bijection, Condition, Weights, stateless, with_state


def invertible_conv() -> Bijection:
    """Make the convolution with a free matrix; x [B, ..., C]. Forward and gradient cost O(C^3)."""

    def init(key: Array, x: Array, condition: Condition) -> PyTree:
        return {"matrix": random_rotation(key, x.shape[-1])}

    def forward(params: PyTree, x: Array, condition: Condition) -> tuple[Array, Array]:
        return x @ params["matrix"].T, _everywhere(jnp.linalg.slogdet(params["matrix"])[1], x)

    def inverse(params: PyTree, z: Array, condition: Condition) -> tuple[Array, Array]:
        log_det = -jnp.linalg.slogdet(params["matrix"])[1]
        return z @ jnp.linalg.inv(params["matrix"]).T, _everywhere(log_det, z)

    return stateless(init, forward, inverse)


def invertible_conv_lu() -> Bijection:
    """Make the convolution with a decomposed matrix; x [B, ..., C]. The log-determinant costs O(C)."""

    def init(key: Array, x: Array, condition: Condition) -> Weights:
        permutation, lower, upper = lu(random_rotation(key, x.shape[-1]))
        diagonal = jnp.diagonal(upper)
        params = {"lower": jnp.tril(lower, -1), "upper": jnp.triu(upper, 1), "log_scale": jnp.log(jnp.abs(diagonal))}
        return Weights(params, {"permutation": permutation, "sign": jnp.sign(diagonal)})

    def factors(weights: Weights) -> tuple[Array, Array, Array]:
        """Return P, L and U + diag(s)."""
        params, size = weights.params, weights.params["log_scale"].shape[0]
        lower = jnp.tril(params["lower"], -1) + jnp.eye(size)
        upper = jnp.triu(params["upper"], 1) + jnp.diag(weights.state["sign"] * jnp.exp(params["log_scale"]))
        return weights.state["permutation"], lower, upper

    def forward(weights: Weights, x: Array, condition: Condition) -> tuple[Array, Array]:
        permutation, lower, upper = factors(weights)
        return x @ (permutation @ lower @ upper).T, _everywhere(jnp.sum(weights.params["log_scale"]), x)

    def inverse(weights: Weights, z: Array, condition: Condition) -> tuple[Array, Array]:
        permutation, lower, upper = factors(weights)
        kernel = solve_triangular(upper, solve_triangular(lower, permutation.T, lower=True, unit_diagonal=True))
        return z @ kernel.T, _everywhere(-jnp.sum(weights.params["log_scale"]), z)

    return with_state(init, forward, inverse)


def random_rotation(key: Array, size: int) -> Array:
    """Draw an orthogonal matrix [C, C] uniformly (Haar), of either determinant."""
    q, r = jnp.linalg.qr(jax.random.normal(key, (size, size)))
    return q * jnp.sign(jnp.diagonal(r))[None]  # without the signs, the distribution hangs on how q is computed


def _everywhere(log_det: Array, x: Array) -> Array:
    """Return [B] of the log-determinant of one pixel, at every pixel of x [B, ..., C]."""
    return jnp.broadcast_to(math.prod(x.shape[1:-1]) * log_det, x.shape[:1])
