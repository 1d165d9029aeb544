"""Divergences and distances between distributions: discrete, Gaussian, and from samples.

For densities p and q, with m = (p + q) / 2:

    KL(p || q)  = E_p[log p - log q]                                                     nats
    JS(p, q)    = KL(p || m) / 2 + KL(q || m) / 2                in [0, log 2],           nats
    TV(p, q)    = int |p - q| / 2                                in [0, 1]
    W_p(p, q)^p = inf over couplings E |x - y|^p
    MMD^2       = E k(x, x') + E k(y, y') - 2 E k(x, y)          with x, x' ~ p and y, y' ~ q

In one dimension the optimal coupling is monotone, W_p^p = int_0^1 |F^-1(u) - G^-1(u)|^p du, and of samples it is
a sum over their sorted values. Between Gaussians KL and W_2 have closed forms.

References: Kullback & Leibler 1951; Lin 1991 (JS); Peyre & Cuturi 2019, remarks 2.30 and 2.31 (W_p in one
dimension, W_2 of Gaussians); Gretton et al. 2012, lemma 6 (MMD); Tolstikhin et al. 2018 (the IMQ kernel).
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array

# (x [N, D], y [M, D]) -> k(x_i, y_j), [N, M]
Kernel = Callable[[Array, Array], Array]


# --- discrete distributions -------------------------------------------------------------------------------------


def kl_divergence(p: Array, q: Array) -> Array:
    """Return KL(p || q) = sum_k p_k log(p_k / q_k) with 0 log 0 = 0.

    Args:
        p: [..., K], probabilities that sum to one along the last axis.
        q: [..., K], likewise.

    Returns:
        [...], nats; inf where q is zero and p is not.
    """
    chex.assert_equal_shape([p, q])
    # The inner where keeps log and its gradient finite at p = 0, where the outer one then takes no part of it.
    positive = p > 0.0
    terms = p * (jnp.log(jnp.where(positive, p, 1.0)) - jnp.log(jnp.where(positive, q, 1.0)))
    return jnp.sum(jnp.where(positive, terms, 0.0), axis=-1)


def js_divergence(p: Array, q: Array) -> Array:
    """Return JS(p, q) = KL(p || m) / 2 + KL(q || m) / 2 with m = (p + q) / 2.

    Args:
        p: [..., K], probabilities.
        q: [..., K], probabilities.

    Returns:
        [...], nats, in [0, log 2]; finite for any two distributions.
    """
    middle = 0.5 * (p + q)
    return 0.5 * kl_divergence(p, middle) + 0.5 * kl_divergence(q, middle)


def total_variation(p: Array, q: Array) -> Array:
    """Return TV(p, q) = sum_k |p_k - q_k| / 2.

    Args:
        p: [..., K], probabilities.
        q: [..., K], probabilities.

    Returns:
        [...], in [0, 1].
    """
    chex.assert_equal_shape([p, q])
    return 0.5 * jnp.sum(jnp.abs(p - q), axis=-1)


# --- Gaussians --------------------------------------------------------------------------------------------------


def gaussian_kl(mean_p: Array, cov_p: Array, *, mean_q: Array, cov_q: Array) -> Array:
    """Return KL(N(mean_p, cov_p) || N(mean_q, cov_q)) for full covariances.

    KL = (tr(Q^-1 P) + d^T Q^-1 d - D + log det Q - log det P) / 2, with d = mean_q - mean_p and everything by the
    Cholesky factors of P and Q. For diagonal covariances see `genjax.distributions.normal_kl`.

    Args:
        mean_p: [D].
        cov_p: [D, D], symmetric positive definite.
        mean_q: [D].
        cov_q: [D, D], symmetric positive definite.

    Returns:
        Scalar, nats.
    """
    chex.assert_rank([mean_p, cov_p, mean_q, cov_q], [1, 2, 1, 2])
    factor_p, factor_q = jnp.linalg.cholesky(cov_p), jnp.linalg.cholesky(cov_q)
    whiten = lambda b: jax.scipy.linalg.solve_triangular(factor_q, b, lower=True)
    trace = jnp.sum(whiten(factor_p) ** 2)
    distance = jnp.sum(whiten(mean_q - mean_p) ** 2)
    log_det_ratio = 2.0 * jnp.sum(jnp.log(jnp.diagonal(factor_q)) - jnp.log(jnp.diagonal(factor_p)))
    return 0.5 * (trace + distance - mean_p.shape[0] + log_det_ratio)


def gaussian_wasserstein2(mean_p: Array, cov_p: Array, *, mean_q: Array, cov_q: Array) -> Array:
    """Return the 2-Wasserstein distance between N(mean_p, cov_p) and N(mean_q, cov_q).

    W_2^2 = |mean_p - mean_q|^2 + tr(P + Q - 2 (P^1/2 Q P^1/2)^1/2), the Frechet distance that `evaluation.fid`
    takes between features (there in float64 on the host, for covariances that may be singular).

    Args:
        mean_p: [D].
        cov_p: [D, D], symmetric positive semidefinite.
        mean_q: [D].
        cov_q: [D, D], symmetric positive semidefinite.

    Returns:
        Scalar, in the unit of x.
    """
    chex.assert_rank([mean_p, cov_p, mean_q, cov_q], [1, 2, 1, 2])
    values, vectors = jnp.linalg.eigh(cov_p)
    root = _product(vectors * jnp.sqrt(jnp.maximum(values, 0.0))[None, :], vectors.T)
    inner = _product(_product(root, cov_q), root)
    cross = jnp.sum(jnp.sqrt(jnp.maximum(jnp.linalg.eigvalsh(inner), 0.0)))
    squared = jnp.sum((mean_p - mean_q) ** 2) + jnp.trace(cov_p) + jnp.trace(cov_q) - 2.0 * cross
    return jnp.sqrt(jnp.maximum(squared, 0.0))


# --- from samples and log-densities -----------------------------------------------------------------------------


def kl_terms(log_p: Array, log_q: Array) -> Array:
    """Return log p(x) - log q(x); their mean over x ~ p is an unbiased estimate of KL(p || q).

    Args:
        log_p: [B], log p at samples of p, nats.
        log_q: [B], log q at the same samples, nats.

    Returns:
        [B], nats; single terms may be negative.
    """
    chex.assert_rank([log_p, log_q], 1)
    chex.assert_equal_shape([log_p, log_q])
    return log_p - log_q


def js_terms(log_p: Array, log_q: Array) -> Array:
    """Return log p(x) - log m(x) with m = (p + q) / 2; their mean over x ~ p estimates KL(p || m).

    JS(p, q) is half the mean of js_terms(log_p, log_q) over samples of p plus half the mean of
    js_terms(log_q, log_p) over samples of q.

    Args:
        log_p: [B], log-density of the distribution that the samples came from, nats.
        log_q: [B], the other's at the same samples, nats; may be -inf.

    Returns:
        [B], nats, at most log 2.
    """
    return jnp.log(2.0) - jax.nn.softplus(-kl_terms(log_p, log_q))


def total_variation_terms(log_p: Array, log_q: Array) -> Array:
    """Return max(0, 1 - q(x) / p(x)); their mean over x ~ p is an unbiased estimate of TV(p, q).

    Args:
        log_p: [B], log p at samples of p, nats.
        log_q: [B], log q at the same samples, nats; may be -inf.

    Returns:
        [B], in [0, 1].
    """
    return jnp.maximum(-jnp.expm1(jnp.minimum(-kl_terms(log_p, log_q), 0.0)), 0.0)


def wasserstein_1d(x: Array, y: Array, *, p: float = 1.0) -> Array:
    """Return the p-Wasserstein distance between two samples on the line.

    Both quantile functions are steps, constant between neighbours of the merged grid {i / N} and {j / M}; the
    grid depends on the sizes alone, so it is computed once, exactly, when the function is traced.

    Args:
        x: [N].
        y: [M]; N and M may differ.
        p: at least 1.

    Returns:
        Scalar, in the unit of x.

    Raises:
        ValueError: p below 1.
    """
    chex.assert_rank([x, y], 1)
    if p < 1.0:
        raise ValueError(f"p is {p}, but W_p is a distance for p >= 1 only.")
    rows, columns, weights = _monotone_coupling(x.shape[0], y.shape[0])
    gaps = jnp.abs(jnp.sort(x)[rows] - jnp.sort(y)[columns])
    # Taken out of the root so that a large gap does not overflow, nor an all-zero one divide by zero.
    largest = jnp.maximum(jnp.max(gaps), jnp.finfo(gaps.dtype).tiny)
    return largest * jnp.sum(jnp.asarray(weights, gaps.dtype) * (gaps / largest) ** p) ** (1.0 / p)


def rbf_kernel(*, bandwidth: Array | float) -> Kernel:
    """Return k(x, y) = exp(-|x - y|^2 / (2 bandwidth^2))."""
    return lambda x, y: jnp.exp(-0.5 * squared_distances(x, y) / bandwidth**2)


def imq_kernel(*, scale: Array | float) -> Kernel:
    """Return the inverse multiquadratic k(x, y) = scale / (scale + |x - y|^2), with heavy tails.

    The WAE paper takes scale = 2 D sigma^2, the expected squared distance of two draws from N(0, sigma^2 I_D).
    """
    return lambda x, y: scale / (scale + squared_distances(x, y))


def polynomial_kernel(*, degree: int = 3) -> Kernel:
    """Return k(x, y) = (x . y / D + 1)^degree; degree 3 is KID's (Binkowski et al. 2018)."""
    return lambda x, y: (_product(x, y.T) / x.shape[-1] + 1.0) ** degree


