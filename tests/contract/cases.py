"""What the contract tests share: every config at its tiny size, built and compiled once, and dropped after its tests.

Cheap enough for a hundred configs: three compilations of a step serve all promises (one device; the mesh of eight
with parameters, averages and optimizer states sharded; pmap), the initial state is built once and moved, and whatever
can be checked on shapes alone is never compiled. The mesh with those copied to every device is what FSDP is where it
finds nothing to shard; one config of each family is compiled under it all the same. Under pmap run one of each family
and those whose state moves: of the others it does not, as a test of each shows, so that replicas can differ in nothing
but parameters, whose gradients the engine averages for all alike; their step is traced as a device sees it.
"""

import functools
import logging
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.extend
import numpy as np

from experiments import cli
from genjax.data import open_source
from genjax.training import lifting
from genjax.training.state import TrainState, init_state
from genjax.training.step import StepOptions, largest_repeat, make_step

CONFIGS = sorted((pathlib.Path(__file__).parents[2] / "experiments" / "configs").glob("*/*.py"))
CONFIGS = [path for path in CONFIGS if path.name != "__init__.py"]
IDS = [f"{path.parent.name}/{path.stem}" for path in CONFIGS]
OF_EACH_FAMILY = list({path.parent.name: path for path in CONFIGS}.values())
MOVE_STATE = ("metrogan", "progan", "unrolled_gan", "ae", "cae")  # without an axis
STILL = [path for path in CONFIGS if "del axis_name" in path.read_text() and path.stem not in MOVE_STATE]
LIFTINGS = {
    "jit": CONFIGS,
    "fsdp": CONFIGS,
    "sharded": OF_EACH_FAMILY,
    "pmap": [path for path in CONFIGS if path in OF_EACH_FAMILY or path not in STILL],
}
SEED = np.asarray(jax.random.key_data(jax.random.key(0)))
STEPS = 3


class Case(NamedTuple):
    """A config at its tiny size with its first batches.

    batches: stored, `[STEPS, repeat, B, ...]`.
    initial: the state of step 0, on the host.
    """

    config: Any
    module: Any
    system: Any
    options: StepOptions
    batches: dict[str, np.ndarray]
    initial: TrainState


@functools.lru_cache(maxsize=1)
def case(path: pathlib.Path) -> Case:
    """Build a config's tiny variant."""
    module = cli.load_module(path)
    config = module.get_config("tiny").lock()
    system = system_key(module.build(config, axis_name=None))
    source = open_source(config.data.name, config.data.split, config.data.dir)
    repeat, size = largest_repeat(system), config.data.batch_size
    index = np.arange(STEPS * repeat * size) % len(source)
    stored = source.fetch(index.reshape(STEPS, repeat, size))
    options = StepOptions(ema_decay=0.9)
    initial = jax.device_get(jax.jit(init_state, static_argnums=(0, 1))(system, True, SEED, first(stored), {}))
    return Case(config, module, system, options, stored, initial)


class system_key:  # noqa: N801  (what jit and caches are told by must hash by identity)
    """A system that hashes by identity."""

    def __init__(self, system: Any):
        self._system = system

    def __getattr__(self, name: str) -> Any:
        return getattr(self._system, name)


