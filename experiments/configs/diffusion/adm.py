"""Ablated diffusion models (ADM; Dhariwal & Nichol 2021): the ablated U-Net under the training of diffusion/iddpm.

Class-conditional: attention at several resolutions, BigGAN's blocks up and down, adaptive group normalization, rescaled
residual connections (`genjax.nn.adm`); the hybrid loss with learned variances, sampled in fewer steps. Guidance by a
classifier is diffusion/classifier_guidance.

Variants:
    ''     8 x 8 digits in all 17 levels, given the class, in minutes on a CPU.
    plain  residual connections not rescaled, the paper's final model.
    mnist  28 x 28, 256 levels; for an accelerator. Needs --config.data.dir.
    tiny   as '', small enough to compile in seconds.
"""

import jax.numpy as jnp
from ml_collections import ConfigDict

from experiments import denoisers
from experiments.configs.common import base
from genjax import diffusion, processes
from genjax.nn import ablated_unet
from genjax.training.system import System

VARIANTS = ("", "plain", "mnist", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    denoisers.require_variant("diffusion/adm", variant, VARIANTS)
    config = base("diffusion/adm")
    denoisers.picture_fields(config)
    del config.model.adaptive  # its blocks are, always
    config.model.num_classes = 10
    config.model.attention = (0, 1)
    config.model.head_channels = 16
    config.model.residual_scale = 2.0**-0.5
    config.model.steps = 200  # T; see diffusion/ddpm for why so few, and for the offset
    config.model.offset = 0.1  # s of the cosine schedule
    config.model.bound_weight = 1e-3  # lambda of the hybrid loss
    config.model.sample_steps = 50  # of the T
    config.expected.result = "bound 1.77 bits/dim (standard error 0.01) on the test split; digits of their class"
    config.expected.cost = "11 minutes on one core, beside other work"
    if variant == "plain":
        config.model.residual_scale = 1.0
        config.expected.result = "not measured"
        config.expected.cost = "not measured"
    if variant == "mnist":
        denoisers.mnist_fields(config)
        config.model.attention = (1, 2)  # 14 x 14 and 7 x 7
        config.model.head_channels = 64
        config.model.steps = 1000
        config.model.offset = 0.008
        config.model.sample_steps = 250
    if variant == "tiny":
        denoisers.tiny_pictures(config)
        config.model.blocks = 1  # what reads the class
        config.model.head_channels = 2
        config.model.steps = 4
        config.model.sample_steps = 2
    return config


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model = config.model
    network = ablated_unet(
        residual_scale=model.residual_scale,
        channels=tuple(model.channels),
        blocks=model.blocks,
        attention=tuple(model.attention),
        head_channels=model.head_channels or None,
        groups=model.groups,
        dropout=model.dropout,
        patch=model.patch,
        fourier=tuple(model.fourier),
        num_classes=model.num_classes,
        out_channels=2 * model.shape[-1],
        dtype=jnp.dtype(config.train.precision),
    )
    built = diffusion.iddpm(
        network,
        processes.cosine_schedule(model.steps, offset=model.offset),
        shape=tuple(model.shape),
        levels=model.levels,
        objective=diffusion.hybrid(model.bound_weight),
        sample_steps=model.sample_steps,
        condition_of=lambda batch: batch["label"],
    )
    return denoisers.picture_system(config, built, num_classes=model.num_classes)
