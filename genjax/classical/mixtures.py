"""Mixtures of Gaussians by expectation maximization (Dempster, Laird and Rubin 1977).

    p(x) = sum_k pi_k N(x; mu_k, S_k)

    E    r_nk = pi_k N(x_n; mu_k, S_k) / p(x_n)
    M    N_k = sum_n r_nk,   pi_k = N_k / N,   mu_k = sum_n r_nk x_n / N_k,
         S_k = sum_n r_nk (x_n - mu_k)(x_n - mu_k)^T / N_k + f I

with S_k full or diagonal. Without the floor f the likelihood never falls; with it a component cannot collapse onto a
point, where the likelihood has no bound. The start is the M step of k-means' hard assignment.

Reference: Bishop 2006, Pattern recognition and machine learning, section 9.2.
"""

from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from genjax.classical.clustering import kmeans
from genjax.contract import Array
from genjax.distributions import LOG_2PI

FLOOR = 1e-6


class FullMixture(NamedTuple):
    """A mixture of Gaussians with full covariances.

    weights: [K], summing to 1.
    means: [K, D].
    covariances: [K, D, D].
    """

    weights: Array
    means: Array
    covariances: Array


class DiagonalMixture(NamedTuple):
    """A mixture of Gaussians with diagonal covariances.

    weights: [K], summing to 1.
    means: [K, D].
    variances: [K, D].
    """

    weights: Array
    means: Array
    variances: Array


class Expectation(NamedTuple):
    """The E step.

    log_evidence: log p(x_n), [N], nats.
    responsibilities: r_nk, [N, K].
    """

    log_evidence: Array
    responsibilities: Array


Mixture = FullMixture | DiagonalMixture


def full_expectation(x: Array, mixture: FullMixture) -> Expectation:
    """Return log-densities and responsibilities of points x [N, D] under full covariances."""
    _require_points(x, mixture.means)

    def one(mean: Array, covariance: Array) -> Array:
        factor = jnp.linalg.cholesky(covariance)
        white = jax.scipy.linalg.solve_triangular(factor, (x - mean[None]).T, lower=True)
        log_det = jnp.sum(jnp.log(jnp.diagonal(factor)))
        return -0.5 * jnp.sum(white**2, axis=0) - log_det - 0.5 * x.shape[1] * LOG_2PI

    return _expectation(mixture.weights, jax.vmap(one, out_axes=1)(mixture.means, mixture.covariances))


def diagonal_expectation(x: Array, mixture: DiagonalMixture) -> Expectation:
    """Return log-densities and responsibilities of points x [N, D] under diagonal covariances."""
    _require_points(x, mixture.means)

    def one(mean: Array, variance: Array) -> Array:
        squares = jnp.sum((x - mean[None]) ** 2 / variance[None], axis=1)
        return -0.5 * (squares + jnp.sum(jnp.log(variance)) + x.shape[1] * LOG_2PI)

    return _expectation(mixture.weights, jax.vmap(one, out_axes=1)(mixture.means, mixture.variances))


def full_maximization(x: Array, responsibilities: Array, *, floor: float = FLOOR) -> FullMixture:
    """Return the mixture that the responsibilities [N, K] of points x [N, D] ask for, with full covariances."""
    counts, means = _weighted_means(x, responsibilities)

    def one(mean: Array, shares: Array, count: Array) -> Array:
        centred = x - mean[None]
        return _product((shares[:, None] * centred).T, centred) / count + floor * jnp.eye(x.shape[1], dtype=x.dtype)

    covariances = jax.vmap(one, in_axes=(0, 1, 0))(means, responsibilities, counts)
    return FullMixture(counts / jnp.sum(counts), means, covariances)


def diagonal_maximization(x: Array, responsibilities: Array, *, floor: float = FLOOR) -> DiagonalMixture:
    """Return the mixture that the responsibilities [N, K] of points x [N, D] ask for, with diagonal covariances."""
    counts, means = _weighted_means(x, responsibilities)

    def one(mean: Array, shares: Array, count: Array) -> Array:
        return jnp.sum(shares[:, None] * (x - mean[None]) ** 2, axis=0) / count + floor

    variances = jax.vmap(one, in_axes=(0, 1, 0))(means, responsibilities, counts)
    return DiagonalMixture(counts / jnp.sum(counts), means, variances)


