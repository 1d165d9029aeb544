"""Gaussian paths from data to noise, which diffusion and flow matching share.

    x_t = alpha_t x_0 + sigma_t eps

Paths in continuous time and schedules of discrete steps give points (alpha, sigma); all else is written in these.
"""

from genjax.processes.denoisers import Denoiser, clip_symmetric, denoiser
from genjax.processes.gaussian import Point, diffuse, forward, like, log_snr
from genjax.processes.paths import Path, cosine_path, linear_path, point_at, sigmoid_path
from genjax.processes.predictions import EPS, SCORE, V, VELOCITY, X0, Prediction, convert, eps_of_x0, x0_of_eps
from genjax.processes.schedules import (
    Schedule,
    arc_schedule,
    cosine_schedule,
    linear_schedule,
    lower_variance,
    marginal,
    num_steps,
    posterior_mean,
    schedule_from_alphas_bar,
    schedule_from_betas,
    sigmoid_beta_schedule,
    sigmoid_schedule,
    upper_variance,
)

__all__ = [
    "Denoiser",
    "EPS",
    "Path",
    "Point",
    "Prediction",
    "SCORE",
    "Schedule",
    "V",
    "VELOCITY",
    "X0",
    "arc_schedule",
    "clip_symmetric",
    "convert",
    "cosine_path",
    "cosine_schedule",
    "denoiser",
    "diffuse",
    "eps_of_x0",
    "forward",
    "like",
    "linear_path",
    "linear_schedule",
    "log_snr",
    "lower_variance",
    "marginal",
    "num_steps",
    "point_at",
    "posterior_mean",
    "schedule_from_alphas_bar",
    "schedule_from_betas",
    "sigmoid_beta_schedule",
    "sigmoid_path",
    "sigmoid_schedule",
    "upper_variance",
    "x0_of_eps",
]
