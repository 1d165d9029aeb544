"""Conditional GAN: both players are told the class.

The game of Goodfellow et al. 2014, played for every class y at once (Mirza & Osindero 2014, eq. 2):

    min_G max_D  E log D(x | y) + E log(1 - D(G(z | y) | y)).

A discriminator that knows y can reject a good picture of another class; a generator that knows y can give it what it
wants. At the optimum the score is log p(x | y) - log q(x | y), class by class.

The networks are those of section 4.1. Generator: z and y each have a hidden layer of ReLUs, a second hidden layer
takes both. Discriminator: x and y each have a layer of maxout units, a joint maxout layer takes both, and its units are
added up to a score. A maxout unit is the largest of a few linear maps ("pieces", Goodfellow et al. 2013). A class enters
as a one-hot vector. Dropout is applied to hidden layers, in training alone.

Reference: Mirza & Osindero 2014, "Conditional Generative Adversarial Nets", https://arxiv.org/abs/1411.1784
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial.gan import gan
from genjax.contract import Array, Batch, GenerativeModel


class Widths(NamedTuple):
    """Units of the hidden layers of a player.

    input: of the layer on its input alone (z, or x).
    label: of the layer on the class alone.
    joint: of the layer on both.
    """

    input: int
    label: int
    joint: int


class Maxout(nn.Module):
    """Units that are the largest of a few linear maps (Goodfellow et al. 2013, "Maxout Networks").

    features: units.
    pieces: linear maps of a unit.
    dtype: compute dtype.
    """

    features: int
    pieces: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map x `[B, D]` to `[B, features]`."""
        linear = nn.Dense(self.features * self.pieces, dtype=self.dtype)(x)
        pieces = linear.reshape(-1, self.features, self.pieces)
        # Pair by pair: the gradient of a reduction divides by the number of maxima, which a compiler that computes
        # the pieces twice, with different rounding, may find to be zero.
        return functools.reduce(jnp.maximum, (pieces[..., index] for index in range(self.pieces)))


class CGANGenerator(nn.Module):
    """Latents and classes to examples.

    shape: of one example.
    num_classes: classes are 0 .. num_classes - 1.
    widths: units of the hidden layers.
    output: applied last; tanh for examples in [-1, 1].
    dropout: rate after the hidden layers.
    dtype: compute dtype.
    """

    shape: Sequence[int]
    num_classes: int
    widths: Widths = Widths(200, 1000, 1200)
    output: Callable[[Array], Array] = jnp.tanh
    dropout: float = 0.5
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array, label: Array, *, train: bool) -> Array:
        """Map latents `[B, L]` and classes int `[B]` to examples `[B, *shape]`."""
        dense = lambda width, name: nn.Dense(width, dtype=self.dtype, name=name)
        drop = lambda h: nn.Dropout(self.dropout, deterministic=not train)(h)
        of_latent = drop(nn.relu(dense(self.widths.input, "latent")(z)))
        of_label = drop(nn.relu(dense(self.widths.label, "label")(jax.nn.one_hot(label, self.num_classes))))
        joint = jnp.concatenate([of_latent, of_label], axis=-1)
        joint = drop(nn.relu(dense(self.widths.joint, "joint")(joint)))
        return self.output(dense(math.prod(self.shape), "out")(joint).reshape(-1, *self.shape))


class CGANDiscriminator(nn.Module):
    """Examples and classes to scores.

    num_classes: classes are 0 .. num_classes - 1.
    widths: units of the maxout layers.
    pieces: linear maps of a unit, likewise.
    dropout: rate after the maxout layers.
    dtype: compute dtype.
    """

    num_classes: int
    widths: Widths = Widths(240, 50, 240)
    pieces: Widths = Widths(5, 5, 4)
    dropout: float = 0.5
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, label: Array, *, train: bool) -> Array:
        """Map examples `[B, ...]` and classes int `[B]` to scores `[B]`."""
        drop = lambda h: nn.Dropout(self.dropout, deterministic=not train)(h)
        maxout = lambda part: Maxout(getattr(self.widths, part), getattr(self.pieces, part), self.dtype, name=part)
        of_input = drop(maxout("input")(x.reshape(x.shape[0], -1)))
        of_label = drop(maxout("label")(jax.nn.one_hot(label, self.num_classes)))
        joint = drop(maxout("joint")(jnp.concatenate([of_input, of_label], axis=-1)))
        return nn.Dense(1, dtype=self.dtype, name="out")(joint)[:, 0]


def label_of(batch: Batch) -> Array:
    """Return the classes of a batch, int32 `[B]`: what conditional games tell their players."""
    return batch["label"]


def cgan(
    shape: Sequence[int],
    *,
    num_classes: int,
    latent_dim: int = 100,
    generator_widths: Widths = Widths(200, 1000, 1200),
    discriminator_widths: Widths = Widths(240, 50, 240),
    discriminator_pieces: Widths = Widths(5, 5, 4),
    generator_dropout: float = 0.5,
    discriminator_dropout: float = 0.5,
    dtype: Any = None,
    **options: Any,
) -> GenerativeModel:
    """Bind the two networks into a conditional GAN on pictures in [-1, 1].

    Args:
        shape: (H, W, C) of a picture.
        num_classes: batches have 'label', int32 `[B]` in 0 .. num_classes - 1.
        latent_dim: coordinates of a latent.
        generator_widths: units of its hidden layers.
        discriminator_widths: units of its maxout layers.
        discriminator_pieces: linear maps of a maxout unit.
        generator_dropout: rate in the generator.
        discriminator_dropout: rate in the discriminator.
        dtype: compute dtype of both.
        options: further arguments of `genjax.adversarial.gan.gan` (losses, prior, discriminator_steps).

    Returns:
        A model with the players 'generator' and 'discriminator', as `gan` makes it; `sample` needs `condition`, the
        classes int32 `[num_samples]`.

    Reference: Mirza & Osindero 2014, eq. 2 and section 4.1.
    """
    generator = CGANGenerator(shape, num_classes, generator_widths, dropout=generator_dropout, dtype=dtype)
    discriminator = CGANDiscriminator(
        num_classes, discriminator_widths, discriminator_pieces, discriminator_dropout, dtype
    )
    return gan(generator, discriminator, latent_dim=latent_dim, condition_of=label_of, **options)
