"""StyleGAN2 (Karras et al. 2020) on digits and MNIST.

Variants:
    ''       8 x 8 digits (4 -> 8).
    stylegan the synthesis network of 2019 (Karras et al. 2019), by adaptive instance normalization.
    ada      as '', with adaptive discriminator augmentation.
    mnist    MNIST padded to 32 x 32 (4 -> 32); needs --config.data.dir.
    cifar10  32 x 32 in colour, with adaptive discriminator augmentation, likewise.
    tiny     digits pooled to 4 x 4, with augmentation, small enough to compile in seconds.

Any loss and any regularizer may be played with these networks, by the fields of `experiments.games.choices`, beside the
paper's lazy terms; without lazy R1 and with a penalty at every step:

    --config.model.loss=hinge --config.model.gamma=0 --config.model.regularizers.gradient_penalty=1
"""

import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import evaluations, games
from experiments.configs.common import base
from genjax import adversarial
from genjax.adversarial import adaptive_augmentation as ada
from genjax.adversarial.progan import halve
from genjax.contract import Array
from genjax.data import transforms
from genjax.errors import UserError
from genjax.training.system import System

AUGMENTATIONS = {  # which transformations keep a digit a digit is chosen here
    "digits": ((ada.whole_shift, ada.scale, ada.stretch), (ada.brightness, ada.contrast)),
    "shifts": ((ada.whole_shift,), ()),
    "photos": ((*ada.BLIT, *ada.GEOMETRY), ada.COLOUR),
}