def first(batches: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the first minibatch of the first step."""
    return {name: x[0, 0] for name, x in batches.items()}


class Run(NamedTuple):
    """Three single-step dispatches under one lifting.

    states: canonical states on the host after each dispatch.
    metrics: one dict a dispatch, as the lifting returns them.
    old_leaves: leaves of the first state that was handed over.
    live: the last state, on the devices.
    compilations: how often XLA compiled the step.
    lifted: the lifting.
    target: the abstract state with its shardings, to restore a checkpoint into.
    """

    states: list[TrainState]
    metrics: list[dict[str, Any]]
    old_leaves: list[Any]
    live: TrainState
    compilations: int
    lifted: lifting.Lifted
    target: TrainState


@functools.lru_cache(maxsize=4)
def run(path: pathlib.Path, parallel: str) -> Run:
    """Train the tiny config for three steps under a lifting, from the one initial state."""
    c = case(path)
    lifted = lift(c, parallel)
    target = lifted.restore(SEED, first(c.batches), {})
    state = place(lifted, target, c.initial)
    old_leaves = jax.tree.leaves(state)
    states, metrics = [], []
    # pmap wraps the step in a function of its own.
    with CompilationCount("_fun" if parallel == "pmap" else "step") as count:
        for i in range(STEPS):
            state, m = lifted.step(state, lifted.put({name: x[i : i + 1] for name, x in c.batches.items()}))
            states.append(jax.device_get(lifted.canonical(state)))
            metrics.append(jax.device_get(m))
    return Run(states, metrics, old_leaves, state, count.seen, lifted, target)


def lift(c: Case, parallel: str) -> lifting.Lifted:
    """Lift a case's system."""
    if parallel == "pmap":
        return lifting.lift_pmap(c.module.build(c.config, axis_name=lifting.AXIS), c.options)
    with mock.patch.object(lifting, "make_step", shared_step):
        if parallel == "jit":
            return lifting.lift_jit(c.system, c.options)
        return lifting.lift_sharded(c.system, c.options, fsdp=parallel == "fsdp")


def on_a_device(c: Case) -> tuple[TrainState, dict[str, jax.ShapeDtypeStruct], Callable]:
    """Return, as one of all devices has them under pmap, a case's state and batches (as shapes), and its step."""
    part = lambda x, axis: x.shape[:axis] + (x.shape[axis] // jax.device_count(),) + x.shape[axis + 1 :]
    shapes = lambda tree: jax.tree.map(lambda x: jax.ShapeDtypeStruct(np.shape(x), np.asarray(x).dtype), tree)
    slots = jax.tree.map(lambda x: jax.ShapeDtypeStruct(part(x, 0), x.dtype), c.initial.memory)
    batches = {name: jax.ShapeDtypeStruct(part(x[:1], 2), x.dtype) for name, x in c.batches.items()}
    step = make_step(c.module.build(c.config, axis_name=lifting.AXIS), c.options._replace(axis_name=lifting.AXIS))
    return shapes(c.initial)._replace(memory=slots), batches, step


def shared_step(system: system_key, options: StepOptions) -> Callable:
    """Return the step of `make_step`, traced once for all meshes: under each, its one scan is all there is to trace."""

    def step(state: TrainState, batches: dict[str, jax.Array]) -> tuple[TrainState, dict[str, jax.Array]]:
        leaves, structure = jax.tree.flatten((state, batches))
        shapes = tuple(jax.ShapeDtypeStruct(x.shape, x.dtype, weak_type=x.weak_type) for x in leaves)
        traced, out = traced_step(system, options, structure, shapes)
        return out.unflatten(traced(*leaves))

    return step


@functools.lru_cache(maxsize=1)
def traced_step(system: system_key, options: StepOptions, structure: Any, shapes: tuple) -> tuple[Callable, Any]:
    """Return the traced step as a function of leaves, and the structure of what it returns."""
    jaxpr, out = jax.make_jaxpr(make_step(system, options), return_shape=True)(*structure.unflatten(shapes))
    return jax.extend.core.jaxpr_as_fun(jaxpr), jax.tree.structure(out)


def place(lifted: lifting.Lifted, target: TrainState, initial: TrainState) -> TrainState:
    """Put the one initial state on the devices of a lifting, each leaf in a buffer of its own."""
    put = lambda x, t: jax.device_put(np.array(x), t.sharding) if t.sharding is not None else np.array(x)
    return lifted.adopt(jax.tree.map(put, initial, target))


class CompilationCount(logging.Handler):
    """Count XLA's compilations of the function `name` by its log."""

    def __init__(self, name: str):
        super().__init__(logging.DEBUG)
        self._wanted, self.seen = f"Finished XLA compilation of jit({name})", 0

    def emit(self, record: logging.LogRecord) -> None:
        self.seen += record.getMessage().startswith(self._wanted)

    def __enter__(self) -> "CompilationCount":
        self._before = jax.config.jax_log_compiles
        jax.config.update("jax_log_compiles", True)
        self._logger = logging.getLogger("jax._src.dispatch")
        self._logger.addHandler(self)
        self._propagate, self._logger.propagate = self._logger.propagate, False
        return self

    def __exit__(self, *_: Any) -> None:
        jax.config.update("jax_log_compiles", self._before)
        self._logger.removeHandler(self)
        self._logger.propagate = self._propagate
