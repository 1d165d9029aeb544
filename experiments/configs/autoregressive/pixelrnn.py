"""PixelRNN (van den Oord et al. 2016) on digits.

Variants:
    ''           8 x 8 digits in 17 levels, Diagonal BiLSTM.
    row          the same with the Row LSTM.
    binarized    as '', binarized anew each time a pixel is seen. Nats against 27.20 for independent pixels.
    mnist        dynamically binarized MNIST, seven layers; for an accelerator. Needs --config.data.dir.
    tiny         as '', small enough to compile in a second.
"""

import functools

import jax.numpy as jnp
from ml_collections import ConfigDict

from experiments import raster
from experiments.configs.common import base
from genjax.autoregressive.pixelrnn import DiagonalBiLSTM, PixelRNN, RowLSTM, pixelrnn
from genjax.errors import UserError
from genjax.training.system import System

LAYERS = {"diagonal": DiagonalBiLSTM, "row": RowLSTM}


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    config = base("autoregressive/pixelrnn")
    _default(config)
    changes = {"row": _row, "binarized": _binarized, "mnist": _mnist, "tiny": _tiny}
    return raster.apply_variant(config, variant, changes)


def _default(config: ConfigDict) -> None:
    raster.training_fields(config, steps=2_000, batch_size=64, learning_rate=3e-3)
    config.model.shape = (8, 8, 1)
    config.model.stored_levels = 17
    config.model.levels = 17  # 2 where the data are to be binarized
    config.model.layer = "diagonal"  # or row
    config.model.features = 32
    config.model.layers = 3
    config.model.first_kernel = 7
    config.model.readout = 64
    config.model.num_classes = 0
    config.model.dropout = 0.3
    config.expected.result = "1.76 bits/dim (exact), digits test split; histograms of each entry 2.435"
    config.expected.cost = "about three minutes on one CPU core"


def _row(config: ConfigDict) -> None:
    config.model.layer = "row"
    config.expected.cost = "about two minutes on one CPU core"


def _binarized(config: ConfigDict) -> None:
    config.model.levels = 2
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _mnist(config: ConfigDict) -> None:
    raster.mnist_fields(config)
    config.data.batch_size = 16
    config.model.features = 16
    config.model.layers = 7
    config.model.readout = 32
    config.model.dropout = 0.0


def _tiny(config: ConfigDict) -> None:
    raster.tiny_fields(config)
    config.model.features = 4
    config.model.layers = 2
    config.model.first_kernel = 3
    config.model.readout = 8


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model = config.model
    if model.layer not in LAYERS:
        raise UserError(f"model.layer={model.layer!r} is none of {', '.join(LAYERS)}.")
    network = functools.partial(
        PixelRNN,
        layer=LAYERS[model.layer],
        features=model.features,
        layers=model.layers,
        first_kernel=model.first_kernel,
        readout=model.readout,
        num_classes=model.num_classes,
        dropout=model.dropout,
        dtype=jnp.dtype(config.train.precision),
    )
    return System(
        model=pixelrnn(
            network, shape=tuple(model.shape), levels=model.levels, condition_of=raster.labels(model.num_classes)
        ),
        optimizers={"pixelrnn": raster.optimizer(config)},
        transform=raster.stored_or_binary(config),
        to_picture=raster.picture(config),
        evaluations=raster.sample_evaluations(config),
        condition=raster.classes(model.num_classes),
    )
