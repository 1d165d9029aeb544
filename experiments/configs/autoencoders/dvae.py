"""The discrete VAE of DALL-E (Ramesh et al. 2021) on digits.

Variants:
    ''     digits in 17 levels, 4 x 4 codes of 64.
    tiny   as '', small enough to compile in a second.
"""

import jax.numpy as jnp
from ml_collections import ConfigDict

from experiments import codes
from experiments.configs.common import base
from genjax import autoencoders
from genjax.data import transforms
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"autoencoders/dvae has no variant {variant!r}; it has {named}.")
    config = base("autoencoders/dvae")
    _default(config)
    if variant:
        _tiny(config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 64
    config.train.steps = 3_000
    config.train.steps_per_call = 50
    config.train.log_every = 250
    config.train.checkpoint_every = 1_500
    config.train.learning_rate = 2e-3
    config.train.weight_decay = 1e-2

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.widths = (32,)  # one a halving
    config.model.blocks = 2
    config.model.code_dim = 16
    config.model.num_codes = 64
    config.model.temperatures = (1.0, 0.0625)  # from the first step to three quarters of the run, the paper's
    config.model.rate_weights = (0.0, 1.0)  # within the first half; the paper ends at 6.6, beside other units

    config.expected.result = (
        "2.015 bits/dim (bound at drawn codes under equally likely ones, standard error 0.013), digits test split "
        "(360), last weights; histogram 2.435. All 64 codes used, perplexity 57; reconstructions 22.5 dB"
    )
    config.expected.cost = "110 s on one CPU core shared with others"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.widths = (4,)
    config.model.blocks = 1
    config.model.code_dim = 2
    config.model.num_codes = 8
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, dtype, steps = config.model, jnp.dtype(config.train.precision), config.train.steps
    likelihood = autoencoders.discretized_logistic(model.levels)
    widths, factor = tuple(model.widths), 2 ** len(model.widths)
    outputs = likelihood.outputs_per_entry * model.shape[-1]
    decoder = autoencoders.GridDecoder(widths[::-1], outputs, model.blocks, dtype)
    bound = autoencoders.dvae(
        autoencoders.GridEncoder(widths, model.num_codes, model.blocks, dtype),
        autoencoders.CodeVectors(decoder, model.code_dim, dtype),
        likelihood,
        num_codes=model.num_codes,
        grid=(model.shape[0] // factor, model.shape[1] // factor),
        temperature=autoencoders.cosine_ramp(*model.temperatures, steps=max(1, 3 * steps // 4)),
        rate_weight=autoencoders.cosine_ramp(*model.rate_weights, steps=max(1, steps // 2)),
    )
    return System(
        model=bound,
        optimizers={"dvae": codes.cosine_adam(config)},
        transform=transforms.symmetric(model.levels),
        preview=bound.methods["sample_mean"],
        to_picture=codes.symmetric_picture,
        evaluations={"codes": codes.code_use, "reconstruction": codes.reconstruction},
    )
