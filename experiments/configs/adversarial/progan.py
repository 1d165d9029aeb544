"""Progressive GAN (Karras et al. 2018), a run a resolution, each grown from the one before.

    python -m experiments.train --config experiments/configs/adversarial/progan.py --workdir DIR_4
    python -m experiments.train --config experiments/configs/adversarial/progan.py:digits_8 \
        --config.stages.lower=DIR_4 --workdir DIR_8

Variants:
    ''        digits pooled to 4 x 4, where all begins.
    digits_8  digits as they are, grown from ''.
    mnist     MNIST padded to 32 x 32 and pooled to 4 x 4; needs --config.data.dir, as do
    mnist_8, mnist_16, mnist_32, each grown from the one before.
    mnist_cpu, mnist_cpu_8, mnist_cpu_16, mnist_cpu_32  the same, small enough for one CPU core.
    tiny      8 x 8, the new layers fading in over old ones that have learned nothing; compiles in a second.

Any loss and any regularizer may be played with these networks, by the fields of `experiments.games.choices`; the
paper's penalty on drifting scores is added to any of them:

    --config.model.loss=non_saturating --config.model.regularizers.gradient_penalty=0 --config.model.regularizers.r1=1
"""

import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import evaluations, games
from experiments.configs.common import base
from genjax import adversarial
from genjax.adversarial.progan import halve
from genjax.contract import Array
from genjax.data import transforms
from genjax.errors import UserError
from genjax.training.system import System

MEASURED = {  # variant: result, cost
    "": ("nothing to measure at 4 x 4: the beginning of digits_8", "80 s on one CPU core"),
    "digits_8": (
        "seed 0: classifier-FID 6.4 (floor 3.9), precision 0.74, recall 0.84 on the test split; most digits can be read",
        "10 min on one CPU core, beside other work",
    ),
    "mnist_cpu": ("nothing to measure at 4 x 4: the beginning of mnist_cpu_8", "50 s on one CPU core"),
    "mnist_cpu_8": ("nothing to measure at 8 x 8: some digits can be read", "2 min on one CPU core"),
    "mnist_cpu_16": ("nothing to measure at 16 x 16: most digits can be read", "5 min on one CPU core"),
    "mnist_cpu_32": (
        "seed 0: classifier-FID 63.9 (floor 6.3), precision 0.65, recall 0.66 on the test split; most digits can be read",
        "6 min on one CPU core",
    ),
    "tiny": ("nothing to look at: it shows that everything runs", "a few seconds"),
}
SIDES = {"": 4, "digits_8": 8, "mnist": 4, "mnist_8": 8, "mnist_16": 16, "mnist_32": 32, "tiny": 8}
SIDES |= {"mnist_cpu": 4, "mnist_cpu_8": 8, "mnist_cpu_16": 16, "mnist_cpu_32": 32}
CPU_STEPS = {4: 2_000, 8: 2_500, 16: 2_500, 32: 1_500}


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in SIDES:
        named = ", ".join(repr(name) for name in SIDES)
        raise UserError(f"adversarial/progan has no variant {variant!r}; it has {named}.")
    config = base("adversarial/progan")
    _default(config)
    if variant.startswith("mnist"):
        _mnist(config)
    if variant == "tiny":
        _tiny(config)
    config.model.side = SIDES[variant]
    if config.model.side > 4 and variant != "tiny":
        _grown(config)
    if variant.startswith("mnist_cpu"):
        _mnist_cpu(config)
    config.expected.result, config.expected.cost = MEASURED.get(variant, ("not measured", "not measured"))
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 64
    config.train.steps = 2_000
    config.train.steps_per_call = 50
    config.train.log_every = 500
    config.train.checkpoint_every = 2_000
    config.train.ema_decay = 0.995
    # Of both players; it falls to 0 in the second half of a run. By the paper's 1e-3, which moves stored weights of about
    # 1 by a thousandth a step, as few steps as these do not get far.
    config.train.learning_rate = 3e-3

    config.model.levels = 17
    config.model.padded = 8  # side that the stored pictures are padded to before they are pooled
    config.model.latent_dim = 64
    config.model.features = (64, 16)  # of both players at 4 x 4, 8 x 8, ...; as many as the side needs
    config.model.fade_steps = 2_000
    config.model.group = 4
    config.model.drift_weight = 1e-3  # epsilon
    games.choices(config, loss="wasserstein")
    config.model.regularizers.gradient_penalty = 10.0