def squared_distances(x: Array, y: Array) -> Array:
    """Return |x_i - y_j|^2 of x `[N, D]` and y `[M, D]`, as `[N, M]`.

    Expanded into squares and one matrix product, after moving both to the mean of x: the cancellation is then
    relative to the spread of the points and not to their distance from the origin.
    """
    chex.assert_rank([x, y], 2)
    centre = jax.lax.stop_gradient(jnp.mean(x, axis=0, keepdims=True))
    x, y = x - centre, y - centre
    squares = jnp.sum(x**2, axis=1)[:, None] + jnp.sum(y**2, axis=1)[None, :]
    return jnp.maximum(squares - 2.0 * _product(x, y.T), 0.0)


def mmd_squared(x: Array, y: Array, kernel: Kernel) -> Array:
    """Return the unbiased estimate of MMD^2, which may be negative.

    Args:
        x: [N, D], N >= 2.
        y: [M, D], M >= 2.
        kernel: see Kernel.

    Returns:
        Scalar; zero in expectation when x and y have one distribution.

    Reference: Gretton et al. 2012, eq. 3.
    """
    chex.assert_rank([x, y], 2)
    n, m = x.shape[0], y.shape[0]
    if n < 2 or m < 2:
        raise ValueError(f"The unbiased estimate needs two samples on each side; there are {n} and {m}.")
    within_x = _mean_off_diagonal(kernel(x, x))
    within_y = _mean_off_diagonal(kernel(y, y))
    return within_x + within_y - 2.0 * jnp.mean(kernel(x, y))


