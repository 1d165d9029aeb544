"""Three ways to run the one step on devices: jit, jit over a sharded mesh, pmap.

A Lifted is the same to its caller whichever it is: it builds the state on the devices, takes host batches,
makes steps with the state donated, and hands back the variables for sampling and evaluation.
"""

from typing import Any, Callable, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from genjax.contract import Array, Batch, PyTree, Variables
from genjax.errors import UserError
from genjax.training.state import TrainState, init_state, variables_of
from genjax.training.step import Metrics, StepOptions, make_step
from genjax.training.system import System

AXIS = "batch"  # the one mesh axis, and pmap's axis name


class Lifted(NamedTuple):
    """A training step on devices.

    init: (seed, batch, stages) -> state on the devices; `batch` is one global batch as stored.
    put: this process's part of `[calls, repeat, B / processes, ...]` -> device arrays.
    step: (state, device batches) -> (state, metrics `[calls]`); donates the state.
    canonical: state -> the TrainState as one device under jit would hold it (for checkpoints).
    restore: canonical abstract target with shardings, to read a checkpoint into, from (seed, batch, stages).
    adopt: canonical state as restored -> state on the devices.
    replicate: host arrays -> the same on every device (conditions, keys, evaluation batches).
    num_devices: devices that share the batch.
    """

    init: Callable[[Array, Batch, dict[str, Variables]], TrainState]
    put: Callable[[dict[str, np.ndarray]], Batch]
    step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
    canonical: Callable[[TrainState], TrainState]
    restore: Callable[[Array, Batch, dict[str, Variables]], TrainState]
    adopt: Callable[[TrainState], TrainState]
    replicate: Callable[[PyTree], PyTree]
    num_devices: int


def lift_jit(system: System, options: StepOptions = StepOptions()) -> Lifted:
    """Run the step on one device."""
    return _over_mesh(system, options, jax.local_devices()[:1], fsdp=False)


def lift_sharded(system: System, options: StepOptions = StepOptions(), *, fsdp: bool = False, devices=None) -> Lifted:
    """Run the step over a mesh of all devices of all processes, the batch and the memory sharded.

    Args:
        system: the system.
        options: see StepOptions.
        fsdp: also shard parameters, their averages and optimizer states, each along its largest axis that
            the devices divide.
        devices: the devices; default all.
    """
    return _over_mesh(system, options, jax.devices() if devices is None else devices, fsdp=fsdp)


