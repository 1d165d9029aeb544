"""Noise-conditional score networks (Song & Ermon 2019, 2020) and annealed Langevin dynamics, on digits and MNIST.

Variants:
    ''      8 x 8 digits in all 17 levels, in minutes on a CPU.
    ncsnpp  the same with the network of Song et al. 2021 (`genjax.nn.ncsnpp`).
    mnist   28 x 28, 256 levels; for an accelerator. Needs --config.data.dir.
    tiny    as '', small enough to compile in seconds.
"""

from ml_collections import ConfigDict

from experiments import denoisers
from experiments.configs.common import base
from genjax import diffusion
from genjax.data_path import dequantized_symmetric
from genjax.errors import UserError
from genjax.nn import UNet, score_parts
from genjax.training.system import System

VARIANTS = ("", "ncsnpp", "mnist", "tiny")
NETWORKS = {"ddpm": lambda unet: unet, "ncsnpp": lambda unet: unet.clone(parts=score_parts())}

MEASURED = {  # variant: result, cost
    "": (
        "classifier-FID (ours) 14.2, precision 0.59, recall 0.94; most digits can be read",
        "6 min beside other work",
    ),
}


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    denoisers.require_variant("diffusion/ncsn", variant, VARIANTS)
    config = base("diffusion/ncsn")
    denoisers.picture_fields(config)
    config.model.network = "ncsnpp" if variant == "ncsnpp" else "ddpm"
    config.model.noise_levels = 40  # L
    config.model.first = 12.0  # sigma_1, the largest distance of two digits
    config.model.last = 0.03  # sigma_L, a quarter of the gap between levels
    config.model.relative_step = 0.15  # a step's length e in units of sigma_L^2
    config.model.steps_per_level = 5  # T
    config.expected.result, config.expected.cost = MEASURED.get(variant, ("not measured", "not measured"))
    if variant == "mnist":
        denoisers.mnist_fields(config)
        config.model.noise_levels = 300
        config.model.first = 40.0
        config.model.last = 0.01
        config.model.relative_step = 0.06
    if variant == "tiny":
        denoisers.tiny_pictures(config)
        config.model.noise_levels = 3
        config.model.steps_per_level = 1
    return config


def network(config: ConfigDict) -> UNet:
    """Return the U-Net that the config names."""
    named = config.model.network
    if named not in NETWORKS:
        raise UserError(f"model.network={named!r} is none of {', '.join(NETWORKS)}.")
    return NETWORKS[named](denoisers.unet(config))


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model = config.model
    sigmas = diffusion.geometric_sigmas(model.noise_levels, first=model.first, last=model.last)
    return denoisers.picture_system(
        config,
        diffusion.ncsn(
            network(config),
            sigmas,
            shape=tuple(model.shape),
            data_path=dequantized_symmetric(model.levels),
            step_size=model.relative_step * model.last**2,
            steps_per_level=model.steps_per_level,
            data_std=model.data_std,
        ),
    )
