"""A transformer over the codes of a trained VQGAN: its second stage.

    python -m experiments.train --config experiments/configs/autoencoders/vqgan_prior.py \
        --config.stages.vqgan=WORKDIR --workdir DIR

WORKDIR is that of a run of `vqgan.py`; its model is frozen inside this one. Samples are drawn given a class. Pictures
larger than those of training are drawn by the sliding window: `model.sample(..., grid=(8, 8))` makes pictures of 16 x
16 pixels.

Variants:
    ''     told the class.
    large  as '', and what is drawn to look at has 8 x 8 codes, 16 x 16 pixels.
    tiny   as '', small enough to compile in a second, over a first stage that has learned nothing.
"""

import jax.numpy as jnp
from ml_collections import ConfigDict

from experiments import codes, evaluations
from experiments.configs.autoencoders import vqgan
from experiments.configs.common import base
from genjax import autoencoders
from genjax.contract import Array, Variables
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "large", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"autoencoders/vqgan_prior has no variant {variant!r}; it has {named}.")
    config = base("autoencoders/vqgan_prior")
    _default(config)
    changes = {"large": _large, "tiny": _tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.stages.vqgan = ""  # workdir of the first stage's run
    config.data.batch_size = 64
    config.train.steps = 1_500
    config.train.steps_per_call = 50
    config.train.log_every = 150
    config.train.checkpoint_every = 1_500
    config.train.ema_decay = 0.995
    config.train.learning_rate = 1e-3
    config.train.weight_decay = 1e-1

    config.model.num_codes = 64  # the first stage's
    config.model.grid = (4, 4)  # likewise
    config.model.num_classes = 10
    config.model.width = 64
    config.model.depth = 3
    config.model.heads = 4
    config.model.dropout = 0.3
    config.sample.grid = (4, 4)  # of what is drawn to look at; larger ones by the sliding window

    config.expected.result = "classifier-FID (ours) 12.5 of samples given the class, 87.4 % of it"
    config.expected.cost = "87 s of a CPU core after the first stage"


def _large(config: ConfigDict) -> None:
    config.sample.grid = (8, 8)


def _tiny(config: ConfigDict) -> None:
    del config.stages["vqgan"]
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.train.ema_decay = 0.0
    config.train.learning_rate = 0.1  # three steps must teach it to listen
    config.model.num_codes = 8
    config.model.width = 8
    config.model.depth = 1
    config.model.heads = 2
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None, stages: dict[str, System] | None = None) -> System:
    """Build the system on the first stage's; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, dtype = config.model, jnp.dtype(config.train.precision)
    stage = stages["vqgan"] if stages else vqgan.build(vqgan.get_config("tiny"))
    network = autoencoders.CodeTransformer(
        model.num_codes, model.width, model.depth, model.heads, model.num_classes, model.dropout, dtype
    )
    prior = autoencoders.transformer_prior(network, grid=tuple(model.grid), conditional=True)
    bound = autoencoders.code_prior(
        stage.model,
        [autoencoders.Level("prior", prior)],
        stage_name="vqgan",
        condition_of=lambda batch: batch["label"],
    )
    if not stages:
        bound = codes.with_untrained_stage(bound, stage.model, "vqgan")
    condition = codes.turns(model.num_classes)

    def preview(variables: Variables, key: Array, num: int) -> Array:
        return bound.sample(variables, key, num, condition=condition(key, num), grid=tuple(config.sample.grid))

    found = {"codes": codes.code_likelihood, "use": codes.code_use, "reconstruction": codes.reconstruction}
    if config.data.name in evaluations.RECIPES:
        found |= {"samples": evaluations.classifier_fid, "classes": codes.class_agreement}
    return System(
        model=bound,
        optimizers={"prior": codes.cosine_adam(config)},
        transform=stage.transform,
        preview=preview,
        to_picture=stage.to_picture,
        evaluations=found,
        condition=condition,
    )
