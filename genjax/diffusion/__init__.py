"""Diffusion models: a fixed way from data to noise, and a learned way back."""

from genjax.diffusion.ancestral import Trajectory, ancestral_sample, ancestral_step, ancestral_trajectory
from genjax.diffusion.bound import BoundTerms, bound_terms, prior_kl, total_bound, transition_kl
from genjax.diffusion.ddpm import ddpm, simple_loss, simple_loss_per_dim
from genjax.diffusion.decoder import discretized_normal_log_prob

__all__ = [
    "BoundTerms",
    "Trajectory",
    "ancestral_sample",
    "ancestral_step",
    "ancestral_trajectory",
    "bound_terms",
    "ddpm",
    "discretized_normal_log_prob",
    "prior_kl",
    "simple_loss",
    "simple_loss_per_dim",
    "total_bound",
    "transition_kl",
]
