"""Batch normalization whose scale and shift are told the class, for generators.

    y = gain_c (x - mean) / sqrt(variance + epsilon) + bias_c,

mean and variance over the whole batch, whatever its classes, and over their running averages when not training; gain
and bias are each example's own. `LabelBatchNorm` has a table of them (Dumoulin et al. 2017; the generators of
Miyato & Koyama 2018 and of Zhang et al. 2019); `VectorBatchNorm` computes them linearly from a vector, for the
shared embeddings of Brock et al. 2019, with gain 1 + W c so that it starts as a plain normalization.

Reference: de Vries et al. 2017, "Modulating early visual processing by language", https://arxiv.org/abs/1707.00683;
Dumoulin et al. 2017, "A Learned Representation for Artistic Style", https://arxiv.org/abs/1610.07629; Brock et al. 2019,
"Large Scale GAN Training for High Fidelity Natural Image Synthesis", https://arxiv.org/abs/1809.11096, appendix B
"""

from typing import Any

import chex
import flax.linen as nn
import jax.numpy as jnp

from genjax.adversarial.spectral_norm import SpectralDense
from genjax.contract import Array


class LabelBatchNorm(nn.Module):
    """Batch normalization with a gain and a bias for every class.

    num_classes: classes are 0 .. num_classes - 1.
    momentum: weight of the past in the running statistics.
    epsilon: added to the variance.
    axis_name: mapped axis to take the statistics over under pmap.
    dtype: of the output; None follows the input. The arithmetic is float32.
    """

    num_classes: int
    momentum: float = 0.9
    epsilon: float = 1e-5
    axis_name: str | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, label: Array, *, train: bool) -> Array:
        """Normalize x `[B, ..., C]` under classes int `[B]`."""
        shape = (self.num_classes, x.shape[-1])
        gain = self.param("gain", nn.initializers.ones_init(), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), shape, jnp.float32)
        return modulate(_standardize(self, x, train), gain[label], bias[label]).astype(_out(self, x))


class VectorBatchNorm(nn.Module):
    """Batch normalization with gain 1 + W c and bias V c; W and V are spectrally normalized.

    momentum, epsilon, axis_name, dtype: as in `LabelBatchNorm`.
    kernel_init: initializer of W and V.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    axis_name: str | None = None
    kernel_init: Any = nn.initializers.orthogonal()
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, condition: Array, *, train: bool) -> Array:
        """Normalize x `[B, ..., C]` under vectors c `[B, D]`."""
        linear = lambda name: SpectralDense(
            x.shape[-1], train, use_bias=False, kernel_init=self.kernel_init, dtype=self.dtype, name=name
        )
        gain, bias = (linear(name)(condition).astype(jnp.float32) for name in ("gain", "bias"))
        return modulate(_standardize(self, x, train), 1.0 + gain, bias).astype(_out(self, x))


def modulate(x: Array, gain: Array, bias: Array) -> Array:
    """Return gain * x + bias, each example with its own.

    Args:
        x: `[B, ..., C]`.
        gain: `[B, C]`.
        bias: `[B, C]`.

    Returns:
        `[B, ..., C]`.

    Raises:
        ValueError: if gain and bias are not `[B, C]` of x.
    """
    if gain.shape != bias.shape or gain.shape != (x.shape[0], x.shape[-1]):
        raise ValueError(f"gain {gain.shape} and bias {bias.shape} must have the shape [B, C] of x {x.shape}.")
    shape = (x.shape[0], *(1,) * (x.ndim - 2), x.shape[-1])
    return gain.reshape(shape) * x + bias.reshape(shape)


def _standardize(module: LabelBatchNorm | VectorBatchNorm, x: Array, train: bool) -> Array:
    """Return x with mean 0 and variance 1 over the batch, or over what the running statistics remember; float32."""
    chex.assert_rank(x, {2, 3, 4, 5})
    norm = nn.BatchNorm(
        use_running_average=not train,
        momentum=module.momentum,
        epsilon=module.epsilon,
        axis_name=module.axis_name,
        use_scale=False,
        use_bias=False,
        dtype=jnp.float32,
        name="norm",
    )
    return norm(x.astype(jnp.float32))


def _out(module: LabelBatchNorm | VectorBatchNorm, x: Array) -> Any:
    return x.dtype if module.dtype is None else module.dtype
