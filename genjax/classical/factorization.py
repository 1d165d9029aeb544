"""Factorizations of a data matrix: principal components, and non-negative factors by multiplicative updates.

PCA: with X - m = U S V^T, the first K rows of V^T span the subspace that loses least,

    sum_n |x_n - m - V_K V_K^T (x_n - m)|^2 = sum_{k > K} S_k^2.                              (Eckart and Young 1936)

NMF: X ~ W H with no entry below zero. Each update multiplies by a ratio of the gradient's two non-negative parts, so
that signs stay and the objective never rises:

    |X - W H|^2      W <- W (X H^T) / (W H H^T),         H <- H (W^T X) / (W^T W H)                        (theorem 1)
    D(X || W H)      W <- W (Q H^T) / (1 H^T),           H <- H (W^T Q) / (W^T 1),     Q = X / (W H)       (theorem 2)

Reference: Jolliffe, Principal component analysis; Lee and Seung 2001, Algorithms for non-negative matrix factorization.
"""

from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from genjax.contract import Array

EPSILON = 1e-9  # of denominators and logarithms: a factor that has become zero stays zero


class PrincipalComponents(NamedTuple):
    """An affine subspace and the spread of the data along it.

    mean: [D].
    components: [K, D], orthonormal rows; the entry of each that is largest in size is positive.
    variances: [K], of the data along each, falling; unbiased.
    """

    mean: Array
    components: Array
    variances: Array


class Factors(NamedTuple):
    """X ~ weights @ components.

    weights: W, [N, K], >= 0.
    components: H, [K, D], >= 0.
    """

    weights: Array
    components: Array


NMFStep = Callable[[Array, Factors], Factors]
NMFObjective = Callable[[Array, Factors], Array]


def pca(x: Array, num_components: int) -> PrincipalComponents:
    """Fit principal components.

    Args:
        x: [N, D], N >= 2.
        num_components: K, at most min(N, D) (static).

    Returns:
        PrincipalComponents.

    Raises:
        ValueError: x has another rank, or K is too large.
    """
    _require_matrix(x)
    if not 1 <= num_components <= min(x.shape):
        raise ValueError(f"num_components is {num_components}; x of shape {x.shape} has 1 to {min(x.shape)}.")
    mean = jnp.mean(x, axis=0)
    _, scales, rows = jnp.linalg.svd(x - mean[None], full_matrices=False)
    rows, scales = rows[:num_components], scales[:num_components]
    largest = jnp.take_along_axis(rows, jnp.argmax(jnp.abs(rows), axis=1)[:, None], axis=1)
    return PrincipalComponents(mean, rows * jnp.sign(largest), scales**2 / (x.shape[0] - 1))


def pca_encode(x: Array, fitted: PrincipalComponents) -> Array:
    """Return the coordinates [N, K] of x [N, D] along the components."""
    _require_matrix(x)
    return _product(x - fitted.mean[None], fitted.components.T)


def pca_decode(z: Array, fitted: PrincipalComponents) -> Array:
    """Return the points [N, D] whose coordinates are z [N, K]."""
    _require_matrix(z)
    return _product(z, fitted.components) + fitted.mean[None]


def nmf(
    key: Array,
    x: Array,
    num_components: int,
    *,
    num_steps: int = 200,
    step: NMFStep | None = None,
    objective: NMFObjective | None = None,
) -> tuple[Factors, Array]:
    """Factor a non-negative matrix from a random start.

    Args:
        key: of the start, whose mean is that of x.
        x: [N, D], >= 0.
        num_components: K (static).
        num_steps: updates (static).
        step: `least_squares_step` (the default) or `divergence_step`.
        objective: `squared_residual` (the default) or `generalized_kl`, whichever the step lowers.

    Returns:
        Factors, and the objective after each update, [num_steps].
    """
    _require_matrix(x)
    step, objective = step or least_squares_step, objective or squared_residual
    weights_key, components_key = jax.random.split(key)
    scale = jnp.sqrt(jnp.mean(x) / num_components)
    uniform = lambda key, shape: scale * jax.random.uniform(key, shape, x.dtype, 0.1, 1.9)
    start = Factors(
        uniform(weights_key, (x.shape[0], num_components)), uniform(components_key, (num_components, x.shape[1]))
    )

    def one(factors: Factors, _: None) -> tuple[Factors, Array]:
        factors = step(x, factors)
        return factors, objective(x, factors)

    return lax.scan(one, start, None, length=num_steps)


def least_squares_step(x: Array, factors: Factors) -> Factors:
    """Update W, then H, for |X - W H|^2.

    Args:
        x: [N, D], >= 0.
        factors: positive.

    Returns:
        Factors with no larger objective.

    Reference: Lee and Seung 2001, eq. 4.
    """
    w, h = factors
    w = w * _product(x, h.T) / (_product(w, _product(h, h.T)) + EPSILON)
    h = h * _product(w.T, x) / (_product(_product(w.T, w), h) + EPSILON)
    return Factors(w, h)


def divergence_step(x: Array, factors: Factors) -> Factors:
    """Update W, then H, for the generalized divergence D(X || W H); see `least_squares_step`.

    Reference: Lee and Seung 2001, eq. 5.
    """
    w, h = factors
    ratio = x / (_product(w, h) + EPSILON)
    w = w * _product(ratio, h.T) / (jnp.sum(h, axis=1)[None] + EPSILON)
    ratio = x / (_product(w, h) + EPSILON)
    h = h * _product(w.T, ratio) / (jnp.sum(w, axis=0)[:, None] + EPSILON)
    return Factors(w, h)


def squared_residual(x: Array, factors: Factors) -> Array:
    """Return |X - W H|^2, a scalar."""
    return jnp.sum((x - _product(factors.weights, factors.components)) ** 2)


def generalized_kl(x: Array, factors: Factors) -> Array:
    """Return D(X || W H) = sum X log(X / WH) - X + WH, a scalar in nats (0 log 0 = 0)."""
    product = _product(factors.weights, factors.components) + EPSILON
    positive = x > 0.0
    logs = jnp.where(positive, x * jnp.log(jnp.where(positive, x, 1.0) / product), 0.0)
    return jnp.sum(logs - x + product)


def _product(a: Array, b: Array) -> Array:
    """Multiply matrices in full float32, where accelerators round the factors by default."""
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


def _require_matrix(x: Array) -> None:
    if jnp.ndim(x) != 2:
        raise ValueError(f"a data matrix has shape [N, D], got {jnp.shape(x)}.")
