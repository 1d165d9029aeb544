"""Diffusion transformers (Peebles & Xie 2023) as velocity fields, given the class and guided (Ma et al. 2024, SiT).

Variants:
    ''     8 x 8 digits in all 17 levels, in minutes on a CPU.
    mnist  28 x 28, 256 levels, DiT-S/2; for an accelerator. Needs --config.data.dir.
    tiny   as '', small enough to compile in seconds.
"""

import jax.numpy as jnp
from ml_collections import ConfigDict

from experiments import fields
from experiments.configs.common import base
from genjax import flow_matching
from genjax.errors import UserError
from genjax.nn import DiT
from genjax.training.system import System

VARIANTS = ("", "mnist", "tiny")
MEASURED = {  # variant: result, cost
    "": (
        "clear digits of their class at guidance 2; 1.828 +- 0.014 bits/dim given the class, by the ODE",
        "2 minutes on a CPU core shared with others",
    ),
}


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"flow_matching/dit has no variant {variant!r}; it has {named}.")
    config = base("flow_matching/dit")
    (fields.mnist_fields if variant == "mnist" else fields.picture_fields)(config)
    config.model.num_classes = 10
    config.model.label_dropout = 0.1
    config.model.guidance = 2.0
    config.model.patch = 2
    config.model.width = 96
    config.model.depth = 4
    config.model.heads = 4
    config.model.mlp_ratio = 4
    config.model.features = 64  # of the embedding of time
    config.expected.result, config.expected.cost = MEASURED.get(variant, ("not measured", "not measured"))
    if variant == "mnist":
        config.model.width = 384
        config.model.depth = 12
        config.model.heads = 6
        config.model.features = 256
    elif variant == "tiny":
        _tiny(config)
    return config


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.train.warmup = 0
    config.train.learning_rate = 0.02  # so that a few steps tell classes apart by a level
    config.model.guidance = 20.0
    config.model.width = 8
    config.model.depth = 2
    config.model.heads = 2
    config.model.mlp_ratio = 1
    config.model.features = 8
    config.model.patch = 4
    config.model.solver = "euler"
    config.model.steps = 2


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model = config.model
    network = DiT(
        patch=model.patch,
        width=model.width,
        depth=model.depth,
        heads=model.heads,
        mlp_ratio=model.mlp_ratio,
        num_classes=model.num_classes,
        features=model.features,
        dtype=jnp.dtype(config.train.precision),
    )
    interpolant = fields.chosen(fields.INTERPOLANTS, "interpolant", model)(model)
    times = fields.chosen(fields.TIMES, "times", model)(model)
    field = fields.field_of(config, network)
    return fields.system_of(config, flow_matching.cfm(field, interpolant, times=times))