def _grown(config: ConfigDict) -> None:
    config.stages.lower = ""  # workdir of the run at half the side
    config.data.batch_size //= 2  # a larger picture, a smaller batch, as in the paper
    config.train.steps *= 5  # a fifth of them while the new layers fade in
    config.train.ema_decay = 0.998


def _mnist(config: ConfigDict) -> None:
    config.data.name = "mnist"
    config.train.steps = 5_000
    config.train.checkpoint_every = 5_000
    config.model.levels = 256
    config.model.padded = 32
    config.model.latent_dim = 128
    config.model.features = (128, 128, 64, 32)
    config.model.fade_steps = 5_000
    config.eval.num_samples = 10_000


def _mnist_cpu(config: ConfigDict) -> None:
    config.data.batch_size //= 2
    config.train.steps = CPU_STEPS[config.model.side]
    config.train.log_every = 100
    config.train.checkpoint_every = 500
    config.model.latent_dim = 64
    config.model.features = (64, 48, 24, 8)
    config.model.fade_steps = config.train.steps // 3
    config.eval.num_samples = 1_000


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.latent_dim = 2
    config.model.features = (4, 2)
    config.model.fade_steps = 4
    config.model.group = 2


def build(config: ConfigDict, *, axis_name: str | None = None, stages: dict[str, System] | None = None) -> System:
    """Build the system.

    Args:
        config: the config.
        axis_name: not used: the minibatch standard deviation is of each device's own examples.
        stages: with 'lower' where there is one; the run's variables are all that is taken from it.
    """
    del axis_name, stages
    model, train = config.model, config.train
    sides = [4 * 2**i for i in range(len(model.features))]
    if model.side not in sides:
        raise UserError(f"model.side={model.side} is none of {sides}, one for each of model.features.")
    features = tuple(model.features)[: sides.index(model.side) + 1]
    falling = lambda moves: games.falling(train.learning_rate, train.steps, moves)
    adam = lambda moves: optax.adam(falling(moves), b1=0.0, b2=0.99, eps=1e-8)
    whole = model.side == model.padded and config.data.name in evaluations.RECIPES
    built = adversarial.progan(
        (model.side, model.side, 1),
        latent_dim=model.latent_dim,
        generator_features=features,
        discriminator_features=features,
        fade_steps=model.fade_steps,
        group=model.group,
        drift_weight=model.drift_weight,
        dtype=jnp.dtype(train.precision),
        **games.options(model),
    )
    return System(
        model=games.penalized(built, model),
        optimizers={"generator": adam(1), "discriminator": adam(model.discriminator_steps)},
        transform=transforms.chain(
            transforms.pad_to(model.padded),
            transforms.symmetric(model.levels),
            transforms.on_x(lambda key, x: _pooled(x, model.side)),
        ),
        to_picture=lambda x: _to_picture(x, whole),
        evaluations={"samples": evaluations.classifier_fid} if whole else {},
    )


def _pooled(x: Array, side: int) -> Array:
    """Halve the sides of pictures by means of 2 x 2 until they are as small as that."""
    while x.shape[1] > side:
        x = halve(x)
    return x


def _to_picture(x: Array, whole: bool) -> Array:
    """Map [-1, 1] onto [0, 1]; cut away what MNIST was padded by, where the picture is whole."""
    margin = 2 if whole and x.shape[1] == 32 else 0
    return jnp.clip(0.5 * (x + 1.0), 0.0, 1.0)[:, margin : x.shape[1] - margin, margin : x.shape[2] - margin]
