"""GAN (Goodfellow et al. 2014) with perceptrons for players, on points of the plane and on digits.

Variants:
    ''       toy2d/eight_gaussians: 8 broad modes on a circle.
    ring     toy2d/ring_of_8, grid: toy2d/grid_of_25: the mode-collapse benchmarks, where a plain GAN is known to
             drop modes.
    digits   8 x 8 digits; mnist: 28 x 28, needs --config.data.dir.
    tiny     as '', small enough to compile in a second.
"""

import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import evaluations
from experiments.configs.common import base
from genjax import adversarial
from genjax.adversarial import minimax_generator_loss, non_saturating_generator_loss
from genjax.contract import Array
from genjax.data import toy2d, transforms
from genjax.errors import UserError
from genjax.evaluation import mode_coverage
from genjax.training.system import EvalContext, System, identity_transform

VARIANTS = ("", "ring", "grid", "digits", "mnist", "tiny")
GENERATOR_LOSSES = {"non_saturating": non_saturating_generator_loss, "minimax": minimax_generator_loss}


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"adversarial/gan has no variant {variant!r}; it has {named}.")
    config = base("adversarial/gan")
    _default(config)
    changes = {"ring": _ring, "grid": _grid, "digits": _digits, "mnist": _mnist, "tiny": _tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.name = "toy2d/eight_gaussians"
    config.data.batch_size = 512
    config.train.steps = 10_000
    config.train.steps_per_call = 100
    config.train.log_every = 500
    config.train.checkpoint_every = 5_000
    config.train.ema_decay = 0.999
    config.train.learning_rate = 5e-4  # of both players
    config.train.adam_b1 = 0.5

    config.model.shape = (2,)
    config.model.levels = 0  # of stored pixels; 0 for real points, which stay as they are
    config.model.latent_dim = 8
    config.model.generator_hidden = (128, 128, 128)
    config.model.discriminator_hidden = (128, 128, 128)
    config.model.generator_loss = "non_saturating"  # or minimax
    config.model.discriminator_steps = 1  # k of Algorithm 1

    config.sample.num = 1000
    config.eval.num_samples = 2500
    config.expected.result = (
        "seeds 0, 1, 2: 8 of 8 modes each, 98.1, 99.2, 98.6 % of samples within 3 standard deviations (98.9 % of true "
        "ones); 2-Wasserstein 0.32 to 0.34, floor 0.16"
    )
    config.expected.cost = "30 s on two CPU cores"


def _ring(config: ConfigDict) -> None:
    config.data.name = "toy2d/ring_of_8"
    config.expected.result = "seeds 0, 1, 2: 8, 8, 0 of 8 modes; 91, 93, 0 % within 3 standard deviations"


def _grid(config: ConfigDict) -> None:
    config.data.name = "toy2d/grid_of_25"
    config.expected.result = "seeds 0, 1, 2: 19, 14, 11 of 25 modes; 20, 25, 18 % within 3 standard deviations"


def _digits(config: ConfigDict) -> None:
    config.data.name = "digits"
    config.data.batch_size = 128
    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.latent_dim = 64
    config.model.generator_hidden = (256, 256)
    config.model.discriminator_hidden = (128, 128)  # a wider one learns the 1,437 examples by heart
    config.train.learning_rate = 2e-4
    config.sample.num = 64
    config.eval.num_samples = 1000
    config.expected.result = "seeds 0, 1: classifier-FID 9.2, 7.4 (floor 3.8) on the test split; digits can be read"
    config.expected.cost = "15 s on two CPU cores"


def _mnist(config: ConfigDict) -> None:
    _digits(config)
    config.data.name = "mnist"
    config.model.shape = (28, 28, 1)
    config.model.levels = 256
    config.model.latent_dim = 100
    config.model.generator_hidden = (256, 512, 1024)
    config.model.discriminator_hidden = (1024, 512, 256)
    config.train.steps = 100_000
    config.train.checkpoint_every = 10_000
    config.eval.num_samples = 10_000
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.generator_hidden = (8,)
    config.model.discriminator_hidden = (8,)
    config.model.discriminator_steps = 2
    config.model.latent_dim = 2
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, train = config.model, config.train
    if model.generator_loss not in GENERATOR_LOSSES:
        raise UserError(f"model.generator_loss={model.generator_loss!r} is none of {', '.join(GENERATOR_LOSSES)}.")
    pictures, dtype = len(model.shape) == 3, jnp.dtype(train.precision)
    output = jnp.tanh if pictures else lambda x: x
    generator = adversarial.MLPGenerator(tuple(model.shape), tuple(model.generator_hidden), output, dtype)
    discriminator = adversarial.MLPDiscriminator(tuple(model.discriminator_hidden), dtype)
    adam = optax.adam(train.learning_rate, b1=train.adam_b1)
    return System(
        model=adversarial.gan(
            generator,
            discriminator,
            latent_dim=model.latent_dim,
            generator_loss=GENERATOR_LOSSES[model.generator_loss],
            discriminator_steps=model.discriminator_steps,
        ),
        optimizers={"generator": adam, "discriminator": adam},
        transform=transforms.symmetric(model.levels) if pictures else identity_transform,
        to_picture=_to_picture if pictures else lambda points: points,
        evaluations={"samples": evaluations.classifier_fid} if pictures else _of_points(config.data.name),
    )


def _to_picture(x: Array) -> Array:
    """Map [-1, 1] onto [0, 1]."""
    return 0.5 * (x + 1.0)


def _of_points(name: str) -> dict:
    """Return the evaluations of a toy2d set; modes are counted where it is a mixture of Gaussians."""
    toy = toy2d.SETS[name.removeprefix("toy2d/")]
    found = {"wasserstein": evaluations.wasserstein}
    return found if toy.centers is None else found | {"modes": _modes}


def _modes(context: EvalContext) -> dict[str, float]:
    """Return how many modes the samples cover and which share of them is within 3 standard deviations of one.

    smallest_mode: share of the good samples that the least visited mode gets; 1 / modes where all are equal.
    """
    toy = toy2d.SETS[context.config.data.name.removeprefix("toy2d/")]
    num = context.config.eval.num_samples
    found = mode_coverage(context.sample(num), jnp.asarray(toy.centers, jnp.float32), std=toy.std)
    return {
        "modes_covered": int(found.covered),
        "modes": len(toy.centers),
        "high_quality": float(found.high_quality),
        "smallest_mode": float(found.counts.min() / jnp.maximum(found.counts.sum(), 1)),
        "n": num,
    }