def expectation_maximization(
    x: Array,
    start: Mixture,
    *,
    expect: Callable[[Array, Mixture], Expectation],
    maximize: Callable[[Array, Array], Mixture],
    num_steps: int,
) -> tuple[Mixture, Array]:
    """Alternate E and M steps.

    Args:
        x: [N, D].
        start: a mixture.
        expect: `full_expectation` or `diagonal_expectation`.
        maximize: (x, responsibilities) -> mixture; `full_maximization` or `diagonal_maximization`.
        num_steps: of both (static).

    Returns:
        The mixture after the last M step, and the mean of log p(x_n) before each M step, [num_steps], nats.
    """

    def step(mixture: Mixture, _: None) -> tuple[Mixture, Array]:
        found = expect(x, mixture)
        return maximize(x, found.responsibilities), jnp.mean(found.log_evidence)

    return lax.scan(step, start, None, length=num_steps)


def fit_full_mixture(
    key: Array, x: Array, num_components: int, *, num_steps: int = 100, floor: float = FLOOR
) -> tuple[FullMixture, Array]:
    """Fit a mixture with full covariances to points x [N, D], from k-means.

    Args:
        key: of k-means.
        x: [N, D].
        num_components: K (static).
        num_steps: of EM (static).
        floor: added to the variances.

    Returns:
        As `expectation_maximization`.
    """
    maximize = lambda x, shares: full_maximization(x, shares, floor=floor)
    start = maximize(x, _hard_assignment(key, x, num_components))
    return expectation_maximization(x, start, expect=full_expectation, maximize=maximize, num_steps=num_steps)


def fit_diagonal_mixture(
    key: Array, x: Array, num_components: int, *, num_steps: int = 100, floor: float = FLOOR
) -> tuple[DiagonalMixture, Array]:
    """Fit a mixture with diagonal covariances to points x [N, D], from k-means; as `fit_full_mixture`."""
    maximize = lambda x, shares: diagonal_maximization(x, shares, floor=floor)
    start = maximize(x, _hard_assignment(key, x, num_components))
    return expectation_maximization(x, start, expect=diagonal_expectation, maximize=maximize, num_steps=num_steps)


def sample_full_mixture(key: Array, mixture: FullMixture, num: int) -> Array:
    """Draw points [num, D] of a mixture with full covariances (num is static)."""
    which, noise = _draw(key, mixture, num)
    factors = jnp.linalg.cholesky(mixture.covariances)[which]
    return mixture.means[which] + jnp.einsum("nij,nj->ni", factors, noise, precision=lax.Precision.HIGHEST)


def sample_diagonal_mixture(key: Array, mixture: DiagonalMixture, num: int) -> Array:
    """Draw points [num, D] of a mixture with diagonal covariances (num is static)."""
    which, noise = _draw(key, mixture, num)
    return mixture.means[which] + jnp.sqrt(mixture.variances[which]) * noise


def _expectation(weights: Array, log_densities: Array) -> Expectation:
    joint = jnp.log(weights)[None] + log_densities
    log_evidence = jax.nn.logsumexp(joint, axis=1)
    return Expectation(log_evidence, jnp.exp(joint - log_evidence[:, None]))


def _weighted_means(x: Array, responsibilities: Array) -> tuple[Array, Array]:
    # A component that lost all points keeps a count above zero: its mean is then 0 and not NaN.
    counts = jnp.sum(responsibilities, axis=0) + 10.0 * jnp.finfo(x.dtype).eps
    return counts, _product(responsibilities.T, x) / counts[:, None]


def _hard_assignment(key: Array, x: Array, num_components: int) -> Array:
    return jax.nn.one_hot(kmeans(key, x, num_components, num_steps=20).labels, num_components, dtype=x.dtype)


def _draw(key: Array, mixture: Mixture, num: int) -> tuple[Array, Array]:
    which_key, noise_key = jax.random.split(key)
    which = jax.random.categorical(which_key, jnp.log(mixture.weights), shape=(num,))
    return which, jax.random.normal(noise_key, (num, mixture.means.shape[1]), mixture.means.dtype)


def _product(a: Array, b: Array) -> Array:
    """Multiply matrices in full float32, where accelerators round the factors by default."""
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


def _require_points(x: Array, means: Array) -> None:
    if jnp.ndim(x) != 2 or jnp.ndim(means) != 2 or x.shape[1] != means.shape[1]:
        raise ValueError(f"points have shape {jnp.shape(x)}, means {jnp.shape(means)}; want [N, D] and [K, D].")
