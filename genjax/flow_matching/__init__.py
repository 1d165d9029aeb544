"""Flow matching: velocity fields trained along paths between a source and the data."""

from genjax.flow_matching.assignment import linear_assignment
from genjax.flow_matching.cfm import cfm, flow_matching_loss, flow_matching_loss_per_dim
from genjax.flow_matching.couplings import (
    Coupling,
    exact_coupling,
    independent_coupling,
    sinkhorn_coupling,
    sinkhorn_log_plan,
    squared_distances,
)
from genjax.flow_matching.field import Field
from genjax.flow_matching.guidance import guided_velocity, velocity_denoiser
from genjax.flow_matching.interpolants import (
    Interpolant,
    affine_interpolant,
    bridge_interpolant,
    conditional_velocity,
    gaussian_interpolant,
    interpolate,
    straight_interpolant,
)
from genjax.flow_matching.marginals import mixture_log_density, mixture_velocity
from genjax.flow_matching.networks import PointField
from genjax.flow_matching.ot_cfm import bridge_score_loss, ot_cfm, sb_cfm
from genjax.flow_matching.rectified_flow import distillation, rectified_flow, reflow
from genjax.flow_matching.sources import Source, mixture_source, normal_source
from genjax.flow_matching.straightness import PathMeasures, path_measures
from genjax.flow_matching.times import TimeDraw, constant_time, logit_grid, logit_normal_time, uniform_time

__all__ = [
    "Coupling",
    "Field",
    "Interpolant",
    "PathMeasures",
    "PointField",
    "Source",
    "TimeDraw",
    "affine_interpolant",
    "bridge_interpolant",
    "bridge_score_loss",
    "cfm",
    "conditional_velocity",
    "constant_time",
    "distillation",
    "exact_coupling",
    "flow_matching_loss",
    "flow_matching_loss_per_dim",
    "gaussian_interpolant",
    "guided_velocity",
    "independent_coupling",
    "interpolate",
    "linear_assignment",
    "logit_grid",
    "logit_normal_time",
    "mixture_log_density",
    "mixture_source",
    "mixture_velocity",
    "normal_source",
    "ot_cfm",
    "path_measures",
    "rectified_flow",
    "reflow",
    "sb_cfm",
    "sinkhorn_coupling",
    "sinkhorn_log_plan",
    "squared_distances",
    "straight_interpolant",
    "uniform_time",
    "velocity_denoiser",
]
