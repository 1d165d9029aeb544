"""Rectified flow, reflow and distillation to one step (Liu et al. 2023; Stable Diffusion 3's times, Esser et al. 2024).

Variants:
    ''               the first flow, eight gaussians in the plane.
    reflow           trained on an earlier one's pairs: --config.stages.teacher=WORKDIR of the first, or of a reflow.
    distill          trained for one step on an earlier one's pairs: likewise.
    digits           the first flow, 8 x 8 digits in all 17 levels, with logit-normal times.
    digits_reflow, digits_distill    likewise.
    mnist            the first flow, 28 x 28, 256 levels; for an accelerator. Needs --config.data.dir.
    tiny             the first flow, small enough to compile in a second.
    reflow_tiny      a reflow likewise.
"""

from collections.abc import Mapping

from ml_collections import ConfigDict

from experiments import fields
from experiments.configs.common import base
from genjax import flow_matching, solvers
from genjax.errors import UserError
from genjax.training.system import System

MEASURED = {  # variant: result, cost
    "": (
        "2.869 +- 0.007 nats, eight gaussians; 2-Wasserstein 0.199, floor 0.189; in one Euler step 2.74",
        "13 s on one CPU core",
    ),
    "reflow": (
        "2-Wasserstein in one Euler step 0.225, before reflow 2.74",
        "seconds on one CPU core",
    ),
    "distill": (
        "2-Wasserstein in one step 0.210",
        "seconds on one CPU core",
    ),
}


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in CHANGES:
        named = ", ".join(repr(name) for name in CHANGES)
        raise UserError(f"flow_matching/rectified_flow has no variant {variant!r}; it has {named}.")
    config = base("flow_matching/rectified_flow")
    fields.point_fields(config)
    config.model.pairs = 16  # of a teacher, for each example of a batch
    config.model.refresh = 4  # steps until a sixteenth of them is made anew
    config.model.teacher_steps = 8  # of RK4
    config.model.distill = False  # train for one step alone
    config.expected.result, config.expected.cost = MEASURED.get(variant, ("not measured", "not measured"))
    for change in CHANGES[variant]:
        change(config)
    return config


def _digits(config: ConfigDict) -> None:
    fields.picture_fields(config)
    config.model.times = "logit_normal"
    config.model.refresh = 16


def _mnist(config: ConfigDict) -> None:
    fields.mnist_fields(config)
    config.model.times = "logit_normal"


def _student(config: ConfigDict) -> None:
    """Learn from a teacher; starting as the teacher, half the steps will do."""
    config.stages.teacher = ""  # workdir of the earlier flow
    config.train.warmup = 0
    config.train.steps = max(config.train.steps // 2, 2 * config.train.steps_per_call)


def _one_step(config: ConfigDict) -> None:
    config.model.distill = True
    config.model.solver = "euler"
    config.model.steps = 1


CHANGES = {
    "": (),
    "reflow": (_student,),
    "distill": (_student, _one_step),
    "digits": (_digits,),
    "digits_reflow": (_digits, _student),
    "digits_distill": (_digits, _student, _one_step),
    "mnist": (_mnist,),
    "tiny": (fields.tiny_fields,),
    "reflow_tiny": (fields.tiny_fields, _student),
}


def build(config: ConfigDict, *, axis_name: str | None = None, stages: Mapping[str, System] | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used.

    Args:
        config: the config.
        axis_name: not used.
        stages: with 'teacher', the system of the earlier flow, for all but the first.
    """
    del axis_name
    model, field = config.model, fields.field_of(config, fields.network(config))
    times = fields.chosen(fields.TIMES, "times", model)(model)
    if "teacher" not in config.stages:
        return fields.system_of(config, flow_matching.rectified_flow(field, times=times))
    options = {"pairs": model.pairs, "refresh": model.refresh}
    options["teacher_solve"] = solvers.fixed_solve(model.teacher_steps)
    teacher = stages["teacher"].model
    if model.distill:
        return fields.system_of(config, flow_matching.distillation(field, teacher, **options))
    return fields.system_of(config, flow_matching.reflow(field, teacher, times=times, **options))
