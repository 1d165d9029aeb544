"""A PixelCNN over the codes of a trained VQ-VAE: its second stage.

    python -m experiments.train --config experiments/configs/autoencoders/vq_vae_prior.py \
        --config.stages.vq_vae=WORKDIR --workdir DIR

WORKDIR is that of a run of `vq_vae.py`; its model is frozen inside this one. Samples go from noise to codes to
pictures.

Variants:
    ''            told the class.
    unconditional without.
    tiny          as '', small enough to compile in a second, over a first stage that has learned nothing.
"""

import jax.numpy as jnp
from ml_collections import ConfigDict

from experiments import codes, evaluations
from experiments.configs.autoencoders import vq_vae
from experiments.configs.common import base
from genjax import autoencoders
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "unconditional", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"autoencoders/vq_vae_prior has no variant {variant!r}; it has {named}.")
    config = base("autoencoders/vq_vae_prior")
    _default(config)
    changes = {"unconditional": _unconditional, "tiny": _tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.stages.vq_vae = ""  # workdir of the first stage's run
    config.data.batch_size = 64
    config.train.steps = 1_000
    config.train.steps_per_call = 50
    config.train.log_every = 100
    config.train.checkpoint_every = 1_000
    config.train.ema_decay = 0.995
    config.train.learning_rate = 3e-3
    config.train.weight_decay = 1e-2

    config.model.num_codes = 64  # the first stage's
    config.model.grid = (4, 4)  # likewise
    config.model.num_classes = 10  # 0: no class
    config.model.features = 32
    config.model.layers = 4
    config.model.first_kernel = 5
    config.model.dropout = 0.4

    config.expected.result = "classifier-FID (ours) 6.56 of samples given the class, 91.0 % of it"
    config.expected.cost = "62 s of a CPU core after the first stage"


def _unconditional(config: ConfigDict) -> None:
    config.model.num_classes = 0


def _tiny(config: ConfigDict) -> None:
    del config.stages["vq_vae"]
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.train.ema_decay = 0.0
    config.train.learning_rate = 0.1  # three steps must teach it to listen
    config.model.num_codes = 8
    config.model.features = 8
    config.model.layers = 2
    config.model.first_kernel = 3
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None, stages: dict[str, System] | None = None) -> System:
    """Build the system on the first stage's; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, dtype = config.model, jnp.dtype(config.train.precision)
    stage = stages["vq_vae"] if stages else vq_vae.build(vq_vae.get_config("tiny"))
    conditional = model.num_classes > 0
    prior = codes.pixelcnn_prior(
        model,
        dtype,
        grid=tuple(model.grid),
        num_codes=model.num_codes,
        num_classes=model.num_classes,
        conditional=conditional,
    )
    bound = autoencoders.code_prior(
        stage.model,
        [autoencoders.Level("prior", prior)],
        stage_name="vq_vae",
        condition_of=(lambda batch: batch["label"]) if conditional else None,
    )
    if not stages:
        bound = codes.with_untrained_stage(bound, stage.model, "vq_vae")
    condition = codes.turns(model.num_classes)
    found = {"codes": codes.code_likelihood, "use": codes.code_use, "reconstruction": codes.reconstruction}
    if config.data.name in evaluations.RECIPES:
        found |= {"samples": evaluations.classifier_fid} | ({"classes": codes.class_agreement} if conditional else {})
    return System(
        model=bound,
        optimizers={"prior": codes.cosine_adam(config)},
        transform=stage.transform,
        preview=codes.preview_means(bound, condition),
        to_picture=stage.to_picture,
        evaluations=found,
        condition=condition,
    )
