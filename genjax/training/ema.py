"""Exponential moving average of parameters."""

import jax
import jax.numpy as jnp

from genjax.contract import Array, PyTree


def ema_update(ema: PyTree, params: PyTree, step: Array, decay: float) -> PyTree:
    """Move averaged parameters toward the parameters.

    ema <- d ema + (1 - d) params, with d = min(decay, (1 + step) / (10 + step)): short runs are not held
    back by their random start.

    Args:
        ema: averaged parameters.
        params: parameters, same structure.
        step: int scalar, steps made so far.
        decay: in [0, 1).

    Returns:
        The new average.
    """
    step = step.astype(jnp.float32)
    d = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda e, p: e + (1.0 - d).astype(e.dtype) * (p - e), ema, params)
