"""Batch normalization whose arithmetic stays in float32.

y = scale (x - mean) / sqrt(variance + epsilon) + bias, mean and variance over all axes but the last, of the
batch while training and of their running averages otherwise (Ioffe & Szegedy 2015, Algorithms 1 and 2).
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from genjax.contract import Array


class BatchNorm(nn.Module):
    """Batch normalization; the layer before it needs no bias (its gradient would be exactly zero).

    momentum: weight of the past in the running statistics; 0.9 suits runs of a few thousand steps.
    epsilon: added to the variance.
    axis_name: mapped axis to take the statistics over under pmap; None where a batch is whole.
    scale_init: initializer of the scale.
    dtype: dtype of the output; None follows the input. Statistics and parameters are float32.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    axis_name: str | None = None
    scale_init: Any = nn.initializers.ones_init()
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Normalize x `[B, ..., C]`; under `train` by the batch, moving the running statistics."""
        norm = nn.BatchNorm(
            use_running_average=not train,
            momentum=self.momentum,
            epsilon=self.epsilon,
            axis_name=self.axis_name,
            scale_init=self.scale_init,
            dtype=jnp.float32,
            name="norm",
        )
        return norm(x.astype(jnp.float32)).astype(x.dtype if self.dtype is None else self.dtype)
