"""The engine's step against a loop written by hand with optax alone, on the same model, data and optimizer.

The loop by hand is what a careful researcher writes for one model: a jitted step with a donated state, batches
that lie ready on the host, one dispatch a step, or a scan over as many steps as the engine makes in one. It
keeps averaged parameters like the engine, but has no guard, no gradient norm, no metrics but the loss.
"""

from collections.abc import Iterator

import jax
import numpy as np
import optax

from benchmarks.memory import peak_mib
from benchmarks.timing import paired_ratio
from experiments import assemble, cli
from genjax.training.ema import ema_update
from genjax.training.lifting import lift_jit
from genjax.training.step import StepOptions

DECAY = 0.999
DDPM = "experiments/configs/diffusion/ddpm.py"
VAE = "experiments/configs/autoencoders/vae.py"


def report(rounds: int) -> Iterator[str]:
    """Yield the lines of this benchmark."""
    yield "engine / loop by hand, time a step; 1.00 is parity, below is ahead"
    for config, calls, dispatches in ((VAE, 1, 200), (VAE, 20, 20), (DDPM, 1, 10), (DDPM, 10, 2)):
        row = measure(config, "", calls=calls, dispatches=dispatches, rounds=rounds)
        yield f"  {row['what']:50s} {row['ratio']:6.3f}   ({row['engine_ms']:.3f} ms / {row['by_hand_ms']:.3f} ms)"
    ours, by_hand = (peak_mib("benchmarks.engine", DDPM, who) for who in ("engine", "by hand"))
    yield f"  {'peak memory of a process that trains the DDPM':50s} {ours / by_hand:6.3f}   ({ours:.0f} MiB / {by_hand:.0f} MiB)"


def peak(config_path: str, who: str) -> None:
    """Train for three dispatches of ten steps, as 'engine' or 'by hand'."""
    contestant = contestants(config_path, "", calls=10, dispatches=3)[1][who]
    contestant()


def measure(config_path: str, variant: str, *, calls: int, dispatches: int, rounds: int = 9) -> dict:
    """Time `dispatches` dispatches of `calls` steps, both ways.

    Args:
        config_path: a config whose system has one update.
        variant: of that config.
        calls: steps in one dispatch.
        dispatches: in one timing.
        rounds: timings.

    Returns:
        A row: ratio = median of engine / by hand within a round, and milliseconds a step of each.
    """
    name, runs = contestants(config_path, variant, calls=calls, dispatches=dispatches)
    ratio, timings = paired_ratio(runs, "engine", "by hand", rounds=rounds)
    steps = calls * dispatches
    return {
        "what": f"{name}, {calls} steps a dispatch",
        "ratio": ratio,
        "engine_ms": 1e3 * timings["engine"].median / steps,
        "by_hand_ms": 1e3 * timings["by hand"].median / steps,
        "rounds": rounds,
    }


def contestants(config_path: str, variant: str, *, calls: int, dispatches: int) -> tuple[str, dict]:
    """Return (name of the config, {'engine': function, 'by hand': function}), each making the same steps."""
    module = cli.load_module(config_path)
    config = module.get_config(variant)
    system = module.build(config)
    loader = assemble.training_loader(config)
    data = [loader.next(calls, 1) for _ in range(dispatches)]
    first = {name: x[0, 0] for name, x in data[0].items()}
    seed = np.asarray(jax.random.key_data(jax.random.key(0)))

    lifted = lift_jit(system, StepOptions(ema_decay=DECAY))
    engine_state = [lifted.init(seed, first, {})]
    hand_step, hand_state = _by_hand(system, first)
    hand_state = [hand_state]

    def engine() -> None:
        state = engine_state[0]
        for batches in data:
            state, metrics = lifted.step(state, lifted.put(batches))
        engine_state[0] = state
        jax.block_until_ready(metrics)

    def by_hand() -> None:
        state = hand_state[0]
        for batches in data:
            state, losses = hand_step(state, jax.device_put({name: x[:, 0] for name, x in batches.items()}))
        hand_state[0] = state
        jax.block_until_ready(losses)

    name = f"{config.name}{':' + variant if variant else ''}"
    return name, {"engine": engine, "by hand": by_hand}


def _by_hand(system, first):
    """Return (compiled (state, batches [calls, B, ...]) -> (state, losses), initial state)."""
    (update,) = system.model.updates
    optimizer = system.optimizers[update.name]

    def init(key, batch):
        variables = system.model.init(key, system.transform(key, batch))
        params = {player: variables.params[player] for player in update.players}
        return variables, params, optimizer.init(params), params, np.int32(0)

    def step(carry, batch):
        variables, params, opt, ema, count = carry
        data_key, key = jax.random.split(jax.random.fold_in(jax.random.key(0), count))

        def loss_fn(params):
            return update.loss(variables._replace(params=params), system.transform(data_key, batch), key, count)

        (loss, aux), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
        moves, opt = optimizer.update(grads, opt, params)
        params = optax.apply_updates(params, moves)
        return (variables._replace(state=aux.state), params, opt, ema_update(ema, params, count, DECAY), count + 1), loss

    state = jax.jit(init)(jax.random.key(0), first)
    return jax.jit(lambda state, batches: jax.lax.scan(step, state, batches), donate_argnums=0), state