SYNTHESES = {"skip": adversarial.SkipSynthesis, "adain": adversarial.AdaINSynthesis}


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in CHANGES:
        named = ", ".join(repr(name) for name in CHANGES)
        raise UserError(f"adversarial/stylegan2 has no variant {variant!r}; it has {named}.")
    config = base("adversarial/stylegan2")
    _default(config)
    CHANGES[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 32
    config.train.steps = 12_000
    config.train.steps_per_call = 50
    config.train.log_every = 500
    config.train.sample_every = 3_000
    config.train.checkpoint_every = 3_000
    config.train.ema_decay = 0.998
    config.train.learning_rate = 2e-3  # of all players, before the lazy correction; it falls to 0 in the second half
    config.train.r1_every = 16
    config.train.path_every = 4

    config.model.side = 8
    config.model.padded = 8  # side that the stored pictures are padded to before they are pooled
    config.model.channels = 1
    config.model.levels = 17
    config.model.latent_dim = 64
    config.model.style_dim = 64
    config.model.synthesis = "skip"  # of 2020; or adain, of 2019
    config.model.mapping_layers = 2
    config.model.mapping_multiplier = 0.3  # of its rate: at the paper's 0.01 it would hardly move in so few steps
    config.model.features = (64, 16)  # of synthesis and discriminator at 4 x 4, 8 x 8, ...
    config.model.group = 4
    config.model.mixing = 0.0  # as the authors' code has it for small pictures
    config.model.path_weight = 0.0  # likewise
    config.model.gamma = 0.3  # of lazy R1
    config.model.augmentation = ""  # one of AUGMENTATIONS, or '' for none
    config.model.augmentation_images = 500_000  # within which p could go from 0 to 1
    games.choices(config)

    config.expected.result = (
        "seed 0: classifier-FID 7.6 (floor 3.9), precision 0.81, recall 0.84 on the test split; digits can be read"
    )
    config.expected.cost = "5 min of one CPU core"


def _not_measured(config: ConfigDict) -> None:
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _stylegan(config: ConfigDict) -> None:
    config.model.synthesis = "adain"
    config.model.mixing = 0.9
    config.expected.result = "classifier-FID (ours) 11.9 on digits (floor 3.9), precision 0.86, recall 0.65; digits can be read"
    config.expected.cost = "6 min of one CPU core"


def _ada(config: ConfigDict) -> None:
    config.model.augmentation = "digits"
    config.model.augmentation_images = 100_000
    config.expected.result = "classifier-FID (ours) 6.3 on digits (floor 3.9), precision 0.84, recall 0.78; digits can be read"
    config.expected.cost = "5 min of one CPU core"


def _mnist(config: ConfigDict) -> None:
    config.data.name = "mnist"
    config.data.batch_size = 64
    config.train.steps = 20_000
    config.train.checkpoint_every = 5_000
    config.model.side = 32
    config.model.padded = 32
    config.model.levels = 256
    config.model.latent_dim = 128
    config.model.style_dim = 128
    config.model.mapping_layers = 4
    config.model.mapping_multiplier = 0.01
    config.model.mixing = 0.9
    config.model.path_weight = 2.0
    config.model.features = (128, 128, 64, 32)
    config.model.gamma = 1.0
    config.eval.num_samples = 10_000
    _not_measured(config)


def _cifar10(config: ConfigDict) -> None:
    _mnist(config)
    config.data.name = "cifar10"
    config.train.steps = 100_000
    config.model.channels = 3
    config.model.latent_dim = 512
    config.model.style_dim = 512
    config.model.features = (512, 512, 512, 512)
    config.model.gamma = 0.01  # as the authors' code has it for this set
    config.model.path_weight = 0.0  # likewise
    config.model.mixing = 0.0  # likewise
    config.model.augmentation = "photos"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.train.r1_every = 2
    config.train.path_every = 2
    config.model.side = 4
    config.model.latent_dim = 2
    config.model.style_dim = 2
    config.model.mapping_layers = 1
    config.model.features = (4,)
    config.model.group = 2
    config.model.mixing = 0.9
    config.model.path_weight = 2.0
    config.model.augmentation = "shifts"
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


CHANGES = {
    "": lambda config: None,
    "stylegan": _stylegan,
    "ada": _ada,
    "mnist": _mnist,
    "cifar10": _cifar10,
    "tiny": _tiny,
}


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; over `axis_name` the augmentation counts pictures, nothing else needs it."""
    model, train, dtype = config.model, config.train, jnp.dtype(config.train.precision)
    features = tuple(model.features)
    if model.side != adversarial.picture_side(features):
        side = adversarial.picture_side(features)
        raise UserError(f"model.side={model.side} does not fit the {len(features)} model.features; they make {side}.")
    if model.synthesis not in SYNTHESES:
        raise UserError(f"model.synthesis={model.synthesis!r} is none of {', '.join(SYNTHESES)}.")
    built = adversarial.stylegan2(
        adversarial.MappingNetwork(model.style_dim, model.mapping_layers, model.mapping_multiplier, dtype),
        SYNTHESES[model.synthesis](features, model.channels, dtype),
        adversarial.ResidualDiscriminator(features, model.group, dtype),
        latent_dim=model.latent_dim,
        mixing=model.mixing,
        gamma=model.gamma,
        r1_every=train.r1_every,
        path_weight=model.path_weight,
        path_every=train.path_every,
        augmentation=_augmentation(model),
        axis_name=axis_name,
        **games.options(model),
    )
    whole = model.side == model.padded and config.data.name in evaluations.RECIPES
    margin = 2 if config.data.name == "mnist" and model.side == 32 else 0  # what MNIST was padded by
    r1_every = train.r1_every if model.gamma else None
    return System(
        model=games.penalized(built, model),
        optimizers={
            "generate": _lazy_adam(train, train.path_every if model.path_weight else None),
            "discriminate": _lazy_adam(train, r1_every, moves=model.discriminator_steps),
        },
        transform=transforms.chain(
            transforms.pad_to(model.padded),
            transforms.symmetric(model.levels),
            transforms.on_x(lambda key, x: _pooled(x, model.side)),
        ),
        to_picture=lambda x: _to_picture(x, margin),
        evaluations={"samples": evaluations.classifier_fid} if whole else {},
    )


def _lazy_adam(train: ConfigDict, every: int | None, *, moves: int = 1) -> optax.GradientTransformation:
    """Return Adam for a loss of every step and a penalty of every k-th; without a penalty, Adam as it is.

    Both are steps of the same Adam, k + 1 of them in k steps of the training, which its rate counts; k m + 1 where the
    loss is descended m times a step (`moves`).

    Reference: Karras et al. 2020, appendix B.
    """
    c = 1.0 if every is None else every * moves / (every * moves + 1)
    half = train.steps // 2
    counted = lambda steps: round(steps * moves / c)
    rate = optax.linear_schedule(c * train.learning_rate, 0.0, counted(train.steps - half), counted(half))
    return optax.adam(rate, b1=0.0, b2=0.99**c, eps=1e-8)


def _augmentation(model: ConfigDict) -> ada.AdaptiveAugmentation | None:
    """Return the augmentation that the config names."""
    if not model.augmentation:
        return None
    if model.augmentation not in AUGMENTATIONS:
        named = ", ".join(AUGMENTATIONS)
        raise UserError(f"model.augmentation={model.augmentation!r} is none of {named}, nor '' for none.")
    augment = ada.augmentation(*AUGMENTATIONS[model.augmentation])
    return ada.AdaptiveAugmentation(augment, images=model.augmentation_images)


def _pooled(x: Array, side: int) -> Array:
    """Halve the sides of pictures by means of 2 x 2 until they are as small as that."""
    while x.shape[1] > side:
        x = halve(x)
    return x


def _to_picture(x: Array, margin: int) -> Array:
    """Map [-1, 1] onto [0, 1] and cut off a margin on all sides."""
    return jnp.clip(0.5 * (x + 1.0), 0.0, 1.0)[:, margin : x.shape[1] - margin, margin : x.shape[2] - margin]
