"""Tr(df/dx) of a function R^D -> R^D: exact, by D derivatives, or estimated by one in a random direction.

    Tr(df/dx) = E e' (df/dx) e  where  E e e' = I        Hutchinson 1990; FFJORD (Grathwohl et al. 2018), eq. 7
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax.contract import Array


class Trace(NamedTuple):
    """How Tr(df/dx) is found.

    probe: (key, shape [B, D]) -> what the estimate needs, drawn once a solve.
    value: (f, x [B, D], probe) -> (f(x) [B, D], the trace or its estimate [B]); f maps examples one by one.
    exact: whether it is no estimate.
    """

    probe: Callable[[Array, tuple[int, ...]], Array]
    value: Callable[[Callable[[Array], Array], Array, Array], tuple[Array, Array]]
    exact: bool


def exact_trace() -> Trace:
    """Return the trace by a derivative along each axis: D times the cost of f."""

    def value(f: Callable[[Array], Array], x: Array, probe: Array) -> tuple[Array, Array]:
        del probe
        slope, derivative = jax.linearize(f, x)
        along = lambda axis: derivative(jnp.broadcast_to(axis[None], x.shape)) @ axis
        return slope, jnp.sum(jax.vmap(along)(jnp.eye(x.shape[1], dtype=x.dtype)), axis=0)

    return Trace(lambda key, shape: jnp.zeros(()), value, exact=True)


def rademacher_trace() -> Trace:
    """Return Hutchinson's estimate with signs +-1 for e, of smaller variance than the normal's."""
    return _hutchinson(lambda key, shape: jax.random.rademacher(key, shape, jnp.float32))


def normal_trace() -> Trace:
    """Return Hutchinson's estimate with standard normal e."""
    return _hutchinson(lambda key, shape: jax.random.normal(key, shape))


def _hutchinson(probe: Callable[[Array, tuple[int, ...]], Array]) -> Trace:
    def value(f: Callable[[Array], Array], x: Array, e: Array) -> tuple[Array, Array]:
        slope, along = jax.jvp(f, (x,), (e,))
        return slope, jnp.sum(e * along, axis=1)

    return Trace(probe, value, exact=False)
