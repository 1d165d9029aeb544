"""Inpainting of digits: a model with a mask channel (GLIDE 2022), beside replacement and RePaint without one.

The model goes on from an unconditional one:

    python -m experiments.train --config experiments/configs/diffusion/score_sde.py --workdir runs/score_sde
    python -m experiments.train --config experiments/configs/diffusion/inpainting.py \
        --config.stages.diffusion=runs/score_sde --workdir runs/inpainting

The evaluation 'halves' completes the halves of held-out pictures in all three ways. The samples that a run draws are
held-out pictures with their upper halves known.

Variants:
    ''       fine-tuned.
    scratch  without an earlier stage.
    mnist    28 x 28, 256 levels; for an accelerator. Needs --config.data.dir, and a stage of MNIST.
    tiny     as 'scratch', small enough to compile in seconds.
"""

import functools

import jax.numpy as jnp
from ml_collections import ConfigDict

from experiments import completions, denoisers, evaluations
from experiments.configs.common import base
from genjax import diffusion, processes
from genjax.processes import point_at
from genjax.training.system import System

VARIANTS = ("", "scratch", "mnist", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    denoisers.require_variant("diffusion/inpainting", variant, VARIANTS)
    config = base("diffusion/inpainting")
    denoisers.picture_fields(config)
    config.stages.diffusion = ""  # workdir of a diffusion/score_sde with the same network
    config.train.steps = 600
    config.train.learning_rate = 1e-3
    config.model.start = 0.001  # first time of training, last of sampling
    config.model.steps = 50
    config.model.resamples = 5  # of RePaint
    config.expected.result = (
        "completed halves keep their class (test split; upper / left half known): mask channel 0.60 / 0.61, replacement "
        "0.53 / 0.53, RePaint 0.66 / 0.65, the half of another picture 0.34 / 0.36"
    )
    config.expected.cost = "4 minutes on one core, beside other work, after the stage"
    if variant in ("scratch", "tiny"):
        config.expected.result = "not measured"
        config.expected.cost = "not measured"
    if variant == "mnist":
        denoisers.mnist_fields(config)
        config.train.steps = 20_000
        config.model.steps = 250
        config.model.resamples = 10
    if variant in ("scratch", "tiny"):
        del config.stages.diffusion
        config.train.steps = 2_000
        config.train.learning_rate = 2e-3
    if variant == "tiny":
        denoisers.tiny_pictures(config)
        config.model.steps = 2
    return config


def build(config: ConfigDict, *, axis_name: str | None = None, stages: dict[str, System] | None = None) -> System:
    """Build the system; of the stage only its parameters are used, and nothing is coupled over the batch."""
    del axis_name, stages
    model, path = config.model, processes.linear_path()
    point_of = lambda t: point_at(path, t)
    times = processes.log_snr_times(point_of, model.steps, start=1.0, end=model.start)
    stochastic = lambda denoise: diffusion.ddim(
        diffusion.constrained(denoise, processes.clip_symmetric), point_of, times, eta=1.0
    )
    built = diffusion.mask_channel(
        denoisers.unet(config, out_channels=model.shape[-1]),
        path,
        shape=tuple(model.shape),
        levels=model.levels,
        sampler_of=stochastic,
        replacing_sampler_of=stochastic,
        span=(model.start, 1.0),
        data_std=model.data_std,
    )

    def upper_halves(key, num):
        del key
        known = completions.held_out_pictures(config, num)
        return {"known": jnp.asarray(known), "mask": jnp.asarray(completions.half_mask("top", known.shape))}

    measured = {"halves": functools.partial(completions.halves, resamples=model.resamples)}
    return denoisers.picture_system(
        config,
        built,
        condition=upper_halves,
        evaluations=measured if config.data.name in evaluations.RECIPES else {},
    )
