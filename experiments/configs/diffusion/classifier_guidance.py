"""Classifier guidance (Dhariwal & Nichol 2021): a classifier of noisy digits leads an unconditional diffusion model.

Train the diffusion model first, then the classifier beside it, frozen:

    python -m experiments.train --config experiments/configs/diffusion/score_sde.py --workdir runs/score_sde
    python -m experiments.train --config experiments/configs/diffusion/classifier_guidance.py \
        --config.stages.diffusion=runs/score_sde --workdir runs/guided

The evaluation 'guidance' writes the curve of fidelity and variety over the scale s.

Variants:
    ''     digits; the gradient in eps, DDIM.
    mean   the gradient as a shift of each step's mean, ancestral sampling.
    mnist  28 x 28, 256 levels; for an accelerator. Needs --config.data.dir, and a stage of MNIST.
    tiny   digits without an earlier stage, small enough to compile in seconds.
"""

import jax.numpy as jnp
from ml_collections import ConfigDict

from experiments import denoisers, guidance_curves
from experiments.configs.common import base
from genjax import diffusion, processes
from genjax.contract import GenerativeModel
from genjax.data_path import dequantized_symmetric
from genjax.diffusion.guidance import LogClassifier
from genjax.processes import Denoiser, point_at
from genjax.training.system import System

VARIANTS = ("", "mean", "mnist", "tiny")
PATH = processes.linear_path()


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    denoisers.require_variant("diffusion/classifier_guidance", variant, VARIANTS)
    config = base("diffusion/classifier_guidance")
    denoisers.picture_fields(config)
    config.stages.diffusion = ""  # workdir of an unconditional diffusion/score_sde or diffusion/edm
    config.train.steps = 1_000
    config.train.learning_rate = 1e-3
    config.model.dropout = 0.1
    config.model.num_classes = 10
    config.model.form = "eps"  # eps (algorithm 2) or mean (algorithm 1)
    config.model.scale = 2.0  # s in sampling
    config.model.curve = (0.0, 1.0, 2.0, 5.0, 10.0)  # s of the evaluation
    config.model.start = 0.001  # first time of training, last of sampling
    config.model.steps = 40
    config.expected.result = (
        "after diffusion/score_sde on digits: classes right 10, 56, 78, 91, 93 % and recall 0.90, 0.90, 0.88, 0.82, 0.74 "
        "at scales 0, 1, 2, 5, 10"
    )
    config.expected.cost = "47 s of a CPU core after the first stage; evaluation 4.5 minutes"
    if variant:
        config.expected.result = config.expected.cost = "not measured"
    if variant == "mean":
        config.model.form = "mean"
    if variant == "mnist":
        denoisers.mnist_fields(config)
        config.train.steps = 20_000
        config.model.channels = (64, 128, 128)
        config.model.steps = 250
    if variant == "tiny":
        denoisers.tiny_pictures(config)
        config.model.blocks = 1  # what reads the level
        del config.stages.diffusion
        config.model.levels = 256  # so fine that three steps of training show in samples
        config.model.steps = 2
    return config


def build(config: ConfigDict, *, axis_name: str | None = None, stages: dict[str, System] | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model = config.model
    classifier = diffusion.NoisyClassifier(
        model.num_classes,
        channels=tuple(model.channels),
        blocks=model.blocks,
        groups=model.groups,
        dropout=model.dropout,
        dtype=jnp.dtype(config.train.precision),
    )
    guided = diffusion.classifier_guidance(
        classifier,
        stages["diffusion"].model if stages else _untrained(config),
        PATH,
        shape=tuple(model.shape),
        data_path=dequantized_symmetric(model.levels),
        times=diffusion.uniform_between(model.start, 1.0),
        sampler_of=lambda *parts: denoisers.chosen(FORMS, "form", model)(config, *parts),
        scale=model.scale,
        data_std=model.data_std,
    )
    system = denoisers.picture_system(config, guided, num_classes=model.num_classes)
    measured = lambda context: guidance_curves.curve(context, "scale", tuple(model.curve))
    return system._replace(evaluations=dict(system.evaluations) | ({"guidance": measured} if system.evaluations else {}))


def _untrained(config: ConfigDict) -> GenerativeModel:
    """Return a diffusion model of the config's own sizes, in the place of a stage."""
    return diffusion.score_sde(
        denoisers.unet(config),
        PATH,
        shape=tuple(config.model.shape),
        data_path=dequantized_symmetric(config.model.levels),
        sampler_of=lambda denoise: diffusion.ddim(denoise, _point_of, _times(config)),
    )


def _point_of(t):
    return point_at(PATH, t)


def _times(config: ConfigDict):
    return processes.log_snr_times(_point_of, config.model.steps, start=1.0, end=config.model.start)


def _by_eps(config: ConfigDict, denoise: Denoiser, log_classifier: LogClassifier, scale) -> diffusion.Sampler:
    guided = diffusion.classifier_guided(denoise, log_classifier, _point_of, scale=scale)
    return diffusion.ddim(diffusion.constrained(guided, processes.clip_symmetric), _point_of, _times(config))


def _by_mean(config: ConfigDict, denoise: Denoiser, log_classifier: LogClassifier, scale) -> diffusion.Sampler:
    times = _times(config)
    free = diffusion.ddim(diffusion.constrained(denoise, processes.clip_symmetric), _point_of, times, eta=1.0)
    return diffusion.mean_shifted(free, log_classifier, diffusion.step_variances(_point_of, times), scale=scale)


FORMS = {"eps": _by_eps, "mean": _by_mean}
