"""VQ-VAE (van den Oord et al. 2017) on digits; its prior is fitted by `vq_vae_prior.py`.

Variants:
    ''         digits in 17 levels, 4 x 4 codes of 64, code vectors by moving averages with restart of dead codes.
    gradient   as '', code vectors as parameters, moved by the codebook loss.
    mnist      MNIST in 256 levels, 7 x 7 codes of 256. Needs --config.data.dir.
    tiny       as '', small enough to compile in a second.
"""

import jax.numpy as jnp
from ml_collections import ConfigDict

from experiments import codes
from experiments.configs.common import base
from genjax import autoencoders
from genjax.data import transforms
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "gradient", "mnist", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"autoencoders/vq_vae has no variant {variant!r}; it has {named}.")
    config = base("autoencoders/vq_vae")
    _default(config)
    changes = {"gradient": _gradient, "mnist": _mnist, "tiny": _tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 64
    config.train.steps = 2_000
    config.train.steps_per_call = 50
    config.train.log_every = 200
    config.train.checkpoint_every = 1_000
    config.train.learning_rate = 2e-3
    config.train.weight_decay = 1e-2

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.widths = (32,)  # one a halving
    config.model.blocks = 2
    config.model.code_dim = 8
    config.model.num_codes = 64
    config.model.commitment = 0.25
    config.model.codebook = "averages"  # or gradient
    config.model.decay = 0.99
    config.model.restart_below = 0.1  # share of the average use

    config.expected.result = (
        "2.83 bits/dim (bound under equally likely codes, standard error 0.013), digits test split (360), last "
        "weights; all 64 codes used, perplexity 60"
    )
    config.expected.cost = "83 s on one CPU core shared with others (46 s of its time)"


def _gradient(config: ConfigDict) -> None:
    config.model.codebook = "gradient"


def _mnist(config: ConfigDict) -> None:
    config.data.name = "mnist"
    config.data.split = "train[:50000]"
    config.data.valid_split = "train[50000:]"
    config.data.batch_size = 128
    config.train.steps = 40_000
    config.train.valid_every = 5_000
    config.train.checkpoint_every = 5_000
    config.model.shape = (28, 28, 1)
    config.model.levels = 256
    config.model.widths = (64, 128)
    config.model.code_dim = 32
    config.model.num_codes = 256
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


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
    """Build the system; `axis_name` is the mapped axis over which the use of codes is added under pmap."""
    model, dtype = config.model, jnp.dtype(config.train.precision)
    builders = {"averages": autoencoders.vq_vae_ema, "gradient": autoencoders.vq_vae}
    if model.codebook not in builders:
        raise UserError(f"model.codebook={model.codebook!r} is none of {', '.join(builders)}.")
    likelihood = autoencoders.discretized_logistic(model.levels)
    widths, factor = tuple(model.widths), 2 ** len(model.widths)
    outputs = likelihood.outputs_per_entry * model.shape[-1]
    bound = builders[model.codebook](
        autoencoders.GridEncoder(widths, model.code_dim, model.blocks, dtype),
        autoencoders.GridDecoder(widths[::-1], outputs, model.blocks, dtype),
        likelihood,
        num_codes=model.num_codes,
        grid=(model.shape[0] // factor, model.shape[1] // factor),
        commitment=model.commitment,
        decay=model.decay,
        restart_below=model.restart_below,
        axis_name=axis_name,
    )
    return System(
        model=bound,
        optimizers={"vq_vae": codes.cosine_adam(config)},
        transform=transforms.symmetric(model.levels),
        preview=bound.methods["sample_mean"],
        to_picture=codes.symmetric_picture,
        evaluations={"codes": codes.code_use, "reconstruction": codes.reconstruction},
    )
