"""Score-based models by stochastic differential equations (Song et al. 2021, arXiv:2011.13456).

A forward equation d x = f x dt + g dw turns data into noise; its reverse needs the scores of all marginals, which are
learned at random times, eq. 7:

    L = E_{t ~ U(e, 1)} lambda(t) E |score^(x_t, t) - grad log q(x_t | x_0)|^2

    lambda = sigma^2     every time weighs alike: |eps - eps^|^2                          `processes.simple_weight`
    lambda = g^2         half of the integral bounds -log p (Song et al. 2021b)           `processes.likelihood_weight`,
                         or weight 1 at times drawn in proportion to g^2 / sigma^2        `importance_times`

    VE        `processes.exploding_path` (geometric sigma), `exponential_path` (d x = s^t dw)      eq. 9
    VP        `processes.linear_path`                                                              eq. 11
    sub-VP    `processes.sub_vp_path`                                                              eq. 12

Samplers: a predictor (`reverse_diffusion`, `ddim` with eta = 1, `euler_maruyama`), with Langevin corrections
(`corrected`); or the probability-flow ODE (`flow_sampler`), which also gives the likelihood, eq. 39.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array, GenerativeModel
from genjax.data_path import DataPath
from genjax.diffusion.denoising import FlowLikelihood, denoising_model
from genjax.diffusion.sampler import Sampler
from genjax.processes import EPS, Denoiser, Path, Point, Prediction, log_snr_times, point_at, simple_weight


def uniform_between(first: float, last: float) -> Callable[[Array, tuple[int, ...]], Array]:
    """Return (key, shape) -> draws of U(first, last)."""
    return lambda key, shape: jax.random.uniform(key, shape, minval=first, maxval=last)


def importance_times(
    path: Path, first: float, last: float, *, num: int = 1000
) -> Callable[[Array, tuple[int, ...]], Array]:
    """Return (key, shape) -> draws of t in proportion to g^2 / sigma^2, the rate at which log-SNR falls.

    log-SNR is then uniform between those of `first` and `last`: of `num` stretches of equal log-SNR one is drawn, and in
    it a time. The mean of |eps - eps^|^2 over such times is that of `likelihood_weight` over uniform ones divided by
    the log-SNR's fall, at a far lower variance.

    Args:
        path: its log-SNR falls in t; sigma > 0 at `first`, alpha > 0 at `last`.
        first: the time nearest the data.
        last: the time nearest the noise.
        num: stretches.

    Reference: Song et al. 2021b (arXiv:2101.09258), section 4 (variance reduction); Kingma et al. 2021
    (arXiv:2107.00630), eq. 17 to 19.
    """
    times = log_snr_times(lambda t: point_at(path, t), num, start=last, end=first)[::-1].astype(np.float32)

    def draw(key: Array, shape: tuple[int, ...]) -> Array:
        place = jax.random.uniform(key, shape, maxval=num)
        return jnp.interp(place, np.arange(num + 1, dtype=np.float32), times)

    return draw


def flow_likelihood(path: Path, num: int, *, start: float, end: float = 1.0, **options: Any) -> FlowLikelihood:
    """Return the likelihood's solution in `num` steps of equal log-SNR from time `start`, of data, to `end`.

    Args:
        path: sigma > 0 at `start`, alpha > 0 at `end`.
        num: steps.
        start: the time that data are taken to stand at.
        end: the time of noise.
        options: trace and tableau of `FlowLikelihood`.
    """
    times = log_snr_times(lambda t: point_at(path, t), num, start=end, end=start)
    return FlowLikelihood(times[::-1], **options)


def score_sde(
    network: nn.Module,
    path: Path,
    *,
    shape: tuple[int, ...],
    data_path: DataPath,
    sampler_of: Callable[[Denoiser], Sampler],
    span: tuple[float, float] = (1e-3, 1.0),
    prediction: Prediction = EPS,
    weight: Callable[[Point], Array] = simple_weight,
    times: Callable[[Array, tuple[int, ...]], Array] | None = None,
    **options: Any,
) -> GenerativeModel:
    """Build a score-based model of a forward equation.

    Args:
        network: see `denoising_model`.
        path: of the forward equation.
        shape: of one example.
        data_path: from stored data to reals, and back.
        sampler_of: denoiser -> sampler.
        span: times of training; sigma > 0 at the first.
        prediction: what the network predicts.
        weight: lambda / sigma^2.
        times: how they are drawn; None: uniformly from `span`.
        options: others of `denoising_model`, such as `likelihood=flow_likelihood(...)`.

    Returns:
        See `denoising_model`.
    """
    return denoising_model(
        network,
        shape=shape,
        data_path=data_path,
        path=path,
        times=times or uniform_between(*span),
        sampler_of=sampler_of,
        prediction=prediction,
        weight=weight,
        **options,
    )
