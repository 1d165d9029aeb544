"""An energy-based model of points in the plane: persistent contrastive divergence, MALA, log Z on a grid.

Variants:
    ''     eight gaussians.
    moons  two moons.
    tiny   small enough to compile in a second.
"""

import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import denoisers, evaluations
from experiments.configs.common import base
from genjax import diffusion
from genjax.training.system import System

VARIANTS = ("", "moons", "tiny")

MEASURED = {  # variant: result, cost
    "": (
        "2.845 nats (0.007) by log Z on the grid, entropy 2.832; 2-Wasserstein 0.213, floor 0.189",
        "67 s on half a CPU core",
    ),
}


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    denoisers.require_variant("diffusion/ebm", variant, VARIANTS)
    config = base("diffusion/ebm")
    denoisers.point_fields(config)
    config.train.steps = 4_000
    config.train.clip_norm = 1.0
    config.model.std = 4.0  # of the normal that confines the density
    config.model.step_size = 0.01  # of Langevin steps and of MALA's
    config.model.train_steps = 20  # made by every chain in each step of training
    config.model.sample_steps = 500
    config.model.start_std = 3.0
    config.model.restart = 0.02  # of the chains, in each step of training
    config.model.penalty = 0.0  # of the energies' squares
    config.model.half_width = 12.0  # of the box on which the density is normalized
    config.model.cells = 240  # along each of its sides
    config.expected.result, config.expected.cost = MEASURED.get(variant, ("not measured", "not measured"))
    if variant == "moons":
        config.data.name = "toy2d/two_moons"
        config.model.step_size = 0.002
        config.model.std = 2.0
        config.model.start_std = 1.5
        config.model.half_width = 6.0
    if variant == "tiny":
        denoisers.tiny_points(config)
        config.model.train_steps = config.model.sample_steps = 2
        config.model.cells = 8
    return config


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model = config.model
    chains = diffusion.Chains(model.step_size, model.train_steps, model.sample_steps, model.start_std, model.restart)
    energy = diffusion.energy_model(
        diffusion.ConfinedEnergy(tuple(model.widths), model.std, jnp.dtype(config.train.precision)),
        chains,
        shape=tuple(model.shape),
        penalty=model.penalty,
        box=diffusion.Box(model.half_width, model.cells),
    )
    return System(
        model=energy,
        optimizers={"contrast": optax.adam(denoisers.learning_rate(config))},
        evaluations={"wasserstein": evaluations.wasserstein} | denoisers.known_density(config.data.name),
    )
