"""Elucidated diffusion (Karras et al. 2022, arXiv:2206.00364): one design for training, another for sampling.

Data carry alpha = 1, time is sigma itself. A network with inputs and targets of unit variance makes the denoiser,

    x0^(x, sigma) = c_skip x + c_out F(c_in x, c_noise)                       eq. 7, `processes.preconditioned`
    L = E_sigma  lambda(sigma) |x0^(x_0 + sigma eps, sigma) - x_0|^2          eq. 8
    ln sigma ~ N(P_mean, P_std^2),   lambda = 1 / c_out^2                     table 1

which is |F - target|^2 with weight 1. Samples by Heun's scheme over rho-spaced levels, with churn where it helps
(`genjax.diffusion.edm_sampling`).
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array, GenerativeModel
from genjax.data_path import DataPath
from genjax.diffusion.denoising import denoising_model
from genjax.diffusion.edm_sampling import edm_sampler
from genjax.processes import edm_path, edm_weight, preconditioned


def log_normal_sigmas(mean: float = -1.2, std: float = 1.2) -> Callable[[Array, tuple[int, ...]], Array]:
    """Return (key, shape) -> sigma with ln sigma ~ N(mean, std^2)."""
    return lambda key, shape: jnp.exp(mean + std * jax.random.normal(key, shape))


def edm(
    network: nn.Module,
    sigmas: np.ndarray,
    *,
    shape: tuple[int, ...],
    data_path: DataPath,
    data_std: float = 0.5,
    log_mean: float = -1.2,
    log_std: float = 1.2,
    churn: float = 0.0,
    churn_min: float = 0.0,
    churn_max: float = float("inf"),
    noise_scale: float = 1.0,
    **options: Any,
) -> GenerativeModel:
    """Build an elucidated diffusion model.

    Args:
        network: see `denoising_model`; it predicts F.
        sigmas: noise levels of sampling, `processes.karras_sigmas`.
        shape: of one example.
        data_path: from stored data to reals, and back.
        data_std: standard deviation of the data.
        log_mean, log_std: P_mean and P_std of training.
        churn, churn_min, churn_max, noise_scale: of `edm_sampler`.
        options: others of `denoising_model`.

    Returns:
        See `denoising_model`.
    """
    sampler_of = lambda denoise: edm_sampler(
        denoise, sigmas, churn=churn, churn_min=churn_min, churn_max=churn_max, noise_scale=noise_scale
    )
    return denoising_model(
        network,
        shape=shape,
        data_path=data_path,
        path=edm_path(),
        times=log_normal_sigmas(log_mean, log_std),
        sampler_of=sampler_of,
        prediction=preconditioned(data_std),
        weight=lambda point: edm_weight(point, data_std=data_std),
        data_std=data_std,
        **options,
    )
