"""Noise-conditional score networks (Song & Ermon 2019, arXiv:1907.05600; improved techniques 2020, arXiv:2006.09011).

At L geometric noise levels sigma_1 > ... > sigma_L the score of noisy data is learned together, eq. 5 and 6:

    L = 1/L sum_i lambda(sigma_i) 1/2 E |score^(x + sigma_i eps, sigma_i) + eps / sigma_i|^2,    lambda = sigma^2

With score^ = -eps^ / sigma (Song & Ermon 2020, technique 3) sigma^2 makes it 1/2 E |eps - eps^|^2: all levels weigh
alike. Samples come by annealed Langevin dynamics (`genjax.diffusion.annealed_langevin`).
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array, GenerativeModel
from genjax.data_path import DataPath
from genjax.diffusion.annealed_langevin import annealed_langevin
from genjax.diffusion.denoising import denoising_model
from genjax.processes import EPS, Prediction, edm_path


def geometric_sigmas(num: int, *, first: float, last: float) -> np.ndarray:
    """Return `num` noise levels from `first` down to `last` with one ratio, [num].

    `first` is best as large as the largest distance in the data, and the ratio so small that neighbouring levels
    overlap in D dimensions (Song & Ermon 2020, techniques 1 and 2).

    Raises:
        ValueError: levels that do not fall, or fewer than two.
    """
    if num < 2 or not first > last > 0.0:
        raise ValueError(f"{num} levels from {first} to {last} do not fall to a positive end.")
    return np.geomspace(first, last, num)


def among(values: np.ndarray) -> Callable[[Array, tuple[int, ...]], Array]:
    """Return (key, shape) -> draws of the values, all equally likely; float32."""
    table = np.asarray(values, np.float32)
    return lambda key, shape: jnp.asarray(table)[jax.random.randint(key, shape, 0, len(table))]


def ncsn(
    network: nn.Module,
    sigmas: np.ndarray,
    *,
    shape: tuple[int, ...],
    data_path: DataPath,
    step_size: float,
    steps_per_level: int,
    denoise_last: bool = True,
    prediction: Prediction = EPS,
    **options: Any,
) -> GenerativeModel:
    """Build a noise-conditional score network, sampled by annealed Langevin dynamics.

    Args:
        network: see `denoising_model`.
        sigmas: noise levels, falling, [L].
        shape: of one example.
        data_path: from stored data to reals, and back.
        step_size: e, of `annealed_langevin`; e / sigma_L^2 is a step's length in units of its level's variance.
        steps_per_level: T.
        denoise_last: end with the estimate of x_0.
        prediction: EPS is the improved form; SCORE has the network predict the score itself.
        options: others of `denoising_model`.

    Returns:
        See `denoising_model`; its path is `edm_path`, on which time is sigma.
    """
    sampler_of = lambda denoise: annealed_langevin(
        denoise, sigmas, step_size=step_size, steps_per_level=steps_per_level, denoise_last=denoise_last
    )
    return denoising_model(
        network,
        shape=shape,
        data_path=data_path,
        path=edm_path(),
        times=among(sigmas),
        sampler_of=sampler_of,
        prediction=prediction,
        **options,
    )
