"""RNADE (Uria et al. 2013) on points of the plane.

Variants:
    ''     toy2d/eight_gaussians: 8 modes on a circle, entropy 2.832 nats.
    moons  toy2d/two_moons, entropy 1.008 nats.
    tiny   as '', conditional on the mode, small enough to compile in a second.
"""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import evaluations
from experiments.configs.common import base
from genjax import autoregressive
from genjax.data import toy2d
from genjax.errors import UserError
from genjax.evaluation.likelihood import held_out_likelihood
from genjax.training.system import EvalContext, System

VARIANTS = ("", "moons", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"autoregressive/rnade has no variant {variant!r}; it has {named}.")
    config = base("autoregressive/rnade")
    _default(config)
    changes = {"moons": _moons, "tiny": _tiny}
    if variant:
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.name = "toy2d/eight_gaussians"
    config.data.batch_size = 512
    config.train.steps = 5_000
    config.train.steps_per_call = 100
    config.train.log_every = 500
    config.train.checkpoint_every = 2_500
    config.train.ema_decay = 0.995
    config.train.learning_rate = 5e-3  # at the start of a cosine

    config.model.shape = (2,)
    config.model.hidden = 128
    config.model.components = 16
    config.model.spread = 3.0  # of the data, one or two standard deviations
    config.model.num_classes = 0

    config.sample.num = 1000
    config.eval.num_samples = 2000
    config.expected.result = "2.835 nats, 0.002 above the true density on the same test points (entropy 2.832)"
    config.expected.cost = "7 s on one CPU core"


def _moons(config: ConfigDict) -> None:
    config.data.name = "toy2d/two_moons"
    config.model.spread = 1.5
    config.expected.result = "1.013 nats, 0.010 above the true density on the same test points (entropy 1.008)"
    config.expected.cost = "7 s on one CPU core"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.hidden = 8
    config.model.components = 3
    config.model.num_classes = 8
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, train = config.model, config.train
    schedule = optax.cosine_decay_schedule(train.learning_rate, train.steps)
    num_classes = model.num_classes
    return System(
        model=autoregressive.rnade(
            tuple(model.shape),
            hidden=model.hidden,
            components=model.components,
            spread=model.spread,
            num_classes=num_classes,
            dtype=jnp.dtype(train.precision),
        ),
        optimizers={"rnade": optax.adam(schedule)},
        evaluations={"density": _density, "wasserstein": evaluations.wasserstein},
        condition=(lambda key, num: jax.random.randint(key, (num,), 0, num_classes)) if num_classes else None,
    )


def _density(context: EvalContext) -> dict[str, float]:
    """Return how far the held-out likelihood is from the least there can be.

    entropy: of the true density, nats. excess: KL(true density || model), as the mean over the test points of the
    difference of their log-densities, which has a far smaller error than either mean.
    """
    toy = toy2d.SETS[context.config.data.name.removeprefix("toy2d/")]
    score = context.system.model.log_prob.fn
    found = held_out_likelihood(score, context.variables, context.key, context.test())
    points = jnp.concatenate([batch["x"] for batch in context.test()])
    true_nll = -float(toy.log_density(points).mean())
    return {"nll": found.nll, "entropy": toy.entropy, "true_nll": true_nll, "excess": found.nll - true_nll}
