"""StyleGAN's first synthesis network: adaptive instance normalization after every layer.

    AdaIN(x_i, y) = y_s,i (x_i - mu(x_i)) / sigma(x_i) + y_b,i,   (y_s, y_b) = A(w)                      (eq. 1)

with mu and sigma over the pixels of one feature map x_i of one example, and A an affine map learned for each layer. At
each resolution there are two layers: upsample by nearest neighbours, convolve and blur by 1 2 1 (at 4 x 4 the learned
constant instead); then convolve. Each is followed by noise times a learned strength of each channel, bias, LeakyReLU 0.2
and AdaIN. A picture of 2^r pixels takes 2 r - 2 styles and as many noises; one 1 x 1 convolution makes its colours.

It takes the place of `style_networks.SkipSynthesis` in `stylegan2`, without path lengths: that is StyleGAN, except that
the discriminator is the residual one and all resolutions are trained at once.

Reference: Karras et al. 2019, "A Style-Based Generator Architecture for Generative Adversarial Networks",
https://arxiv.org/abs/1812.04948
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import lax

from genjax.adversarial import fir
from genjax.adversarial.equalized import HE, EqualizedConv, EqualizedDense, equalized_bias, equalized_kernel, leaky_relu
from genjax.adversarial.style_networks import BASE, check_styles
from genjax.contract import Array
from genjax.nn import conv2d

TRIANGLE = (1.0, 2.0, 1.0)


class AdaINSynthesis(nn.Module):
    """Styles and noise to a picture, by instance normalizations that styles set.

    features: channels at 4 x 4, 8 x 8, ...; as many as there are resolutions.
    channels: C of the picture.
    dtype: compute dtype; the picture is float32.
    """

    features: Sequence[int]
    channels: int = 1
    dtype: Any = None

    @property
    def noise_sides(self) -> tuple[int, ...]:
        """Return the side of each noise."""
        return tuple(BASE * 2**index for index in range(len(self.features)) for _ in range(2))

    @nn.compact
    def __call__(self, ws: Array, noise: Sequence[Array], *, train: bool = False) -> Array:
        """Map styles `[B, num_styles(features), W]` and noise `[B or 1, side, side, 1]` to a picture `[B, H, W, C]`."""
        del train
        check_styles(ws, noise, self.features, self.noise_sides)
        constant = self.param("constant", nn.initializers.ones_init(), (1, BASE, BASE, self.features[0]), jnp.float32)
        x = jnp.broadcast_to(constant, (ws.shape[0], *constant.shape[1:]))
        x = x if self.dtype is None else x.astype(self.dtype)
        for index, width in enumerate(self.features):
            side, first = BASE * 2**index, 2 * index
            if index:
                kernel = equalized_kernel(self, (3, 3, x.shape[-1], width), HE, name=f"up_{side}")
                x = fir.blur(conv2d(fir.upsample(x, fir.BOX), kernel.astype(x.dtype)), TRIANGLE)
            x = StyledActivation(name=f"style_{side}_0")(x, ws[:, first], noise[first])
            kernel = equalized_kernel(self, (3, 3, width, width), HE, name=f"conv_{side}")
            x = conv2d(x, kernel.astype(x.dtype))
            x = StyledActivation(name=f"style_{side}_1")(x, ws[:, first + 1], noise[first + 1])
        return EqualizedConv(self.channels, 1, dtype=self.dtype, name="to_rgb")(x).astype(jnp.float32)


class StyledActivation(nn.Module):
    """Noise, bias, LeakyReLU, AdaIN."""

    @nn.compact
    def __call__(self, x: Array, w: Array, noise: Array) -> Array:
        """Map x `[B, H, W, C]` under w `[B, W]` and noise `[B or 1, H, W, 1]` to the same shape."""
        channels = x.shape[-1]
        strength = self.param("noise_strength", nn.initializers.zeros_init(), (channels,), jnp.float32)
        bias = equalized_bias(self, channels)
        x = leaky_relu(x + (strength[None, None, None] * noise + bias[None, None, None]).astype(x.dtype))
        style = EqualizedDense(2 * channels, name="style")(w)
        return adain(x, 1 + style[:, :channels], style[:, channels:])


def adain(x: Array, scale: Array, shift: Array, epsilon: float = 1e-8) -> Array:
    """Give every feature map of every example a standard deviation and a mean; statistics in float32.

    Args:
        x: `[B, H, W, C]`.
        scale: y_s, `[B, C]`.
        shift: y_b, `[B, C]`.
        epsilon: added to the variance.

    Returns:
        `[B, H, W, C]`, of x's dtype.

    Raises:
        ValueError: the shapes do not match.

    Reference: Karras et al. 2019, eq. 1.
    """
    if x.ndim != 4 or scale.shape != (x.shape[0], x.shape[-1]) or shift.shape != scale.shape:
        raise ValueError(
            f"AdaIN takes x [B, H, W, C], scale and shift [B, C]; here {x.shape}, {scale.shape}, {shift.shape}."
        )
    wide = x.astype(jnp.float32)
    wide = wide - wide.mean(axis=(1, 2), keepdims=True)
    wide = wide * lax.rsqrt(jnp.square(wide).mean(axis=(1, 2), keepdims=True) + epsilon)
    return (scale[:, None, None] * wide + shift[:, None, None]).astype(x.dtype)
