"""beta-VAE (Higgins et al. 2017) on binarized digits; the network of autoencoders/vae.py.

Variants:
    ''        beta = 2; at 4 the best code of these pictures is none. The rate-distortion curve: --config.model.beta=0.25,
              0.5, 1, 2, 4, evaluation 'rate_distortion'.
    capacity  the rate is led from 0 to 12 nats (Burgess et al. 2018).
    tiny      as 'capacity', small enough to compile in a second.
"""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import latents
from experiments.configs.common import base
from genjax import autoencoders
from genjax.autoencoders import Terms
from genjax.contract import Array
from genjax.data import transforms
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "capacity", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"autoencoders/beta_vae has no variant {variant!r}; it has {named}.")
    config = base("autoencoders/beta_vae")
    _default(config)
    changes = {"capacity": _capacity, "tiny": _tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 128
    config.train.steps = 20_000
    config.train.steps_per_call = 100
    config.train.log_every = 500
    config.train.checkpoint_every = 5_000
    config.train.learning_rate = 1e-3  # at the start of a cosine

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.hidden = (200, 200)  # widths of the encoder's layers; the decoder has them reversed
    config.model.latent_dim = 16
    config.model.objective = "beta"  # or capacity
    config.model.beta = 2.0
    config.model.gamma = 10.0  # price of a nat away from the capacity
    config.model.capacity = 12.0  # nats, reached after half of the run

    config.eval.importance_samples = 5000  # k of the bound that stands for log p(x)
    config.eval.chunk = 100  # of them decoded at a time

    config.expected.result = "rate 1.80, distortion 22.36 nats a digit of the test split, 3 of 16 units active"
    config.expected.cost = "1 to 3.5 minutes of a CPU core shared with others"


def _capacity(config: ConfigDict) -> None:
    config.model.objective = "capacity"
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.eval.importance_samples = 20
    config.eval.chunk = 10
    config.model.objective = "capacity"
    config.model.hidden = (8,)
    config.model.latent_dim = 2


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, dtype = config.model, jnp.dtype(config.train.precision)
    widths = tuple(model.hidden)
    built = autoencoders.beta_vae(
        autoencoders.MLPEncoder(model.latent_dim, widths, jax.nn.relu, dtype=dtype),
        autoencoders.MLPDecoder(tuple(model.shape), 1, widths[::-1], jax.nn.relu, dtype=dtype),
        autoencoders.bernoulli(),
        latent_dim=model.latent_dim,
        objective=_objective(config),
    )
    return System(
        model=built,
        optimizers={"vae": optax.adam(optax.cosine_decay_schedule(config.train.learning_rate, config.train.steps))},
        transform=transforms.binarize_dynamic(model.levels),
        preview=built.methods["sample_mean"],
        evaluations={
            "iwae": latents.importance_weighted,
            "rate_distortion": latents.free_energy,
            "units": latents.units,
            "reconstruction": latents.reconstruction,
        },
    )


def _objective(config: ConfigDict):
    """Return (terms, step) -> nats [B]."""
    model, train = config.model, config.train
    if model.objective == "beta":
        return lambda terms, step: autoencoders.beta_objective(terms, beta=model.beta)
    if model.objective != "capacity":
        raise UserError(f"model.objective={model.objective!r} is none of beta, capacity.")
    capacity = autoencoders.linear_capacity(model.capacity, max(train.steps // 2, 1))

    def objective(terms: Terms, step: Array) -> Array:
        return autoencoders.capacity_objective(terms, gamma=model.gamma, capacity=capacity(step))

    return objective
