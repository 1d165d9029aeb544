"""A network for points: a perceptron on (x, t), beside the U-Net and the DiT of `genjax.nn` for pictures."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.contract import Array
from genjax.nn import MLP


class PointField(nn.Module):
    """MLP([x, t, one-hot class]) -> [B, D]; with the defaults the network of torchcfm's examples in the plane.

    widths: of the hidden layers.
    num_classes: K; class K stands for 'none given'. 0: unconditional.
    activation: after each hidden layer.
    dtype: compute dtype; the output is float32.
    """

    widths: tuple[int, ...] = (64, 64, 64)
    num_classes: int = 0
    activation: Callable[[Array], Array] = jax.nn.selu
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, t: Array, condition: Array | None = None, *, train: bool = False) -> Array:
        """Map x [B, D] at times t [B], given classes [B] in 0 ... K, to a velocity [B, D]."""
        del train
        told = [x, t[:, None]]
        if self.num_classes:
            told.append(jax.nn.one_hot(condition, self.num_classes + 1))
        h = MLP(self.widths, x.shape[1], activation=self.activation, dtype=self.dtype)(jnp.concatenate(told, axis=1))
        return h.astype(jnp.float32)
