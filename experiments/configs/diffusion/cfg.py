"""Classifier-free guidance (Ho & Salimans 2022): a class-conditional model whose labels are dropped at times.

The evaluation 'guidance' writes the curve of fidelity and variety over w. On the variance-preserving path, sampled by
DPM-Solver++.

Variants:
    ''     8 x 8 digits in all 17 levels, in minutes on a CPU; (1 + w) eps(x, c) - w eps(x).
    scale  the same by eps(x) + s (eps(x, c) - eps(x)), s = 1 + w.
    mnist  28 x 28, 256 levels; for an accelerator. Needs --config.data.dir.
    tiny   as '', small enough to compile in seconds.
"""

import functools

from ml_collections import ConfigDict

from experiments import denoisers, guidance_curves
from experiments.configs.common import base
from genjax import diffusion, processes
from genjax.data_path import dequantized_symmetric
from genjax.processes import point_at
from genjax.training.system import System

VARIANTS = ("", "scale", "mnist", "tiny")
FORMS = {
    "weight": lambda denoise, condition, nothing, w: diffusion.classifier_free(denoise, condition, nothing, weight=w),
    "scale": lambda denoise, condition, nothing, s: diffusion.classifier_free_by_scale(
        denoise, condition, nothing, scale=s
    ),
}


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    denoisers.require_variant("diffusion/cfg", variant, VARIANTS)
    config = base("diffusion/cfg")
    denoisers.picture_fields(config)
    config.model.num_classes = 10
    config.model.label_dropout = 0.1
    config.model.form = "weight"  # weight, of w, or scale, of s = 1 + w
    config.model.guidance = 0.5  # w or s in sampling
    config.model.curve = (0.0, 0.5, 1.0, 2.0, 4.0)  # w or s of the evaluation
    config.model.start = 0.001  # first time of training, last of sampling
    config.model.steps = 20
    config.expected.result = (
        "digits: classes right 92, 98, 99.6, 99.9, 100 %, recall 0.88, 0.78, 0.58, 0.41, 0.25 and classifier-FID (ours) "
        "5.0, 6.4, 11.1, 20.9, 35.4 at w = 0, 0.5, 1, 2, 4"
    )
    config.expected.cost = "6 minutes of a CPU core shared with others; evaluation 2.5 minutes"
    if variant:
        config.expected.result = config.expected.cost = "not measured"
    if variant == "scale":
        config.model.form, config.model.guidance = "scale", 1.5
        config.model.curve = (1.0, 1.5, 2.0, 3.0, 5.0)
    if variant == "mnist":
        denoisers.mnist_fields(config)
    if variant == "tiny":
        denoisers.tiny_pictures(config)
        config.model.blocks = 1  # so that four steps tell classes apart
        config.model.levels = 256  # so fine that three steps of training show in samples
        config.model.steps = 2
    return config


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, path = config.model, processes.linear_path()
    point_of = lambda t: point_at(path, t)
    times = processes.log_snr_times(point_of, model.steps, start=1.0, end=model.start)
    built = diffusion.score_sde(
        denoisers.unet(config, num_classes=model.num_classes),
        path,
        shape=tuple(model.shape),
        data_path=dequantized_symmetric(model.levels),
        sampler_of=lambda denoise: diffusion.dpm_solver(denoise, point_of, times),
        span=(model.start, 1.0),
        data_std=model.data_std,
        constrain=processes.clip_symmetric,
        given=diffusion.labels(model.num_classes, dropout=model.label_dropout),
        guide=denoisers.chosen(FORMS, "form", model),
    )
    guided = functools.partial(built.sample, guidance=model.guidance)
    system = denoisers.picture_system(config, built._replace(sample=guided), num_classes=model.num_classes)
    measured = lambda context: guidance_curves.curve(context, "guidance", tuple(model.curve))
    return system._replace(evaluations=dict(system.evaluations) | ({"guidance": measured} if system.evaluations else {}))
