"""A second stage for the tests: it learns to shift what the toy's run draws onto the data, the toy frozen in its state."""

import jax.numpy as jnp
import optax

from experiments.configs.common import base
from genjax.contract import Aux, GenerativeModel, Update, Variables
from genjax.training.system import System


def get_config(variant: str = ""):
    config = base("tests/second_stage")
    config.stages.toy = ""  # workdir of the toy's run
    config.data.split = "train[:256]"
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.train.ema_decay = 0.0
    config.sample.num = 4
    return config


def build(config, *, axis_name=None, stages) -> System:
    toy = stages["toy"].model

    def init(key, batch, *, toy: Variables) -> Variables:
        return Variables({"shift": jnp.zeros(batch["x"].shape[1:])}, {"toy": toy})

    def sample(variables, key, num_samples, *, condition=None):
        return toy.sample(variables.state["toy"], key, num_samples) + variables.params["shift"][None]

    def loss(variables, batch, key, step):
        drawn = sample(variables, key, batch["x"].shape[0])
        return jnp.mean((jnp.mean(drawn, axis=0) - jnp.mean(batch["x"], axis=0)) ** 2), Aux(variables.state, {})

    return System(
        GenerativeModel(init, (Update("shift", ("shift",), loss),), sample),
        {"shift": optax.sgd(1.0)},
        transform=lambda key, batch: {**batch, "x": batch["x"].astype(jnp.float32) / 16.0},
        to_picture=lambda x: jnp.clip(x, 0.0, 1.0),
    )
