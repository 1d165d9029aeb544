"""Gaussian paths from data to noise, which diffusion and flow matching share.

    x_t = alpha_t x_0 + sigma_t eps

Paths in continuous time and schedules of discrete steps give points (alpha, sigma); all else is written in these.
"""

from genjax.processes.denoisers import Denoiser, clip_symmetric, denoiser
from genjax.processes.gaussian import Point, diffuse, forward, like, log_snr
from genjax.processes.grids import (
    coefficients,
    karras_sigmas,
    leading_sub_sequence,
    log_snr_times,
    spread_sub_sequence,
    sub_sequence,
    uniform_times,
)
from genjax.processes.paths import (
    Path,
    cosine_path,
    edm_path,
    exploding_path,
    exponential_path,
    linear_path,
    point_at,
    sigmoid_path,
    straight_path,
    sub_vp_path,
)
from genjax.processes.preconditioning import input_scale, noise_label, preconditioned
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
from genjax.processes.sde import diffusion_squared, drift_rate, probability_flow, reverse_sde, score_of_x0
from genjax.processes.weightings import edm_weight, likelihood_weight, min_snr_weight, simple_weight, times_x0, v_weight

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
    "coefficients",
    "convert",
    "cosine_path",
    "cosine_schedule",
    "denoiser",
    "diffuse",
    "diffusion_squared",
    "drift_rate",
    "edm_path",
    "edm_weight",
    "eps_of_x0",
    "exploding_path",
    "exponential_path",
    "forward",
    "input_scale",
    "karras_sigmas",
    "leading_sub_sequence",
    "like",
    "likelihood_weight",
    "linear_path",
    "linear_schedule",
    "log_snr",
    "log_snr_times",
    "lower_variance",
    "marginal",
    "min_snr_weight",
    "noise_label",
    "num_steps",
    "point_at",
    "posterior_mean",
    "preconditioned",
    "probability_flow",
    "reverse_sde",
    "schedule_from_alphas_bar",
    "schedule_from_betas",
    "score_of_x0",
    "sigmoid_beta_schedule",
    "sigmoid_path",
    "sigmoid_schedule",
    "simple_weight",
    "spread_sub_sequence",
    "straight_path",
    "sub_sequence",
    "sub_vp_path",
    "times_x0",
    "uniform_times",
    "upper_variance",
    "v_weight",
    "x0_of_eps",
]
