"""The shapes of docs/contract_walk.md that no system has yet, as one toy model, under every lifting.

An encoder that two updates move with an optimizer each (AAE), a frozen first stage in the state (VQGAN's prior), an
update without players that fills memory now and then, and one that reads it repeatedly (PPO).
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.contract import Aux, GenerativeModel, Update, Variables
from genjax.training import StepOptions, System, lift_jit, lift_pmap, lift_sharded

SEED = np.asarray(jax.random.key_data(jax.random.key(0)))
TEACHER = Variables(params={"w": jnp.arange(8.0)})
STEPS, REPEAT, RATE = 4, 2, 0.1
DATA = np.random.default_rng(0).normal(size=(STEPS, REPEAT, 16, 8)).astype(np.float32)
LIFTINGS = {
    "jit": lift_jit,
    "sharded": lambda system, options: lift_sharded(system, options, fsdp=False),
    "fsdp": lambda system, options: lift_sharded(system, options, fsdp=True),
    "pmap": lift_pmap,
}


def walk_system():
    def init(key, batch, *, teacher):
        ones = jnp.ones(batch["x"].shape[-1:])
        params = {"encoder": ones, "decoder": 2.0 * ones, "policy": jnp.zeros_like(ones)}
        return Variables(params, {"teacher": teacher.params["w"]}, {"rollout": jnp.zeros_like(batch["x"])})

    def reconstruct(variables, batch, key, step):
        made = batch["x"] * (variables.params["encoder"] * variables.params["decoder"])[None]
        return jnp.mean((made - variables.state["teacher"][None]) ** 2), Aux(variables.state, {})

    def regularize(variables, batch, key, step):
        return jnp.mean((batch["x"] * variables.params["encoder"][None]) ** 2), Aux(variables.state, {})

    def rollout(variables, batch, key, step):
        memory = {"rollout": batch["x"] + variables.params["policy"][None]}
        return jnp.zeros(()), Aux(variables.state, {"made": jnp.ones(())}, memory)

    def improve(variables, batch, key, step):
        error = variables.memory["rollout"] * variables.params["policy"][None] - 1.0
        return jnp.mean(error**2), Aux(variables.state, {})

    updates = (
        Update("reconstruct", ("encoder", "decoder"), reconstruct),
        Update("regularize", ("encoder",), regularize),
        Update("rollout", (), rollout, every=3),
        Update("improve", ("policy",), improve, repeat=REPEAT),
    )
    optimizers = {name: optax.sgd(RATE) for name in ("reconstruct", "regularize", "improve")}
    return System(GenerativeModel(init, updates, lambda *_, **__: None), optimizers)


def simulated():
    """The same run by hand, in float64, with the gradients written out."""
    encoder, decoder, policy, memory = np.ones(8), 2.0 * np.ones(8), np.zeros(8), np.zeros((16, 8))
    teacher = np.arange(8.0)
    for step in range(STEPS):
        x = DATA[step, 0].astype(np.float64)
        slope = 2 * (x * encoder * decoder - teacher) * x / x.size
        encoder, decoder = encoder - RATE * (slope * decoder).sum(0), decoder - RATE * (slope * encoder).sum(0)
        encoder = encoder - RATE * (2 * encoder * x**2 / x.size).sum(0)
        if step % 3 == 0:
            memory = x + policy
        for _ in range(REPEAT):
            policy = policy - RATE * (2 * (memory * policy - 1.0) * memory / x.size).sum(0)
    return {"encoder": encoder, "decoder": decoder, "policy": policy}, memory


@pytest.mark.parametrize("name", LIFTINGS)
def test_shared_players_frozen_stages_and_rollouts(name):
    lifted = LIFTINGS[name](walk_system(), StepOptions())
    state = lifted.init(SEED, {"x": DATA[0, 0]}, {"teacher": TEACHER})
    state, metrics = lifted.step(state, lifted.put({"x": DATA}))
    canonical = jax.device_get(lifted.canonical(state))
    params, memory = simulated()
    for player, expected in params.items():
        np.testing.assert_allclose(canonical.params[player], expected, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(canonical.memory["rollout"], memory, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(canonical.state["teacher"], np.arange(8.0))
    made = np.asarray(metrics["rollout/made"]).reshape(-1, STEPS)[0]
    np.testing.assert_array_equal(made, [1.0, np.nan, np.nan, 1.0])