def mmd_squared_biased(x: Array, y: Array, kernel: Kernel) -> Array:
    """Return the biased estimate of MMD^2: the exact MMD^2 between the two empirical distributions, so >= 0.

    Args:
        x: [N, D].
        y: [M, D].
        kernel: see Kernel.

    Returns:
        Scalar.

    Reference: Gretton et al. 2012, eq. 5 (there its square root).
    """
    chex.assert_rank([x, y], 2)
    return jnp.mean(kernel(x, x)) + jnp.mean(kernel(y, y)) - 2.0 * jnp.mean(kernel(x, y))


def _mean_off_diagonal(gram: Array) -> Array:
    """Return the mean of k(x_i, x_j) over i != j of a square `[N, N]`."""
    n = gram.shape[0]
    return jnp.sum(jnp.where(jnp.eye(n, dtype=bool), 0.0, gram)) / (n * (n - 1))


def _product(a: Array, b: Array) -> Array:
    """Multiply matrices in full float32, where accelerators round the factors by default."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def _monotone_coupling(n: int, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (i, j, weight) of the monotone coupling of n and m equally weighted sorted points.

    In units of 1 / (n m) the steps of the two quantile functions lie at multiples of m and of n: integers, so
    equal breakpoints merge exactly.
    """
    breaks = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
    starts = np.concatenate([[0], breaks[:-1]])
    return starts // m, starts // n, (breaks - starts) / (n * m)
