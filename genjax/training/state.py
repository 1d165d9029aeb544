"""What a training run carries from step to step, and how it starts."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from genjax.contract import Array, Batch, GenerativeModel, PyTree, Variables
from genjax.training.system import System


class TrainState(NamedTuple):
    """Everything a step reads and writes.

    step: int32 scalar, the number of steps made.
    seed: uint32 key data; the key of a step is fold_in(seed, step), so nothing random is stored.
    params, state, memory: as in `contract.Variables`.
    opt: optimizer states by the optimizer's name.
    ema: averaged params, with the structure of params, or () where the run keeps none.
    """

    step: Array
    seed: Array
    params: Any
    state: Any
    memory: Any
    opt: Any
    ema: Any


def optimizer_of(update) -> str:
    """Return the name of the optimizer that makes `update`."""
    return update.optimizer or update.name


def optimizer_players(model: GenerativeModel) -> dict[str, tuple[str, ...]]:
    """Return optimizer name -> players it moves, for every update that moves any.

    Raises:
        ValueError: two updates have one name, or share an optimizer and name different players.
    """
    names = [update.name for update in model.updates]
    if len(set(names)) != len(names):
        raise ValueError(f"two updates of a model have the same name: {names}.")
    players: dict[str, tuple[str, ...]] = {}
    for update in model.updates:
        if not update.players:
            continue
        known = players.setdefault(optimizer_of(update), tuple(update.players))
        if known != tuple(update.players):
            raise ValueError(
                f"update '{update.name}' shares the optimizer '{optimizer_of(update)}' but moves "
                f"{update.players} where another moves {known}; give it an optimizer of its own."
            )
    return players


def init_state(system: System, ema: bool, seed: Array, batch: Batch, stages: dict[str, Variables]) -> TrainState:
    """Build the state of step 0; pure, made to run under jit so that no two names share a buffer.

    Args:
        system: the system.
        ema: whether averaged parameters are kept.
        seed: uint32 key data, `[2]`.
        batch: one global batch as stored, before the system's transform.
        stages: Variables of earlier stages by name; see `contract.InitFn`.

    Returns:
        The TrainState of step 0.

    Raises:
        ValueError: an update names a player that the model does not have, or an optimizer is missing.
    """
    model = system.model
    # Steps use fold_in(seed, 0), fold_in(seed, 1), ...; the last number of all is init's.
    transform_key, init_key = jax.random.split(jax.random.fold_in(jax.random.wrap_key_data(seed), 2**32 - 1))
    variables = model.init(init_key, system.transform(transform_key, batch), **stages)
    opt = {}
    for name, players in optimizer_players(model).items():
        missing = [player for player in players if player not in variables.params]
        if missing:
            raise ValueError(f"the model has no player {missing}; it has {sorted(variables.params)}.")
        if name not in system.optimizers:
            raise ValueError(f"the system has no optimizer '{name}'; it has {sorted(system.optimizers)}.")
        opt[name] = system.optimizers[name].init({player: variables.params[player] for player in players})
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        seed=seed,
        params=variables.params,
        state=variables.state,
        memory=variables.memory,
        opt=opt,
        ema=variables.params if ema else (),
    )


def variables_of(state: TrainState, *, averaged: bool = True) -> Variables:
    """Return what the model's functions read; with averaged parameters where the run keeps them."""
    params = state.ema if averaged and state.ema != () else state.params
    return Variables(params, state.state, state.memory)


def count_parameters(params: PyTree) -> int:
    """Return the number of scalars in a tree."""
    return sum(int(leaf.size) for leaf in jax.tree.leaves(params))
