"""CycleGAN (Zhu et al. 2017): digits and their negatives without pairs, and a user's own two folders of pictures.

Samples are pictures of A, made of pictures of B. The true map between the embedded domains is known, so that held-out
translations are compared with it. Nothing in the loss asks for that map: any one-to-one map of the domains is as good. It
is found by generators that see few pixels at a time, and is not where they see whole digits ('wide'). Who turns a digit has
to see it: 'rotated' is played by generators that move pixels and draw none, and discriminators of whole pictures whose
gradients at real ones are held small (R1), so that they lead to other maps from afar.

Any loss and any regularizer but consistency may be played with these networks, by the fields of
`experiments.games.choices`.

Variants:
    ''        digits (A) and negatives of other digits (B).
    wide      the same by generators that see 8 x 8 pixels.
    coloured  digits (A) and others in orange on navy blue (B).
    rotated   digits (A) and others turned by 90 degrees (B).
    folder    64 x 64 pictures of --config.data.dir/B (x, the A of this page), made of those in /A; no pairs, so that
              what is measured is the way there and back alone.
    tiny      as '', small enough to compile in a second.
"""

import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import games, raster, translations
from experiments.configs.common import base
from genjax import adversarial
from genjax.training.system import EvalContext, System


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    config = base("adversarial/cyclegan")
    _default(config)
    changes = {"wide": _wide, "coloured": _coloured, "rotated": _rotated, "folder": _folder, "tiny": _tiny}
    return raster.apply_variant(config, variant, changes)


def _default(config: ConfigDict) -> None:
    config.data.name = "domains/inverted"
    config.data.batch_size = 16
    config.train.steps = 3_000
    config.train.steps_per_call = 50
    config.train.log_every = 500
    config.train.checkpoint_every = 1_500
    config.train.ema_decay = 0.999
    config.train.learning_rate = 2e-4  # of the generators, falling to 0 in the second half
    config.train.discriminator_rate = 2e-4  # likewise
    config.train.adam_b1 = 0.5
    config.sample.num = 81

    config.model.levels = 17
    config.model.channels = (1, 1)  # of A and of B
    config.model.features = (32,)
    config.model.blocks = 1
    config.model.outer_kernel = 1  # so a generator sees 5 x 5 pixels
    config.model.reflect = True
    config.model.warps = 0  # affine maps of generators that move pixels, in place of all of the above; 0 for none
    config.model.patch_features = (32, 64)
    config.model.patch_strides = (1, 1)  # with kernels of 3: patches of 7 x 7
    config.model.patch_kernel = 3
    config.model.discriminator_hidden = ()  # of discriminators of whole pictures, in place of patches
    config.model.cycle_weight = 10.0
    config.model.identity_weight = 0.0
    config.model.adversarial_weight = 2.0  # on the generators' loss: the paper's square is not halved
    games.choices(config, loss="least_squares", consistency=False)
    config.model.pool_size = 4  # past fakes a slot: 64 of each domain

    config.expected.result = (
        "test split, B to A: L1 0.022 of the range, PSNR 29.3 dB by the true map, class kept 0.994 (truth 0.997); A to B 29.2 "
        "dB; there and back 29.1 dB"
    )
    config.expected.cost = "2 minutes on one core, beside other work"


def _wide(config: ConfigDict) -> None:
    config.train.steps = 4_000
    config.train.checkpoint_every = 2_000
    config.model.features = (32, 64)
    config.model.blocks = 2
    config.model.outer_kernel = 3
    config.expected.result = "test split, B to A: L1 0.295, PSNR 7.3 dB, class kept 0.07: digits made of other digits"
    config.expected.cost = "8 minutes on one core, beside other work"


def _coloured(config: ConfigDict) -> None:
    config.data.name = "domains/coloured"
    config.model.channels = (1, 3)
    config.expected.result = (
        "test split, B to A: PSNR 26.4 dB by the true map, class kept 0.992 (truth 0.997); A to B 27.5 dB; there and back "
        "31.4 dB"
    )
    config.expected.cost = "2 minutes on one core, beside other work"


