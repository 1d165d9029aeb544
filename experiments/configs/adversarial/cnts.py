"""CNTS (Yang et al. 2023) on made series, a fifth of which have anomalies that nobody has marked.

Variants:
    ''     detector and reconstructor together.
    alone  the reconstructor keeps all steps: it learns by itself, and the detector by it.
    tiny   as '', small enough to compile in seconds.
"""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import anomalies
from experiments.configs.common import base
from genjax import adversarial
from genjax.errors import UserError
from genjax.training.system import EvalContext, System

VARIANTS = ("", "alone", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"adversarial/cnts has no variant {variant!r}; it has {named}.")
    config = base("adversarial/cnts")
    _default(config)
    changes = {"alone": _alone, "tiny": _tiny}
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

    config.model.reconstructor_hidden = (64, 32)
    config.model.bottleneck = 4
    config.model.detector_hidden = (128, 64)
    config.model.keep = 0.9  # share of the steps of a series that the reconstructor learns
    config.model.level = 8.0  # squared error of doubt 1/2, in mean squared errors of the kept steps

    config.sample.num = 16
    config.expected.result = (
        "AUROC of anomalous steps on 1,000 held-out series: detector 0.961 (0.888 for the hardest kind), "
        "reconstructor 0.958; alone 0.957 (0.872), 0.958; principal components 0.861 (0.831)"
    )
    config.expected.cost = "34 s"


def _alone(config: ConfigDict) -> None:
    config.model.keep = 1.0
    config.expected.result = "AUROC of the detector 0.957 (0.872 for the hardest kind), of the reconstructor 0.958"
    config.expected.cost = "37 s"


def _tiny(config: ConfigDict) -> None:
    config.data.name = "anomalies/8"
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.reconstructor_hidden = (4,)
    config.model.bottleneck = 2
    config.model.detector_hidden = (4,)
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in its networks is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, dtype = config.model, jnp.dtype(config.train.precision)
    adam = optax.adam(config.train.learning_rate)
    return System(
        model=adversarial.cnts(
            adversarial.SeriesReconstructor(tuple(model.reconstructor_hidden), model.bottleneck, dtype),
            adversarial.SeriesDetector(tuple(model.detector_hidden), dtype),
            keep=model.keep,
            level=model.level,
        ),
        optimizers={"reconstructor": adam, "detector": adam},
        to_picture=anomalies.draw,
        evaluations={"detection": detection},
    )


def detection(context: EvalContext) -> dict[str, float]:
    """Return how well the detector, and the errors of the reconstructor, find anomalous steps of held-out series.

    Returns:
        'auroc_detector', 'auroc_reconstructor' and what else `experiments.anomalies.detection` gives.
    """
    methods = context.system.model.methods
    detect = jax.jit(lambda x: methods["detect"](context.variables, context.key, x))
    error = jax.jit(lambda x: jnp.sum((methods["reconstruct"](context.variables, context.key, x) - x) ** 2, axis=2))
    scores = {"detector": lambda x: detect(jnp.asarray(x)), "reconstructor": lambda x: error(jnp.asarray(x))}
    return anomalies.detection(context, scores, components=context.config.model.bottleneck)
