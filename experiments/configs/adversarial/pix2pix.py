"""pix2pix (Isola et al. 2017): digits of their edges, and a user's own pairs of pictures.

Any loss and any regularizer but consistency may be played with these networks, by the fields of
`experiments.games.choices`.

Variants:
    ''        8 x 8 digits of their edges.
    coloured  digits of what they are in orange on navy blue.
    mnist     28 x 28 digits of their edges; needs --config.data.dir.
    folder    64 x 64 pictures in --config.data.dir/B of those in /A with the same names: the paper's 70 x 70 patches.
    tiny      as '', small enough to compile in a second.
"""

import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import games, raster, translations
from experiments.configs.common import base
from genjax import adversarial
from genjax.training.system import System


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    config = base("adversarial/pix2pix")
    _default(config)
    changes = {"coloured": _coloured, "mnist": _mnist, "folder": _folder, "tiny": _tiny}
    return raster.apply_variant(config, variant, changes)


def _default(config: ConfigDict) -> None:
    config.data.name = "pairs/edges"
    config.data.batch_size = 32
    config.train.steps = 4_000
    config.train.steps_per_call = 50
    config.train.log_every = 500
    config.train.checkpoint_every = 2_000
    config.train.ema_decay = 0.999
    config.train.learning_rate = 2e-4  # of both players
    config.train.adam_b1 = 0.5
    config.sample.num = 81

    config.model.levels = 17
    config.model.channels = 1  # of what is made
    config.model.features = (32, 64, 128)  # from the picture inwards
    config.model.dropout = 0.5
    config.model.patch_features = (32, 64)
    config.model.patch_strides = (1, 1)  # with kernels of 3: patches of 7 x 7
    config.model.patch_kernel = 3
    config.model.l1_weight = 100.0
    games.choices(config, consistency=False)

    config.expected.result = "test split: L1 0.084 of the range, PSNR 16.8 dB (mean training picture 0.194, 11.4), class kept 0.87 (truth 0.997)"
    config.expected.cost = "4 minutes on one core, beside other work"


def _coloured(config: ConfigDict) -> None:
    config.data.name = "pairs/coloured"
    config.expected.result = "test split: L1 0.023 of the range, PSNR 29.2 dB, class kept 0.99 (truth 0.997)"
    config.expected.cost = "2 minutes on one core, beside other work"


def _mnist(config: ConfigDict) -> None:
    config.data.name = "pairs/edges/mnist"
    config.train.steps = 20_000
    config.model.levels = 256
    config.model.features = (64, 128)
    config.model.patch_features = (64, 128)
    config.model.patch_strides = (2, 1)
    config.model.patch_kernel = 4
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _folder(config: ConfigDict) -> None:
    config.data.name = "folder_pairs/64"
    config.data.batch_size = 1
    config.train.steps = 100_000
    config.model.levels = 256
    config.model.channels = 3
    config.model.features = (64, 128, 256, 512, 512, 512)
    config.model.patch_features = (64, 128, 256, 512)
    config.model.patch_strides = (2, 2, 2, 1)
    config.model.patch_kernel = 4
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.features = (4, 4)
    config.model.patch_features = (4,)
    config.model.patch_strides = (2,)
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, train, dtype = config.model, config.train, jnp.dtype(config.train.precision)
    generator = adversarial.UNetGenerator(tuple(model.features), model.channels, model.dropout, dtype)
    patches = tuple(model.patch_features), tuple(model.patch_strides), model.patch_kernel
    discriminator = adversarial.PatchGAN(*patches, dtype=dtype)
    played = adversarial.pix2pix(generator, discriminator, l1_weight=model.l1_weight, **games.options(model))
    bound = games.penalized(played, model)
    adam = optax.adam(train.learning_rate, b1=train.adam_b1)
    return System(
        model=bound,
        optimizers={"generator": adam, "discriminator": adam},
        transform=translations.symmetric_pair(model.levels),
        preview=translations.pairs_preview(config, model.levels, bound.methods["translate"]),
        to_picture=translations.to_picture,
        evaluations={"translations": translations.translation_errors},
    )
