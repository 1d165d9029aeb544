"""Normalizing flows: densities by invertible maps and their log-determinants."""

from genjax.data_path import DataPath, continuous, dequantized, dequantized_logit
from genjax.flows.bases import Base, standard_logistic, standard_normal
from genjax.flows.bijection import (
    Bijection,
    Weights,
    chain,
    invert,
    repeat,
    stateless,
    with_state,
    without_weights,
)
from genjax.flows.cnf import ConcatSquash, cnf
from genjax.flows.couplings import (
    Partition,
    additive_coupling,
    affine_coupling,
    checkerboard,
    halves,
    interleaved,
    masked_affine_coupling,
)
from genjax.flows.density import change_of_variables, flow_model
from genjax.flows.glow import glow_bijection
from genjax.flows.inpainting import ascend
from genjax.flows.invertible_conv import invertible_conv, invertible_conv_lu, random_rotation
from genjax.flows.maf import affine_autoregressive, autoregressive_layer, iaf_bijection, maf_bijection
from genjax.flows.networks import CouplingConv, CouplingMLP, CouplingResNet, SigmoidScale, TanhScale
from genjax.flows.nice import nice_bijection
from genjax.flows.normalization import actnorm, batch_norm, conditional_affine, scaling
from genjax.flows.planar import (
    Planar,
    Radial,
    constrained_u,
    planar_flow,
    planar_layer,
    planar_step,
    planar_step_inverse,
    radial_flow,
    radial_layer,
    radial_step,
    radial_step_inverse,
)
from genjax.flows.potentials import (
    fitted_flow,
    free_energy,
    log_normalizer,
    potential_1,
    potential_2,
    potential_3,
    potential_4,
    potential_sample,
)
from genjax.flows.realnvp import realnvp_bijection, realnvp_vector_bijection
from genjax.flows.shapes import factor_out, flatten, reverse, squeeze

__all__ = [
    "Base",
    "Bijection",
    "ConcatSquash",
    "CouplingConv",
    "CouplingMLP",
    "CouplingResNet",
    "DataPath",
    "Partition",
    "Planar",
    "Radial",
    "SigmoidScale",
    "TanhScale",
    "Weights",
    "actnorm",
    "additive_coupling",
    "affine_autoregressive",
    "affine_coupling",
    "ascend",
    "autoregressive_layer",
    "batch_norm",
    "chain",
    "change_of_variables",
    "checkerboard",
    "cnf",
    "conditional_affine",
    "constrained_u",
    "continuous",
    "dequantized",
    "dequantized_logit",
    "factor_out",
    "fitted_flow",
    "flatten",
    "flow_model",
    "free_energy",
    "glow_bijection",
    "halves",
    "iaf_bijection",
    "interleaved",
    "invert",
    "invertible_conv",
    "invertible_conv_lu",
    "log_normalizer",
    "maf_bijection",
    "masked_affine_coupling",
    "nice_bijection",
    "planar_flow",
    "planar_layer",
    "planar_step",
    "planar_step_inverse",
    "potential_1",
    "potential_2",
    "potential_3",
    "potential_4",
    "potential_sample",
    "radial_flow",
    "radial_layer",
    "radial_step",
    "radial_step_inverse",
    "random_rotation",
    "realnvp_bijection",
    "realnvp_vector_bijection",
    "repeat",
    "reverse",
    "scaling",
    "squeeze",
    "standard_logistic",
    "standard_normal",
    "stateless",
    "with_state",
    "without_weights",
]
