"""Gated PixelCNN (van den Oord et al. 2016) on digits, told their class.

Variants:
    ''           8 x 8 digits in 17 levels, conditional on the class.
    spatial      conditional on a map instead: the digit at a quarter of its resolution (super-resolution).
    binarized    without a condition, binarized anew each time a pixel is seen. Nats against 27.20.
    mnist        dynamically binarized MNIST, no condition, the paper's kind of network; for an accelerator. Needs
                 --config.data.dir.
    mnist_cpu    the same with a network small enough for a CPU. Likewise.
    tiny         as '', small enough to compile in a second.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiments import evaluations, raster
from experiments.configs.common import base
from genjax.autoregressive.gated_pixelcnn import GatedPixelCNN, gated_pixelcnn
from genjax.contract import Array
from genjax.data import open_source, transforms
from genjax.training.system import System


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    config = base("autoregressive/gated_pixelcnn")
    _default(config)
    changes = {
        "spatial": _spatial,
        "binarized": _binarized,
        "mnist": _mnist,
        "mnist_cpu": _mnist_cpu,
        "tiny": _tiny,
    }
    return raster.apply_variant(config, variant, changes)


def _default(config: ConfigDict) -> None:
    raster.training_fields(config, steps=2_000, batch_size=64, learning_rate=3e-3)
    config.model.shape = (8, 8, 1)
    config.model.stored_levels = 17
    config.model.levels = 17  # 2 where the data are to be binarized
    config.model.features = 32
    config.model.layers = 6
    config.model.first_kernel = 7
    config.model.kernel_size = 3
    config.model.readout = 64
    config.model.num_classes = 10  # 0: no class
    config.model.map_factor = 0  # above 0: told the picture averaged over squares of this side
    config.model.dropout = 0.3
    config.model.locate = False  # whether rows and columns have biases of their own
    config.expected.result = "1.67 bits/dim (exact) given the class, digits test split; 97 % of samples found in their class"
    config.expected.cost = "about two minutes on one CPU core"


def _spatial(config: ConfigDict) -> None:
    config.model.num_classes = 0
    config.model.map_factor = 4
    config.expected.result = "1.60 bits/dim (exact) given the 2 x 2 means, digits test split"


def _binarized(config: ConfigDict) -> None:
    config.model.levels = 2
    config.model.num_classes = 0
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _mnist(config: ConfigDict) -> None:
    raster.mnist_fields(config)
    config.model.num_classes = 0
    config.model.features = 64
    config.model.layers = 12
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
    config.model.features = 20
    config.model.layers = 6
    config.model.readout = 40
    config.model.dropout = 0.0
    config.model.locate = True
    config.expected.result = "not measured; without locate 89.0 nats (exact, test, dynamically binarized, best by validation)"
    config.expected.cost = "about 20 minutes on one CPU core"


def _tiny(config: ConfigDict) -> None:
    raster.tiny_fields(config)
    config.model.features = 4
    config.model.layers = 3
    config.model.first_kernel = 3
    config.model.readout = 8


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model = config.model
    network = functools.partial(
        GatedPixelCNN,
        features=model.features,
        layers=model.layers,
        first_kernel=model.first_kernel,
        kernel_size=model.kernel_size,
        readout=model.readout,
        num_classes=model.num_classes,
        dropout=model.dropout,
        locate=model.locate,
        dtype=jnp.dtype(config.train.precision),
    )
    spatial = model.map_factor > 0
    condition_of = (lambda batch: batch["map"]) if spatial else raster.labels(model.num_classes)
    transform = raster.stored_or_binary(config)
    if spatial:
        transform = transforms.chain(transform, raster.low_resolution(model.map_factor, model.levels))
    return System(
        model=gated_pixelcnn(network, shape=tuple(model.shape), levels=model.levels, condition_of=condition_of),
        optimizers={"gated_pixelcnn": raster.optimizer(config)},
        transform=transform,
        to_picture=raster.picture(config),
        evaluations={"samples": evaluations.classifier_fid} if spatial else raster.sample_evaluations(config),
        condition=_maps(config, transform) if spatial else raster.classes(model.num_classes),
    )


def _maps(config: ConfigDict, transform: transforms.Transform):
    """Return (key, num) -> maps of held-out pictures, in turns."""

    def maps(key: Array, num: int) -> Array:
        source = open_source(config.data.name, config.data.test_split, config.data.dir)
        stored = {"x": jnp.asarray(source.fetch(np.arange(num) % len(source))["x"])}
        return jax.jit(transform)(key, stored)["map"]

    return maps
