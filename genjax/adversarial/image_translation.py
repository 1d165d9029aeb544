"""Networks that turn pictures into pictures, and judge them patch by patch: pix2pix's, CycleGAN's, StarGAN's.

U-Net (Isola et al. 2017, section 3.2.1 and appendix 6.1): convolutions 4 x 4 halve the side down to the bottleneck,
transposed ones double it again, and each map on the way up stands beside the one of its size on the way down, so that
what given and wanted picture share need not pass the bottleneck. The noise is dropout in the innermost layers on the way
up, on whenever a picture is made, not in training alone.

PatchGAN (section 3.2.2): a stack of convolutions whose every score sees a patch of the picture. With strides s_1 ... s_n
and kernels of side k, the last one the score's, the patch has the side r_0 of

    r_n = k,    r_{i-1} = (r_i - 1) s_i + k                                           receptive_field

strides 2, 2, 2, 1 and k = 4 give the paper's 70 x 70, strides 2, 1 its 16 x 16. An instance normalization between the
layers lets each score know, beyond its patch, mean and deviation of the maps.

Residual generator (Johnson et al. 2016, as in Zhu et al. 2017, section 4 and appendix 7.2): a wide convolution, some that
halve the side, residual blocks at the smallest one, and back. Its padding reflects the picture. A channel that is constant
over it, as StarGAN's labels are, does not pass an instance normalization: under zeros for padding it is seen by its border
alone, and the middle of a kernel on it has no gradient at all. So the first map can be left as it is.

Instance normalization (Ulyanov et al. 2016) is batch normalization of a batch of one, as these papers train.

Reference: Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks",
https://arxiv.org/abs/1611.07004; Zhu et al. 2017, https://arxiv.org/abs/1703.10593
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.contract import Array, PyTree
from genjax.nn import Conv, ConvTranspose

weight_init = nn.initializers.normal(0.02)  # of all three papers
leaky_relu = partial(jax.nn.leaky_relu, negative_slope=0.2)


def instance_norm(x: Array, *, epsilon: float = 1e-5) -> Array:
    """Return each map of each picture with mean 0 and variance 1.

    Args:
        x: `[B, H, W, C]`.
        epsilon: added to the variance.

    Returns:
        `[B, H, W, C]`, of x's dtype; moments are taken in float32.

    Reference: Ulyanov et al. 2016, "Instance Normalization", https://arxiv.org/abs/1607.08022
    """
    chex.assert_rank(x, 4)
    wide = x.astype(jnp.float32)
    centred = wide - wide.mean(axis=(1, 2), keepdims=True)
    variance = jnp.mean(centred**2, axis=(1, 2), keepdims=True)
    return (centred * jax.lax.rsqrt(variance + epsilon)).astype(x.dtype)


class InstanceNorm(nn.Module):
    """`instance_norm` with a learned scale and bias a channel; the layer before it needs no bias.

    scale_init: initializer of the scale.
    """

    scale_init: Callable[..., Array] = nn.initializers.ones_init()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Normalize x `[B, H, W, C]`."""
        scale = self.param("scale", self.scale_init, x.shape[-1:], jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), x.shape[-1:], jnp.float32)
        scale, bias = (v.reshape(1, 1, 1, -1).astype(x.dtype) for v in (scale, bias))
        return instance_norm(x) * scale + bias


class UNetGenerator(nn.Module):
    """Pictures to pictures in [-1, 1], with skips between maps of one size; noise is dropout.

    features: channels of the maps on the way down, from the picture inwards, two or more; each halves the side.
    out_channels: of the pictures made.
    dropout: rate in the three innermost layers on the way up, always on; 0 for a deterministic network.
    dtype: compute dtype.
    """

    features: Sequence[int]
    out_channels: int
    dropout: float = 0.5
    dtype: Any = None

    @nn.compact
    def __call__(self, given: Array, *, train: bool) -> Array:
        """Map pictures `[B, H, W, C]` to `[B, H, W, out_channels]`; a key 'dropout' is needed where there is noise."""
        del train
        _require_halvings(given, len(self.features), least=2)
        down = partial(Conv, kernel_size=4, stride=2, kernel_init=weight_init, dtype=self.dtype)
        up = partial(ConvTranspose, kernel_size=4, kernel_init=weight_init, dtype=self.dtype)
        first, *middle, last = self.features
        maps = [down(first)(given)]
        for width in middle:
            maps.append(InstanceNorm()(down(width, use_bias=False)(leaky_relu(maps[-1]))))
        # The bottleneck may be one pixel, of which normalization leaves nothing.
        h = down(last)(leaky_relu(maps[-1]))
        for depth, beside in enumerate(reversed(maps)):
            h = InstanceNorm()(up(beside.shape[-1], use_bias=False)(jax.nn.relu(h)))
            h = nn.Dropout(self.dropout if depth < 3 else 0.0, deterministic=False)(h)
            h = jnp.concatenate([h, beside], axis=-1)
        return jnp.tanh(up(self.out_channels)(jax.nn.relu(h)))


class PatchGAN(nn.Module):
    """Pictures, and what they were to be made of, to a score of each patch.

    features: channels of the convolutions before the one that scores.
    strides: of the same ones.
    kernel_size: side of all kernels; the padding is 1 on every side.
    normalize: whether all maps but the first are instance-normalized.
    dtype: compute dtype.
    """

    features: Sequence[int] = (64, 128, 256, 512)
    strides: Sequence[int] = (2, 2, 2, 1)
    kernel_size: int = 4
    normalize: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, given: Array | None = None, *, train: bool) -> Array:
        """Map pictures `[B, H, W, C]`, and `given` `[B, H, W, C']` if any, to scores `[B, h, w]`."""
        del train
        h = x if given is None else jnp.concatenate([x, given], axis=-1)
        conv = partial(Conv, kernel_size=self.kernel_size, padding=1, kernel_init=weight_init, dtype=self.dtype)
        for index, (width, stride) in enumerate(zip(self.features, self.strides, strict=True)):
            normalized = self.normalize and index > 0
            h = conv(width, stride=stride, use_bias=not normalized)(h)
            h = leaky_relu(InstanceNorm()(h) if normalized else h)
        return conv(1)(h)[..., 0]


