"""Grids of times for samplers, from noise to data, in float64 on the host; and paths read off at them."""

from collections.abc import Callable

import jax
import numpy as np

from genjax.contract import Array
from genjax.processes.gaussian import Point


def uniform_times(num: int, *, start: float = 1.0, end: float = 0.0) -> np.ndarray:
    """Return `num` equal steps from start to end, [num + 1]."""
    return np.linspace(start, end, num + 1)


def karras_sigmas(num: int, *, sigma_min: float = 0.002, sigma_max: float = 80.0, rho: float = 7.0) -> np.ndarray:
    """Return `num` noise levels from sigma_max to sigma_min, evenly in sigma^(1 / rho), and 0, [num + 1].

    Reference: Karras et al. 2022, eq. 5.
    """
    if num < 2:
        raise ValueError(f"{num} noise levels do not span from sigma_max to sigma_min; it takes at least 2.")
    levels = np.linspace(sigma_max ** (1.0 / rho), sigma_min ** (1.0 / rho), num) ** rho
    return np.append(levels, 0.0)


def log_snr_times(
    point_of: Callable[[Array], Point], num: int, *, start: float, end: float
) -> np.ndarray:
    """Return times from start to end between which log(alpha / sigma) rises by equal steps, [num + 1].

    Args:
        point_of: t -> the path there, its signal-to-noise ratio falling in t.
        num: how many steps.
        start: first time, the noisier.
        end: last time, where sigma > 0.

    Reference: Lu et al. 2022 (arXiv:2206.00927), section 3.4 and appendix D.4.
    """
    half = lambda t: np.subtract(*np.log(coefficients(point_of, t)))
    wanted = np.linspace(*half(np.array([start, end])), num + 1)
    low, high = np.full(num + 1, float(end)), np.full(num + 1, float(start))
    for _ in range(50):
        middle = 0.5 * (low + high)
        noisier = half(middle) < wanted
        low, high = np.where(noisier, low, middle), np.where(noisier, middle, high)
    times = 0.5 * (low + high)
    times[0], times[-1] = start, end
    return times


def sub_sequence(total: int, num: int) -> np.ndarray:
    """Return `num` of the steps 1 ... total, from total down, as evenly as whole numbers are, and 0; int32 [num + 1].

    All steps, the last one to 0 too, are of one length ('trailing').

    Reference: Lin et al. 2024 (arXiv:2305.08891), table 2, for the three ways and why to prefer this one.

    Raises:
        ValueError: more steps are asked for than there are.
    """
    _require_steps(total, num)
    return np.rint(np.linspace(total, 0, num + 1)).astype(np.int32)


def leading_sub_sequence(total: int, num: int) -> np.ndarray:
    """Return the steps 1 + i floor(total / num), i = num - 1 ... 0, and 0: total itself is left out; int32 [num + 1].

    Steps are counted from 1 here, and from 0 in the paper's code. For `sub_sequence`'s arguments and errors.

    Reference: Song et al. 2021 (DDIM), appendix D.2 (linear) and code.
    """
    _require_steps(total, num)
    return np.append(1 + np.arange(num - 1, -1, -1) * (total // num), 0).astype(np.int32)


def spread_sub_sequence(total: int, num: int) -> np.ndarray:
    """Return `num` steps evenly from total to 1, both included, and 0: the last step is the shortest; int32 [num + 1].

    For `sub_sequence`'s arguments and errors.

    Reference: Nichol & Dhariwal 2021, section 4 (respacing).
    """
    _require_steps(total, num)
    return np.append(1 + np.rint(np.linspace(total - 1, 0, num)), 0).astype(np.int32)


def _require_steps(total: int, num: int) -> None:
    if not 1 <= num <= total:
        raise ValueError(f"{num} steps cannot be taken from a schedule of {total}.")


def coefficients(point_of: Callable[[Array], Point], times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return alpha and sigma at a grid of times, float64 [N + 1], also inside a jitted function."""
    with jax.ensure_compile_time_eval():
        point = point_of(jax.numpy.asarray(times))
        return np.asarray(point.alpha, np.float64), np.asarray(point.sigma, np.float64)
