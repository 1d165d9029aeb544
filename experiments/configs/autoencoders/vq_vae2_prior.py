"""Two PixelCNNs over the codes of a trained VQ-VAE-2: its second stage, both levels in one run.

    python -m experiments.train --config experiments/configs/autoencoders/vq_vae2_prior.py \
        --config.stages.vq_vae2=WORKDIR --workdir DIR

WORKDIR is that of a run of `vq_vae2.py`; its model is frozen inside this one. The prior of the top codes is told the
class, that of the bottom codes the class and, at each place, the top code above it.

Variants:
    ''    told the class.
    tiny  as '', small enough to compile in a second, over a first stage that has learned nothing.
"""

import jax.numpy as jnp
from ml_collections import ConfigDict

from experiments import codes, evaluations
from experiments.configs.autoencoders import vq_vae2
from experiments.configs.common import base
from genjax import autoencoders
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"autoencoders/vq_vae2_prior has no variant {variant!r}; it has {named}.")
    config = base("autoencoders/vq_vae2_prior")
    _default(config)
    if variant:
        _tiny(config)
    return config


def _default(config: ConfigDict) -> None:
    config.stages.vq_vae2 = ""  # workdir of the first stage's run
    config.data.batch_size = 64
    config.train.steps = 1_000
    config.train.steps_per_call = 50
    config.train.log_every = 100
    config.train.checkpoint_every = 1_000
    config.train.ema_decay = 0.995
    config.train.learning_rate = 3e-3
    config.train.weight_decay = 1e-2

    config.model.num_codes = 64  # the first stage's
    config.model.grid = (2, 2)  # of its top codes
    config.model.num_classes = 10
    for name, layers, kernel in (("top", 3, 3), ("bottom", 4, 5)):
        config.model[name] = ConfigDict()
        config.model[name].features = 32
        config.model[name].layers = layers
        config.model[name].first_kernel = kernel
        config.model[name].dropout = 0.4

    config.expected.result = "classifier-FID (ours) 6.21 of samples given the class, 90.9 % of it"
    config.expected.cost = "under 2 min of a CPU core after the first stage"


def _tiny(config: ConfigDict) -> None:
    del config.stages["vq_vae2"]
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.train.ema_decay = 0.0
    config.train.learning_rate = 0.1  # three steps must teach it to listen
    config.model.num_codes = 8
    for name in ("top", "bottom"):
        config.model[name].features = 6
        config.model[name].layers = 2
        config.model[name].first_kernel = 3
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None, stages: dict[str, System] | None = None) -> System:
    """Build the system on the first stage's; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, dtype = config.model, jnp.dtype(config.train.precision)
    stage = stages["vq_vae2"] if stages else vq_vae2.build(vq_vae2.get_config("tiny"))
    small, num_classes = tuple(model.grid), model.num_classes
    large = (2 * small[0], 2 * small[1])
    settings = {"num_codes": model.num_codes, "conditional": True}
    top = codes.pixelcnn_prior(model.top, dtype, grid=small, num_classes=num_classes, **settings)
    bottom = codes.pixelcnn_prior(model.bottom, dtype, grid=large, num_classes=0, **settings)
    told = lambda before, labels: codes.map_of_codes(before[0], large, model.num_codes, labels, num_classes)
    bound = autoencoders.code_prior(
        stage.model,
        [autoencoders.Level("top", top), autoencoders.Level("bottom", bottom, told)],
        stage_name="vq_vae2",
        condition_of=lambda batch: batch["label"],
    )
    if not stages:
        bound = codes.with_untrained_stage(bound, stage.model, "vq_vae2")
    condition = codes.turns(num_classes)
    found = {"codes": codes.code_likelihood, "use": codes.code_use, "reconstruction": codes.reconstruction}
    if config.data.name in evaluations.RECIPES:
        found |= {"samples": evaluations.classifier_fid, "classes": codes.class_agreement}
    adam = codes.cosine_adam(config)
    return System(
        model=bound,
        optimizers={"top": adam, "bottom": adam},
        transform=stage.transform,
        preview=codes.preview_means(bound, condition),
        to_picture=stage.to_picture,
        evaluations=found,
        condition=condition,
    )
