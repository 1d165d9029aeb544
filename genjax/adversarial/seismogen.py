"""SeismoGen: seismic waveforms of three components, with an earthquake or without, by a conditional WGAN-GP.

After the description of the paper: the generator is told whether the record is to hold an event. What all components
share (when the waves arrive) comes from one trunk, and each component is then made by a pipeline of its own, since P
moves the vertical most and S the horizontals:

    h = trunk(z, y)      x_c = pipeline_c(h, n_c),  c = vertical, north, east

n_c is one number a step, of which a pipeline makes the noise of its component: a few latents could not hold it. The
critic sees the three components together, under the class. Both are trained as in WGAN-GP (`wgan_gp`), on records that
are scaled so that their largest absolute value is 1 (`peak_normalize`).

Generated records are there to train a detector where few records have been labelled.

Reference: Wang, Trugman & Lin 2021, "SeismoGen: Seismic Waveform Synthesis Using GAN With Application to Seismic Data
Augmentation", https://doi.org/10.1029/2020JB020077
"""

from collections.abc import Sequence
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial.cgan import label_of
from genjax.adversarial.series_networks import SeriesConv, lengthen
from genjax.adversarial.wgan_gp import wgan_gp
from genjax.contract import Array, GenerativeModel


def peak_normalize(x: Array, floor: float = 1e-6) -> Array:
    """Return each record over its largest absolute value.

    Args:
        x: `[B, T, C]`.
        floor: a record that is smaller than this everywhere is divided by this instead.

    Returns:
        `[B, T, C]` in [-1, 1]; the largest absolute value of a record is 1.
    """
    chex.assert_rank(x, 3)
    return x / jnp.maximum(jnp.abs(x).max(axis=(1, 2), keepdims=True), floor)


class Pipeline(nn.Module):
    """What a trunk knows to one component, each convolution after a lengthening of the series.

    features: channels of the convolutions.
    factor: how many times longer each makes the series.
    kernel_size: of the convolutions.
    dtype: compute dtype.
    """

    features: Sequence[int]
    factor: int
    kernel_size: int
    dtype: Any = None

    @nn.compact
    def __call__(self, h: Array, noise: Array) -> Array:
        """Map `[B, T0, C]` and noise `[B, T]` to a component `[B, T]`, T = T0 factor^len(features)."""
        *inner, last = self.features
        conv = lambda width: SeriesConv(width, self.kernel_size, dtype=self.dtype)
        for width in inner:
            h = jax.nn.leaky_relu(conv(width)(lengthen(h, self.factor)), 0.2)
        h = jnp.concatenate([lengthen(h, self.factor), noise[..., None].astype(h.dtype)], axis=-1)
        return conv(1)(jax.nn.leaky_relu(conv(last)(h), 0.2))[..., 0]


class SeismogramGenerator(nn.Module):
    """Latents and classes to records, a pipeline for each component; the last T C latents are its noise.

    shape: (T, C) of a record; T is a multiple of factor^len(features).
    num_classes: classes are 0 .. num_classes - 1.
    features: channels of a pipeline's convolutions, the first of them the trunk's.
    factor: how many times longer each convolution makes the series.
    kernel_size: of the convolutions.
    dtype: compute dtype.
    """

    shape: Sequence[int]
    num_classes: int
    features: Sequence[int] = (48, 32)
    factor: int = 4
    kernel_size: int = 9
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array, label: Array, *, train: bool) -> Array:
        """Map latents `[B, L + T C]` and classes int `[B]` to records `[B, T, C]` in [-1, 1]."""
        del train
        (steps, components), first = self.shape, self.features[0]
        z, noise = z[:, : -steps * components], z[:, -steps * components :].reshape(-1, steps, components)
        short, rest = divmod(steps, self.factor ** len(self.features))
        if rest or not short:
            raise ValueError(f"A record of {steps} steps cannot grow {len(self.features)} times by {self.factor}.")
        told = jnp.concatenate([z, jax.nn.one_hot(label, self.num_classes, dtype=z.dtype)], axis=1)
        trunk = jax.nn.leaky_relu(nn.Dense(short * first, dtype=self.dtype)(told), 0.2)
        pipelines = nn.vmap(
            Pipeline,
            in_axes=(None, 2),
            out_axes=-1,
            axis_size=components,
            variable_axes={"params": 0},
            split_rngs={"params": True},
        )
        each = pipelines(self.features, self.factor, self.kernel_size, self.dtype)
        return jnp.tanh(each(trunk.reshape(-1, short, first), noise))


class SeismogramCritic(nn.Module):
    """Records and classes to scores by strided convolutions, LeakyReLU 0.2, no normalization.

    num_classes: classes are 0 .. num_classes - 1.
    features: channels of the convolutions.
    factor: stride of each.
    kernel_size: of the convolutions.
    dtype: compute dtype.
    """

    num_classes: int
    features: Sequence[int] = (48, 96)
    factor: int = 4
    kernel_size: int = 9
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, label: Array, *, train: bool) -> Array:
        """Map records `[B, T, C]` and classes int `[B]` to scores `[B]`."""
        del train
        told = jax.nn.one_hot(label, self.num_classes, dtype=x.dtype)[:, None]
        h = jnp.concatenate([x, jnp.broadcast_to(told, (*x.shape[:2], self.num_classes))], axis=-1)
        for width in self.features:
            h = jax.nn.leaky_relu(SeriesConv(width, self.kernel_size, self.factor, dtype=self.dtype)(h), 0.2)
        # Differences of scores do not see a bias, whose gradient would be zero.
        return nn.Dense(1, use_bias=False, dtype=self.dtype)(h.reshape(h.shape[0], -1))[:, 0]


def seismogen(
    shape: Sequence[int],
    *,
    num_classes: int = 2,
    latent_dim: int = 32,
    generator_features: Sequence[int] = (48, 32),
    critic_features: Sequence[int] = (48, 96),
    factor: int = 4,
    kernel_size: int = 9,
    dtype: Any = None,
    **options: Any,
) -> GenerativeModel:
    """Bind the two networks into a conditional WGAN-GP of records.

    Args:
        shape: (T, C) of a record.
        num_classes: of batch['label'].
        latent_dim: coordinates of a latent, without the noise.
        generator_features, critic_features: channels of their convolutions.
        factor: by which each lengthens or shortens a series.
        kernel_size: of all convolutions.
        dtype: compute dtype of both.
        options: further arguments of `genjax.adversarial.wgan_gp.wgan_gp`.

    Returns:
        A model as `wgan_gp` makes it; `sample` takes classes `[N]` as its condition.

    Reference: Wang et al. 2021.
    """
    generator = SeismogramGenerator(shape, num_classes, generator_features, factor, kernel_size, dtype)
    critic = SeismogramCritic(num_classes, critic_features, factor, kernel_size, dtype)
    size = latent_dim + shape[0] * shape[1]
    return wgan_gp(generator, critic, latent_dim=size, condition_of=label_of, **options)
