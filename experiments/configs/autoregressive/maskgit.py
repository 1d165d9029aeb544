"""MaskGIT (Chang et al. 2022) on digits in all 17 levels, a pixel a token.

Variants:
    ''           8 x 8 tokens of 17 values, decoded in 8 steps.
    conditional  as '', conditional on the class.
    tiny         as 'conditional', small enough to compile in a second.
"""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import evaluations
from experiments.configs.common import base
from genjax import autoregressive
from genjax.contract import Array
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "conditional", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"autoregressive/maskgit has no variant {variant!r}; it has {named}.")
    config = base("autoregressive/maskgit")
    _default(config)
    changes = {"conditional": _conditional, "tiny": _tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 64
    config.train.steps = 4_000
    config.train.steps_per_call = 50
    config.train.log_every = 250
    config.train.checkpoint_every = 2_000
    config.train.ema_decay = 0.998
    config.train.learning_rate = 4e-3  # after the warmup, at the start of a cosine
    config.train.warmup = 100
    config.train.weight_decay = 1e-2

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.width = 64
    config.model.depth = 4
    config.model.heads = 4
    config.model.mlp_ratio = 2
    config.model.dropout = 0.0
    config.model.label_smoothing = 0.0
    config.model.steps = 8  # of decoding
    config.model.choice_temperature = 12.0
    config.model.num_classes = 0

    config.eval.batch_size = 128
    config.expected.result = (
        "8 steps: classifier-FID 22.6 (floor 3.8, PixelCNN 12.3 in 64 steps); one token at a time in random order: "
        "1.906 bits/dim (bound); digits test split, on which choice_temperature was chosen"
    )
    config.expected.cost = "7 minutes on one CPU core"


def _conditional(config: ConfigDict) -> None:
    config.model.num_classes = 10
    config.expected.result = "not measured"
    config.expected.cost = "not measured"


def _tiny(config: ConfigDict) -> None:
    _conditional(config)
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.train.warmup = 1
    config.model.width = 8
    config.model.depth = 2
    config.model.heads = 2
    config.model.steps = 2
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, train = config.model, config.train
    network = autoregressive.MaskedTokenTransformer(
        num_tokens=model.levels,
        width=model.width,
        depth=model.depth,
        heads=model.heads,
        mlp_ratio=model.mlp_ratio,
        dropout=model.dropout,
        dtype=jnp.dtype(train.precision),
    )
    schedule = optax.warmup_cosine_decay_schedule(0.0, train.learning_rate, train.warmup, train.steps)
    num_classes, top = model.num_classes, model.levels - 1
    return System(
        model=autoregressive.maskgit(
            network,
            tuple(model.shape),
            levels=model.levels,
            steps=model.steps,
            choice_temperature=model.choice_temperature,
            label_smoothing=model.label_smoothing,
            num_classes=num_classes,
        ),
        optimizers={"maskgit": optax.adamw(schedule, weight_decay=train.weight_decay)},
        to_picture=lambda x: _picture(x, top),
        evaluations={"samples": evaluations.classifier_fid} if config.data.name in evaluations.RECIPES else {},
        condition=(lambda key, num: jax.random.randint(key, (num,), 0, num_classes)) if num_classes else None,
    )


def _picture(x: Array, top: int) -> Array:
    """Map levels onto [0, 1]."""
    return jnp.asarray(x).astype(jnp.float32) / top
