"""Gaussian paths in T discrete steps: the forward process of diffusion models.

    q(x_t | x_{t-1}) = N(sqrt(1 - beta_t) x_{t-1}, beta_t I),   t = 1 ... T                    Ho et al. 2020, eq. 2
    q(x_t | x_0) = N(sqrt(abar_t) x_0, (1 - abar_t) I),   abar_t = prod_{s <= t} (1 - beta_s)              eq. 4
    q(x_{t-1} | x_t, x_0) = N(a_t x_0 + b_t x_t, btilde_t I)                                            eq. 6, 7
        a_t = sqrt(abar_{t-1}) beta_t / (1 - abar_t)
        b_t = sqrt(1 - beta_t) (1 - abar_{t-1}) / (1 - abar_t)
        btilde_t = beta_t (1 - abar_{t-1}) / (1 - abar_t)

Arrays have T + 1 entries and are indexed by the paper's t: entry 0 is the data (abar_0 = 1). They are computed and kept
in float64 on the host: 1 - abar_1 = 1e-4 has three digits left when formed from a float32 abar_1.

    linear            beta_t linear from 1e-4 to 0.02                         Ho et al. 2020, section 4 (T = 1000)
    cosine            abar_t = f(t) / f(0), f(t) = cos^2((t / T + s) / (1 + s) pi / 2)    Nichol & Dhariwal 2021, eq. 17
    arc               abar_t = cos^2(pi t / 2 T), the path alpha = cos, sigma = sin at t / T; the cosine at s = 0
    sigmoid           abar_t the path `paths.sigmoid_path` at t / T           Jabri et al. 2022, algorithm 1
    sigmoid of betas  beta_t along the logistic function                      Xu et al. 2022 (GeoDiff), code
    log-SNR           ln abar_t / (1 - abar_t) linear in t                    Kingma et al. 2021, gamma linear
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from genjax.contract import Array
from genjax.processes.gaussian import Point, like

MAX_BETA = 0.999  # abar_T = 0 would leave nothing to predict x_0 from (Nichol & Dhariwal 2021, section 3.2)


class Schedule(NamedTuple):
    """A forward process in T steps; float64 arrays [T + 1] on the host, indexed by t, entry 0 the data.

    A program reads them off at t in its own precision, float32 unless `jax_enable_x64` says otherwise.

    betas: beta_t, variance added by step t; 0 at t = 0.
    alphas_bar: abar_t, share of the data's variance left after t steps; 1 at t = 0.
    alpha: sqrt(abar_t).
    sigma: sqrt(1 - abar_t).
    posterior_variance: btilde_t, variance of q(x_{t-1} | x_t, x_0); 0 at t = 0 and 1.
    posterior_x0: a_t, factor of x_0 in its mean; 1 at t = 0 and 1.
    posterior_xt: b_t, factor of x_t in its mean; 0 at t = 0 and 1.
    """

    betas: np.ndarray
    alphas_bar: np.ndarray
    alpha: np.ndarray
    sigma: np.ndarray
    posterior_variance: np.ndarray
    posterior_x0: np.ndarray
    posterior_xt: np.ndarray


def num_steps(schedule: Schedule) -> int:
    """Return T."""
    return len(schedule.betas) - 1


def schedule_from_betas(betas: np.ndarray) -> Schedule:
    """Build the schedule of beta_1 ... beta_T.

    Args:
        betas: [T], T >= 2, each in (0, 1).

    Raises:
        ValueError: fewer than two steps, or a beta outside (0, 1).
    """
    betas = np.asarray(betas, np.float64)
    if betas.ndim != 1 or betas.size < 2:
        raise ValueError(f"betas have shape {betas.shape}; a schedule has [T] of them, T at least 2.")
    if not np.all((betas > 0.0) & (betas < 1.0)):
        raise ValueError(f"betas lie between {betas.min()} and {betas.max()}; each must be inside (0, 1).")
    betas = np.concatenate([[0.0], betas])
    # log1p and expm1 keep all digits of a small 1 - abar.
    log_abar = np.cumsum(np.log1p(-betas))
    noise = -np.expm1(log_abar)
    before, noise_before = np.exp(log_abar[:-1]), noise[:-1]
    first = lambda value, rest: np.concatenate([[value], rest])
    return Schedule(
        betas=betas,
        alphas_bar=np.exp(log_abar),
        alpha=np.exp(0.5 * log_abar),
        sigma=np.sqrt(noise),
        posterior_variance=first(0.0, betas[1:] * noise_before / noise[1:]),
        posterior_x0=first(1.0, np.sqrt(before) * betas[1:] / noise[1:]),
        posterior_xt=first(0.0, np.sqrt(1.0 - betas[1:]) * noise_before / noise[1:]),
    )


def schedule_from_alphas_bar(alphas_bar: np.ndarray, *, max_beta: float = MAX_BETA) -> Schedule:
    """Build the schedule whose beta_t = 1 - abar_t / abar_{t-1}, none larger than max_beta.

    Args:
        alphas_bar: abar_0 ... abar_T, [T + 1], decreasing from 1; a sub-sequence of another schedule's will do.
        max_beta: where it cuts, abar_t ends above what was asked for.

    Raises:
        ValueError: alphas_bar does not decrease from 1.
    """
    alphas_bar = np.asarray(alphas_bar, np.float64)
    if alphas_bar.ndim != 1 or alphas_bar.size < 3 or alphas_bar[0] != 1.0 or np.any(np.diff(alphas_bar) >= 0.0):
        raise ValueError("alphas_bar must be [T + 1], T at least 2, and decrease from 1 at the data.")
    ratios = np.divide(alphas_bar[1:], alphas_bar[:-1])
    return schedule_from_betas(np.minimum(1.0 - ratios, max_beta))


def linear_schedule(num_steps: int, *, first: float = 1e-4, last: float = 0.02) -> Schedule:
    """Return beta_t linear from `first` to `last`, both included.

    The defaults are the paper's, for T = 1000; for another T, beta's scaled by 1000 / T keep the ends of abar
    (Nichol & Dhariwal 2021, code).

    Reference: Ho et al. 2020, section 4.
    """
    return schedule_from_betas(np.linspace(first, last, num_steps, dtype=np.float64))


def cosine_schedule(num_steps: int, *, offset: float = 0.008, max_beta: float = MAX_BETA) -> Schedule:
    """Return abar_t = f(t) / f(0), f(t) = cos^2((t / T + s) / (1 + s) pi / 2).

    Args:
        num_steps: T.
        offset: s >= 0, which keeps beta_1 from being tiny: 0.008 makes sqrt(beta_1) a bit less than half a level of
            256.
        max_beta: largest beta.

    Reference: Nichol & Dhariwal 2021, eq. 17.
    """
    angles = (np.arange(num_steps + 1) / num_steps + offset) / (1.0 + offset) * (math.pi / 2.0)
    shares = np.cos(angles) ** 2
    return schedule_from_alphas_bar(shares / shares[0], max_beta=max_beta)


def arc_schedule(num_steps: int, *, max_beta: float = MAX_BETA) -> Schedule:
    """Return the path alpha = cos(pi t / 2), sigma = sin(pi t / 2) at t = 0, 1/T, ..., 1; see `paths.cosine_path`.

    The angle between x_t and the data grows by pi / 2T a step. The last beta would be 1, and is max_beta.
    """
    return cosine_schedule(num_steps, offset=0.0, max_beta=max_beta)


def sigmoid_schedule(
    num_steps: int, *, start: float = -3.0, end: float = 3.0, temperature: float = 1.0, max_beta: float = MAX_BETA
) -> Schedule:
    """Return `paths.sigmoid_path` at t = 0, 1/T, ..., 1.

    Args:
        num_steps: T.
        start: argument of the logistic function at the data.
        end: argument at the noise.
        temperature: divides both.
        max_beta: largest beta; the last would be 1.

    Reference: Jabri, Fleet & Chen 2022, algorithm 1 (the code's sigmoid schedule).
    """
    levels = 1.0 / (1.0 + np.exp(-np.linspace(start, end, num_steps + 1) / temperature))
    return schedule_from_alphas_bar((levels[-1] - levels) / (levels[-1] - levels[0]), max_beta=max_beta)


def log_snr_schedule(num_steps: int, *, first: float, last: float) -> Schedule:
    """Return ln(abar_t / (1 - abar_t)) linear from `first` at t = 1 to `last` at t = T.

    A step then multiplies sigma / alpha by the same factor, however near the data. Where an entry of x_0 is known no
    closer than sigma_t, a reverse step of fixed variance costs of the bound what this factor says: with
    `lower_variance` (e^d - 1 - d) / 2 nats for a fall by d, which in T steps sums to about (first - last)^2 / 4T. Next
    to the data the cosine falls by ln 4, ln 9/4, ln 16/9, ..., whatever T.

    Args:
        num_steps: T.
        first: log-SNR of x_1; the noise of 256 levels in [-1, 1] hides none of them from about 12 on.
        last: log-SNR of x_T, below `first`; -8 leaves 3e-4 of the data's variance.

    Raises:
        ValueError: log-SNR does not fall.

    Reference: Kingma et al. 2021 (arXiv:2107.00630), eq. 4 and 6, with gamma = -log-SNR linear in t, not learned.
    """
    if not first > last:
        raise ValueError(f"log-SNR must fall from the first step to the last, got {first} and {last}.")
    alphas_bar = 1.0 / (1.0 + np.exp(-np.linspace(first, last, num_steps)))
    return schedule_from_alphas_bar(np.concatenate([[1.0], alphas_bar]), max_beta=1.0)


def sigmoid_beta_schedule(num_steps: int, *, first: float = 1e-4, last: float = 0.02) -> Schedule:
    """Return beta_t = first + (last - first) / (1 + exp(-u)), u evenly from -6 to 6.

    Reference: Xu et al. 2022, GeoDiff, code; `beta_schedule='sigmoid'` in diffusers.
    """
    logistic = 1.0 / (1.0 + np.exp(-np.linspace(-6.0, 6.0, num_steps)))
    return schedule_from_betas(first + (last - first) * logistic)


def marginal(schedule: Schedule, t: Array) -> Point:
    """Return alpha and sigma of q(x_t | x_0) at integer steps t in 0 ... T, [] or [B]."""
    return Point(alpha=at(schedule.alpha, t), sigma=at(schedule.sigma, t))


def posterior_mean(schedule: Schedule, x0: Array, x_t: Array, t: Array) -> Array:
    """Return the mean of q(x_{t-1} | x_t, x_0).

    Args:
        schedule: the forward process.
        x0: data [B, ...].
        x_t: of the same shape.
        t: integer steps in 1 ... T, [] or [B].

    Returns:
        [B, ...]; its variance is `schedule.posterior_variance` at t.

    Reference: Ho et al. 2020, eq. 7.
    """
    return like(at(schedule.posterior_x0, t), x0) * x0 + like(at(schedule.posterior_xt, t), x_t) * x_t


def upper_variance(schedule: Schedule) -> np.ndarray:
    """Return sigma_t^2 = beta_t, [T + 1]: the reverse step's variance that is right for data x_0 ~ N(0, I).

    At t = 1, the decoder's, it is btilde_2, as in the authors' code and as in `lower_variance`.

    Reference: Ho et al. 2020, section 3.2.
    """
    return _with_decoder(schedule, schedule.betas)


def lower_variance(schedule: Schedule) -> np.ndarray:
    """Return sigma_t^2 = btilde_t, [T + 1]: the reverse step's variance that is right for a single point x_0.

    At t = 1, where btilde_t is 0, it is btilde_2, as in the authors' code.

    Reference: Ho et al. 2020, section 3.2.
    """
    return _with_decoder(schedule, schedule.posterior_variance)


def at(values: np.ndarray, t: Array) -> Array:
    """Return a schedule's array at integer steps t.

    Raises:
        ValueError: t is real: steps are counted, t = 1 ... T.
    """
    t = jnp.asarray(t)
    if not jnp.issubdtype(t.dtype, jnp.integer):
        raise ValueError(f"t has dtype {t.dtype}; the steps of a schedule are integers 0 ... T.")
    return jnp.asarray(values)[t]


def require_variance(schedule: Schedule, variance: np.ndarray) -> None:
    """Refuse what is not one sigma_t^2 for each entry of the schedule.

    Raises:
        ValueError: the variance is not [T + 1]; indexing under jit would take a neighbouring step's instead.
    """
    if np.shape(variance) != schedule.betas.shape:
        raise ValueError(
            f"the variance has shape {np.shape(variance)}; the schedule needs one for each t = 0 ... T, "
            f"shape {schedule.betas.shape}, as `upper_variance` and `lower_variance` give."
        )


def _with_decoder(schedule: Schedule, variances: np.ndarray) -> np.ndarray:
    variances = variances.copy()
    variances[1] = schedule.posterior_variance[2]
    return variances
