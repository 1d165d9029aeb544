"""CEGAN: a generator, a discriminator and a classifier of its own, for classes out of balance.

Class y has n_y training examples. The three networks are independent (after the description of the paper; weights and
schedule below are ours):

    discriminator   descends  w_y [-log D(x | y) - log(1 - D(G(z, y) | y))]
    generator       descends  w_y [-log D(G(z, y) | y)] - lambda log C(y | G(z, y))
    classifier      descends  -log C(y | x) over real examples, and rho(t) -log C(y' | G(z, y')) over generated ones

w_y = N / (K n_y) gives every class the same weight. The classes y' that examples are generated for fill the gaps,

    P(y') = (max_c n_c - n_y') / sum_c (max n - n_c),        rho = m sum_c (max n - n_c) / N,

so that a classifier that descends the sum sees all classes equally often (m = 1); m rises linearly from 0 over the
first steps, in which generated examples are still worth nothing.

Ambiguity reduction (CEGAN-AR): for classes that are taken for one another the classifier also descends
-log(1 - C(y* | x)), y* the class that y is mistaken for.

Reference: Suh, Lee, Lukowicz & Lee 2021, "CEGAN: Classification Enhancement Generative Adversarial Networks for
unraveling data imbalance problems", Neural Networks 133, https://doi.org/10.1016/j.neunet.2020.10.004
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial import game as play
from genjax.adversarial.adversarial_training import label_loss
from genjax.adversarial.cgan import label_of
from genjax.adversarial.game import Game
from genjax.adversarial.losses import gan_discriminator_loss, non_saturating_generator_loss
from genjax.contract import Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables


class Balance(NamedTuple):
    """What is known of the classes, and how the classifier enters.

    counts: n_y, training examples of each class.
    confused: y* of each class, the one it is mistaken for; its own number for none.
    guidance: lambda.
    ambiguity: weight of the ambiguity reduction.
    warmup: steps over which the share of generated examples rises.
    """

    counts: Sequence[int]
    confused: Sequence[int]
    guidance: float = 0.1
    ambiguity: float = 0.0
    warmup: int = 1000


def filling_distribution(counts: Array) -> Array:
    """Return the distribution of classes whose examples fill up `counts` `[K]`, floats, to equal numbers: `[K]`.

    All classes are equally likely where there is nothing to fill.
    """
    chex.assert_rank(counts, 1)
    gaps = counts.max() - counts
    gaps = jnp.where(gaps.sum() > 0, gaps, jnp.ones_like(gaps))
    return gaps / gaps.sum()


def filling_ratio(counts: Array) -> Array:
    """Return how many examples fill up `counts` `[K]`, over how many there are; scalar."""
    chex.assert_rank(counts, 1)
    return jnp.sum(counts.max() - counts) / counts.sum()


def balanced_weights(label: Array, counts: Array) -> Array:
    """Return w_y = N / (K n_y) of examples with labels `[B]` among classes with `counts` `[K]`: `[B]`."""
    chex.assert_rank([label, counts], 1)
    return (counts.sum() / (len(counts) * counts))[label]


def ambiguity_loss(logits: Array, label: Array, confused: Array) -> Array:
    """Return -log(1 - p(y*)), y* the class that the label is mistaken for; 0 where it is the label itself.

    Args:
        logits: `[B, K]`.
        label: integers 0..K-1 `[B]`.
        confused: y* of each class, integers `[K]`.

    Returns:
        `[B]`, nats.

    Reference: after the description of CEGAN-AR, Suh et al. 2021.
    """
    chex.assert_rank([logits, label, confused], [2, 1, 1])
    other = confused[label]
    hidden = jax.nn.one_hot(other, logits.shape[1], dtype=bool)
    rest = jax.nn.logsumexp(jnp.where(hidden, -jnp.inf, logits), axis=1)
    return jnp.where(other == label, 0.0, jax.nn.logsumexp(logits, axis=1) - rest)


def cegan(
    generator: nn.Module, discriminator: nn.Module, classifier: nn.Module, *, latent_dim: int, balance: Balance
) -> GenerativeModel:
    """Bind the three networks.

    Args:
        generator: module (latents, labels, train=) -> examples like batch['x'].
        discriminator: module (x, labels, train=) -> scores `[B]`.
        classifier: module x -> logits `[B, K]`, of parameters alone.
        latent_dim: coordinates of a latent.
        balance: see Balance.

    Returns:
        A model of batches with 'x' and 'label', an update for each of its players 'discriminator', 'generator' and
        'classifier'. `sample` takes labels `[N]` as its condition. Methods: those of `genjax.adversarial.gan.gan`, and
        `classify(variables, key, x)` -> log C(y | x) `[N, K]`.

    Reference: Suh et al. 2021.
    """
    game = Game(
        generator,
        discriminator,
        latent_dim,
        non_saturating_generator_loss,
        gan_discriminator_loss,
        {},
        label_of,
        jax.random.normal,
    )

    def init(key: Array, batch: Batch) -> Variables:
        variables = play.init_game(game, key, batch)
        params = classifier.init(jax.random.fold_in(key, 1), batch["x"][:1])["params"]
        return variables._replace(params={**variables.params, "classifier": params})

    def classify(variables: Variables, key: Array, x: Array) -> Array:
        del key
        return jax.nn.log_softmax(_logits(classifier, variables, x), axis=1)

    methods = {"generate": play.generate, "interpolate": play.interpolate, "score": play.score}
    return GenerativeModel(
        init=init,
        updates=(
            Update("discriminator", ("discriminator",), partial(_discriminator_objective, game, balance)),
            Update("generator", ("generator",), partial(_generator_objective, game, classifier, balance)),
            Update("classifier", ("classifier",), partial(_classifier_objective, game, classifier, balance)),
        ),
        sample=partial(play.sample, game),
        methods={name: partial(method, game) for name, method in methods.items()} | {"classify": classify},
    )


def _discriminator_objective(
    game: Game, balance: Balance, variables: Variables, batch: Batch, key: Array, step: Array
) -> tuple[Array, Aux]:
    del step
    fake_key, real_run, fake_run = jax.random.split(key, 3)
    fake, _ = play.generate_in_training(game, variables, batch, fake_key)
    state = variables.state["discriminator"]
    real_scores, state = play.score_in_training(game, variables, state, batch, real_run, batch["x"])
    fake_scores, state = play.score_in_training(game, variables, state, batch, fake_run, fake)
    terms = game.discriminator_loss(real_scores, fake_scores)
    weights = balanced_weights(batch["label"], jnp.asarray(balance.counts, jnp.float32))
    metrics = {"real": (weights * terms.real).mean(), "fake": (weights * terms.fake).mean()}
    return metrics["real"] + metrics["fake"], Aux({**variables.state, "discriminator": state}, metrics)


def _generator_objective(
    game: Game, classifier: nn.Module, balance: Balance, variables: Variables, batch: Batch, key: Array, step: Array
) -> tuple[Array, Aux]:
    del step
    fake_key, run_key = jax.random.split(key)
    fake, state = play.generate_in_training(game, variables, batch, fake_key)
    scores, _ = play.score_in_training(game, variables, variables.state["discriminator"], batch, run_key, fake)
    weights = balanced_weights(batch["label"], jnp.asarray(balance.counts, jnp.float32))
    fooling = (weights * game.generator_loss(scores)).mean()
    wrong_class = label_loss(_logits(classifier, variables, fake), batch["label"]).mean()
    metrics = {"fooling": fooling, "wrong_class": wrong_class}
    return fooling + balance.guidance * wrong_class, Aux({**variables.state, "generator": state}, metrics)


def _classifier_objective(
    game: Game, classifier: nn.Module, balance: Balance, variables: Variables, batch: Batch, key: Array, step: Array
) -> tuple[Array, Aux]:
    class_key, fake_key = jax.random.split(key)
    counts, confused = jnp.asarray(balance.counts, jnp.float32), jnp.asarray(balance.confused)
    filling = jax.random.categorical(class_key, jnp.log(filling_distribution(counts)), shape=batch["label"].shape)
    fake, _ = play.generate_in_training(game, variables, {**batch, "label": filling}, fake_key)
    ratio = filling_ratio(counts) * jnp.minimum(1.0, step.astype(jnp.float32) / balance.warmup)
    parts = {}
    for name, x, label in (("real", batch["x"], batch["label"]), ("generated", fake, filling)):
        logits = _logits(classifier, variables, x)
        parts[name] = label_loss(logits, label).mean()
        parts[f"{name}_ambiguity"] = ambiguity_loss(logits, label, confused).mean()
    loss = parts["real"] + ratio * parts["generated"]
    loss += balance.ambiguity * (parts["real_ambiguity"] + ratio * parts["generated_ambiguity"])
    return loss, Aux(variables.state, parts)


def _logits(classifier: nn.Module, variables: Variables, x: PyTree) -> Array:
    return classifier.apply({"params": variables.params["classifier"]}, x).astype(jnp.float32)
