"""DPM-Solver++ (Lu et al. 2022b, arXiv:2211.01095) and UniPC (Zhao et al. 2023, arXiv:2302.04867).

In l = log(alpha / sigma) the probability-flow ODE has the solution, from time s to t, h = l_t - l_s,

    x_t = (sigma_t / sigma_s) x_s + sigma_t int_{l_s}^{l_t} e^l x0(l) dl                     Lu et al. 2022b, proposition 4.1

and a polynomial through the estimates of x_0 at this time and at times before makes the integral a sum:

    x_t = keep x_s + sum_j weight_j x0_j

whose numbers depend on the grid alone. They are computed once, on the host in float64; a solver is its table, and one
scan serves all. UniPC moreover corrects x_t, once x0 has been estimated there, by a sum over that estimate as well: no
evaluation more, one order more.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from genjax.contract import Array, PyTree
from genjax.diffusion.sampler import Sampler, Step, gaussian_start, row
from genjax.processes.denoisers import Denoiser
from genjax.processes.gaussian import Point
from genjax.processes.grids import coefficients


class Table(NamedTuple):
    """A linear multistep rule for each step n of a grid of N.

    keep: [N], factor of x.
    weights: [N, p], factors of the estimates of x_0 at times n, n - 1, ..., n - p + 1.
    """

    keep: np.ndarray
    weights: np.ndarray


def dpm_solver(
    denoise: Denoiser,
    point_of: Callable[[Array], Point],
    times: np.ndarray,
    *,
    order: int = 2,
    lower_order_final: bool = True,
    start_std: float | None = None,
) -> Sampler:
    """Return DPM-Solver++, multistep, of order 1 (which is DDIM), 2 or 3.

    The first steps, which lack estimates before them, are of lower order.

    Args:
        denoise: (x_t [N, ...], t []) -> estimate of x_0.
        point_of: t -> the path there.
        times: [N + 1], from noise to data; alpha and sigma > 0 at all, but sigma may be 0 at the last.
        order: 1, 2 or 3.
        lower_order_final: whether the last steps are of lower order too, which keeps few steps stable (the authors do
            so below 15); a step to sigma = 0 is of order 1 in any case.
        start_std: standard deviation of the first x; None: the path's sigma there.

    Reference: Lu et al. 2022b, algorithm 2 (order 2); its appendix B for order 3.
    """
    alpha, sigma = _require(point_of, times, order)
    table = dpm_solver_table(alpha, sigma, order=order, lower_order_final=lower_order_final)

    def step(key: Array, x: Array, history: Array, n: Array) -> Step:
        del key
        x0 = denoise(x, row(times, n))
        history = jnp.concatenate([x0[None], history[:-1]])
        return Step(row(table.keep, n) * x + jnp.tensordot(row(table.weights, n), history, axes=1), x0, history)

    empty = lambda x: jnp.zeros((order, *x.shape), x.dtype)
    return Sampler(np.asarray(times), gaussian_start(sigma[0] if start_std is None else start_std), step, empty)


def unipc(
    denoise: Denoiser,
    point_of: Callable[[Array], Point],
    times: np.ndarray,
    *,
    order: int = 2,
    b: str = "bh2",
    lower_order_final: bool = True,
    start_std: float | None = None,
) -> Sampler:
    """Return UniPC of order p, whose corrected states are of order p + 1.

    Args:
        denoise, point_of, times, lower_order_final, start_std: as in `dpm_solver`.
        order: p, 1, 2 or 3.
        b: the paper's B(h): 'bh1', h, or 'bh2', e^h - 1.

    Reference: Zhao et al. 2023, algorithms 1 and 2.
    """
    if b not in ("bh1", "bh2"):
        raise ValueError(f"B(h) is 'bh1' or 'bh2', not {b!r}.")
    alpha, sigma = _require(point_of, times, order)
    predictor, corrector = unipc_tables(alpha, sigma, order=order, b=b, lower_order_final=lower_order_final)

    def step(key: Array, x: Array, memory: PyTree, n: Array) -> Step:
        del key
        before, predicted, history = memory
        x0 = denoise(x, row(times, n))
        history = jnp.concatenate([x0[None], history[:-1]])
        corrected = row(corrector.keep, n) * before + jnp.tensordot(row(corrector.weights, n), history, axes=1)
        # The correction is added to x, which a wrapper (inpainting, Langevin) may have moved since it was predicted.
        x = jnp.where(n > 0, x + (corrected - predicted), x)
        moved = row(predictor.keep, n) * x + jnp.tensordot(row(predictor.weights, n), history, axes=1)
        return Step(moved, x0, (x, moved, history))

    empty = lambda x: (x, x, jnp.zeros((order + 1, *x.shape), x.dtype))
    return Sampler(np.asarray(times), gaussian_start(sigma[0] if start_std is None else start_std), step, empty)


def dpm_solver_table(alpha: np.ndarray, sigma: np.ndarray, *, order: int, lower_order_final: bool = True) -> Table:
    """Return DPM-Solver++'s table for a grid's alpha and sigma [N + 1]."""
    log_ratio = _log_ratio(alpha, sigma)
    num = len(alpha) - 1
    table = Table(np.zeros(num), np.zeros((num, order)))
    for n in range(num):
        p = _order(n, sigma, order, lower_order_final)
        table.keep[n] = sigma[n + 1] / sigma[n]
        h = log_ratio[n + 1] - log_ratio[n]
        grow = -np.expm1(-h)  # alpha_t grow = sigma_t int e^l dl
        weights = np.zeros(order)
        weights[0] = grow
        if p == 2:
            r = (log_ratio[n] - log_ratio[n - 1]) / h
            weights[:2] += 0.5 * grow / r * np.array([1.0, -1.0])
        if p == 3:
            r0, r1 = (log_ratio[n] - log_ratio[n - 1]) / h, (log_ratio[n - 1] - log_ratio[n - 2]) / h
            near, far = np.array([1.0, -1.0, 0.0]) / r0, np.array([0.0, 1.0, -1.0]) / r1
            first = near + r0 / (r0 + r1) * (near - far)
            second = (near - far) / (r0 + r1)
            weights[:3] += (1.0 - grow / h) * first + (grow / h**2 - 1.0 / h + 0.5) * second
        table.weights[n] = alpha[n + 1] * weights
    return table


def unipc_tables(
    alpha: np.ndarray, sigma: np.ndarray, *, order: int, b: str = "bh2", lower_order_final: bool = True
) -> tuple[Table, Table]:
    """Return UniPC's predictor, and its corrector: row n corrects x at time n, weights of x_0 at n, n - 1, ..."""
    log_ratio = _log_ratio(alpha, sigma)
    num = len(alpha) - 1
    predictor = Table(np.zeros(num), np.zeros((num, order + 1)))
    corrector = Table(np.zeros(num), np.zeros((num, order + 1)))
    for n in range(num):
        p = _order(n, sigma, order, lower_order_final)
        h = log_ratio[n + 1] - log_ratio[n]
        places = np.array([(log_ratio[n - j] - log_ratio[n]) / h for j in range(1, p)])
        keep, base = sigma[n + 1] / sigma[n], -alpha[n + 1] * np.expm1(-h)
        predictor.keep[n] = keep
        predictor.weights[n] = _weights(places, h, alpha[n + 1], base, order, b)
        if n + 1 < num:
            ahead = _weights(np.append(places, 1.0), h, alpha[n + 1], base, order, b)
            # The estimate at the new time was the last of the places; in row n + 1 it comes first.
            corrector.keep[n + 1] = keep
            corrector.weights[n + 1] = np.concatenate([[ahead[p]], ahead[:p], np.zeros(order - p)])
    return predictor, corrector


