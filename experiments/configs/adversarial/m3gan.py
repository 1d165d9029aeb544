"""M3GAN (2023) on made series, a fifth of which have anomalies that nobody has marked.

Variants:
    ''    masks and filter.
    copy  neither: the generator sees all of the series it is to make.
    tiny  as '', small enough to compile in seconds.
"""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import anomalies
from experiments.configs.common import base
from genjax import adversarial
from genjax.contract import Array, Batch
from genjax.errors import UserError
from genjax.training.system import EvalContext, System

VARIANTS = ("", "copy", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"adversarial/m3gan has no variant {variant!r}; it has {named}.")
    config = base("adversarial/m3gan")
    _default(config)
    changes = {"copy": _copy, "tiny": _tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.name = "anomalies/32"
    config.data.batch_size = 128
    config.train.steps = 6_000
    config.train.steps_per_call = 100
    config.train.log_every = 500
    config.train.checkpoint_every = 6_000
    config.train.ema_decay = 0.99
    config.train.learning_rate = 1e-3  # of both players
    config.train.adam_b1 = 0.5

    config.model.generator_hidden = (256, 128, 256)
    config.model.discriminator_hidden = (64, 32)
    config.model.adversarial_weight = 0.1
    config.model.width = 12  # of the block of steps that is hidden; 0 for none
    config.model.least_kept, config.model.most_kept = 4, 17  # frequencies that the filter keeps

    config.sample.num = 16
    config.expected.result = (
        "AUROC of anomalous steps 0.962 on 1,000 held-out series, 0.957 for the hardest kind (principal components "
        "0.861, 0.831); the discriminator alone finds nothing (0.384)"
    )
    config.expected.cost = "23 s"


def _copy(config: ConfigDict) -> None:
    config.model.width = 0
    config.model.least_kept = 17
    config.expected.result = "AUROC of anomalous steps 0.735: what is copied is not missed"
    config.expected.cost = "25 s"


def _tiny(config: ConfigDict) -> None:
    config.data.name = "anomalies/8"
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.generator_hidden = (4,)
    config.model.discriminator_hidden = (4,)
    config.model.width = 2
    config.model.least_kept, config.model.most_kept = 2, 5
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, dtype = config.model, jnp.dtype(config.train.precision)
    adam = optax.adam(config.train.learning_rate, b1=config.train.adam_b1)

    def transform(key: Array, batch: Batch) -> Batch:
        mask_key, filter_key = jax.random.split(key)
        x = batch["x"]
        keep = jax.random.randint(filter_key, x.shape[:1], model.least_kept, model.most_kept + 1)
        start = jax.random.randint(mask_key, x.shape[:1], 0, x.shape[1])
        mask = adversarial.block_mask(start, x.shape[1], model.width)
        return {**batch, "y": adversarial.masked_input(adversarial.mutable_filter(x, keep), mask)}

    return System(
        model=adversarial.m3gan(
            adversarial.MaskedGenerator(tuple(model.generator_hidden), dtype),
            adversarial.SeriesDiscriminator(tuple(model.discriminator_hidden), dtype),
            adversarial_weight=model.adversarial_weight,
        ),
        optimizers={"generator": adam, "discriminator": adam},
        transform=transform,
        to_picture=anomalies.draw,
        evaluations={"detection": detection},
    )


def detection(context: EvalContext) -> dict[str, float]:
    """Return how well what is filled in tells anomalous steps of held-out series.

    Returns:
        'auroc_m3gan', 'auroc_discriminator' (a series' score at all of its steps) and what else
        `experiments.anomalies.detection` gives.
    """
    methods, width = context.system.model.methods, context.config.model.width

    @jax.jit
    def error(x: Array) -> Array:
        if width:
            return methods["errors"](context.variables, context.key, x, width=width)
        whole = adversarial.masked_input(x, jnp.ones_like(x[..., 0]))
        return jnp.sum((methods["translate"](context.variables, context.key, whole) - x) ** 2, axis=2)

    @jax.jit
    def fake(x: Array) -> Array:
        given = adversarial.masked_input(x, jnp.ones_like(x[..., 0]))
        scores = methods["score"](context.variables, context.key, x, given)
        return jnp.broadcast_to(-scores[:, None], x.shape[:2])

    scores = {"m3gan": lambda x: error(jnp.asarray(x)), "discriminator": lambda x: fake(jnp.asarray(x))}
    return anomalies.detection(context, scores, components=4)
