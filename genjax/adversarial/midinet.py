"""MidiNet: melodies bar by bar, each bar generated under the one before it.

A bar is a picture of steps by pitches, one pitch at a step (one-hot). The generator grows a bar out of noise along
time; a conditioner, which is the generator run backwards, shrinks the bar before it, and its map of each length is
appended to the generator's map of that length, so that the condition enters at every scale (section 3.3, "conditioner
CNN"):

    bar_k = G(z, bar_{k-1})        bar_0 = G(z, 0)        score = D(bar_k, bar_{k-1})

The kernels are the paper's: the first of the conditioner and of the discriminator and the last of the generator span
all pitches of one step, the others two steps with stride 2. A melody is a walk: the bar that was made, with its
likeliest pitch set to one, is the condition of the next.

Feature matching (section 3.2, after Salimans et al. 2016) keeps what is random at random. Where a bar has two right
answers, the same one for every z fools D as well as both; but bars and D's first maps f then have other means over the
minibatch than the data's, and the generator descends as well

    lambda_1 |E x - E G|^2 + lambda_2 |E f(x, before) - E f(G, before)|^2            under the same bars before

with |.|^2 a sum over steps and channels.

Smaller than the paper's: bars are as small as the data's (there 16 steps by 128 pitches), there is no batch
normalization, both players are told the bar before (there it is the generator alone, and chords for both), a softmax
makes the pitches of a step (there a sigmoid, of which the largest is kept), and label smoothing is left out: any
regularizer of a critic can be added instead.

Reference: Yang et al. 2017, "MidiNet: A Convolutional Generative Adversarial Network for Symbolic-Domain Music
Generation", https://arxiv.org/abs/1703.10847; Salimans et al. 2016, "Improved Techniques for Training GANs",
https://arxiv.org/abs/1606.03498
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from genjax.adversarial import game as play
from genjax.adversarial.gan import gan
from genjax.adversarial.game import Game, Regularizer
from genjax.adversarial.losses import gan_discriminator_loss, non_saturating_generator_loss
from genjax.contract import Array, Aux, Batch, GenerativeModel, Variables


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

    def setup(self):
        self.first, self.second, self.third = (nn.Dense(self.features, dtype=self.dtype) for _ in range(3))
        self.last = nn.Dense(1, dtype=self.dtype)

    def __call__(self, x: Array, previous: Array, *, train: bool) -> Array:
        """Map bars and the bars before `[B, steps, pitches]` to scores `[B]`."""
        del train
        h = _leaky(self.second(_halve(self.maps(x, previous))))
        h = _leaky(self.third(h.reshape(h.shape[0], -1)))
        return self.last(h)[:, 0]

    def maps(self, x: Array, previous: Array) -> Array:
        """Return f, the first maps of the same, `[B, steps, features]`."""
        return _leaky(self.first(jnp.concatenate([x, previous], axis=-1)))


class MatchingWeights(NamedTuple):
    """lambda_1, of the means of bars, and lambda_2, of those of the discriminator's first maps: the paper's."""

    bars: float = 0.1
    maps: float = 1.0


WEIGHTS = MatchingWeights()


def mean_distance(real: Array, fake: Array) -> Array:
    """Return |E real - E fake|^2, means over the batch, the sum over all other entries: a scalar.

    Args:
        real: `[B, ...]`.
        fake: `[B', ...]`.

    Reference: Salimans et al. 2016, section 3.1.
    """
    if real.shape[1:] != fake.shape[1:]:
        raise ValueError(f"Examples {real.shape[1:]} and {fake.shape[1:]} have means of different shapes.")
    return jnp.square(real.mean(axis=0) - fake.mean(axis=0)).sum()


def midinet(
    shape: Sequence[int],
    *,
    latent_dim: int = 16,
    generator_features: int = 64,
    discriminator_features: int = 64,
    matching: MatchingWeights = WEIGHTS,
    regularizers: Mapping[str, Regularizer] | None = None,
    dtype: Any = None,
) -> GenerativeModel:
    """Bind the two networks into a GAN of bars, each under batch['previous'].

    Args:
        shape: (steps, pitches) of a bar.
        latent_dim: coordinates of a latent.
        generator_features, discriminator_features: channels of their maps.
        matching: weights of feature matching.
        regularizers: of the discriminator, as in `genjax.adversarial.gan.gan`.
        dtype: compute dtype of both.

    Returns:
        A model with the players 'generator' and 'discriminator', as `gan` makes it; `sample` takes the bars before
        `[num, steps, pitches]` as its condition, zeros for first bars. One more method:
        melody(variables, key, num_samples, *, num_bars) -> `[num_samples, num_bars, steps, pitches]`, one-hot.

    Reference: Yang et al. 2017, section 3.
    """
    generator = BarGenerator(tuple(shape), generator_features, dtype)
    discriminator = BarDiscriminator(discriminator_features, dtype)
    losses = non_saturating_generator_loss, gan_discriminator_loss
    game = Game(generator, discriminator, latent_dim, *losses, {}, _previous_of, jax.random.normal)
    model = gan(generator, discriminator, latent_dim=latent_dim, condition_of=_previous_of, regularizers=regularizers)
    discriminate, generate = model.updates
    generate = generate._replace(loss=partial(generator_objective, game, matching))

    def melody(variables: Variables, key: Array, num_samples: int, *, num_bars: int) -> Array:
        def one(previous: Array, bar_key: Array) -> tuple[Array, Array]:
            bar = one_hot_bars(model.sample(variables, bar_key, num_samples, condition=previous))
            return bar, bar

        silence = jnp.zeros((num_samples, *shape), jnp.float32)
        return jnp.moveaxis(lax.scan(one, silence, jax.random.split(key, num_bars))[1], 0, 1)

    methods = {**model.methods, "melody": melody}
    return model._replace(updates=(discriminate, generate), methods=methods)


def generator_objective(
    game: Game, matching: MatchingWeights, variables: Variables, batch: Batch, key: Array, step: Array
) -> tuple[Array, Aux]:
    """Return the generator's loss and both terms of feature matching: a LossFn for the player 'generator'."""
    del step
    fake_key, run_key = jax.random.split(key)
    x, params, state = batch["x"], variables.params["discriminator"], variables.state
    fake, moved = play.generate_in_training(game, variables, batch, fake_key)
    scores, _ = play.score_in_training(game, variables, state["discriminator"], batch, run_key, fake)
    maps = lambda x: game.discriminator.apply({"params": params}, x, batch["previous"], method="maps")
    metrics = {"adversarial": game.generator_loss(scores).mean()}
    metrics["bars"] = matching.bars * mean_distance(x, fake)
    metrics["maps"] = matching.maps * mean_distance(maps(x), maps(fake))
    return sum(metrics.values()), Aux({**state, "generator": moved}, metrics)


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
