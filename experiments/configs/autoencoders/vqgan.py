"""VQGAN (Esser et al. 2021) on digits; its transformer is trained by `vqgan_prior.py`.

The perceptual distance is that of a classifier that this project trains (`model.perceptual = 'digits_classifier'`), or
LPIPS on VGG16 with weights of your own (`'lpips'`, --config.model.lpips=FILE.npz; pictures of at least 16 x 16, format
in `genjax/evaluation/lpips.py`).

Variants:
    ''            digits in 17 levels, 4 x 4 codes of 64.
    no_judge      without the discriminator, to compare with.
    mnist         MNIST, 7 x 7 codes of 256, features of the MNIST classifier. Needs --config.data.dir.
    tiny          as '', small enough to compile in a second, with a classifier that has not been trained.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments import codes, evaluations
from experiments.configs.common import base
from genjax import autoencoders
from genjax.data import transforms
from genjax.errors import UserError
from genjax.evaluation import features, lpips
from genjax.training.system import System

VARIANTS = ("", "no_judge", "mnist", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"autoencoders/vqgan has no variant {variant!r}; it has {named}.")
    config = base("autoencoders/vqgan")
    _default(config)
    changes = {"no_judge": _no_judge, "mnist": _mnist, "tiny": _tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 64
    config.train.steps = 2_500
    config.train.steps_per_call = 50
    config.train.log_every = 250
    config.train.checkpoint_every = 1_250
    config.train.ema_decay = 0.998
    config.train.learning_rate = 1e-3  # of encoder and decoder
    config.train.discriminator_rate = 3e-4

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.widths = (32,)  # one a halving
    config.model.blocks = 2
    config.model.code_dim = 8
    config.model.num_codes = 64
    config.model.commitment = 0.25
    config.model.decay = 0.99
    config.model.restart_below = 0.1  # share of the average use
    config.model.judge_widths = (32, 64)
    config.model.adversarial_weight = 0.5  # 0: no discriminator
    config.model.start = 500  # step at which it joins
    config.model.perceptual = "digits_classifier"  # mnist_classifier, untrained or lpips
    config.model.lpips = ""  # file with the weights of LPIPS

    config.expected.result = "sharpness of reconstructions 0.94 of the data's (without the discriminator 0.89), PSNR 24.1 dB (24.4)"
    config.expected.cost = "91 s of a CPU core"


def _no_judge(config: ConfigDict) -> None:
    config.model.adversarial_weight = 0.0


def _mnist(config: ConfigDict) -> None:
    config.data.name = "mnist"
    config.data.split = "train[:50000]"
    config.data.batch_size = 128
    config.train.steps = 40_000
    config.train.checkpoint_every = 5_000
    config.model.shape = (28, 28, 1)
    config.model.levels = 256
    config.model.widths = (64, 128)
    config.model.code_dim = 32
    config.model.num_codes = 256
    config.model.judge_widths = (64, 128)
    config.model.start = 5_000
    config.model.perceptual = "mnist_classifier"
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.train.ema_decay = 0.0
    config.model.widths = (4,)
    config.model.blocks = 1
    config.model.code_dim = 2
    config.model.num_codes = 8
    config.model.judge_widths = (4,)
    config.model.start = 0
    config.model.perceptual = "untrained"
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; `axis_name` is the mapped axis of codes and of the adaptive weight under pmap."""
    model, train, dtype = config.model, config.train, jnp.dtype(config.train.precision)
    widths, factor = tuple(model.widths), 2 ** len(model.widths)
    perceptual, weights = _perceptual(config)
    bound = autoencoders.vqgan(
        autoencoders.GridEncoder(widths, model.code_dim, model.blocks, dtype),
        autoencoders.GridDecoder(widths[::-1], model.shape[-1], model.blocks, dtype),
        autoencoders.PatchDiscriminator(tuple(model.judge_widths), dtype),
        perceptual=perceptual,
        perceptual_weights=weights,
        num_codes=model.num_codes,
        grid=(model.shape[0] // factor, model.shape[1] // factor),
        commitment=model.commitment,
        adversarial_weight=model.adversarial_weight,
        start=model.start,
        decay=model.decay,
        restart_below=model.restart_below,
        axis_name=axis_name,
    )
    return System(
        model=bound,
        optimizers={
            "autoencode": optax.adam(train.learning_rate, b1=0.5, b2=0.9),
            "discriminate": optax.adam(train.discriminator_rate, b1=0.5, b2=0.9),
        },
        transform=transforms.symmetric(model.levels),
        to_picture=codes.symmetric_picture,
        evaluations={"codes": codes.code_use, "reconstruction": codes.reconstruction},
    )


def _perceptual(config: ConfigDict):
    """Return the perceptual distance of pictures in [-1, 1] and what makes the arrays it reads."""
    name, data = config.model.perceptual, config.data
    if name == "lpips":
        weights = lpips.load_lpips_weights(config.model.lpips)
        return lpips.lpips, lambda: weights
    recipes = {recipe.name: (source, recipe) for source, recipe in evaluations.RECIPES.items()}
    if name == "untrained":
        recipe = features.DIGITS._replace(channels=(2, 2), num_features=4)
        weights = lambda: lpips.untrained_classifier(recipe, jax.random.key(0))
    elif name in recipes:
        source, recipe = recipes[name]
        weights = lambda: jax.tree.map(np.asarray, _trained(source, data.dir))
    else:
        raise UserError(f"model.perceptual={name!r} is none of {', '.join((*recipes, 'lpips', 'untrained'))}.")
    picture = lambda x: 0.5 * (x + 1.0)
    return lambda params, x, y: lpips.classifier_distance(recipe, params, picture(x), picture(y)), weights


def _trained(source: str, data_dir: str):
    # Outside of whatever is being traced: the classifier may have to be trained first.
    with jax.ensure_compile_time_eval():
        return evaluations.classifier_of(source, data_dir).variables.params["classifier"]
