"""MidiNet: melodies bar by bar, each bar generated under the one before it.

A bar is a picture of steps by pitches, one pitch at a step (one-hot). The generator grows a bar out of noise along
time; a conditioner, which is the generator run backwards, shrinks the bar before it, and its map of each length is
appended to the generator's map of that length, so that the condition enters at every scale (section 3.3, "conditioner
CNN"):

    bar_k = G(z, bar_{k-1})        bar_0 = G(z, 0)        score = D(bar_k, bar_{k-1})

The kernels are the paper's: the first of the conditioner and of the discriminator and the last of the generator span
all pitches of one step, the others two steps with stride 2. A melody is a walk: the bar that was made, with its
likeliest pitch set to one, is the condition of the next.

Smaller than the paper's: bars are as small as the data's (there 16 steps by 128 pitches), there is no batch
normalization, both players are told the bar before (there it is the generator alone, and chords for both), a softmax
makes the pitches of a step (there a sigmoid, of which the largest is kept), and feature matching and label smoothing
are left out: any regularizer of a critic can be added instead.

Reference: Yang et al. 2017, "MidiNet: A Convolutional Generative Adversarial Network for Symbolic-Domain Music
Generation", https://arxiv.org/abs/1703.10847
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from genjax.adversarial.gan import gan
from genjax.contract import Array, Batch, GenerativeModel, Variables


class BarGenerator(nn.Module):
    """Latents and the bars before to bars.

    shape: (steps, pitches) of a bar, steps a multiple of 4.
    features: channels of the maps.
    dtype: compute dtype.
    """

    shape: Sequence[int]
    features: int = 64
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array, previous: Array, *, train: bool) -> Array:
        """Map latents `[B, L]` and bars `[B, steps, pitches]` to probabilities of pitches `[B, steps, pitches]`."""
        del train
        steps, pitches = self.shape
        if steps % 4:
            raise ValueError(f"a bar of {steps} steps cannot be halved twice; give a multiple of 4.")
        dense = partial(nn.Dense, dtype=self.dtype)
        whole = _leaky(dense(self.features)(previous))
        half = _leaky(dense(self.features)(_halve(whole)))
        quarter = _leaky(dense(self.features)(_halve(half)))
        x = jax.nn.relu(dense(steps // 4 * self.features)(z)).reshape(-1, steps // 4, self.features)
        x = jax.nn.relu(_double(dense(2 * self.features)(jnp.concatenate([x, quarter], axis=-1))))
        x = jax.nn.relu(_double(dense(2 * self.features)(jnp.concatenate([x, half], axis=-1))))
        x = jax.nn.relu(dense(2 * self.features)(jnp.concatenate([x, whole], axis=-1)))
        return jax.nn.softmax(dense(pitches)(x).astype(jnp.float32), axis=-1)


class BarDiscriminator(nn.Module):
    """Bars and the bars before to scores.

    features: channels of the maps.
    dtype: compute dtype.
    """

    features: int = 64
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, previous: Array, *, train: bool) -> Array:
        """Map bars and the bars before `[B, steps, pitches]` to scores `[B]`."""
        del train
        dense = partial(nn.Dense, dtype=self.dtype)
        h = _leaky(dense(self.features)(jnp.concatenate([x, previous], axis=-1)))
        h = _leaky(dense(self.features)(_halve(h)))
        h = _leaky(dense(self.features)(h.reshape(h.shape[0], -1)))
        return dense(1)(h)[:, 0]


def midinet(
    shape: Sequence[int],
    *,
    latent_dim: int = 16,
    generator_features: int = 64,
    discriminator_features: int = 64,
    dtype: Any = None,
    **options: Any,
) -> GenerativeModel:
    """Bind the two networks into a GAN of bars, each under batch['previous'].

    Args:
        shape: (steps, pitches) of a bar.
        latent_dim: coordinates of a latent.
        generator_features, discriminator_features: channels of their maps.
        dtype: compute dtype of both.
        options: further arguments of `genjax.adversarial.gan.gan` (losses, regularizers).

    Returns:
        A model with the players 'generator' and 'discriminator', as `gan` makes it; `sample` takes the bars before
        `[num, steps, pitches]` as its condition, zeros for first bars. One more method:
        melody(variables, key, num_samples, *, num_bars) -> `[num_samples, num_bars, steps, pitches]`, one-hot.

    Reference: Yang et al. 2017, section 3.
    """
    generator = BarGenerator(tuple(shape), generator_features, dtype)
    discriminator = BarDiscriminator(discriminator_features, dtype)
    model = gan(generator, discriminator, latent_dim=latent_dim, condition_of=_previous_of, **options)

    def melody(variables: Variables, key: Array, num_samples: int, *, num_bars: int) -> Array:
        def one(previous: Array, bar_key: Array) -> tuple[Array, Array]:
            bar = one_hot_bars(model.sample(variables, bar_key, num_samples, condition=previous))
            return bar, bar

        silence = jnp.zeros((num_samples, *shape), jnp.float32)
        return jnp.moveaxis(lax.scan(one, silence, jax.random.split(key, num_bars))[1], 0, 1)

    return model._replace(methods={**model.methods, "melody": melody})


def one_hot_bars(bars: Array) -> Array:
    """Set the likeliest pitch of each step to one and the others to zero, `[..., steps, pitches]`."""
    return jax.nn.one_hot(jnp.argmax(bars, axis=-1), bars.shape[-1], dtype=jnp.float32)


def _previous_of(batch: Batch) -> Array:
    return batch["previous"]


def _leaky(x: Array) -> Array:
    return jax.nn.leaky_relu(x, 0.2)


def _halve(x: Array) -> Array:
    """Put two steps side by side, `[B, T, C]` to `[B, T / 2, 2 C]`: what a kernel of two steps with stride 2 reads."""
    return x.reshape(x.shape[0], x.shape[1] // 2, 2 * x.shape[2])


def _double(x: Array) -> Array:
    """Undo `_halve`."""
    return x.reshape(x.shape[0], 2 * x.shape[1], x.shape[2] // 2)
