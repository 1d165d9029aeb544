"""Layers at an equalized learning rate, and the normalizations that go with them.

    y = c W x + b,   W ~ N(0, 1) as stored,   c = gain / sqrt(fan in)   at every use                (section 4.1)

He's constant is a part of the layer and not of its initialization. Adam moves every stored weight by about the learning
rate, whatever the scale of its gradient; with all stored weights near 1, all layers learn at the same relative pace. A
multiplier m slows a layer down (StyleGAN's mapping network, m = 0.01): weights are stored as N(0, 1 / m^2) and used
with m c, biases are stored at 0 and used with m.

`pixel_norm` divides the vector at each pixel by its root mean square (section 4.2), and on a latent, `[B, L]`, sets it
on a sphere. `minibatch_stddev` tells a discriminator how much the examples of a minibatch vary (section 3): one more
channel, the mean over all channels and pixels of their standard deviation over the examples of a group.

Reference: Karras et al. 2018, "Progressive Growing of GANs for Improved Quality, Stability, and Variation",
https://arxiv.org/abs/1710.10196
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype

from genjax.contract import Array
from genjax.nn import conv2d

HE = math.sqrt(2.0)  # the gain that keeps variances through layers that a rectifier follows


class EqualizedDense(nn.Module):
    """A dense layer whose weights are N(0, 1) / multiplier and scaled at every use.

    features: of the output.
    gain: of the weights; `HE` before a rectifier.
    multiplier: of the learning rate.
    bias_init: what biases are at first, the multiplier included.
    dtype: compute dtype; parameters are float32.
    """

    features: int
    gain: float = 1.0
    multiplier: float = 1.0
    bias_init: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map x `[B, C]` to `[B, features]`."""
        kernel = equalized_kernel(self, (x.shape[-1], self.features), self.gain, self.multiplier)
        bias = equalized_bias(self, self.features, self.multiplier, self.bias_init)
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        return x @ kernel + bias[None]


class EqualizedConv(nn.Module):
    """A convolution of stride 1 that keeps the size, with weights as in `EqualizedDense`.

    features: of the output.
    kernel_size: side of the kernel.
    gain: of the weights; `HE` before a rectifier.
    padding: 'SAME' or 'VALID'.
    dtype: compute dtype; parameters are float32.
    """

    features: int
    kernel_size: int = 3
    gain: float = 1.0
    padding: str = "SAME"
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map x `[B, H, W, C]` to `[B, H', W', features]`."""
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = equalized_kernel(self, shape, self.gain)
        bias = equalized_bias(self, self.features)
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        return conv2d(x, kernel, padding=self.padding) + bias[None, None, None]


def equalized_kernel(
    module: nn.Module, shape: tuple[int, ...], gain: float = 1.0, multiplier: float = 1.0, name: str = "kernel"
) -> Array:
    """Declare a parameter of a module, N(0, 1 / multiplier^2), and return it scaled.

    Args:
        module: in its compact call.
        shape: `[..., fan in, features]`; all axes but the last are the fan in.
        gain: the standard deviation of the result times sqrt(fan in).
        multiplier: of the learning rate.
        name: of the parameter.
    """
    stored = module.param(name, nn.initializers.normal(1.0 / multiplier), shape, jnp.float32)
    return stored * (gain * multiplier / math.sqrt(math.prod(shape[:-1])))


def equalized_bias(module: nn.Module, features: int, multiplier: float = 1.0, start: float = 0.0) -> Array:
    """Declare the parameter 'bias' of a module, start / multiplier, and return it scaled, `[features]`."""
    constant = nn.initializers.constant(start / multiplier)
    return multiplier * module.param("bias", constant, (features,), jnp.float32)


def pixel_norm(x: Array, epsilon: float = 1e-8) -> Array:
    """Divide by the root mean square over the last axis, in float32: x / sqrt(mean x^2 + epsilon).

    Args:
        x: `[..., C]`.
        epsilon: added to the mean square.

    Returns:
        `[..., C]`, of x's dtype.

    Reference: Karras et al. 2018, section 4.2.
    """
    wide = x.astype(jnp.float32)
    return (wide * jax.lax.rsqrt(jnp.mean(jnp.square(wide), axis=-1, keepdims=True) + epsilon)).astype(x.dtype)


def minibatch_stddev(x: Array, *, group: int = 4, epsilon: float = 1e-8) -> Array:
    """Append a channel that says how much the examples of a group vary.

    A group is `group` neighbours in the batch. What a score depends on is so its group, and no more: sharded, a group
    that lies on one device needs no communication, and the result is that of one device wherever the group lies; under
    pmap groups are those of each device's own part.

    Args:
        x: `[B, H, W, C]`.
        group: examples a group; a smaller batch is one group.
        epsilon: added to variances, whose square root has no gradient at 0.

    Returns:
        `[B, H, W, C + 1]`.

    Raises:
        ValueError: the batch is not a whole number of groups.

    Reference: Karras et al. 2018, section 3; groups as in the authors' code.
    """
    if x.ndim != 4:
        raise ValueError(f"Minibatch standard deviation takes x [B, H, W, C], not {x.shape}.")
    size = min(group, x.shape[0])
    if x.shape[0] % size:
        raise ValueError(f"{x.shape[0]} examples are no whole number of groups of {size}: take a multiple.")
    grouped = x.astype(jnp.float32).reshape(-1, size, *x.shape[1:])
    std = jnp.sqrt(jnp.var(grouped, axis=1) + epsilon).mean(axis=(1, 2, 3))
    column = jnp.repeat(std, size).astype(x.dtype)
    return jnp.concatenate([x, jnp.broadcast_to(column[:, None, None, None], (*x.shape[:3], 1))], axis=-1)


def leaky_relu(x: Array) -> Array:
    """Return max(x, 0.2 x); its gain belongs into the weights before it."""
    return jax.nn.leaky_relu(x, 0.2)


def scaled_leaky_relu(x: Array) -> Array:
    """Return sqrt(2) max(x, 0.2 x): StyleGAN2's, which gains here and not in the weights."""
    return HE * jax.nn.leaky_relu(x, 0.2)
