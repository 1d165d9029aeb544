"""A multilayer perceptron."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax

from genjax.contract import Array

Initializer = Callable[..., Array]


class MLP(nn.Module):
    """Hidden layers act(W h + b), then one linear layer, on the last axis.

    hidden: widths of the hidden layers; empty gives a linear map.
    features: width of the output.
    activation: applied after each hidden layer, not after the last.
    kernel_init: initializer of every hidden kernel.
    output_kernel_init: initializer of the last kernel (zeros start a network at a constant output).
    dtype: compute dtype; None follows the input. Parameters are float32.
    """

    hidden: Sequence[int]
    features: int
    activation: Callable[[Array], Array] = jax.nn.relu
    kernel_init: Initializer = nn.initializers.lecun_normal()
    output_kernel_init: Initializer = nn.initializers.lecun_normal()
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map x `[..., D]` to `[..., features]`."""
        for width in self.hidden:
            x = self.activation(nn.Dense(width, kernel_init=self.kernel_init, dtype=self.dtype)(x))
        return nn.Dense(self.features, kernel_init=self.output_kernel_init, dtype=self.dtype)(x)
