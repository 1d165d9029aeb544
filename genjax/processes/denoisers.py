"""Denoisers: functions (x_t, t) -> an estimate of x_0, the one thing that samplers ask of a network.

The ideal one is E[x_0 | x_t]. Whatever a network predicts is turned into it here, so that a sampler neither knows
nor cares; guidance and inpainting are wrappers around a denoiser.
"""

from collections.abc import Callable

import jax.numpy as jnp

from genjax.contract import Array
from genjax.processes.gaussian import Point
from genjax.processes.predictions import Prediction

Denoiser = Callable[[Array, Array], Array]  # (x_t [B, ...], t [] or [B]) -> x_0 [B, ...]


def clip_symmetric(x0: Array) -> Array:
    """Return x_0 clipped to [-1, 1], where scaled pixels lie."""
    return jnp.clip(x0, -1.0, 1.0)


def denoiser(
    predict: Callable[[Array, Array], Array],
    prediction: Prediction,
    point_of: Callable[[Array], Point],
    *,
    constrain: Callable[[Array], Array] = lambda x0: x0,
) -> Denoiser:
    """Turn a network's prediction into a denoiser.

    Args:
        predict: (x_t [B, ...], t [B]) -> prediction [B, ...]; a network with its parameters bound.
        prediction: the form of what it predicts.
        point_of: t -> the path there, e.g. `lambda t: marginal(schedule, t)` or `lambda t: point_at(path, t)`.
        constrain: applied to the estimate of x_0; `clip_symmetric` for pixels, as in the code of Ho et al. 2020, who
            clip in every step of sampling and in the bound.

    Returns:
        (x_t [B, ...], t [] or [B]) -> x_0 [B, ...].
    """

    def denoise(x_t: Array, t: Array) -> Array:
        t = jnp.broadcast_to(jnp.asarray(t), x_t.shape[:1])
        return constrain(prediction.to_x0(predict(x_t, t), x_t, point_of(t)))

    return denoise
