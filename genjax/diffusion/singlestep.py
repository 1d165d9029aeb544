"""DPM-Solver++(2S) (Lu et al. 2022b, arXiv:2211.01095, algorithm 1): second order, without a memory of steps before.

    u   = (sigma_m / sigma_s) x_s - alpha_m (e^{-r h} - 1) x0(x_s)          l = log(alpha / sigma),  h = l_t - l_s
    D   = (1 - 1 / 2r) x0(x_s) + x0(u) / 2r                                 r = (l_m - l_s) / h,  s > m > t
    x_t = (sigma_t / sigma_s) x_s - alpha_t (e^{-h} - 1) D

Every step starts anew, so that steps may be repeated (RePaint) or stand beside those of another sampler; the price is a
second evaluation. To sigma_t = 0, where h is infinite, it makes two steps of the first order.
"""

from collections.abc import Callable

import numpy as np

from genjax.contract import Array, PyTree
from genjax.diffusion.sampler import Sampler, Step, gaussian_start, row
from genjax.processes.denoisers import Denoiser
from genjax.processes.gaussian import Point
from genjax.processes.grids import coefficients


def dpm_solver_singlestep(
    denoise: Denoiser,
    point_of: Callable[[Array], Point],
    times: np.ndarray,
    *,
    start_std: float | None = None,
) -> Sampler:
    """Return DPM-Solver++(2S).

    Args:
        denoise: (x_t [N, ...], t []) -> estimate of x_0; asked at each of the times but the last.
        point_of: t -> the path there.
        times: [2 N + 1], from noise to data; those at odd places lie inside the N steps. alpha and sigma > 0 at all,
            but sigma may be 0 at the last.
        start_std: standard deviation of the first x; None: the path's sigma there.

    Returns:
        A sampler of N steps, whose times are those at even places.

    Raises:
        ValueError: the number of times is even, or the path ends within them.

    Reference: Lu et al. 2022b, algorithm 1.
    """
    times = np.asarray(times)
    alpha, sigma = coefficients(point_of, times)
    if len(times) < 3 or len(times) % 2 == 0:
        raise ValueError(f"{len(times)} times are no steps with a time inside each; there must be 2 N + 1.")
    if np.any(alpha <= 0.0) or np.any(sigma[:-1] <= 0.0):
        raise ValueError("alpha and sigma must be positive along the grid; sigma may be 0 at its end.")
    half, whole = _tables(alpha, sigma)

    def step(key: Array, x: Array, memory: PyTree, n: Array) -> Step:
        del key
        first = denoise(x, row(times[::2], n))
        keep, weight = row(half, n)
        second = denoise(keep * x + weight * first, row(times[1::2], n))
        keep, of_first, of_second = row(whole, n)
        return Step(keep * x + of_first * first + of_second * second, second, memory)

    return Sampler(times[::2], gaussian_start(sigma[0] if start_std is None else start_std), step)


def _tables(alpha: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return u's factors of x and x_0 [N, 2], and x_t's of x, the first and the second estimate [N, 3]."""
    with np.errstate(divide="ignore"):
        log_ratio = np.log(alpha) - np.log(sigma)
    start, middle, end = log_ratio[:-1:2], log_ratio[1::2], log_ratio[2::2]
    # 1 / 2r; r is 0 where h is infinite, and there the second estimate alone is taken.
    share = np.where(np.isinf(end), 1.0, 0.5 * (end - start) / (middle - start))
    grow = -alpha[2::2] * np.expm1(start - end)
    half = np.stack([sigma[1::2] / sigma[:-1:2], -alpha[1::2] * np.expm1(start - middle)], axis=1)
    return half, np.stack([sigma[2::2] / sigma[:-1:2], grow * (1.0 - share), grow * share], axis=1)