def _order(n: int, sigma: np.ndarray, order: int, lower_order_final: bool) -> int:
    """Return the order of step n: as many estimates as there are, and one where it leads to sigma = 0."""
    num = len(sigma) - 1
    last = num - n if lower_order_final else (1 if sigma[n + 1] == 0.0 else order)
    return min(order, n + 1, last)


def _weights(places: np.ndarray, h: float, alpha: float, base: float, order: int, b: str) -> np.ndarray:
    """Return the weights [order + 1] of x_0 at place 0 and at `places`, in units of h from there.

    base x0 + alpha B(h) sum_i rho_i (x0_i - x0) / r_i, sum_i rho_i r_i^{k-1} = k! phi_{k+1}(-h) / B(h): section 3.
    """
    weights = np.zeros(order + 1)
    weights[0] = base
    if not len(places):
        return weights
    size = len(places)
    width = -h if b == "bh1" else np.expm1(-h)
    phi, factorial, targets = np.expm1(-h) / -h - 1.0, 1.0, []
    for k in range(1, size + 1):
        targets.append(phi * factorial / width)
        factorial *= k + 1
        phi = phi / -h - 1.0 / factorial
    # One place leaves one equation; the paper takes 1/2, equal to its solution up to the order in h.
    matrix = np.stack([places**k for k in range(size)])
    rho = np.array([0.5]) if size == 1 else np.linalg.solve(matrix, np.array(targets))
    slopes = -alpha * width * rho / places
    weights[1 : size + 1] = slopes
    weights[0] -= slopes.sum()
    return weights


def _log_ratio(alpha: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(alpha) - np.log(sigma)


def _require(point_of: Callable[[Array], Point], times: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    if order not in (1, 2, 3):
        raise ValueError(f"the order is 1, 2 or 3, not {order}.")
    alpha, sigma = coefficients(point_of, times)
    if np.any(alpha <= 0.0) or np.any(sigma[:-1] <= 0.0):
        raise ValueError("alpha and sigma must be positive along the grid; sigma may be 0 at its end.")
    return alpha, sigma
