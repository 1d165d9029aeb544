"""PixelCNN (van den Oord et al. 2016) on digits in all their levels, and binarized as NADE has them.

Variants:
    ''           8 x 8 digits, a softmax over 17 levels. Bits/dim against 2.435 for histograms.
    binarized    digits, binarized anew each time a pixel is seen. Nats against 27.20 for independent pixels.
    photos       8 x 8 colour patches, a softmax over 256 levels of red, then green, then blue.
    mnist        dynamically binarized MNIST with the paper's kind of network; for an accelerator. Needs
                 --config.data.dir.
    mnist_cpu    the same with a network small enough for a CPU. Likewise.
    tiny         as '', small enough to compile in a second.
"""

import functools

import jax.numpy as jnp
from ml_collections import ConfigDict

from experiments import raster
from experiments.configs.common import base
from genjax.autoregressive.pixelcnn import PixelCNN, pixelcnn
from genjax.training.system import System


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    config = base("autoregressive/pixelcnn")
    _default(config)
    changes = {"binarized": _binarized, "photos": _photos, "mnist": _mnist, "mnist_cpu": _mnist_cpu, "tiny": _tiny}
    return raster.apply_variant(config, variant, changes)


def _default(config: ConfigDict) -> None:
    raster.training_fields(config, steps=2_000, batch_size=64, learning_rate=3e-3)
    config.model.shape = (8, 8, 1)
    config.model.stored_levels = 17
    config.model.levels = 17  # 2 where the data are to be binarized
    config.model.features = 32
    config.model.blocks = 5
    config.model.first_kernel = 7
    config.model.kernel_size = 3
    config.model.readout = 64
    config.model.num_classes = 0
    config.model.dropout = 0.3
    config.model.locate = False  # whether rows and columns have biases of their own
    config.expected.result = "1.81 bits/dim (exact), digits test split; histograms of each entry 2.435"
    config.expected.cost = "about a minute on one CPU core"


def _binarized(config: ConfigDict) -> None:
    config.train.steps = 6_000
    config.model.levels = 2
    config.model.features = 48
    config.model.dropout = 0.5
    config.model.locate = True
    config.expected.result = (
        "21.86 +- 0.21 nats (exact), digits test split, dynamically binarized; NADE 22.13, independent pixels 27.20"
    )
    config.expected.cost = "4 minutes on one CPU core"


def _photos(config: ConfigDict) -> None:
    config.data.name = "photos/8"
    config.model.shape = (8, 8, 3)
    config.model.stored_levels = config.model.levels = 256
    config.model.features = 48
    config.model.readout = 96
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _mnist(config: ConfigDict) -> None:
    raster.mnist_fields(config)
    config.model.features = 64
    config.model.blocks = 12
    config.model.readout = 256
    config.model.dropout = 0.1


def _mnist_cpu(config: ConfigDict) -> None:
    _mnist(config)
    config.data.batch_size = 32
    config.train.steps = 6_000
    config.train.warmup = 100
    config.train.valid_every = 1_500
    config.train.checkpoint_every = 1_500
    config.train.ema_decay = 0.998
    config.train.learning_rate = 2e-3
    config.model.features = 24
    config.model.blocks = 6
    config.model.readout = 48
    config.model.dropout = 0.0
    config.model.locate = True


def _tiny(config: ConfigDict) -> None:
    raster.tiny_fields(config)
    config.model.features = 4
    config.model.blocks = 2
    config.model.first_kernel = 3
    config.model.readout = 8


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model = config.model
    network = functools.partial(
        PixelCNN,
        features=model.features,
        blocks=model.blocks,
        first_kernel=model.first_kernel,
        kernel_size=model.kernel_size,
        readout=model.readout,
        num_classes=model.num_classes,
        dropout=model.dropout,
        locate=model.locate,
        dtype=jnp.dtype(config.train.precision),
    )
    return System(
        model=pixelcnn(
            network, shape=tuple(model.shape), levels=model.levels, condition_of=raster.labels(model.num_classes)
        ),
        optimizers={"pixelcnn": raster.optimizer(config)},
        transform=raster.stored_or_binary(config),
        to_picture=raster.picture(config),
        evaluations=raster.sample_evaluations(config),
        condition=raster.classes(model.num_classes),
    )
