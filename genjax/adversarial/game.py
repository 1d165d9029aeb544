"""The two-player game: who plays, what each minimises, and what a trained generator can do.

`Game` holds what is fixed when a model is built; the functions below take it first and are bound by the
builders (`functools.partial`), so that a paper with another third player or another update reuses the rest.
Parameters and state lie under the names 'generator' and 'discriminator'.

A player's state moves in its own update alone. Generated examples are made inside the loss, so that the
generator gets its gradient through them; the engine differentiates with respect to the moving player only,
and everything else is a constant.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial.latents import latent_arithmetic, slerp
from genjax.adversarial.losses import DiscriminatorTerms
from genjax.adversarial.players import init_player, run_player, train_player
from genjax.contract import Array, Aux, Batch, PyTree, Variables

GeneratorLoss = Callable[[Array], Array]  # fake scores [B] -> [B]
DiscriminatorLoss = Callable[[Array, Array], DiscriminatorTerms]  # real scores [B], fake scores [B]
Critic = Callable[[Array], Array]  # x [B, ...] -> scores [B], at the parameters of the trace
Regularizer = Callable[[Critic, Array, Array, Array], Array]  # critic, real, fake, key -> [B]
Prior = Callable[[Array, tuple[int, int]], Array]  # key, (N, latent_dim) -> latents [N, latent_dim]


class Game(NamedTuple):
    """The fixed part of a two-player game; see `genjax.adversarial.gan.gan` for each."""

    generator: nn.Module
    discriminator: nn.Module
    latent_dim: int
    generator_loss: GeneratorLoss
    discriminator_loss: DiscriminatorLoss
    regularizers: Mapping[str, Regularizer]
    condition_of: Callable[[Batch], PyTree] | None
    prior: Prior
    score_shape: tuple[int, ...] = ()  # of one example's scores; () for one score


def init_game(game: Game, key: Array, batch: Batch) -> Variables:
    """Initialise both players on the first example of the batch.

    Raises:
        ValueError: if the generator's examples are not shaped like the data, or the scores are not `[B]`
            (`[B, *score_shape]`).
    """
    one = {name: value[:1] for name, value in batch.items()}
    told = _told_of(game, one)
    generator_key, discriminator_key = jax.random.split(key)
    latents = jnp.zeros((1, game.latent_dim), jnp.float32)
    generator, generator_state, fake = init_player(game.generator, generator_key, latents, *told)
    if fake.shape != one["x"].shape:
        raise ValueError(f"The generator makes examples {fake.shape[1:]}, but the data are {one['x'].shape[1:]}.")
    discriminator, discriminator_state, scores = init_player(game.discriminator, discriminator_key, one["x"], *told)
    if scores.shape != (1, *game.score_shape):
        wanted = f"scores {game.score_shape} of each example" if game.score_shape else "one score an example, [B]"
        raise ValueError(f"A discriminator gives {wanted}; this one gives {scores.shape} for one.")
    params = {"generator": generator, "discriminator": discriminator}
    return Variables(params, {"generator": generator_state, "discriminator": discriminator_state})


def generate_in_training(game: Game, variables: Variables, batch: Batch, key: Array) -> tuple[Array, PyTree]:
    """Make as many examples as the batch has, under its conditions; return (examples, generator's moved state)."""
    latent_key, run_key = jax.random.split(key)
    latents = game.prior(latent_key, (batch["x"].shape[0], game.latent_dim))
    params, state = variables.params["generator"], variables.state["generator"]
    return train_player(game.generator, params, state, run_key, latents, *_told_of(game, batch))


def score_in_training(
    game: Game, variables: Variables, state: PyTree, batch: Batch, key: Array, x: Array
) -> tuple[Array, PyTree]:
    """Score x `[B, ...]` under the batch's conditions, from the discriminator's `state`; (scores, moved state)."""
    params = variables.params["discriminator"]
    return train_player(game.discriminator, params, state, key, x, *_told_of(game, batch))


def discriminator_objective(
    game: Game, variables: Variables, batch: Batch, key: Array, step: Array
) -> tuple[Array, Aux]:
    """Return the mean of the discriminator's loss and regularizers: a LossFn for the player 'discriminator'."""
    del step
    fake_key, real_run, fake_run, regularizer_key = jax.random.split(key, 4)
    state = variables.state["discriminator"]
    fake, _ = generate_in_training(game, variables, batch, fake_key)
    real_scores, state = score_in_training(game, variables, state, batch, real_run, batch["x"])
    fake_scores, state = score_in_training(game, variables, state, batch, fake_run, fake)
    terms = game.discriminator_loss(real_scores, fake_scores)
    metrics = {"real": terms.real.mean(), "fake": terms.fake.mean()}
    metrics |= {"real_score": real_scores.mean(), "fake_score": fake_scores.mean()}
    penalties = _penalties(game, variables, batch, regularizer_key, fake)
    loss = terms.real.mean() + terms.fake.mean() + sum(penalties.values())
    return loss, Aux({**variables.state, "discriminator": state}, metrics | penalties)


def generator_objective(game: Game, variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
    """Return the mean of the generator's loss: a LossFn for the player 'generator'."""
    del step
    fake_key, run_key = jax.random.split(key)
    fake, state = generate_in_training(game, variables, batch, fake_key)
    scores, _ = score_in_training(game, variables, variables.state["discriminator"], batch, run_key, fake)
    metrics = {"fake_score": scores.mean()}
    return game.generator_loss(scores).mean(), Aux({**variables.state, "generator": state}, metrics)


def generate(game: Game, variables: Variables, key: Array, latents: Array, condition: PyTree = None) -> Array:
    """Return what the generator makes of latents `[N, latent_dim]` by its running statistics, `[N, ...]`."""
    del key
    params, state = variables.params["generator"], variables.state["generator"]
    return run_player(game.generator, params, state, latents, *_told(game, condition))


def sample(game: Game, variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None) -> Array:
    """Return examples made of latents from the prior, `[num_samples, ...]`."""
    latents = game.prior(key, (num_samples, game.latent_dim))
    return generate(game, variables, key, latents, condition)


def score(game: Game, variables: Variables, key: Array, x: Array, condition: PyTree = None) -> Array:
    """Return the discriminator's scores of x `[N, ...]` by its running statistics, `[N]`."""
    del key
    params, state = variables.params["discriminator"], variables.state["discriminator"]
    return run_player(game.discriminator, params, state, x, *_told(game, condition))


def interpolate(
    game: Game,
    variables: Variables,
    key: Array,
    start: Array,
    end: Array,
    condition: PyTree = None,
    *,
    num_steps: int = 8,
    path: Callable[[Array, Array, Array], Array] = slerp,
) -> Array:
    """Return examples along a path between latents, both ends included.

    Args:
        start: latents `[N, latent_dim]`.
        end: latents `[N, latent_dim]`.
        condition: of each pair, leading axis N, kept along its path.
        num_steps: points on each path.
        path: `slerp`, or `lerp` for straight lines.

    Returns:
        `[N, num_steps, ...]`.
    """
    latents = path(start, end, jnp.linspace(0.0, 1.0, num_steps)).reshape(-1, game.latent_dim)
    condition = jax.tree.map(lambda c: jnp.repeat(c, num_steps, axis=0), condition)
    examples = generate(game, variables, key, latents, condition)
    return examples.reshape(start.shape[0], num_steps, *examples.shape[1:])


def arithmetic(
    game: Game,
    variables: Variables,
    key: Array,
    base: Array,
    minus: Array,
    plus: Array,
    condition: PyTree = None,
    *,
    num_samples: int = 9,
    noise_scale: float | Array = 0.25,
) -> Array:
    """Return examples at and around mean(base) - mean(minus) + mean(plus).

    Args:
        base, minus, plus: latents `[N, latent_dim]` each, of a few examples that share a look.
        condition: of each sample, leading axis num_samples.
        num_samples: the first is at the result, the others have uniform noise added.
        noise_scale: the noise is within +-noise_scale in each coordinate.

    Returns:
        `[num_samples, ...]`.

    Reference: Radford et al. 2016, section 6.3.2 and figure 7.
    """
    centre = latent_arithmetic(base, minus, plus)[None]
    noise = noise_scale * jax.random.uniform(key, (num_samples, game.latent_dim), minval=-1.0, maxval=1.0)
    return generate(game, variables, key, centre + noise.at[0].set(0.0), condition)


def mean_penalties(
    regularizers: Mapping[str, Regularizer], critic: Critic, real: Array, fake: Array, key: Array
) -> dict[str, Array]:
    """Return the mean of each regularizer, under its name, with a key of its own."""
    keys = jax.random.split(key, max(1, len(regularizers)))
    pairs = zip(regularizers.items(), keys)
    return {name: regularizer(critic, real, fake, k).mean() for (name, regularizer), k in pairs}


def _penalties(game: Game, variables: Variables, batch: Batch, key: Array, fake: Array) -> dict[str, Array]:
    """Return each regularizer's mean; its critic runs as in training and moves no state."""
    state = variables.state["discriminator"]
    run_key, key = jax.random.split(key)
    critic = lambda x: score_in_training(game, variables, state, batch, run_key, x)[0]
    return mean_penalties(game.regularizers, critic, batch["x"], fake, key)


def _told_of(game: Game, batch: Batch) -> tuple[PyTree, ...]:
    """Return what both networks are told of a batch beside their input: one condition, or nothing."""
    return () if game.condition_of is None else (game.condition_of(batch),)


def _told(game: Game, condition: PyTree) -> tuple[PyTree, ...]:
    """Return the same of a condition that a caller gave."""
    if game.condition_of is None and condition is not None:
        raise ValueError("This model is unconditional and takes no `condition`.")
    if game.condition_of is not None and condition is None:
        raise ValueError("This model is conditional: give `condition`, with one entry for each sample.")
    return () if condition is None else (condition,)
