"""A player of a game: a Linen module, its parameters, and the statistics it keeps.

`Variables.params[player]` holds its parameters, `Variables.state[player]` its other collections (batch
statistics, power-iteration vectors) by their names; `{}` for a module that keeps none.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.contract import Array, PyTree


def init_player(module: nn.Module, key: Array, *inputs: Any) -> tuple[PyTree, PyTree, Array]:
    """Initialise a player on example inputs.

    Args:
        module: called as module(*inputs, train=True).
        key: a key.
        inputs: arrays (or pytrees) with a leading batch axis.

    Returns:
        (parameters, state, its output on these inputs).
    """
    output, variables = module.init_with_output(_keys(key, "params"), *inputs, train=True)
    params = variables.pop("params", {})
    return params, variables, output


def train_player(
    module: nn.Module, params: PyTree, state: PyTree, key: Array, *inputs: Any
) -> tuple[Array, PyTree]:
    """Run a player as it is trained: batch statistics of these inputs, dropout on.

    Returns:
        (outputs as float32, the state moved by these inputs). The caller decides whether the move is kept.
    """
    outputs, moved = module.apply(
        {"params": params, **state}, *inputs, train=True, mutable=list(state), rngs=_keys(key)
    )
    return _float32(outputs), dict(moved)


def run_player(module: nn.Module, params: PyTree, state: PyTree, *inputs: Any) -> Array:
    """Run a player as it is used: running statistics, no dropout, nothing moves; outputs as float32."""
    return _float32(module.apply({"params": params, **state}, *inputs, train=False))


def run_noisy_player(module: nn.Module, params: PyTree, state: PyTree, key: Array, *inputs: Any) -> Array:
    """Run a player as `run_player` does, with a key for dropout that stays on: the noise of pix2pix's generator."""
    return _float32(module.apply({"params": params, **state}, *inputs, train=False, rngs=_keys(key)))


def _keys(key: Array, *more: str) -> dict[str, Array]:
    names = ("dropout", *more)
    return dict(zip(names, jax.random.split(key, len(names))))


def _float32(outputs: PyTree) -> PyTree:
    return jax.tree.map(lambda y: y.astype(jnp.float32), outputs)
