"""The game of translating pictures whose counterparts are known: x is to be made of what is given, y.

    discriminator   descends  weight * mean of discriminator_loss(D(x, y), D(G(y), y)) + mean of regularizers
    generator       descends  sum of terms(G(y), x) + weight * mean of generator_loss(D(G(y), y))

`Paired` holds what is fixed when a model is built, as `genjax.adversarial.game.Game` does where there are latents; the
functions below take it first. What the terms read beside the pictures (the weights of a perceptual network) lies in the
state, frozen, and so do the given pictures of the first batch: of these `sample` draws where it is given none, so that
it samples from p(x) = sum_y p(x | y) / M.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial.game import DiscriminatorLoss, GeneratorLoss, Regularizer, mean_penalties
from genjax.adversarial.image_translation import from_gallery, mean_score, require_given
from genjax.adversarial.players import init_player, run_noisy_player, run_player, train_player
from genjax.contract import AfterFn, Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables

Term = Callable[[PyTree, Array, Array], Array]  # frozen arrays, made, x -> [B]; it weighs itself


class Paired(NamedTuple):
    """The fixed part; see `paired_translation`."""

    generator: nn.Module
    discriminator: nn.Module
    given_of: Callable[[Batch], Array]
    terms: Mapping[str, Term]
    generator_loss: GeneratorLoss
    discriminator_loss: DiscriminatorLoss
    generator_weight: float
    discriminator_weight: float
    regularizers: Mapping[str, Regularizer]
    frozen: Callable[[], PyTree]


def given_y(batch: Batch) -> Array:
    """Return batch['y']: what is given in paired domains."""
    return batch["y"]


def paired_translation(
    generator: nn.Module,
    discriminator: nn.Module,
    *,
    terms: Mapping[str, Term],
    generator_loss: GeneratorLoss,
    discriminator_loss: DiscriminatorLoss,
    generator_weight: float = 1.0,
    discriminator_weight: float = 1.0,
    discriminator_steps: int = 1,
    regularizers: Mapping[str, Regularizer] | None = None,
    discriminator_after: AfterFn | None = None,
    given_of: Callable[[Batch], Array] = given_y,
    frozen: Callable[[], PyTree] = dict,
) -> GenerativeModel:
    """Bind a network that translates and a discriminator into a model of batch['x'].

    Args:
        generator: module (given `[B, ...]`, train=) -> `[B, ...]` like batch['x']. Its dropout, if any, is its noise.
        discriminator: module (x, given, train=) -> scores `[B]`, or of parts as the losses take them.
        terms: name -> (frozen arrays, made, x) -> `[B]`, added to the generator's loss.
        generator_loss: of the scores of what was made -> `[B]`.
        discriminator_loss: of the scores of x and of what was made -> DiscriminatorTerms `[B]`.
        generator_weight: on the generator's adversarial loss.
        discriminator_weight: on the discriminator's.
        discriminator_steps: updates of the discriminator before each of the generator.
        regularizers: name -> a term `[B]` of (critic, x, made, key) that weighs itself, added to the discriminator's
            loss. The critic is the mean of a picture's scores, as a function of the picture, what is given fixed.
        discriminator_after: what follows each move of the discriminator, as in `Update.after`.
        given_of: batch -> what x is to be made of.
        frozen: () -> arrays that the terms read; `init` puts them into the state.

    Returns:
        A model with the players 'generator' and 'discriminator'. `condition` of samples is what is given, `[N, ...]`;
        without it they are made of pictures of the first batch. Methods: `translate(given)` and `score(x, given)`.
    """
    game = Paired(
        generator,
        discriminator,
        given_of=given_of,
        terms=dict(terms),
        generator_loss=generator_loss,
        discriminator_loss=discriminator_loss,
        generator_weight=generator_weight,
        discriminator_weight=discriminator_weight,
        regularizers=dict(regularizers or {}),
        frozen=frozen,
    )
    move_discriminator = Update(
        name="discriminator",
        players=("discriminator",),
        loss=partial(discriminator_objective, game),
        repeat=discriminator_steps,
        after=discriminator_after,
    )
    return GenerativeModel(
        init=partial(init_paired, game),
        updates=(move_discriminator, Update("generator", ("generator",), partial(generator_objective, game))),
        sample=partial(sample, game),
        methods={"translate": partial(translate, game), "score": partial(score, game)},
    )


def init_paired(game: Paired, key: Array, batch: Batch) -> Variables:
    """Initialise both players on the first example of the batch.

    Raises:
        ValueError: if what the generator makes is not shaped like the data.
    """
    generator_key, discriminator_key = jax.random.split(key)
    gallery, x = game.given_of(batch), batch["x"][:1]
    generator, generator_state, made = init_player(game.generator, generator_key, gallery[:1])
    if made.shape != x.shape:
        raise ValueError(f"The generator makes pictures {made.shape[1:]}, but the data are {x.shape[1:]}.")
    discriminator, discriminator_state, _ = init_player(game.discriminator, discriminator_key, x, gallery[:1])
    params = {"generator": generator, "discriminator": discriminator}
    state: dict[str, Any] = {"generator": generator_state, "discriminator": discriminator_state}
    return Variables(params, state | {"frozen": jax.tree.map(jnp.asarray, game.frozen()), "gallery": gallery})


def make_in_training(game: Paired, variables: Variables, key: Array, given: Array) -> tuple[Array, PyTree]:
    """Return (what the generator makes of `given`, its moved state)."""
    params, state = variables.params["generator"], variables.state["generator"]
    return train_player(game.generator, params, state, key, given)


def discriminator_objective(
    game: Paired, variables: Variables, batch: Batch, key: Array, step: Array
) -> tuple[Array, Aux]:
    """Return the weighted mean of the discriminator's loss and its regularizers: a LossFn for 'discriminator'."""
    del step
    make_key, real_key, fake_key = jax.random.split(key, 3)
    given = game.given_of(batch)
    made, _ = make_in_training(game, variables, make_key, given)
    params, kept = variables.params["discriminator"], variables.state["discriminator"]
    real_scores, state = train_player(game.discriminator, params, kept, real_key, batch["x"], given)
    fake_scores, state = train_player(game.discriminator, params, state, fake_key, made, given)
    terms = game.discriminator_loss(real_scores, fake_scores)
    metrics = {"real": terms.real.mean(), "fake": terms.fake.mean()}
    critic = lambda x: mean_score(train_player(game.discriminator, params, kept, real_key, x, given)[0])
    penalties = mean_penalties(game.regularizers, critic, batch["x"], made, jax.random.fold_in(key, 3))
    loss = game.discriminator_weight * (metrics["real"] + metrics["fake"]) + sum(penalties.values())
    return loss, Aux({**variables.state, "discriminator": state}, metrics | penalties)


