"""Networks of coupling layers: (kept [B, ..., C], condition [B, K] or None) to what a coupling reads.

Bodies, which return one array: `CouplingMLP` for vectors, `CouplingResNet` (Real NVP, section 3.6) and `CouplingConv`
(Glow, section 4) for pictures. Heads, which make a shift t and a log-scale s of a body's output of twice the width:

    TanhScale      s = c tanh(raw), c learned for each channel, 1 at the start        (Real NVP, section 4.1)
    SigmoidScale   s = log sigmoid(raw + 2)                                           (Glow, authors' code)

Both keep exp(s) away from where the inverse loses its digits. Every body ends in a layer of zeros, so that a flow
starts near the identity.

Pictures are normalised inside the bodies as the papers do not agree upon: Real NVP's weight normalization and batch
normalization are left out here, since the flow's own normalizations see to the scale between couplings.
"""

from collections.abc import Sequence
from typing import Any, Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.contract import Array
from genjax.flows.bijection import Condition
from genjax.nn import Conv

ZEROS = nn.initializers.zeros_init()


class CouplingMLP(nn.Module):
    """Hidden layers act(W h + b), then one layer of zeros; the condition enters the first.

    features: width of the output.
    hidden: widths of the hidden layers, at least one.
    activation: after each hidden layer.
    dtype: compute dtype; None follows the input.
    """

    features: int
    hidden: Sequence[int]
    activation: Callable[[Array], Array] = jax.nn.relu
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, condition: Condition = None) -> Array:
        """Map x [B, C] to [B, features]."""
        for index, width in enumerate(self.hidden):
            h = nn.Dense(width, dtype=self.dtype)(x)
            if condition is not None and index == 0:
                h = h + nn.Dense(width, use_bias=False, dtype=self.dtype, name="condition")(condition)
            x = self.activation(h)
        return nn.Dense(self.features, kernel_init=ZEROS, dtype=self.dtype)(x)


class CouplingResNet(nn.Module):
    """Residual blocks of two 3x3 convolutions each, between a first 3x3 convolution and a last of zeros.

    features: channels of the output.
    channels: of the residual blocks.
    blocks: how many.
    dtype: compute dtype; None follows the input.
    """

    features: int
    channels: int
    blocks: int = 2
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, condition: Condition = None) -> Array:
        """Map x [B, H, W, C] to [B, H, W, features]."""
        h = _with_condition(self, Conv(self.channels, dtype=self.dtype)(x), condition)
        for _ in range(self.blocks):
            inner = Conv(self.channels, dtype=self.dtype)(jax.nn.relu(h))
            h = h + Conv(self.channels, dtype=self.dtype)(jax.nn.relu(inner))
        return Conv(self.features, kernel_init=ZEROS, dtype=self.dtype)(jax.nn.relu(h))


class CouplingConv(nn.Module):
    """3x3, 1x1 and a last 3x3 convolution of zeros, whose output a learned factor exp(3 l) scales.

    features: channels of the output.
    channels: of the hidden layers.
    dtype: compute dtype; None follows the input.
    """

    features: int
    channels: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, condition: Condition = None) -> Array:
        """Map x [B, H, W, C] to [B, H, W, features]."""
        h = _with_condition(self, Conv(self.channels, dtype=self.dtype)(x), condition)
        h = Conv(self.channels, kernel_size=1, dtype=self.dtype)(jax.nn.relu(h))
        out = Conv(self.features, kernel_init=ZEROS, dtype=self.dtype)(jax.nn.relu(h))
        log_factor = self.param("log_factor", ZEROS, (1, 1, 1, self.features))
        return out * jnp.exp(3.0 * log_factor).astype(out.dtype)


class TanhScale(nn.Module):
    """Read a shift and a log-scale c tanh(raw) off a body of even width."""

    body: nn.Module

    @nn.compact
    def __call__(self, x: Array, condition: Condition = None) -> tuple[Array, Array]:
        """Return (t, s)."""
        shift, raw = jnp.split(self.body(x, condition).astype(jnp.float32), 2, axis=-1)
        bound = self.param("bound", nn.initializers.ones_init(), (1,) * (raw.ndim - 1) + raw.shape[-1:])
        return shift, bound * jnp.tanh(raw)


class SigmoidScale(nn.Module):
    """Read a shift and a log-scale log sigmoid(raw + 2) off a body of even width."""

    body: nn.Module

    @nn.compact
    def __call__(self, x: Array, condition: Condition = None) -> tuple[Array, Array]:
        """Return (t, s)."""
        shift, raw = jnp.split(self.body(x, condition).astype(jnp.float32), 2, axis=-1)
        return shift, jax.nn.log_sigmoid(raw + 2.0)


def _with_condition(module: nn.Module, h: Array, condition: Condition) -> Array:
    """Add a linear map of the condition to every pixel of h [B, H, W, C]."""
    if condition is None:
        return h
    width = h.shape[-1]
    return h + nn.Dense(width, use_bias=False, dtype=module.dtype, name="condition")(condition)[:, None, None, :]
