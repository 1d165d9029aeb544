"""The one training step of every system: a model's updates, in order, on the minibatches of a step.

Pure and free of any lifting; `genjax.training.lifting` compiles it. Every step's key is
fold_in(seed, step), so a run is a function of its seed and its data alone, and resumes exactly. Under pmap,
and only there, the device's index is folded in too: under sharded jit random numbers are global already.
"""

from typing import Any, Callable, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from genjax.contract import Array, Aux, Batch, PyTree, Update, Variables
from genjax.training.ema import ema_update
from genjax.training.state import TrainState, optimizer_of
from genjax.training.system import System


class StepOptions(NamedTuple):
    """How a step is made.

    accumulate: microbatches whose gradients are averaged into one move; divides the batch.
    clip_norm: largest global norm of an update's gradient; 0 for none.
    ema_decay: decay of the averaged parameters; 0 for none.
    axis_name: name of the mapped axis under pmap, else None.
    """

    accumulate: int = 1
    clip_norm: float = 0.0
    ema_decay: float = 0.0
    axis_name: str | None = None


Metrics = dict[str, Array]
StepFn = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def make_step(system: System, options: StepOptions = StepOptions()) -> StepFn:
    """Return (state, batches) -> (state, metrics) for several steps in one dispatch.

    Args:
        system: the system to train.
        options: see StepOptions.

    Returns:
        A pure function. `batches` holds arrays `[calls, repeat, B, ...]` as stored: `calls` steps, each with
        as many minibatches as the model's largest `repeat`. Metrics are arrays `[calls]`, named
        '<update>/<term>', NaN on steps where a lazy update was not made.
    """

    def step(state: TrainState, batches: Batch) -> tuple[TrainState, Metrics]:
        return lax.scan(lambda s, b: _one_step(system, options, s, b), state, batches)

    return step


def largest_repeat(system: System) -> int:
    """Return how many minibatches one step of the system consumes."""
    return max((update.repeat for update in system.model.updates), default=1)


def lazy_updates(system: System) -> dict[str, int]:
    """Return update name -> every, for updates that are not made on every step."""
    return {update.name: update.every for update in system.model.updates if update.every > 1}


def _one_step(system: System, options: StepOptions, state: TrainState, batches: Batch):
    key = jax.random.fold_in(jax.random.wrap_key_data(state.seed), state.step)
    if options.axis_name is not None:
        key = jax.random.fold_in(key, lax.axis_index(options.axis_name))
    data_key = jax.random.fold_in(key, 0)

    def minibatch(r: Array) -> Batch:
        """Return minibatch r, transformed; every update of the step sees the same one."""
        stored = jax.tree.map(lambda x: lax.dynamic_index_in_dim(x, r, keepdims=False), dict(batches))
        return system.transform(jax.random.fold_in(data_key, r), stored)

    metrics: Metrics = {}
    for index, update in enumerate(system.model.updates):
        update_key = jax.random.fold_in(key, index + 1)
        state, terms = _repeated(system, options, update, state, minibatch, update_key)
        metrics |= {f"{update.name}/{name}": value for name, value in terms.items()}
    ema = ema_update(state.ema, state.params, state.step, options.ema_decay) if options.ema_decay else state.ema
    return state._replace(step=state.step + 1, ema=ema), metrics


def _repeated(system, options, update: Update, state: TrainState, minibatch, key: Array):
    """Make an update `repeat` times, on steps divisible by `every`."""

    def once(state: TrainState, r: Array) -> tuple[TrainState, Metrics]:
        return _move(system, options, update, state, minibatch(r), jax.random.fold_in(key, r))

    def made(state: TrainState) -> tuple[TrainState, Metrics]:
        if update.repeat == 1:
            return once(state, jnp.zeros((), jnp.int32))
        state, terms = lax.scan(once, state, jnp.arange(update.repeat))
        return state, jax.tree.map(jnp.mean, terms)

    if update.every == 1:
        return made(state)
    shapes = jax.eval_shape(made, state)[1]
    unmade = jax.tree.map(lambda s: jnp.full(s.shape, jnp.nan, s.dtype), shapes)
    return lax.cond(state.step % update.every == 0, made, lambda s: (s, unmade), state)


