"""Diffusion models: a fixed way from data to noise, a learned way back, and the samplers that go it."""

from genjax.diffusion.ancestral import ancestral, ancestral_step
from genjax.diffusion.annealed_langevin import annealed_langevin
from genjax.diffusion.bound import BoundTerms, bound_terms, prior_kl, total_bound, transition_kl
from genjax.diffusion.classifier_guidance import (
    NoisyClassifier,
    classification_loss,
    classifier_guidance,
    step_variances,
)
from genjax.diffusion.ddim import ddim, invert
from genjax.diffusion.ddpm import ddpm, simple_loss, simple_loss_per_dim
from genjax.diffusion.decoder import discretized_normal_log_prob
from genjax.diffusion.denoising import FlowLikelihood, Given, Guide, denoising_loss, denoising_model, labels, on_path
from genjax.diffusion.edm import edm, log_normal_sigmas
from genjax.diffusion.edm_sampling import edm_sampler
from genjax.diffusion.energy import (
    Box,
    Chains,
    ConfinedEnergy,
    LogDensity,
    contrastive_loss,
    energy_model,
    log_partition,
    mala_chain,
    mala_step,
    score_of,
)
from genjax.diffusion.given_pictures import WithPictures, with_more_channels
from genjax.diffusion.guidance import (
    classifier_free,
    classifier_free_by_scale,
    classifier_guided,
    constrained,
    dynamic_threshold,
    mean_shifted,
)
from genjax.diffusion.iddpm import Objective, constrained_bound, hybrid, iddpm, whole_bound
from genjax.diffusion.inpainting import inpainted
from genjax.diffusion.learned_variance import (
    Reverse,
    learned_ancestral,
    learned_bound_terms,
    learned_log_variance,
    respaced,
    step_bound,
)
from genjax.diffusion.mask_channel import known_and_mask, mask_channel, random_boxes
from genjax.diffusion.multistep import dpm_solver, unipc
from genjax.diffusion.ncsn import among, geometric_sigmas, ncsn
from genjax.diffusion.output_prior import OutputPrior, posterior_noise, with_end_priors
from genjax.diffusion.path_bound import PathBound, path_bound
from genjax.diffusion.probability_flow import adaptive_draw, flow_sampler, ode_log_prob, ode_sampler
from genjax.diffusion.sampler import Sampler, Step, Trajectory, draw, draw_from, draw_trajectory
from genjax.diffusion.score_matching import (
    Score,
    ScoreLoss,
    denoising_score_loss,
    explicit_score_loss,
    implicit_score_loss,
    langevin_chain,
    score_matching,
    sliced_score_loss,
    sliced_score_loss_vr,
)
from genjax.diffusion.score_sde import flow_likelihood, importance_times, score_sde, uniform_between
from genjax.diffusion.singlestep import dpm_solver_singlestep
from genjax.diffusion.step_samplers import StepSampler, importance_steps, uniform_steps
from genjax.diffusion.stochastic import corrected, euler_maruyama, reverse_diffusion
from genjax.diffusion.super_resolution import (
    augmented,
    average_pool,
    cascade,
    enlarged,
    low_resolution,
    super_resolution,
)

__all__ = [
    "BoundTerms",
    "Box",
    "Chains",
    "ConfinedEnergy",
    "FlowLikelihood",
    "Given",
    "Guide",
    "LogDensity",
    "NoisyClassifier",
    "Objective",
    "OutputPrior",
    "PathBound",
    "Reverse",
    "Sampler",
    "Score",
    "ScoreLoss",
    "Step",
    "StepSampler",
    "Trajectory",
    "WithPictures",
    "adaptive_draw",
    "among",
    "ancestral",
    "ancestral_step",
    "annealed_langevin",
    "augmented",
    "average_pool",
    "bound_terms",
    "cascade",
    "classification_loss",
    "classifier_free",
    "classifier_free_by_scale",
    "classifier_guidance",
    "classifier_guided",
    "constrained",
    "constrained_bound",
    "contrastive_loss",
    "corrected",
    "ddim",
    "ddpm",
    "denoising_loss",
    "denoising_model",
    "denoising_score_loss",
    "discretized_normal_log_prob",
    "dpm_solver",
    "dpm_solver_singlestep",
    "draw",
    "draw_from",
    "draw_trajectory",
    "dynamic_threshold",
    "edm",
    "edm_sampler",
    "energy_model",
    "enlarged",
    "euler_maruyama",
    "explicit_score_loss",
    "flow_likelihood",
    "flow_sampler",
    "geometric_sigmas",
    "hybrid",
    "iddpm",
    "implicit_score_loss",
    "importance_steps",
    "importance_times",
    "inpainted",
    "invert",
    "known_and_mask",
    "labels",
    "langevin_chain",
    "learned_ancestral",
    "learned_bound_terms",
    "learned_log_variance",
    "log_normal_sigmas",
    "log_partition",
    "low_resolution",
    "mala_chain",
    "mala_step",
    "mask_channel",
    "mean_shifted",
    "ncsn",
    "ode_log_prob",
    "ode_sampler",
    "on_path",
    "path_bound",
    "posterior_noise",
    "prior_kl",
    "random_boxes",
    "respaced",
    "reverse_diffusion",
    "score_matching",
    "score_of",
    "score_sde",
    "simple_loss",
    "simple_loss_per_dim",
    "sliced_score_loss",
    "sliced_score_loss_vr",
    "step_bound",
    "step_variances",
    "super_resolution",
    "total_bound",
    "transition_kl",
    "uniform_between",
    "uniform_steps",
    "unipc",
    "whole_bound",
    "with_end_priors",
    "with_more_channels",
]
