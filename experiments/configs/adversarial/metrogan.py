"""MetroGAN (Zhang et al. 2022) on made settlements: what is built, from elevation, water and light at night.

Variants:
    ''    16 x 16 maps.
    wet   without the geographical loss.
    tiny  as '', small enough to compile in seconds.
"""

import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments.configs.common import base
from experiments.evaluations import gather
from genjax import adversarial
from genjax.contract import Array, Batch
from genjax.data import settlements
from genjax.errors import UserError
from genjax.pixels import to_symmetric
from genjax.training.system import EvalContext, System

VARIANTS = ("", "wet", "tiny")
WATER = 1  # its channel of what is known


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"adversarial/metrogan has no variant {variant!r}; it has {named}.")
    config = base("adversarial/metrogan")
    _default(config)
    changes = {"wet": _wet, "tiny": _tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.name = "settlements"
    config.data.batch_size = 32
    config.train.steps = 3_000
    config.train.steps_per_call = 50
    config.train.log_every = 300
    config.train.checkpoint_every = 3_000
    config.train.ema_decay = 0.99
    config.train.learning_rate = 5e-4  # of both players
    config.train.adam_b1 = 0.5

    config.model.generator_features = (16, 32, 32)  # from the map inwards
    config.model.generator_dropout = 0.2
    config.model.discriminator_features = (16, 32)
    config.model.levels = 2  # doublings of the side at which maps are seen
    config.model.level_steps = 500  # for each
    config.model.l1_weight = 5.0
    config.model.geographical_weight = 5.0

    config.expected.result = (
        "300 held-out places: mean error 0.0875 of the range (ridge regression on 5 x 5 cells 0.0873), mean gap of "
        "the six settlement indices 0.26 standard deviations (ridge 0.65, training maps 0.05), 0.004 built on water "
        "(ridge 0.037)"
    )
    config.expected.cost = "1 min 35 s, 65 s of CPU with its evaluation"


def _wet(config: ConfigDict) -> None:
    config.model.geographical_weight = 0.0
    config.expected.result = "0.011 built on water, mean error 0.0890, mean gap of the indices 0.21"
    config.expected.cost = "1 min 18 s"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.generator_features = (2, 4)
    config.model.discriminator_features = (2,)
    config.model.levels, config.model.level_steps = 1, 2
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, dtype = config.model, jnp.dtype(config.train.precision)
    adam = optax.adam(config.train.learning_rate, b1=config.train.adam_b1)
    return System(
        model=adversarial.metrogan(
            adversarial.UNetGenerator(tuple(model.generator_features), 1, model.generator_dropout, dtype),
            adversarial.MultiScaleDiscriminator(tuple(model.discriminator_features), dtype),
            water_of=water_of,
            growth=adversarial.Growth(model.levels, model.level_steps),
            l1_weight=model.l1_weight,
            geographical_weight=model.geographical_weight,
        ),
        optimizers={"generator": adam, "discriminator": adam},
        transform=transform,
        to_picture=_to_picture,
        evaluations={"maps": maps},
    )


def transform(key: Array, batch: Batch) -> Batch:
    """Scale maps and what is known onto [-1, 1]."""
    del key
    return {"x": to_symmetric(batch["x"], 256), "y": to_symmetric(batch["y"], 256)}


def water_of(given: Array) -> Array:
    """Return 1 on water and 0 elsewhere `[B, H, W, 1]`."""
    return (given[..., WATER : WATER + 1] > 0).astype(given.dtype)


def maps(context: EvalContext) -> dict[str, float]:
    """Compare held-out maps with what is made of the same places, and with ridge regression on 5 x 5 neighbourhoods.

    Returns:
        'error' (mean absolute, of a scale from 0 to 1), 'on_water' (mean of what is built on cells of water),
        'index_gap' (mean over the six indices of settlements of the difference of their means from the held-out maps',
        in standard deviations), each of made maps, behind '_ridge' of the regression, and 'index_gap_of_train'; 'n'.
    """
    from sklearn.linear_model import Ridge

    (x, y), (x_test, y_test) = (gather(batches(), "x", "y") for batches in (context.train, context.test))
    made = np.asarray(context.sample(len(y_test), y_test))
    fitted = Ridge(alpha=1.0).fit(_neighbourhoods(y), x.reshape(-1))
    ridge = np.clip(fitted.predict(_neighbourhoods(y_test)), -1, 1).reshape(x_test.shape).astype(np.float32)
    built_from = 2 * settlements.BUILT / 255 - 1
    measure = lambda of: np.stack(adversarial.settlement_indices(jnp.asarray(of[..., 0] >= built_from)), axis=1)
    truth, wet = measure(x_test), np.asarray(water_of(jnp.asarray(y_test))) == 1
    gap = lambda of: float(np.mean(np.abs(measure(of).mean(0) - truth.mean(0)) / truth.std(0)))
    found: dict[str, float] = {"index_gap_of_train": gap(x), "n": len(made)}
    for suffix, of in (("", made), ("_ridge", ridge)):
        found |= {f"error{suffix}": float(np.abs(of - x_test).mean() / 2), f"index_gap{suffix}": gap(of)}
        found[f"on_water{suffix}"] = float((of[wet] + 1).mean() / 2)
    return found


def _neighbourhoods(y: np.ndarray) -> np.ndarray:
    """Return the 5 x 5 cells around each cell of [N, H, W, C], a row each."""
    padded = np.pad(y, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(1, 2))
    return windows.reshape(np.prod(y.shape[:3]), -1)


def _to_picture(x: Array) -> Array:
    """Map [-1, 1] onto [0, 1]."""
    return 0.5 * (x + 1.0)
