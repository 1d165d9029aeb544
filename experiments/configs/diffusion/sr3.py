"""Super-resolution by diffusion (SR3, 2021): digits from 4 x 4 to 8 x 8, MNIST from 7 x 7 to 28 x 28; and a cascade.

A cascade is trained as a small model beside the frozen large one:

    python -m experiments.train --config experiments/configs/diffusion/sr3.py --workdir runs/sr3
    python -m experiments.train --config experiments/configs/diffusion/sr3.py:cascade \
        --config.stages.upper=runs/sr3 --workdir runs/cascade

The networks predict v (Salimans & Ho 2022), which says x_0 where x_t says nothing of it: there the low resolution does.
The evaluation 'enlargement' compares with bicubic interpolation. The samples that a run draws are held-out pictures,
made again from their low resolution; those of a cascade are new.

Variants:
    ''         digits, with conditioning augmentation.
    cascade    a model of 4 x 4 digits below it.
    mnist      28 x 28, 256 levels; for an accelerator. Needs --config.data.dir.
    mnist_cpu  the same with a network on 2 x 2 patches, small enough for a CPU. Likewise.
    tiny       as '', small enough to compile in seconds.
"""

import functools

import jax.numpy as jnp
from ml_collections import ConfigDict

from experiments import completions, denoisers, evaluations
from experiments.configs.common import base
from genjax import diffusion, processes
from genjax.contract import GenerativeModel
from genjax.data_path import continuous
from genjax.processes import point_at
from genjax.training.system import System

VARIANTS = ("", "cascade", "mnist", "mnist_cpu", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    denoisers.require_variant("diffusion/sr3", variant, VARIANTS)
    config = base("diffusion/sr3")
    denoisers.picture_fields(config)
    config.model.factor = 2
    config.model.max_augmentation = 0.5  # s_max of the low resolution's noise in training
    config.model.augmentation = 0.1  # s of a cascade
    config.model.start = 0.001  # first time of training, last of sampling
    config.model.steps = 20
    config.expected.result = (
        "PSNR 17.4 dB on the test split (bicubic 13.5, mean of 8 samples 20.1); class kept 0.91 (bicubic 0.73)"
    )
    config.expected.cost = "7 minutes on one core, beside other work"
    if variant == "cascade":
        config.stages.upper = ""  # workdir of a run of ''
        config.expected.result = "classifier-FID (ours) 9.0 (floor 3.9), precision 0.79, recall 0.83; most can be read"
        config.expected.cost = "2 minutes on one core, after the stage"
    if variant == "mnist":
        denoisers.mnist_fields(config)
        config.model.factor = 4
    if variant == "mnist_cpu":
        denoisers.mnist_cpu_fields(config)
        config.data.test_split = "test[:500]"
        config.train.steps = 5_000
        config.model.factor = 4
        config.expected.result = (
            "PSNR 18.1 dB on 500 test pictures (bicubic 14.6, mean of 8 samples 20.9); class kept 0.94 (bicubic 0.79)"
        )
        config.expected.cost = "26 minutes on a CPU core, 6 more for the figures"
    if variant == "tiny":
        denoisers.tiny_pictures(config)
        config.model.levels = 256  # so fine that three steps of training show in samples
        config.model.steps = 2
    return config


def build(config: ConfigDict, *, axis_name: str | None = None, stages: dict[str, System] | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    if stages:
        return _cascade(config, stages["upper"].model)
    model, path = config.model, processes.linear_path()
    built = diffusion.super_resolution(
        denoisers.unet(config, out_channels=model.shape[-1]),
        path,
        shape=tuple(model.shape),
        levels=model.levels,
        factor=model.factor,
        sampler_of=lambda denoise: _sampler(config, denoise),
        max_augmentation=model.max_augmentation,
        span=(model.start, 1.0),
        prediction=processes.V,
        weight=processes.v_weight,
        data_std=model.data_std,
        constrain=processes.clip_symmetric,
    )

    def small_pictures(key, num):
        del key
        return {"low": _reduce(config, jnp.asarray(completions.held_out_pictures(config, num)))}

    measured = {"enlargement": functools.partial(completions.enlargement, factor=model.factor)}
    return denoisers.picture_system(
        config,
        built,
        condition=small_pictures,
        evaluations=measured if config.data.name in evaluations.RECIPES else {},
    )


def _cascade(config: ConfigDict, upper: GenerativeModel) -> System:
    model = config.model
    height, width, channels = model.shape
    small = diffusion.score_sde(
        denoisers.unet(config),
        processes.linear_path(),
        shape=(height // model.factor, width // model.factor, channels),
        data_path=continuous(),
        sampler_of=lambda denoise: _sampler(config, denoise),
        span=(model.start, 1.0),
        prediction=processes.V,
        weight=processes.v_weight,
        data_std=model.data_std,
        constrain=processes.clip_symmetric,
    )
    reduce = functools.partial(_reduce, config)
    return denoisers.picture_system(config, diffusion.cascade(small, upper, reduce, augmentation=model.augmentation))


def _reduce(config: ConfigDict, x):
    return diffusion.low_resolution(x, config.model.factor, levels=config.model.levels)


def _sampler(config: ConfigDict, denoise: processes.Denoiser) -> diffusion.Sampler:
    point_of = lambda t: point_at(processes.linear_path(), t)
    times = processes.log_snr_times(point_of, config.model.steps, start=1.0, end=config.model.start)
    return diffusion.dpm_solver(denoise, point_of, times)
