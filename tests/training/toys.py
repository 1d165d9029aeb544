"""Small systems whose every number can be followed by hand, for the tests of the engine."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from genjax.contract import Aux, GenerativeModel, Update, Variables
from genjax.training.system import System


def linear_system(*, noise: float = 0.0, optimizer=None, updates_extra=(), after=None) -> System:
    """Least squares y = w x: one player, loss mean (w x + noise - 1)^2; the simplest system there is."""

    def init(key, batch, **stages):
        return Variables({"w": jnp.ones(batch["x"].shape[-1:])}, {"seen": jnp.zeros(())})

    def loss(variables, batch, key, step):
        error = batch["x"] @ variables.params["w"] + noise * jax.random.normal(key, batch["x"].shape[:1]) - 1.0
        state = {"seen": variables.state["seen"] + jnp.mean(batch["x"])}
        value = jnp.mean(error**2)
        return value, Aux(state, {"error": jnp.mean(error)})

    def sample(variables, key, num_samples, *, condition=None):
        return jax.random.normal(key, (num_samples,) + variables.params["w"].shape) * variables.params["w"]

    model = GenerativeModel(init, (Update("fit", ("w",), loss, after=after), *updates_extra), sample)
    return System(model, {"fit": optimizer or optax.sgd(0.1)})


def two_player_system() -> System:
    """A critic made three times a step on fresh minibatches, a lazy penalty sharing its optimizer, a generator,
    a player that nothing moves, replicated statistics and memory slots."""

    def init(key, batch, **stages):
        critic_key, generator_key = jax.random.split(key)
        dim = batch["x"].shape[-1]
        params = {
            "critic": {"w": jax.random.normal(critic_key, (dim, 16)), "v": jnp.ones((16,))},
            "generator": {"w": jax.random.normal(generator_key, (dim, dim))},
            "frozen": {"w": jnp.ones((dim,))},
        }
        return Variables(params, {"mean": jnp.zeros((dim,)), "count": jnp.zeros((), jnp.int32)}, {"pool": jnp.zeros_like(batch["x"])})

    def score(params, x):
        return jnp.tanh(x @ params["w"]) @ params["v"]

    def fake(params, x):
        return x @ params["w"]

    def critic_loss(variables, batch, key, step):
        x = batch["x"] * variables.params["frozen"]["w"][None]
        generated = fake(variables.params["generator"], x)
        value = jnp.mean(score(variables.params["critic"], generated) - score(variables.params["critic"], x))
        mean = variables.state["mean"] * 0.9 + 0.1 * jnp.mean(x, 0)
        state = {"mean": mean, "count": variables.state["count"] + 1}
        return value, Aux(state, {"gap": value}, {"pool": 0.5 * variables.memory["pool"] + 0.5 * generated})

    def penalty(variables, batch, key, step):
        slope = jax.grad(lambda x: jnp.sum(score(variables.params["critic"], x)))(batch["x"])
        return jnp.mean(jnp.sum(slope**2, -1)), Aux(variables.state, {})

    def generator_loss(variables, batch, key, step):
        generated = fake(variables.params["generator"], batch["x"])
        return -jnp.mean(score(variables.params["critic"], generated)), Aux(variables.state, {})

    updates = (
        Update("critic", ("critic",), critic_loss, repeat=3),
        Update("r1", ("critic",), penalty, optimizer="critic", every=2),
        Update("generator", ("generator",), generator_loss),
    )

    def sample(variables, key, num_samples, *, condition=None):
        dim = variables.state["mean"].shape[0]
        return fake(variables.params["generator"], jax.random.normal(key, (num_samples, dim)))

    return System(GenerativeModel(init, updates, sample), {"critic": optax.adam(1e-2), "generator": optax.sgd(1e-2)})


def batches(calls: int, repeat: int, size: int, dim: int = 8, seed: int = 0) -> dict[str, np.ndarray]:
    """Return stored batches `[calls, repeat, size, dim]`."""
    x = np.random.default_rng(seed).normal(size=(calls, repeat, size, dim))
    return {"x": x.astype(np.float32)}


class ArrayLoader:
    """A loader over batches drawn from a seed and a position."""

    def __init__(self, size: int, dim: int = 8):
        self.size, self.dim, self.position = size, dim, 0

    def next(self, calls: int, repeat: int) -> dict[str, np.ndarray]:
        parts = [batches(1, 1, self.size, self.dim, seed=self.position + i)["x"][0, 0] for i in range(calls * repeat)]
        self.position += calls * repeat
        return {"x": np.stack(parts).reshape(calls, repeat, self.size, self.dim)}

    def state(self) -> dict:
        return {"position": self.position}

    def restore(self, state: dict) -> None:
        self.position = state["position"]
