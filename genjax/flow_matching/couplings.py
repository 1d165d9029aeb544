"""Couplings of a batch of source points with a batch of data: which x_0 goes with which x_1.

    independent    as they come; the product of both distributions              Tong et al. 2024 (I-CFM), section 3.2
    exact          the permutation of least sum |x_0 - x_1|^2, optimal transport between the two batches
                                                                                Tong et al. 2024 (OT-CFM), section 3.2
    Sinkhorn       drawn from the plan P that minimizes <C, P> + r KL(P, product), C = |x_0 - x_1|^2, uniform marginals;
                   P_ij = exp(f_i + g_j - C_ij / r). With r = 2 sigma^2 the Schroedinger bridge of d x = sigma dw
                                                                                Cuturi 2013; Tong et al. 2024 (SB-CFM)

A coupling returns, for every x_1, the index of its x_0, so that labels stay with the data. It costs no gradient, and
works on the batch it is given: under pmap on a device's own part of it.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from genjax.contract import Array
from genjax.flow_matching.assignment import linear_assignment

Coupling = Callable[[Array, Array, Array], Array]  # (key, x_0 [B, ...], x_1 [B, ...]) -> index into x_0, int32 [B]


def independent_coupling(key: Array, x0: Array, x1: Array) -> Array:
    """Return 0 ... B - 1: both batches are in random order already."""
    del key, x1
    return jnp.arange(x0.shape[0], dtype=jnp.int32)


def exact_coupling(key: Array, x0: Array, x1: Array) -> Array:
    """Return the permutation of least sum of squared distances, int32 [B]."""
    del key
    return linear_assignment(squared_distances(x1, x0))


def sinkhorn_coupling(regularization: float, *, iterations: int = 100) -> Coupling:
    """Return the coupling that draws x_0 given x_1 from the entropic plan; an x_0 may be drawn twice.

    Args:
        regularization: r, in the unit of a squared distance.
        iterations: of Sinkhorn.
    """

    def coupling(key: Array, x0: Array, x1: Array) -> Array:
        log_plan = sinkhorn_log_plan(squared_distances(x1, x0), regularization, iterations=iterations)
        return jax.random.categorical(key, log_plan, axis=1).astype(jnp.int32)

    return coupling


def squared_distances(x: Array, y: Array) -> Array:
    """Return |x_i - y_j|^2 of x [N, ...] and y [M, ...], float32 [N, M]; not below 0."""
    x, y = (points.reshape(points.shape[0], -1).astype(jnp.float32) for points in (x, y))
    products = jnp.matmul(x, y.T, precision=lax.Precision.HIGHEST)
    return jnp.maximum(jnp.sum(x**2, axis=1)[:, None] + jnp.sum(y**2, axis=1)[None] - 2.0 * products, 0.0)


def sinkhorn_log_plan(cost: Array, regularization: Array | float, *, iterations: int = 100) -> Array:
    """Return log P of the entropic transport plan between uniform marginals.

    Args:
        cost: C, [N, M].
        regularization: r > 0.
        iterations: each sets both marginals, in logarithms; the columns' last.

    Returns:
        [N, M]; columns sum to 1 / M exactly, rows to 1 / N in the limit.

    Raises:
        ValueError: the cost is no matrix.

    Reference: Cuturi 2013, algorithm 1; Peyre & Cuturi 2019, section 4.4, for the logarithms.
    """
    if cost.ndim != 2:
        raise ValueError(f"cost has shape {cost.shape}; it must be a matrix [N, M].")
    rows, columns = cost.shape
    kernel = -cost / regularization

    def step(g: Array, _: None) -> tuple[Array, None]:
        f = -jax.nn.logsumexp(kernel + g[None], axis=1) - jnp.log(1.0 * rows)
        return -jax.nn.logsumexp(kernel + f[:, None], axis=0) - jnp.log(1.0 * columns), None

    g, _ = lax.scan(step, jnp.zeros(columns, cost.dtype), None, length=iterations)
    f = -jax.nn.logsumexp(kernel + g[None], axis=1) - jnp.log(1.0 * rows)
    g = -jax.nn.logsumexp(kernel + f[:, None], axis=0) - jnp.log(1.0 * columns)
    return kernel + f[:, None] + g[None]
