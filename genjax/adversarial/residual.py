"""The residual blocks of SN-GAN, SAGAN and BigGAN, as functions of the layers they are made of.

Generator block: norm, ReLU, double the side, 3 x 3, norm, ReLU, 3 x 3; beside it, double the side and 1 x 1.
Discriminator block: ReLU, 3 x 3, ReLU, 3 x 3, halve the side; beside it 1 x 1 and halve the side. The first block of a
discriminator starts without ReLU, since its input is a picture. Sides are doubled by repeating pixels and halved by
averaging them.

The functions are called within a module's compact method and make their layers there: `conv` is called as
conv(features, kernel_size=...)(x), `norm` as norm(x). Only what is not bound to be lost has a bias: a shift of whole
channels does not pass the next normalization, so no convolution of a generator block has one.

Reference: Miyato et al. 2018, appendix B.4, figure 8, https://arxiv.org/abs/1802.05957; Gulrajani et al. 2017,
appendix F, https://arxiv.org/abs/1704.00028
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from genjax.contract import Array

Layer = Callable[[Array], Array]
ConvFactory = Callable[..., Layer]  # features, kernel_size=, use_bias= -> layer


def generator_block(x: Array, features: int, *, conv: ConvFactory, norm: Layer) -> Array:
    """Map x `[B, H, W, C]` to `[B, 2 H, 2 W, features]`."""
    h = double_side(jax.nn.relu(norm(x)))
    h = conv(features, kernel_size=3, use_bias=False)(h)
    h = conv(features, kernel_size=3, use_bias=False)(jax.nn.relu(norm(h)))
    # A 1 x 1 convolution and repeated pixels commute; this order is four times cheaper.
    return h + double_side(conv(features, kernel_size=1, use_bias=False)(x))


def discriminator_block(x: Array, features: int, *, conv: ConvFactory, halve: bool = True) -> Array:
    """Map x `[B, H, W, C]` to `[B, H / 2, W / 2, features]`, or `[B, H, W, features]` without `halve`.

    The shortcut is x itself where neither the side nor the channels change.
    """
    h = conv(features, kernel_size=3)(jax.nn.relu(x))
    h = conv(features, kernel_size=3)(jax.nn.relu(h))
    if not halve:
        return h + (x if x.shape[-1] == features else conv(features, kernel_size=1)(x))
    # Averages and a 1 x 1 convolution commute too.
    return halve_side(h) + conv(features, kernel_size=1)(halve_side(x))


def first_discriminator_block(x: Array, features: int, *, conv: ConvFactory) -> Array:
    """Map pictures `[B, H, W, C]` to `[B, H / 2, W / 2, features]`."""
    h = jax.nn.relu(conv(features, kernel_size=3)(x))
    h = conv(features, kernel_size=3)(h)
    return halve_side(h) + conv(features, kernel_size=1)(halve_side(x))


def double_side(x: Array) -> Array:
    """Repeat every pixel in a square of two by two: `[B, H, W, C]` -> `[B, 2 H, 2 W, C]`."""
    chex.assert_rank(x, 4)
    batch, height, width, channels = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None], (batch, height, 2, width, 2, channels))
    return x.reshape(batch, 2 * height, 2 * width, channels)


def halve_side(x: Array) -> Array:
    """Average pixels in squares of two by two: `[B, H, W, C]` -> `[B, H / 2, W / 2, C]`.

    Raises:
        ValueError: if a side is odd.
    """
    chex.assert_rank(x, 4)
    batch, height, width, channels = x.shape
    if height % 2 or width % 2:
        raise ValueError(f"A picture of {height} x {width} cannot be halved; give even sides.")
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))