def _move(system, options, update: Update, state: TrainState, batch: Batch, key: Array):
    """Make one move of an update's players on one minibatch."""
    moving = {player: state.params[player] for player in update.players}
    gradient = _accumulated if options.accumulate > 1 else _gradient
    grads, aux, loss = gradient(options, update, state, moving, batch, key)
    grads, loss, metrics, new_state = _synchronize(options.axis_name, grads, loss, dict(aux.metrics), aux.state, state.state)
    metrics = {name: jnp.asarray(value, jnp.float32) for name, value in metrics.items()}
    metrics["loss"] = loss.astype(jnp.float32)
    params, opt = dict(state.params), dict(state.opt)
    if update.players:
        name = optimizer_of(update)
        # The barrier keeps XLA:CPU from recomputing gradients inside the reduction: half of the norm's time.
        norm = optax.tree.norm(lax.optimization_barrier(grads))
        metrics["grad_norm"] = norm.astype(jnp.float32)
        if options.clip_norm:
            scale = options.clip_norm / jnp.maximum(norm, options.clip_norm)
            grads = jax.tree.map(lambda g: g * scale.astype(g.dtype), grads)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes int32 counts with floats
            moves, opt[name] = system.optimizers[name].update(grads, opt[name], moving)
            params |= optax.apply_updates(moving, moves)
    if update.after is not None:
        params, new_state = update.after(params, new_state)
    memory = state.memory if aux.memory is None else aux.memory
    return state._replace(params=params, state=new_state, memory=memory, opt=opt), metrics


def _gradient(options, update: Update, state: TrainState, moving: PyTree, batch: Batch, key: Array):
    """Return (gradient with respect to the moving players, Aux, loss)."""

    def loss_fn(moving: PyTree) -> tuple[Array, Aux]:
        return update.loss(Variables({**state.params, **moving}, state.state, state.memory), batch, key, state.step)

    (loss, aux), grads = jax.value_and_grad(loss_fn, has_aux=True)(moving)
    return grads, aux, loss


def _accumulated(options, update: Update, state: TrainState, moving: PyTree, batch: Batch, key: Array):
    """Return `_gradient` averaged over microbatches, state and memory threaded through them.

    Microbatch m takes the examples (and the memory slots) m, m + k, m + 2k, ...: under a sharded batch each
    device so keeps its own.
    """
    k = options.accumulate
    split = lambda x: jnp.swapaxes(x.reshape((x.shape[0] // k, k) + x.shape[1:]), 0, 1)
    join = lambda x: jnp.swapaxes(x, 0, 1).reshape((-1,) + x.shape[2:])

    def micro(carry: tuple[Any, Any], inputs):
        grads, new_state = carry
        batch, memory, m = inputs
        inner = state._replace(state=new_state, memory=memory)
        g, aux, loss = _gradient(options, update, inner, moving, batch, jax.random.fold_in(key, m))
        memory = memory if aux.memory is None else aux.memory
        return (jax.tree.map(jnp.add, grads, g), aux.state), (memory, dict(aux.metrics), loss)

    zeros = jax.tree.map(jnp.zeros_like, moving)
    inputs = (jax.tree.map(split, batch), jax.tree.map(split, state.memory), jnp.arange(k))
    (grads, new_state), (memory, metrics, losses) = lax.scan(micro, (zeros, state.state), inputs)
    grads = jax.tree.map(lambda g: g / k, grads)
    metrics = {name: jnp.mean(value) for name, value in metrics.items()}
    return grads, Aux(new_state, metrics, jax.tree.map(join, memory)), jnp.mean(losses)


def _synchronize(axis_name: str | None, grads: PyTree, loss: Array, metrics: Metrics, new_state: PyTree, old_state: PyTree):
    """Average over the mapped axis what must be equal on all devices; the identity outside pmap."""
    if axis_name is None:
        return grads, loss, metrics, new_state
    grads, loss, metrics = lax.pmean((grads, loss, metrics), axis_name)

    def average(new: Array, old: Array) -> Array:
        # A leaf passed through untouched (a frozen stage) is equal everywhere already.
        return new if new is old or not jnp.issubdtype(new.dtype, jnp.floating) else lax.pmean(new, axis_name)

    return grads, loss, metrics, jax.tree.map(average, new_state, old_state)
