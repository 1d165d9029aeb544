"""The three networks of StyleGAN2: z -> w, w and noise -> picture, picture -> score.

Mapping. z, set on the sphere of radius sqrt(L), through dense layers to w in W, whose learning rate is a hundredth.

Synthesis. A learned constant of 4 x 4, then at each resolution two modulated convolutions (one at 4 x 4), the first of
which doubles the side; after each, noise B times a learned strength, a bias and LeakyReLU. A layer to RGB at every
resolution, modulated and not demodulated, is added to the upsampled picture of the one before: "output skips"
(figure 7). A picture of 2^r pixels takes 2 r - 2 styles: convolution i takes w_i, a layer to RGB the same as the
convolution that follows it, so that styles mixed at a layer cut the picture there.

Discriminator. Residual blocks, each halving the side, main path and shortcut added and divided by sqrt(2) (figure 7);
minibatch standard deviation, one convolution and two dense layers.

All weights at an equalized learning rate; all resampling blurred by 1 3 3 1; LeakyReLU 0.2 times sqrt(2). There is no
normalization but demodulation. Weights are stored in float32, colours are added up in float32.

Reference: Karras et al. 2019, "A Style-Based Generator Architecture for Generative Adversarial Networks",
https://arxiv.org/abs/1812.04948; Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN",
https://arxiv.org/abs/1912.04958
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial import fir
from genjax.adversarial.equalized import (
    EqualizedConv,
    EqualizedDense,
    equalized_bias,
    equalized_kernel,
    minibatch_stddev,
    pixel_norm,
    scaled_leaky_relu,
)
from genjax.adversarial.modulated import ModulatedConv, modulated_conv2d, scaled_conv2d
from genjax.contract import Array
from genjax.nn import conv2d

BASE = 4  # side of the constant


class MappingNetwork(nn.Module):
    """Latents z to w.

    features: coordinates of w and of the hidden layers.
    layers: how many.
    multiplier: of the learning rate.
    dtype: compute dtype; w is float32.
    """

    features: int = 512
    layers: int = 8
    multiplier: float = 0.01
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array, *, train: bool = False) -> Array:
        """Map latents `[B, L]` to w `[B, features]`."""
        del train
        x = pixel_norm(z)
        for index in range(self.layers):
            dense = EqualizedDense(self.features, multiplier=self.multiplier, dtype=self.dtype, name=f"dense_{index}")
            x = scaled_leaky_relu(dense(x))
        return x.astype(jnp.float32)


class SkipSynthesis(nn.Module):
    """Styles and noise to a picture, by modulated convolutions and output skips.

    features: channels at 4 x 4, 8 x 8, ...; as many as there are resolutions.
    channels: C of the picture.
    dtype: compute dtype; the picture is float32.
    """

    features: Sequence[int]
    channels: int = 1
    dtype: Any = None

    @property
    def noise_sides(self) -> tuple[int, ...]:
        """Return the side of each noise: one at 4 x 4, two at each larger resolution."""
        return (BASE, *(BASE * 2**index for index in range(1, len(self.features)) for _ in range(2)))

    @nn.compact
    def __call__(self, ws: Array, noise: Sequence[Array], *, train: bool = False) -> Array:
        """Map styles `[B, num_styles(features), W]` to a picture `[B, H, W, C]`, meant for [-1, 1].

        Args:
            ws: a style for each layer.
            noise: as `draw_noise` makes it; a leading axis of 1 gives all pictures the same.
            train: of no effect.
        """
        del train
        check_styles(ws, noise, self.features, self.noise_sides)
        constant = self.param("constant", nn.initializers.normal(1.0), (1, BASE, BASE, self.features[0]), jnp.float32)
        x = jnp.broadcast_to(constant, (ws.shape[0], *constant.shape[1:]))
        layer = partial(_StyledLayer, dtype=self.dtype)
        x = layer(self.features[0], name="conv_4")(x, ws[:, 0], noise[0])
        picture = self._to_rgb(BASE, x, ws[:, 1])
        for index, width in enumerate(self.features[1:]):
            side, first = BASE * 2 ** (index + 1), 2 * index + 1
            x = layer(width, upsamples=True, name=f"conv_{side}_0")(x, ws[:, first], noise[first])
            x = layer(width, name=f"conv_{side}_1")(x, ws[:, first + 1], noise[first + 1])
            picture = fir.upsample(picture) + self._to_rgb(side, x, ws[:, first + 2])
        return picture

    def _to_rgb(self, side: int, x: Array, w: Array) -> Array:
        """Return the colours of one resolution, float32."""
        conv = ModulatedConv(self.channels, 1, apply=scaled_conv2d, dtype=self.dtype, name=f"to_rgb_{side}")
        bias = self.param(f"to_rgb_{side}_bias", nn.initializers.zeros_init(), (self.channels,), jnp.float32)
        return conv(x, w).astype(jnp.float32) + bias[None, None, None]


class _StyledLayer(nn.Module):
    """A modulated convolution, noise, bias, LeakyReLU."""

    features: int
    upsamples: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, w: Array, noise: Array) -> Array:
        apply = partial(modulated_conv2d, convolve=fir.upsample_conv2d if self.upsamples else conv2d)
        x = ModulatedConv(self.features, apply=apply, dtype=self.dtype, name="conv")(x, w)
        return scaled_leaky_relu(add_noise_and_bias(self, x, noise))


class ResidualDiscriminator(nn.Module):
    """Pictures to scores, by residual blocks.

    features: channels at 4 x 4, 8 x 8, ...; as many as there are resolutions.
    group: examples a group of the minibatch standard deviation.
    dtype: compute dtype.
    """

    features: Sequence[int]
    group: int = 4
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map pictures `[B, H, W, C]` to scores `[B]`."""
        del train
        side = picture_side(self.features)
        if x.shape[1:3] != (side, side):
            raise ValueError(f"{len(self.features)} features are for pictures of {side} x {side}, not {x.shape[1:3]}.")
        conv, dense = partial(EqualizedConv, dtype=self.dtype), partial(EqualizedDense, dtype=self.dtype)
        x = scaled_leaky_relu(conv(self.features[-1], 1, name="from_rgb")(x))
        for index in range(len(self.features) - 1, 0, -1):
            block = _ResidualBlock(self.features[index], self.features[index - 1], self.dtype, name=f"block_{side}")
            x, side = block(x), side // 2
        x = minibatch_stddev(x, group=self.group)
        x = scaled_leaky_relu(conv(self.features[0], name="conv")(x))
        x = scaled_leaky_relu(dense(self.features[0], name="dense")(x.reshape(x.shape[0], -1)))
        return dense(1, name="score")(x)[:, 0]