def generator_objective(game: Paired, variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
    """Return the mean of all terms and of the adversarial loss: a LossFn for the player 'generator'."""
    del step
    make_key, run_key = jax.random.split(key)
    given = game.given_of(batch)
    made, state = make_in_training(game, variables, make_key, given)
    params, kept = variables.params["discriminator"], variables.state["discriminator"]
    scores, _ = train_player(game.discriminator, params, kept, run_key, made, given)
    metrics = {name: term(variables.state["frozen"], made, batch["x"]).mean() for name, term in game.terms.items()}
    adversarial = game.generator_loss(scores).mean()
    loss = sum(metrics.values()) + game.generator_weight * adversarial
    return loss, Aux({**variables.state, "generator": state}, metrics | {"adversarial": adversarial})


def translate(game: Paired, variables: Variables, key: Array, given: Array) -> Array:
    """Return what the generator makes of pictures `[N, ...]`; the key draws its dropout."""
    params, state = variables.params["generator"], variables.state["generator"]
    return run_noisy_player(game.generator, params, state, key, given)


def score(game: Paired, variables: Variables, key: Array, x: Array, given: Array) -> Array:
    """Return the discriminator's scores of pictures as made of what is given."""
    del key
    params, state = variables.params["discriminator"], variables.state["discriminator"]
    return run_player(game.discriminator, params, state, x, given)


def sample(
    game: Paired, variables: Variables, key: Array, num_samples: int, *, condition: Array | None = None
) -> Array:
    """Return translations of `condition` `[num_samples, ...]`, or of pictures drawn from the first batch's."""
    require_given(condition, num_samples)
    draw_key, key = jax.random.split(key)
    given = from_gallery(draw_key, variables.state["gallery"], num_samples) if condition is None else condition
    return translate(game, variables, key, given)
