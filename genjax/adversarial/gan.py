"""Generative adversarial nets: a generator and a discriminator in a two-player game.

A step is Algorithm 1: k updates of the discriminator, each on a fresh minibatch x ~ data and fresh latents
z ~ prior, then one update of the generator on fresh latents, which faces the discriminator already moved.

    discriminator   descends  mean of discriminator_loss(D(x), D(G(z))) + regularizers
    generator       descends  mean of generator_loss(D(G(z)))

`gan` binds any two networks and any losses on their scores; other losses and penalties are other arguments to
it. Real and generated examples go through the discriminator in separate batches, so that batch normalization
sees one kind at a time (as in DCGAN). Both networks normalise by their batches while they train; samples are
drawn by the generator's running statistics.

Reference: Goodfellow et al. 2014, "Generative Adversarial Nets", https://arxiv.org/abs/1406.2661
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax

from genjax.adversarial import game as play
from genjax.adversarial.game import DiscriminatorLoss, Game, GeneratorLoss, Prior, Regularizer
from genjax.adversarial.losses import gan_discriminator_loss, non_saturating_generator_loss
from genjax.contract import AfterFn, Array, Batch, GenerativeModel, PyTree, Update
from genjax.nn import MLP


class MLPGenerator(nn.Module):
    """A multilayer perceptron from latents to examples, ReLU between its layers.

    shape: shape of one example.
    hidden: widths of the hidden layers.
    output: applied last; tanh for examples in [-1, 1].
    dtype: compute dtype.
    """

    shape: Sequence[int]
    hidden: Sequence[int]
    output: Callable[[Array], Array] = lambda x: x
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array, *, train: bool) -> Array:
        """Map latents `[B, L]` to examples `[B, *shape]`."""
        del train
        x = MLP(self.hidden, math.prod(self.shape), activation=jax.nn.relu, dtype=self.dtype)(z)
        return self.output(x.reshape(-1, *self.shape))


class MLPDiscriminator(nn.Module):
    """A multilayer perceptron from examples to scores, LeakyReLU 0.2 between its layers.

    hidden: widths of the hidden layers.
    dtype: compute dtype.
    """

    hidden: Sequence[int]
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map examples `[B, ...]` to scores `[B]`."""
        del train
        leaky_relu = lambda y: jax.nn.leaky_relu(y, 0.2)
        scores = MLP(self.hidden, 1, activation=leaky_relu, dtype=self.dtype)(x.reshape(x.shape[0], -1))
        return scores[:, 0]


def gan(
    generator: nn.Module,
    discriminator: nn.Module,
    *,
    latent_dim: int,
    generator_loss: GeneratorLoss = non_saturating_generator_loss,
    discriminator_loss: DiscriminatorLoss = gan_discriminator_loss,
    discriminator_steps: int = 1,
    regularizers: Mapping[str, Regularizer] | None = None,
    discriminator_after: AfterFn | None = None,
    condition_of: Callable[[Batch], PyTree] | None = None,
    prior: Prior = jax.random.normal,
    score_shape: Sequence[int] = (),
) -> GenerativeModel:
    """Bind a generator and a discriminator into a model, with players of these names.

    Args:
        generator: module (latents `[B, latent_dim]`[, condition], train=) -> `[B, ...]` like batch['x'].
        discriminator: module (x `[B, ...]`[, condition], train=) -> scores `[B]`.
        latent_dim: coordinates of a latent.
        generator_loss: of the scores of generated examples.
        discriminator_loss: of the scores of real and of generated examples.
        discriminator_steps: k, updates of the discriminator before each of the generator.
        regularizers: name -> a term `[B]` that is added to the discriminator's loss and weighs itself, a
            function of (critic, real, fake, key). The critic runs as in training. A penalty on its gradient
            by x must refuse batch normalization, which couples the examples.
        discriminator_after: what follows each move of the discriminator, as in `Update.after`.
        condition_of: batch -> what both networks are told of each example (its label, say), None for nothing.
            Generated examples are made under the conditions of the minibatch.
        prior: (key, shape) -> latents; the standard normal unless given.
        score_shape: of the scores of one example, for discriminators that judge it in parts (steps of a series,
            patches) and losses that take `[B, *score_shape]`; () for one score.

    Returns:
        A model whose methods are `generate`, `interpolate`, `arithmetic` and `score` of
        `genjax.adversarial.game`, without their first argument.

    Reference: Goodfellow et al. 2014, Algorithm 1.
    """
    game = Game(
        generator,
        discriminator,
        latent_dim,
        generator_loss,
        discriminator_loss,
        dict(regularizers or {}),
        condition_of,
        prior,
        tuple(score_shape),
    )
    methods = {"generate": play.generate, "interpolate": play.interpolate}
    methods |= {"arithmetic": play.arithmetic, "score": play.score}
    move_discriminator = Update(
        name="discriminator",
        players=("discriminator",),
        loss=partial(play.discriminator_objective, game),
        repeat=discriminator_steps,
        after=discriminator_after,
    )
    move_generator = Update("generator", ("generator",), partial(play.generator_objective, game))
    return GenerativeModel(
        init=partial(play.init_game, game),
        updates=(move_discriminator, move_generator),
        sample=partial(play.sample, game),
        methods={name: partial(method, game) for name, method in methods.items()},
    )