class _ResidualBlock(nn.Module):
    """(down(act(conv)) + down(1 x 1 conv)) / sqrt(2)."""

    inner: int
    outer: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = x if self.dtype is None else x.astype(self.dtype)
        y = scaled_leaky_relu(EqualizedConv(self.inner, dtype=self.dtype, name="conv")(x))
        y = _DownConv(self.outer, 3, name="down")(y)
        y = scaled_leaky_relu(y + equalized_bias(self, self.outer).astype(y.dtype)[None, None, None])
        return (y + _DownConv(self.outer, 1, name="shortcut")(x)) * math.sqrt(0.5)


class _DownConv(nn.Module):
    """A blurred convolution of stride 2 without bias, in x's dtype."""

    features: int
    kernel_size: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = equalized_kernel(self, (self.kernel_size, self.kernel_size, x.shape[-1], self.features))
        return fir.downsample_conv2d(x, kernel.astype(x.dtype))


def add_noise_and_bias(module: nn.Module, x: Array, noise: Array) -> Array:
    """Return x + strength noise + bias, with the parameters of the module declared here, both zero at first.

    Args:
        module: in its compact call.
        x: `[B, H, W, C]`.
        noise: `[B or 1, H, W, 1]`; StyleGAN2 has one strength a layer.
    """
    strength = module.param("noise_strength", nn.initializers.zeros_init(), (), jnp.float32)
    bias = equalized_bias(module, x.shape[-1])
    return x + (strength * noise).astype(x.dtype) + bias.astype(x.dtype)[None, None, None]


def num_styles(features: Sequence[int]) -> int:
    """Return how many styles a synthesis network with these features takes: 2 log2(side) - 2."""
    return 2 * len(features)


def picture_side(features: Sequence[int]) -> int:
    """Return the side of pictures with as many resolutions as there are features."""
    return BASE * 2 ** (len(features) - 1)


def draw_noise(key: Array, num: int, sides: Sequence[int]) -> tuple[Array, ...]:
    """Draw the noise of all layers of a synthesis network.

    Args:
        key: a key.
        num: pictures; 1 for noise that all of a batch share.
        sides: `noise_sides` of the network.

    Returns:
        One for each side, standard normal `[num, side, side, 1]`.
    """
    keys = jax.random.split(key, len(sides))
    return tuple(jax.random.normal(k, (num, side, side, 1)) for k, side in zip(keys, sides))


def check_styles(ws: Array, noise: Sequence[Array], features: Sequence[int], sides: Sequence[int]) -> None:
    """Raise a ValueError unless there are a style and a noise for each layer that takes one."""
    layers = num_styles(features)
    if ws.ndim != 3 or ws.shape[1] != layers or [n.shape[1] for n in noise] != list(sides):
        raise ValueError(
            f"{len(features)} resolutions take styles [B, {layers}, W] and noise of sides {tuple(sides)}, not "
            f"{ws.shape} and {tuple(n.shape[1] for n in noise)}."
        )
