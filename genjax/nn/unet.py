"""The U-Net of denoising diffusion models (Ho, Jain & Abbeel 2020, arXiv:2006.11239, appendix B).

Levels l = 0 ... L-1 halve the resolution and have `channels[l]` channels each. Down: `blocks` residual blocks a
level, every output kept, then a strided convolution, kept too. Middle: block, attention, block. Up: `blocks + 1`
blocks a level, each on its input beside the kept output of its counterpart, then nearest-neighbour upsampling. The
time enters every block through its embedding; an optional class is added to it (Dhariwal & Nichol 2021, section 4.3).
A text is attended to, where `parts` have an attention that does so: `genjax.nn.text_attention`.

The output convolution, and the last of every block, start at zero: the untrained network predicts 0.

With `patch` p > 1 the network works on p x p patches as the pixels of a smaller picture (Luhman & Luhman 2022,
arXiv:2207.04316), which costs p^2 times less: where a finest level of few channels would take most of the time.

Noise far below the size of the data is hardly seen beside it, and the likelihood hangs on it: `fourier` n, n', ... gives
the network sin(2^n pi x) and cos(2^n pi x) as well (Kingma, Salimans, Poole & Ho 2021, arXiv:2107.00630, appendix C).

The same network, without patches, in diffusers is

    UNet2DModel(in_channels=C, out_channels=C, block_out_channels=channels, layers_per_block=blocks,
                down_block_types=['AttnDownBlock2D' for a level in `attention`, else 'DownBlock2D', finest first],
                up_block_types=['AttnUpBlock2D' or 'UpBlock2D', coarsest first], attention_head_dim=head_channels,
                norm_num_groups=groups, norm_eps=1e-6, downsample_padding=1, flip_sin_to_cos=False, freq_shift=1,
                act_fn='silu', resnet_time_scale_shift='default', mid_block_scale_factor=1, add_attention=True,
                dropout=dropout, num_class_embeds=None or num_classes + 1)

and tests/nn/test_unet_parity.py carries weights from the one to the other.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from genjax.contract import Array
from genjax.nn.attention import PixelAttention
from genjax.nn.conv import Conv
from genjax.nn.embeddings import TimeEmbedding
from genjax.nn.group_norm import GroupNorm
from genjax.nn.patches import patchify, unpatchify
from genjax.nn.resnet import Downsample, ResidualBlock, Upsample
from genjax.nn.text import Text


class Parts(NamedTuple):
    """What a U-Net is made of: builders of modules, each called with `name`.

    block: (channels, groups, dropout, dtype) -> module(h, embedding, *, train), which keeps the size.
    down: the same, which halves the size.
    up: the same -> module(h, embedding, height, width, *, train), which brings h to that size.
    attention: (head_channels, groups, dtype) -> module(h, text), the text a `Text` or None.
    time: (channels, dtype) -> module(t), which embeds times as [B, 4 channels].
    """

    block: Callable[..., Callable[..., Array]]
    down: Callable[..., Callable[..., Array]]
    up: Callable[..., Callable[..., Array]]
    attention: Callable[..., Callable[..., Array]]
    time: Callable[..., Callable[..., Array]] = TimeEmbedding


def _strided(channels: int, groups: int, dropout: float, dtype: Any, *, name: str) -> Callable[..., Array]:
    smaller = Downsample(dtype, name=name)
    return lambda h, embedding, *, train: smaller(h)


def _repeated(channels: int, groups: int, dropout: float, dtype: Any, *, name: str) -> Callable[..., Array]:
    larger = Upsample(dtype, name=name)
    return lambda h, embedding, height, width, *, train: larger(h, height, width)


PLAIN = Parts(ResidualBlock, _strided, _repeated, PixelAttention)


def with_fourier_features(x: Array, exponents: tuple[int, ...]) -> Array:
    """Return [x, sin(2^n pi x), cos(2^n pi x) for each n], along the channels: [B, H, W, (1 + 2 len(exponents)) C]."""
    waves = [wave(2.0**n * jnp.pi * x) for n in exponents for wave in (jnp.sin, jnp.cos)]
    return jnp.concatenate([x, *waves], axis=-1)


class UNet(nn.Module):
    """A U-Net that predicts a map from a noisy image and its time.

    channels: channels of each level, finest first.
    blocks: residual blocks a level.
    attention: levels with attention after each block, 0 the finest.
    head_channels: channels of an attention head; None for a single head.
    groups: groups of the normalizations; divides all channels.
    dropout: rate inside blocks.
    num_classes: classes to condition on; 0 for none. Class num_classes stands for 'none given'.
    text: whether it is conditioned on a text instead; its pooled vector, if there is one, is added to the time's.
    out_channels: of the output; None for those of the input.
    patch: side of the patches that are its pixels.
    fourier: exponents n of the Fourier features of x that it sees beside x; 2^-n is what they resolve.
    dtype: compute dtype; parameters, normalizations and the output are float32.
    parts: what it is made of; `PLAIN` is DDPM's, `genjax.nn.adm`, `ncsnpp` and `text_attention` have others.
    """

    channels: tuple[int, ...] = (128, 256, 256, 256)
    blocks: int = 2
    attention: tuple[int, ...] = (1,)
    head_channels: int | None = None
    groups: int = 32
    dropout: float = 0.0
    num_classes: int = 0
    text: bool = False
    out_channels: int | None = None
    patch: int = 1
    fourier: tuple[int, ...] = ()
    dtype: Any = None
    parts: Parts = PLAIN

    @nn.compact
    def __call__(self, x: Array, t: Array, condition: Array | Text | None = None, *, train: bool = False) -> Array:
        """Predict from x [B, H, W, C] at times t [B], given classes [B] or a text where the network has them.

        Args:
            x: noisy images, about unit scale.
            t: times in steps, 0 ... 1000 or so; see `embeddings.sinusoidal_embedding`.
            condition: int32 classes [B] in 0 ... num_classes (the last: none), a `Text`, or None.
            train: whether dropout is on; it then needs a key 'dropout'.

        Returns:
            float32 [B, H, W, out_channels].

        Raises:
            ValueError: x is no batch of images that the patch divides, the condition is not the one the network has, or
                channels that the groups do not divide.
        """
        self._check(x, condition)
        embedding = self.parts.time(self.channels[0], dtype=self.dtype, name="time")(t)
        if self.num_classes:
            classes = nn.Embed(self.num_classes + 1, 4 * self.channels[0], dtype=self.dtype, name="classes")
            embedding = embedding + classes(condition)
        text = condition if self.text else None
        if self.text and condition.pooled is not None:
            embedding = embedding + nn.Dense(4 * self.channels[0], dtype=self.dtype, name="pooled")(condition.pooled)
        rows, columns = x.shape[1] // self.patch, x.shape[2] // self.patch
        pixels = patchify(with_fourier_features(x, self.fourier), self.patch).reshape(len(x), rows, columns, -1)
        h = Conv(self.channels[0], padding=1, dtype=self.dtype, name="conv_in")(pixels)
        h, kept = self._down(h, embedding, text, train)
        h = self._block(h, self.channels[-1], embedding, train, "middle_0")
        h = self.parts.attention(self.head_channels, self.groups, self.dtype, name="middle_attention")(h, text)
        h = self._block(h, self.channels[-1], embedding, train, "middle_1")
        h = self._up(h, kept, embedding, text, train)
        h = nn.silu(GroupNorm(self.groups, dtype=self.dtype, name="norm_out")(h))
        outputs, zeros = (self.out_channels or x.shape[-1]) * self.patch**2, nn.initializers.zeros_init()
        out = Conv(outputs, padding=1, kernel_init=zeros, dtype=self.dtype, name="conv_out")(h)
        tokens = out.astype(jnp.float32).reshape(len(x), rows * columns, outputs)
        return unpatchify(tokens, self.patch, *x.shape[1:3])

    def _down(self, h: Array, embedding: Array, text: Text | None, train: bool) -> tuple[Array, list[Array]]:
        """Return the coarsest map and all that is kept on the way to it, in order."""
        kept = [h]
        for level, channels in enumerate(self.channels):
            for i in range(self.blocks):
                h = self._block(h, channels, embedding, train, f"down_{level}_{i}")
                h = self._attend(h, text, level, f"down_{level}_{i}_attention")
                kept.append(h)
            if level < len(self.channels) - 1:
                smaller = self.parts.down(channels, self.groups, self.dropout, self.dtype, name=f"downsample_{level}")
                h = smaller(h, embedding, train=train)
                kept.append(h)
        return h, kept

    def _up(self, h: Array, kept: list[Array], embedding: Array, text: Text | None, train: bool) -> Array:
        """Return the finest map, taking what was kept from its end."""
        for level in reversed(range(len(self.channels))):
            for i in range(self.blocks + 1):
                h = jnp.concatenate([h, kept.pop()], axis=-1)
                h = self._block(h, self.channels[level], embedding, train, f"up_{level}_{i}")
                h = self._attend(h, text, level, f"up_{level}_{i}_attention")
            if level > 0:
                options = (self.channels[level], self.groups, self.dropout, self.dtype)
                larger = self.parts.up(*options, name=f"upsample_{level}")
                h = larger(h, embedding, *kept[-1].shape[1:3], train=train)
        return h

    def _block(self, h: Array, channels: int, embedding: Array, train: bool, name: str) -> Array:
        return self.parts.block(channels, self.groups, self.dropout, self.dtype, name=name)(h, embedding, train=train)

    def _attend(self, h: Array, text: Text | None, level: int, name: str) -> Array:
        if level not in self.attention:
            return h
        return self.parts.attention(self.head_channels, self.groups, self.dtype, name=name)(h, text)

    def _check(self, x: Array, condition: Array | Text | None) -> None:
        if x.ndim != 4:
            raise ValueError(f"x has shape {x.shape}; the U-Net takes images [B, H, W, C].")
        if self.num_classes and self.text:
            raise ValueError("the U-Net is conditioned on classes or on a text, not on both.")
        given = "no condition" if condition is None else "a text" if isinstance(condition, Text) else "a condition"
        if self.text and given != "a text":
            raise ValueError(f"the U-Net is conditioned on a text (genjax.nn.Text) and was given {given}.")
        if not self.text and given != ("a condition" if self.num_classes else "no condition"):
            raise ValueError(f"the U-Net has {self.num_classes} classes and was given {given}.")
        if any(channels % self.groups for channels in self.channels):
            raise ValueError(f"channels {self.channels} are not all divisible by {self.groups} groups.")
