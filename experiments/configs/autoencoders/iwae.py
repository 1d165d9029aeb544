"""IWAE (Burda et al. 2015) on binarized digits, and as the paper measures it on MNIST.

Variants:
    ''                digits, k = 10, doubly reparameterized gradient.
    reparameterized   as '', with the paper's gradient.
    mnist             dynamically binarized MNIST, k = 50, 2 x 200 tanh units, 50 latents, 50,000 training images, the
                      schedule of the paper in its proportions. Needs --config.data.dir.
    tiny              as '', small enough to compile in a second.
"""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import latents
from experiments.configs.common import base
from genjax import autoencoders
from genjax.contract import Array, Batch, Variables
from genjax.data import transforms
from genjax.errors import UserError
from genjax.evaluation.likelihood import held_out_likelihood
from genjax.training.system import EvalContext, System

VARIANTS = ("", "reparameterized", "mnist", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"autoencoders/iwae has no variant {variant!r}; it has {named}.")
    config = base("autoencoders/iwae")
    _default(config)
    changes = {"reparameterized": _reparameterized, "mnist": _mnist, "tiny": _tiny}
    if variant:
        config.expected.result = config.expected.cost = "not measured"
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 128
    config.train.steps = 20_000
    config.train.steps_per_call = 100
    config.train.log_every = 500
    config.train.checkpoint_every = 5_000
    config.train.learning_rate = 1e-3  # at the start of a cosine
    config.train.schedule = "cosine"  # or iwae
    config.train.adam_eps = 1e-8

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.hidden = (200, 200)  # widths of the encoder's layers; the decoder has them reversed
    config.model.activation = "relu"  # or tanh
    config.model.latent_dim = 16
    config.model.num_samples = 10  # k
    config.model.gradient = "doubly_reparameterized"  # or reparameterized

    config.eval.samples = (1, 10, 100)  # k's of the evaluation 'bounds'
    config.eval.importance_samples = 5000  # k of the bound that stands for log p(x)
    config.eval.chunk = 100  # of them decoded at a time

    config.expected.result = "21.76 +- 0.20 nats (IWAE-5000), digits test split, dynamically binarized; the VAE 22.03"
    config.expected.cost = "2.3 minutes on one CPU core"


def _reparameterized(config: ConfigDict) -> None:
    config.model.gradient = "reparameterized"


def _mnist(config: ConfigDict) -> None:
    config.data.name = "mnist"
    config.data.split = "train[:50000]"
    config.data.valid_split = "train[50000:]"
    config.data.batch_size = 100  # 20 in the paper, five times as many steps
    config.train.steps = 500_000  # 1000 passes; 3280 in the paper
    config.train.steps_per_call = 500
    config.train.log_every = 5_000
    config.train.valid_every = 50_000
    config.train.checkpoint_every = 50_000
    config.train.schedule = "iwae"
    config.train.adam_eps = 1e-4
    config.model.shape = (28, 28, 1)
    config.model.levels = 256
    config.model.activation = "tanh"
    config.model.latent_dim = 50
    config.model.num_samples = 50
    config.expected.result = "not measured; the paper has 84.78 nats after 3280 passes of batches of 20"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.eval.importance_samples = 20
    config.eval.chunk = 10
    config.model.hidden = (8,)
    config.model.latent_dim = 2
    config.model.num_samples = 3
    config.eval.samples = (1, 2)


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, dtype = config.model, jnp.dtype(config.train.precision)
    widths, act = tuple(model.hidden), {"relu": jax.nn.relu, "tanh": jnp.tanh}.get(model.activation)
    bounds = {
        "doubly_reparameterized": autoencoders.doubly_reparameterized_bound,
        "reparameterized": autoencoders.reparameterized_bound,
    }
    if act is None or model.gradient not in bounds:
        raise UserError(
            f"model.activation={model.activation!r} is none of relu, tanh, or model.gradient={model.gradient!r} of "
            f"{', '.join(bounds)}."
        )
    built = autoencoders.iwae(
        autoencoders.MLPEncoder(model.latent_dim, widths, act, dtype=dtype),
        autoencoders.MLPDecoder(tuple(model.shape), 1, widths[::-1], act, dtype=dtype),
        autoencoders.bernoulli(),
        latent_dim=model.latent_dim,
        num_samples=model.num_samples,
        bound=bounds[model.gradient],
    )
    return System(
        model=built,
        optimizers={"iwae": optax.adam(_schedule(config), eps=config.train.adam_eps)},
        transform=transforms.binarize_dynamic(model.levels),
        preview=built.methods["sample_mean"],
        evaluations={
            "iwae": latents.importance_weighted,
            "bounds": _bounds,
            "units": latents.units,
            "reconstruction": latents.reconstruction,
        },
    )


def _schedule(config: ConfigDict) -> optax.Schedule:
    """Return the learning rate over the run.

    iwae: lr 10^(-i/7) in stage i = 0..7, which lasts 3^i passes of 3280 (Burda et al. 2015, section 5), here the same
    share of the run however long it is.
    """
    rate, steps = config.train.learning_rate, config.train.steps
    if config.train.schedule == "cosine":
        return optax.cosine_decay_schedule(rate, steps)
    if config.train.schedule == "iwae":
        ends = [round(steps * sum(3**j for j in range(i + 1)) / 3280) for i in range(7)]
        return optax.piecewise_constant_schedule(rate, {end: 10 ** (-1 / 7) for end in ends})
    raise UserError(f"train.schedule={config.train.schedule!r} is none of cosine, iwae.")


def _bounds(context: EvalContext) -> dict[str, float]:
    """Return -L_k on the test split for each k of config.eval.samples: it falls as k rises."""
    estimate, result = context.system.model.methods["importance_weighted"], {}
    for k in context.config.eval.samples:

        def log_prob(variables: Variables, key: Array, batch: Batch, k: int = k) -> Array:
            return estimate(variables, key, batch["x"], num_samples=k, chunk=k)

        result[f"nll_{k}"] = held_out_likelihood(log_prob, context.variables, context.key, context.test()).nll
    return result
