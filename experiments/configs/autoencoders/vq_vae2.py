"""VQ-VAE-2 (Razavi et al. 2019) on digits; its priors are fitted by `vq_vae2_prior.py`.

Variants:
    ''      digits in 17 levels, 2 x 2 top and 4 x 4 bottom codes of 64.
    mnist   MNIST, padded to 32 x 32, in 256 levels, 4 x 4 top and 8 x 8 bottom codes. Needs --config.data.dir.
    tiny    as '', small enough to compile in a second.
"""

import jax.numpy as jnp
from ml_collections import ConfigDict

from experiments import codes
from experiments.configs.common import base
from genjax import autoencoders
from genjax.data import transforms
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "mnist", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"autoencoders/vq_vae2 has no variant {variant!r}; it has {named}.")
    config = base("autoencoders/vq_vae2")
    _default(config)
    changes = {"mnist": _mnist, "tiny": _tiny}
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
    config.model.widths = (32,)  # one a halving, from the picture to the bottom codes
    config.model.blocks = 1
    config.model.code_dim = 8
    config.model.num_codes = 64  # of either level
    config.model.commitment = 0.25
    config.model.decay = 0.99
    config.model.restart_below = 0.1  # share of the average use

    config.expected.result = "bound under equally likely codes 3.13 bits/dim, all of 64 codes of both levels used, PSNR 25.0 dB"
    config.expected.cost = "103 s of a CPU core"


def _mnist(config: ConfigDict) -> None:
    config.data.name = "mnist"
    config.data.split = "train[:50000]"
    config.data.valid_split = "train[50000:]"
    config.data.batch_size = 128
    config.train.steps = 40_000
    config.train.valid_every = 5_000
    config.train.checkpoint_every = 5_000
    config.model.shape = (32, 32, 1)
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
    config.model.code_dim = 2
    config.model.num_codes = 8
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; `axis_name` is the mapped axis over which the use of codes is added under pmap."""
    model, dtype = config.model, jnp.dtype(config.train.precision)
    likelihood = autoencoders.discretized_logistic(model.levels)
    widths, factor = tuple(model.widths), 2 ** (len(model.widths) + 1)
    outputs = likelihood.outputs_per_entry * model.shape[-1]
    networks = autoencoders.TwoLevelNetworks(
        bottom=autoencoders.GridEncoder(widths, widths[-1], model.blocks, dtype),
        top=autoencoders.GridEncoder(widths[-1:], model.code_dim, model.blocks, dtype),
        merge=autoencoders.HalvesMerge(widths[-1], model.code_dim, dtype),
        decoder=autoencoders.TwoLevelDecoder(widths[::-1], outputs, model.blocks, dtype),
    )
    bound = autoencoders.vq_vae2(
        networks,
        likelihood,
        num_codes=model.num_codes,
        grid=(model.shape[0] // factor, model.shape[1] // factor),
        commitment=model.commitment,
        decay=model.decay,
        restart_below=model.restart_below,
        axis_name=axis_name,
    )
    scale = transforms.symmetric(model.levels)
    padded = config.data.name == "mnist"  # 28 pixels cannot be halved three times
    return System(
        model=bound,
        optimizers={"vq_vae2": codes.cosine_adam(config)},
        transform=transforms.chain(transforms.pad_to(model.shape[0]), scale) if padded else scale,
        preview=bound.methods["sample_mean"],
        to_picture=_cropped if padded else codes.symmetric_picture,
        evaluations={"codes": codes.code_use, "reconstruction": codes.reconstruction},
    )


def _cropped(x: jnp.ndarray) -> jnp.ndarray:
    """Return pictures [B, 28, 28, 1] in [0, 1]."""
    return codes.symmetric_picture(x[:, 2:30, 2:30])
