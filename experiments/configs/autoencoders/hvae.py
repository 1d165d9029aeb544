"""Hierarchical VAE on binarized digits: a Markovian chain of codes.

Variants:
    ''      three layers of 16, 8 and 4.
    two     two layers of 16 and 8.
    tiny    two layers, small enough to compile in a second.
"""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import latents
from experiments.configs.common import base
from genjax import autoencoders
from genjax.data import transforms
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "two", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"autoencoders/hvae has no variant {variant!r}; it has {named}.")
    config = base("autoencoders/hvae")
    _default(config)
    changes = {"two": _two, "tiny": _tiny}
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

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.hidden = (200, 200)  # widths of the networks between x and the first code, reversed for the decoder
    config.model.chain_hidden = (100,)  # between codes
    config.model.latent_dims = (16, 8, 4)

    config.eval.importance_samples = 5000  # k of the bound that stands for log p(x)
    config.eval.chunk = 100  # of them decoded at a time

    config.expected.result = "21.97 +- 0.20 nats (IWAE-5000), digits test split, dynamically binarized"
    config.expected.cost = "54 s on one CPU core"


def _two(config: ConfigDict) -> None:
    config.model.latent_dims = (16, 8)


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.eval.importance_samples = 20
    config.eval.chunk = 10
    config.model.hidden = (8,)
    config.model.chain_hidden = (4,)
    config.model.latent_dims = (3, 2)


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, dtype = config.model, jnp.dtype(config.train.precision)
    widths, between, sizes = tuple(model.hidden), tuple(model.chain_hidden), tuple(model.latent_dims)
    conditional = lambda size, hidden: autoencoders.MLPEncoder(size, hidden, jax.nn.relu, dtype=dtype)
    built = autoencoders.hierarchical_vae(
        [conditional(size, widths if layer == 0 else between) for layer, size in enumerate(sizes)],
        [conditional(size, between) for size in sizes[:-1]],
        autoencoders.MLPDecoder(tuple(model.shape), 1, widths[::-1], jax.nn.relu, dtype=dtype),
        autoencoders.bernoulli(),
        latent_dims=sizes,
    )
    return System(
        model=built,
        optimizers={"hvae": optax.adam(optax.cosine_decay_schedule(config.train.learning_rate, config.train.steps))},
        transform=transforms.binarize_dynamic(model.levels),
        preview=built.methods["sample_mean"],
        evaluations={
            "iwae": latents.importance_weighted,
            "free_energy": latents.free_energy,
            "units": latents.sampled_units,
            "reconstruction": latents.reconstruction,
        },
    )