def lift_pmap(system: System, options: StepOptions = StepOptions(), *, devices=None) -> Lifted:
    """Run the step under pmap. The system must be built with `axis_name=lifting.AXIS`."""
    asked, devices = devices, jax.local_devices() if devices is None else devices
    _keep_out_of_cache(devices)
    options = options._replace(axis_name=AXIS)
    n, total = len(devices), len(devices) * jax.process_count()
    first_index = jax.process_index() * n
    # Where none are asked for, pmap takes those of all processes; given the local ones, it would average over them alone.
    pmapped = jax.pmap(make_step(system, options), AXIS, donate_argnums=0, devices=asked)

    def canonical_init(seed: Array, batch: Batch, stages: dict) -> TrainState:
        return init_state(system, bool(options.ema_decay), seed, batch, stages)

    over_devices = NamedSharding(Mesh(np.asarray(devices), (AXIS,), axis_types=(AxisType.Auto,)), PartitionSpec(AXIS))

    def own_slots(m: Array) -> np.ndarray:
        """Return the memory of this process's devices, `[n, slots / devices, ...]`."""
        m = np.asarray(m)
        return m.reshape((total, m.shape[0] // total) + m.shape[1:])[first_index : first_index + n]

    build = jax.jit(canonical_init)
    own = lambda x: np.asarray(x.addressable_data(0))[0]

    def adopt(state: TrainState) -> TrainState:
        # Through the host, as back in `canonical`: a program for it takes as long to compile as a third of the step.
        copies = lambda x: np.broadcast_to(np.asarray(x), (n,) + x.shape)
        stacked = jax.tree.map(copies, state._replace(memory=()))._replace(memory=jax.tree.map(own_slots, state.memory))
        return jax.device_put(stacked, over_devices)

    def canonical(state: TrainState) -> TrainState:
        first = jax.tree.map(own, state._replace(memory=()))
        whole = first._replace(memory=jax.tree.map(_gather_slots, state.memory))
        return whole if jax.process_count() == 1 else _as_global(whole)

    def put(batch: dict[str, np.ndarray]) -> Batch:
        def split(x: np.ndarray) -> np.ndarray:
            _check_divisible(x.shape[2] * jax.process_count(), total, options.accumulate)
            parts = x.reshape(x.shape[:2] + (n, x.shape[2] // n) + x.shape[3:])
            return np.ascontiguousarray(np.moveaxis(parts, 2, 0))

        return {name: split(x) for name, x in batch.items()}

    return Lifted(
        init=lambda seed, batch, stages: adopt(build(seed, batch, stages)),
        put=put,
        step=pmapped,
        canonical=canonical,
        restore=lambda seed, batch, stages: jax.eval_shape(canonical_init, seed, batch, stages),
        adopt=adopt,
        replicate=lambda tree: tree,
        num_devices=total,
    )


def fsdp_spec(shape: tuple[int, ...], num_devices: int) -> PartitionSpec:
    """Return the spec that shards an array along its largest axis that the devices divide, if any."""
    axes = [axis for axis, size in enumerate(shape) if size % num_devices == 0 and size > 0]
    if not axes or num_devices == 1:
        return PartitionSpec()
    best = max(axes, key=lambda axis: shape[axis])
    return PartitionSpec(*(AXIS if axis == best else None for axis in range(best + 1)))


def state_shardings(mesh: Mesh, state: TrainState, *, fsdp: bool) -> TrainState:
    """Return the sharding of every leaf of an abstract state."""
    replicated = NamedSharding(mesh, PartitionSpec())
    slots = NamedSharding(mesh, PartitionSpec(AXIS))
    everywhere = lambda tree: jax.tree.map(lambda _: replicated, tree)
    spread = lambda tree: jax.tree.map(lambda x: NamedSharding(mesh, fsdp_spec(x.shape, mesh.size)), tree)
    sharded = spread if fsdp else everywhere
    return TrainState(
        step=replicated,
        seed=replicated,
        params=sharded(state.params),
        state=everywhere(state.state),
        memory=jax.tree.map(lambda _: slots, state.memory),
        opt=sharded(state.opt),
        ema=sharded(state.ema),
    )


def _over_mesh(system: System, options: StepOptions, devices, *, fsdp: bool) -> Lifted:
    _keep_out_of_cache(devices)
    # Auto axes: with Explicit ones, jax.make_mesh's default, the first Dense under FSDP is an error.
    mesh = Mesh(np.asarray(devices), (AXIS,), axis_types=(AxisType.Auto,))
    replicated = NamedSharding(mesh, PartitionSpec())
    over_batch = NamedSharding(mesh, PartitionSpec(None, None, AXIS))

    def canonical_init(seed: Array, batch: Batch, stages: dict) -> TrainState:
        return init_state(system, bool(options.ema_decay), seed, batch, stages)

    def shardings(seed: Array, batch: Batch, stages: dict) -> tuple[TrainState, TrainState]:
        shapes = jax.eval_shape(canonical_init, seed, batch, stages)
        return shapes, state_shardings(mesh, shapes, fsdp=fsdp)

    def init(seed: Array, batch: Batch, stages: dict) -> TrainState:
        _, out = shardings(seed, batch, stages)
        return jax.jit(canonical_init, out_shardings=out)(*replicate((seed, batch, stages)))

    def restore(seed: Array, batch: Batch, stages: dict) -> TrainState:
        shapes, out = shardings(seed, batch, stages)
        return jax.tree.map(lambda s, d: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=d), shapes, out)

    def replicate(tree: PyTree) -> PyTree:
        if jax.process_count() == 1:
            return jax.device_put(tree, replicated)
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(replicated, np.asarray(x)), tree)

    def put(batch: dict[str, np.ndarray]) -> Batch:
        size = next(iter(batch.values())).shape[2] * jax.process_count()
        _check_divisible(size, mesh.size, options.accumulate)
        if jax.process_count() == 1:
            return jax.device_put(batch, over_batch)
        return {name: jax.make_array_from_process_local_data(over_batch, x) for name, x in batch.items()}

    one_step = make_step(system, options)
    compiled: dict[Any, Callable] = {}

    def step(state: TrainState, batches: Batch) -> tuple[TrainState, Metrics]:
        if "step" not in compiled:
            # Pinned to the layout of init: else the first step may return another and the second compiles again.
            out = (state_shardings(mesh, state, fsdp=fsdp), replicated)
            compiled["step"] = jax.jit(one_step, donate_argnums=0, out_shardings=out)
        return compiled["step"](state, batches)

    return Lifted(
        init=init,
        put=put,
        step=step,
        canonical=lambda state: state,
        restore=restore,
        adopt=lambda state: state,
        replicate=replicate,
        num_devices=mesh.size,
    )


def _keep_out_of_cache(devices) -> None:
    """Write no program over several CPU devices to JAX's persistent compilation cache, where the user has set one up.

    Read back from it, XLA:CPU's programs have lost the order of their collectives: devices begin them in different
    orders, fill the thread pool with waiting threads and wait for ever (measured on jaxlib 0.10.2).
    """
    if len(devices) > 1 and devices[0].platform == "cpu":
        jax.config.update("jax_persistent_cache_min_compile_time_secs", float("inf"))


def _gather_slots(slots: Array) -> np.ndarray:
    """Return memory `[devices, slots / devices, ...]` of pmap as `[slots, ...]`, over all processes."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        slots = multihost_utils.process_allgather(np.asarray(slots))
        return np.asarray(slots).reshape((-1,) + slots.shape[3:])
    return np.asarray(slots).reshape((-1,) + slots.shape[2:])


def _as_global(tree: PyTree) -> PyTree:
    """Return arrays that are equal in all processes as replicated global ones, which orbax asks for."""
    mesh = Mesh(np.asarray(jax.devices()), (AXIS,), axis_types=(AxisType.Auto,))
    replicated = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(replicated, np.asarray(x)), tree)


def _check_divisible(batch_size: int, devices: int, accumulate: int) -> None:
    if batch_size % (devices * accumulate):
        raise UserError(
            f"data.batch_size={batch_size} is not divisible by {devices} devices x train.accumulate={accumulate}; "
            f"take a multiple of {devices * accumulate}."
        )


def averaged_variables(lifted: Lifted, state: TrainState) -> Variables:
    """Return the variables to sample and evaluate with: averaged parameters where the run keeps them."""
    return variables_of(lifted.canonical(state))
