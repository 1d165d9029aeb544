"""PixelCNN++ (Salimans et al. 2017) on patches of photographs.

Variants:
    ''           8 x 8 colour patches of photographs, 256 levels. Bits/dim beside those of histograms.
    photos32     32 x 32 patches with a larger network; for an accelerator.
    digits       8 x 8 digits in 17 levels.
    tiny         as '', small enough to compile in seconds.
"""

import functools

import jax.numpy as jnp
from ml_collections import ConfigDict

from experiments import raster
from experiments.configs.common import base
from genjax.autoregressive.pixelcnnpp import PixelCNNPP, pixelcnnpp
from genjax.training.system import System


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    config = base("autoregressive/pixelcnnpp")
    _default(config)
    return raster.apply_variant(config, variant, {"photos32": _photos32, "digits": _digits, "tiny": _tiny})


def _default(config: ConfigDict) -> None:
    raster.training_fields(config, steps=1_200, batch_size=64, learning_rate=2e-3)
    config.data.name = "photos/8"
    config.model.shape = (8, 8, 3)
    config.model.stored_levels = 256
    config.model.levels = 256
    config.model.features = 32
    config.model.blocks = 2
    config.model.resolutions = 2
    config.model.components = 5
    config.model.num_classes = 0
    config.model.dropout = 0.1
    config.train.clip_norm = 1_000.0  # of nats summed over 192 entries: early steps alone are cut
    config.expected.result = "3.94 bits/dim (exact), photos/8 test split; histograms of each entry 7.37"
    config.expected.cost = "about five minutes on one CPU core"


def _photos32(config: ConfigDict) -> None:
    config.data.name = "photos/32"
    config.train.steps = 50_000
    config.train.ema_decay = 0.9995
    config.train.learning_rate = 1e-3
    config.model.shape = (32, 32, 3)
    config.model.features = 96
    config.model.blocks = 4
    config.model.resolutions = 3
    config.model.components = 10
    config.model.dropout = 0.5
    config.train.clip_norm = 16_000.0
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _digits(config: ConfigDict) -> None:
    config.data.name = "digits"
    config.model.shape = (8, 8, 1)
    config.model.stored_levels = config.model.levels = 17
    config.model.dropout = 0.3
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _tiny(config: ConfigDict) -> None:
    raster.tiny_fields(config)
    config.model.features = 4
    config.model.blocks = 1
    config.model.resolutions = 1  # a second one triples the time to compile
    config.model.components = 2


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model = config.model
    network = functools.partial(
        PixelCNNPP,
        features=model.features,
        blocks=model.blocks,
        resolutions=model.resolutions,
        num_classes=model.num_classes,
        dropout=model.dropout,
        dtype=jnp.dtype(config.train.precision),
    )
    return System(
        model=pixelcnnpp(
            network,
            shape=tuple(model.shape),
            levels=model.levels,
            components=model.components,
            condition_of=raster.labels(model.num_classes),
        ),
        optimizers={"pixelcnnpp": raster.optimizer(config)},
        transform=raster.stored_or_binary(config),
        to_picture=raster.picture(config),
        evaluations=raster.sample_evaluations(config),
        condition=raster.classes(model.num_classes),
    )