def _rotated(config: ConfigDict) -> None:
    config.data.name = "domains/rotated"
    config.data.batch_size = 64
    config.train.steps = 2_500
    config.train.checkpoint_every = 1_250
    config.train.learning_rate = 1e-3
    config.train.discriminator_rate = 5e-4
    config.model.warps = 16
    config.model.discriminator_hidden = (256, 256)
    config.model.loss = "non_saturating"
    config.model.regularizers.r1 = 5.0
    config.model.cycle_weight = 1.0  # more would settle for the first two maps that are each other's inverse
    config.expected.result = "seeds 0, 1, 2, test split, B to A: L1 0.00002 by the true map, class kept 0.997 (truth 0.997)"
    config.expected.cost = "a minute of one CPU core"


def _folder(config: ConfigDict) -> None:
    config.data.name = "folder_domains/64"
    config.data.batch_size = 1
    config.train.steps = 200_000
    config.model.levels = 256
    config.model.channels = (3, 3)
    config.model.features = (64, 128, 256)
    config.model.blocks = 6
    config.model.outer_kernel = 7
    config.model.patch_features = (64, 128, 256, 512)
    config.model.patch_strides = (2, 2, 2, 1)
    config.model.patch_kernel = 4
    config.model.pool_size = 50
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.features = (4,)
    config.model.blocks = 0
    config.model.outer_kernel = 1
    config.model.patch_features = ()
    config.model.patch_strides = ()
    config.model.pool_size = 2
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, train, dtype = config.model, config.train, jnp.dtype(config.train.precision)
    judges = ("d_a", "d_b")
    played = adversarial.cyclegan(
        *(_generator(model, channels, dtype) for channels in reversed(model.channels)),
        *(_discriminator(model, dtype) for _ in judges),
        cycle_weight=model.cycle_weight,
        identity_weight=model.identity_weight,
        pool_size=model.pool_size,
        adversarial_weight=model.adversarial_weight,
        **games.options(model, judges),
    )
    bound = games.penalized(played, model, judges)
    ways, known = bound.methods, not config.data.name.startswith("folder_domains")
    by_the_true_map = {
        "b_to_a": translations.translation_errors,
        "a_to_b": functools.partial(translations.translation_errors, way="translate_ab", given="x", wanted="y"),
    }
    rates = {
        "generate": games.falling(train.learning_rate, train.steps),
        "discriminate": games.falling(train.discriminator_rate, train.steps, model.discriminator_steps),
    }
    return System(
        model=bound,
        optimizers={name: optax.adam(rate, b1=train.adam_b1) for name, rate in rates.items()},
        transform=translations.symmetric_pair(model.levels),
        preview=translations.pairs_preview(
            config, model.levels, ways["translate"], back=None if known else ways["translate_ab"]
        ),
        to_picture=translations.to_picture,
        evaluations=(by_the_true_map if known else {}) | {"cycle": _there_and_back},
    )


def _generator(model: ConfigDict, channels: int, dtype: Any) -> nn.Module:
    if model.warps:
        return adversarial.SpatialTransformer(channels, model.warps)
    widths = tuple(model.features), channels, model.blocks, model.outer_kernel
    return adversarial.ResidualGenerator(*widths, model.reflect, dtype=dtype)


def _discriminator(model: ConfigDict, dtype: Any) -> nn.Module:
    if model.discriminator_hidden:
        return adversarial.MLPDiscriminator(tuple(model.discriminator_hidden), dtype)
    return adversarial.PatchGAN(tuple(model.patch_features), tuple(model.patch_strides), model.patch_kernel, dtype=dtype)


def _there_and_back(context: EvalContext) -> dict[str, Any]:
    """Return 'l1' and 'psnr' of held-out pictures that have gone there and back, with '_a' or '_b' for their domain."""
    methods, result = context.system.model.methods, {}
    for domain, name, way, back in (("a", "x", "translate_ab", "translate"), ("b", "y", "translate", "translate_ab")):
        again = lambda v, key, x, way=way, back=back: methods[back](v, key, methods[way](v, key, x))
        found = translations.translated(context, again, name, name)
        result |= translations.errors(found["made"], found["wanted"], f"_{domain}")
    return result