class ResidualGenerator(nn.Module):
    """Pictures to pictures in [-1, 1] by residual blocks between strided convolutions.

    features: channels, from the first map to the smallest; each after the first halves the side.
    out_channels: of the pictures made.
    blocks: residual blocks; 6 for sides of 128, 9 for 256 in the paper.
    outer_kernel: side of the first and the last kernel.
    reflect: pad by reflection; zeros otherwise.
    normalize_first: whether the first map is normalized; not where channels are constant.
    dtype: compute dtype.
    """

    features: Sequence[int]
    out_channels: int
    blocks: int = 6
    outer_kernel: int = 7
    reflect: bool = True
    normalize_first: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(self, given: Array, *, train: bool) -> Array:
        """Map pictures `[B, H, W, C]` to `[B, H, W, out_channels]`."""
        del train
        _require_halvings(given, len(self.features) - 1, least=0)
        up = partial(ConvTranspose, kernel_size=4, kernel_init=weight_init, use_bias=False, dtype=self.dtype)
        norm_relu = lambda h: jax.nn.relu(instance_norm(h))
        first, *smaller = self.features
        h = self._conv(given, first, self.outer_kernel, use_bias=not self.normalize_first)
        h = norm_relu(h) if self.normalize_first else jax.nn.relu(h)
        for width in smaller:
            h = norm_relu(self._conv(h, width, 3, stride=2))
        for _ in range(self.blocks):
            inner = norm_relu(self._conv(h, h.shape[-1], 3))
            h = h + instance_norm(self._conv(inner, h.shape[-1], 3))
        for width in reversed(self.features[:-1]):
            h = norm_relu(up(width)(h))
        return jnp.tanh(self._conv(h, self.out_channels, self.outer_kernel, use_bias=True))

    def _conv(self, x: Array, features: int, kernel_size: int, *, stride: int = 1, use_bias: bool = False) -> Array:
        pad = kernel_size // 2
        around = ((0, 0), (pad, pad), (pad, pad), (0, 0))
        x = jnp.pad(x, around, mode="reflect") if self.reflect else jnp.pad(x, around)
        conv = Conv(features, kernel_size, stride, "VALID", use_bias, weight_init, self.dtype)
        return conv(x)


def receptive_field(kernel_size: int, strides: Sequence[int]) -> int:
    """Return the side of the patch that one score of a `PatchGAN` sees through its convolutions.

    Args:
        kernel_size: k, of all its kernels, the score's included.
        strides: s_1 ... s_n of those before the score's.
    """
    side = kernel_size
    for stride in reversed(strides):
        side = (side - 1) * stride + kernel_size
    return side


def over_patches(loss: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """Return a loss on scores `[B, ...]`, of patches or of whole pictures: each picture's mean of a loss on scores `[B]`.

    Args:
        loss: scores `[B]`, one or more -> `[B]` or a tuple of these, such as those of `genjax.adversarial.losses`.
    """

    def averaged(*scores: Array) -> PyTree:
        chex.assert_equal_shape(scores)
        each = loss(*(of.reshape(-1) for of in scores))
        return jax.tree.map(lambda values: mean_score(values.reshape(scores[0].shape)), each)

    return averaged


def mean_score(scores: Array) -> Array:
    """Return the mean over each picture's scores `[B, ...]`, `[B]`: a discriminator of patches as penalties see it."""
    return scores.reshape(scores.shape[0], -1).mean(axis=1)


def l1_loss(made: Array, wanted: Array) -> Array:
    """Return the mean absolute difference of pictures.

    Args:
        made: `[B, ...]`.
        wanted: `[B, ...]`.

    Returns:
        `[B]`, in the unit of an entry: the mean over entries, as the authors' code has it, not the norm.

    Reference: Isola et al. 2017, eq. 3.
    """
    if made.shape != wanted.shape or made.ndim < 2:
        raise ValueError(
            f"Pictures are compared with others of their shape [B, ...], not {made.shape} with {wanted.shape}."
        )
    return jnp.abs(made - wanted).reshape(made.shape[0], -1).mean(axis=1)


def from_gallery(key: Array, gallery: Array, num: int) -> Array:
    """Return `num` pictures of a gallery `[M, ...]`, each drawn anew: what is translated where nothing is given."""
    return gallery[jax.random.randint(key, (num,), 0, gallery.shape[0])]


def require_given(condition: Array | None, num_samples: int) -> None:
    """Raise where a condition is not one picture a sample.

    Raises:
        ValueError: so it is.
    """
    if condition is not None and condition.shape[0] != num_samples:
        raise ValueError(f"One picture a sample is to be translated: {num_samples}, not {condition.shape[0]}.")


def _require_halvings(x: Array, times: int, *, least: int) -> None:
    chex.assert_rank(x, 4)
    if times < least or x.shape[1] % 2**times or x.shape[2] % 2**times:
        raise ValueError(
            f"A picture of {x.shape[1]} x {x.shape[2]} cannot be halved {times} times, or that is fewer than {least}: "
            f"give sides that are multiples of {2 ** max(times, least)}."
        )
