"""Fields made of fields: classifier-free guidance, and the denoiser that a field is.

    u~ = u(x, t) + w (u(x, t, c) - u(x, t))           Zheng et al. 2023 (Guided Flows, arXiv:2311.13443)

On a Gaussian path the velocity is affine in the score at given x and t, so that this is the guidance of diffusion
models (Ho & Salimans 2022) with scale w: 1 is the conditional field, 0 the unconditional one.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from genjax.contract import Array, PyTree
from genjax.processes import VELOCITY, Denoiser, Path, denoiser, point_at

Velocity = Callable[[Array, Array], Array]  # (x [B, ...], t [] or [B]) -> dx/dt [B, ...]
ConditionalVelocity = Callable[[Array, Array, PyTree], Array]  # (x, t, condition) -> dx/dt


def guided_velocity(
    velocity: ConditionalVelocity, condition: PyTree, nothing: PyTree, *, scale: Array | float
) -> Velocity:
    """Return the guided field, by one call on twice the examples.

    Args:
        velocity: (x [2B, ...], t [] or [2B], condition of 2B) -> [2B, ...].
        condition: c, leading axis B.
        nothing: what the network was trained to take for no condition, of the same shapes.
        scale: w.

    Reference: Zheng et al. 2023, section 3.
    """
    both = jax.tree.map(lambda c, o: jnp.concatenate([c, o]), condition, nothing)

    def guided(x: Array, t: Array) -> Array:
        t = jnp.asarray(t)
        times = jnp.concatenate([t, t]) if t.ndim else t
        given, free = jnp.split(velocity(jnp.concatenate([x, x]), times, both), 2)
        return free + scale * (given - free)

    return guided


def velocity_denoiser(
    velocity: Velocity, path: Path, *, constrain: Callable[[Array], Array] = lambda x0: x0
) -> Denoiser:
    """Return the denoiser of a field, for the samplers and wrappers of diffusion models.

    Args:
        velocity: (x [B, ...], t [B]) -> dx/dt, t from noise to data; trained on `gaussian_interpolant(path)`.
        path: which counts its time from the data, and so does the denoiser.
        constrain: applied to the estimate of the data.

    Returns:
        (x_t [B, ...], t [] or [B]) -> E[data | x_t] [B, ...].
    """
    predict = lambda x, t: -velocity(x, 1.0 - t)
    return denoiser(predict, VELOCITY, lambda t: point_at(path, t), constrain=constrain)
