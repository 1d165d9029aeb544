"""A config for the tests that start real processes: every feature of the engine, nearly nothing to compile."""

import jax
import jax.numpy as jnp
import optax

from experiments.configs.common import base
from genjax.contract import Aux, GenerativeModel, LogProb, Update, Variables
from genjax.training.system import System


def get_config(variant: str = ""):
    config = base("tests/toy")
    config.data.split = "train[:256]"
    config.data.valid_split = "test"
    config.data.batch_size = 16
    config.model.noise = 0.1
    config.model.blow_up_at = -1
    config.train.steps = 40
    config.train.steps_per_call = 2
    config.train.ema_decay = 0.9
    config.train.log_every = 7
    config.train.sample_every = 20
    config.train.valid_every = 10
    config.train.checkpoint_every = 10
    config.sample.num = 4
    return config


def build(config, *, axis_name=None) -> System:
    """A Gaussian with learned mean and scale, a lazy penalty, running statistics and memory slots."""

    def init(key, batch, **stages):
        shape = batch["x"].shape[1:]
        params = {"mean": 0.01 * jax.random.normal(key, shape), "log_scale": jnp.zeros(shape)}
        return Variables({"gaussian": params}, {"mean": jnp.zeros(())}, {"last": jnp.zeros_like(batch["x"])})

    def nats(params, x):
        mean, log_scale = params["mean"][None], params["log_scale"][None]
        per_pixel = -0.5 * ((x - mean) * jnp.exp(-log_scale)) ** 2 - log_scale - 0.5 * jnp.log(2 * jnp.pi)
        return jnp.sum(per_pixel, axis=(1, 2, 3))

    def loss(variables, batch, key, step):
        x = batch["x"] + config.model.noise * jax.random.normal(key, batch["x"].shape)
        value = -jnp.mean(nats(variables.params["gaussian"], x))
        value = jnp.where(step == config.model.blow_up_at, jnp.nan, value)
        state = {"mean": 0.9 * variables.state["mean"] + 0.1 * jnp.mean(x)}
        return value, Aux(state, {"pixel": jnp.mean(x)}, {"last": 0.5 * variables.memory["last"] + 0.5 * x})

    def penalty(variables, batch, key, step):
        return jnp.sum(variables.params["gaussian"]["mean"] ** 2), Aux(variables.state, {})

    def sample(variables, key, num_samples, *, condition=None):
        p = variables.params["gaussian"]
        return p["mean"][None] + jnp.exp(p["log_scale"])[None] * jax.random.normal(key, (num_samples,) + p["mean"].shape)

    updates = (
        Update("nll", ("gaussian",), loss, repeat=2),
        Update("penalty", ("gaussian",), penalty, optimizer="nll", every=3),
    )
    log_prob = LogProb(lambda variables, key, batch: nats(variables.params["gaussian"], batch["x"]), "exact")
    return System(
        GenerativeModel(init, updates, sample, log_prob),
        {"nll": optax.adam(1e-2)},
        transform=lambda key, batch: {**batch, "x": batch["x"].astype(jnp.float32) / 16.0},
        to_picture=lambda x: jnp.clip(x, 0.0, 1.0),
    )
