"""Diffusion models: a fixed way from data to noise, a learned way back, and the samplers that go it."""

from genjax.diffusion.ancestral import ancestral, ancestral_step
from genjax.diffusion.annealed_langevin import annealed_langevin
from genjax.diffusion.bound import BoundTerms, bound_terms, prior_kl, total_bound, transition_kl
from genjax.diffusion.ddim import ddim, invert
from genjax.diffusion.ddpm import ddpm, simple_loss, simple_loss_per_dim
from genjax.diffusion.decoder import discretized_normal_log_prob
from genjax.diffusion.edm_sampling import edm_sampler
from genjax.diffusion.guidance import (
    classifier_free,
    classifier_free_by_scale,
    classifier_guided,
    constrained,
    dynamic_threshold,
    mean_shifted,
)
from genjax.diffusion.inpainting import inpainted
from genjax.diffusion.multistep import dpm_solver, unipc
from genjax.diffusion.probability_flow import adaptive_draw, flow_sampler, ode_log_prob, ode_sampler
from genjax.diffusion.sampler import Sampler, Step, Trajectory, draw, draw_from, draw_trajectory
from genjax.diffusion.stochastic import corrected, euler_maruyama, reverse_diffusion

__all__ = [
    "BoundTerms",
    "Sampler",
    "Step",
    "Trajectory",
    "adaptive_draw",
    "ancestral",
    "ancestral_step",
    "annealed_langevin",
    "bound_terms",
    "classifier_free",
    "classifier_free_by_scale",
    "classifier_guided",
    "constrained",
    "corrected",
    "ddim",
    "ddpm",
    "discretized_normal_log_prob",
    "dpm_solver",
    "draw",
    "draw_from",
    "draw_trajectory",
    "dynamic_threshold",
    "edm_sampler",
    "euler_maruyama",
    "flow_sampler",
    "inpainted",
    "invert",
    "mean_shifted",
    "ode_log_prob",
    "ode_sampler",
    "prior_kl",
    "reverse_diffusion",
    "simple_loss",
    "simple_loss_per_dim",
    "total_bound",
    "transition_kl",
    "unipc",
]
