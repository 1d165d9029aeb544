"""RidgeGAN (Thottolil et al. 2023) on made settlements: maps from a GAN, their roads by kernel ridge regression.

The data's roads follow a rule (`genjax.data.settlements.road_density`), so that predictions for maps that the GAN made,
for which the paper has no truth, can be judged.

Variants:
    ''    16 x 16 maps.
    tiny  as '', small enough to compile in seconds.
"""

import functools

import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments.configs.common import base
from experiments.evaluations import gather
from genjax import adversarial
from genjax.contract import Array
from genjax.data import settlements, transforms
from genjax.errors import UserError
from genjax.training.system import EvalContext, System

VARIANTS = ("", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"adversarial/ridge_gan has no variant {variant!r}; it has {named}.")
    config = base("adversarial/ridge_gan")
    _default(config)
    if variant == "tiny":
        _tiny(config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.name = "settlements"
    config.data.batch_size = 64
    config.train.steps = 5_000
    config.train.steps_per_call = 50
    config.train.log_every = 500
    config.train.checkpoint_every = 5_000
    config.train.ema_decay = 0.999
    config.train.learning_rate = 2e-4  # of both players
    config.train.adam_b1 = 0.5

    config.model.shape = (16, 16, 1)
    config.model.latent_dim = 32
    config.model.generator_features = (32, 64)  # from the map inwards
    config.model.discriminator_features = (32, 64)
    config.model.gammas = (0.001, 0.003, 0.01, 0.03, 0.1)  # tried for the kernel, by leaving one out
    config.model.alphas = (0.0001, 0.001, 0.01, 0.1, 1.0)  # and for the ridge

    config.eval.num_samples = 1000
    config.expected.result = (
        "variance of roads explained: 88.1 % on held-out maps (linear ridge 75.8 %), 45.8 % on made maps (linear "
        "30.1 %), which are more scattered: an index is off by up to 0.52 standard deviations in the mean (training "
        "maps 0.09)"
    )
    config.expected.cost = "3 min 53 s, of one shared CPU core 1.7 min"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.latent_dim = 2
    config.model.generator_features = (2, 4)
    config.model.discriminator_features = (2, 4)
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; `axis_name` is the mapped axis of batch normalization under pmap."""
    model, train = config.model, config.train
    adam = optax.adam(train.learning_rate, b1=train.adam_b1)
    return System(
        model=adversarial.ridge_gan(
            tuple(model.shape),
            built_from=2 * settlements.BUILT / 255 - 1,
            latent_dim=model.latent_dim,
            generator_features=tuple(model.generator_features),
            discriminator_features=tuple(model.discriminator_features),
            axis_name=axis_name,
            dtype=jnp.dtype(train.precision),
        ),
        optimizers={"generator": adam, "discriminator": adam},
        transform=transforms.symmetric(256),
        to_picture=_to_picture,
        evaluations={"roads": roads},
    )


def roads(context: EvalContext) -> dict[str, float]:
    """Regress roads on the indices of real maps; predict those of held-out maps and of maps the GAN made.

    Returns:
        'r2' (share of the variance explained) and 'error' (mean absolute) on held-out maps and, with '_generated'
        behind, on made ones, whose true roads follow from the data's rule; '_linear' for linear ridge regression on the
        same indices; 'index_gap', the largest difference of the mean of an index between made and held-out maps, in
        standard deviations, with 'index_gap_of_train'; 'n'.
    """
    from sklearn.linear_model import Ridge

    model, options = context.system.model, context.config.model
    measure = functools.partial(model.methods["indices"], context.variables, context.key)
    train, truth = gather(context.train(), "x", "roads")
    held_out, held_out_truth = gather(context.test(), "x", "roads")
    made = np.asarray(context.sample(int(context.config.eval.num_samples)))
    made_truth = settlements.road_density(made[..., 0] >= 2 * settlements.BUILT / 255 - 1)
    u, u_test, u_made = (np.asarray(measure(jnp.asarray(maps))) for maps in (train, held_out, made))
    choose = functools.partial(adversarial.choose_kernel_ridge, gammas=options.gammas, alphas=options.alphas)
    fitted = choose(jnp.asarray(u), jnp.asarray(truth))
    linear = Ridge(alpha=1.0).fit((u - u.mean(0)) / u.std(0), truth)
    found: dict[str, float] = {"gamma": float(fitted.gamma), "n": len(made)}
    for suffix, x, y in (("", u_test, held_out_truth), ("_generated", u_made, made_truth)):
        predicted = np.asarray(adversarial.predict_kernel_ridge(fitted, jnp.asarray(x)))
        found |= {f"r2{suffix}": _explained(y, predicted), f"error{suffix}": float(np.abs(y - predicted).mean())}
        found[f"r2{suffix}_linear"] = _explained(y, linear.predict((x - u.mean(0)) / u.std(0)))
    gap = lambda x: float((np.abs(x.mean(0) - u_test.mean(0)) / u_test.std(0)).max())
    return found | {"index_gap": gap(u_made), "index_gap_of_train": gap(u)}


def _explained(y: np.ndarray, predicted: np.ndarray) -> float:
    return float(1 - np.mean((y - predicted) ** 2) / np.var(y))


def _to_picture(x: Array) -> Array:
    """Map [-1, 1] onto [0, 1]."""
    return 0.5 * (x + 1.0)
