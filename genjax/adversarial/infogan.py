"""InfoGAN: part of the latent is a code that the picture must show, so that it comes to mean something.

The generator is given noise z and a code c; a network Q reads the code back from the picture. The game becomes
(Chen et al. 2016, eq. 6)

    min_{G,Q} max_D  V(D, G) - lambda L_I(G, Q),
    L_I = E_{c ~ P(c), x ~ G(z, c)} [log Q(c | x)] + H(c)  <=  I(c; G(z, c))  <=  H(c)        eq. 4, 5

with equality on the left where Q is the posterior, and on the right, for a categorical code, where the picture gives
the code away. The code here is one category of K, uniform, and C numbers, uniform on [-1, 1]; Q gives the categories'
logits and the mean of a Gaussian of standard deviation 1 for each number (as in the authors' code), whose entropies
are log K and C log 2 nats. Each part has its own lambda: a density has no bound such as H(c), and its lambda is smaller.

Q shares all layers with D but its last two (section 4). It is a head of the player 'discriminator', whose update descends
D's loss - lambda L_I; the generator's descends its own - lambda L_I. A latent is a row [noise, one-hot category, numbers].

Reference: Chen et al. 2016, "InfoGAN: Interpretable Representation Learning by Information Maximizing Generative
Adversarial Nets", https://arxiv.org/abs/1606.03657
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from genjax.adversarial import game as play
from genjax.adversarial.game import DiscriminatorLoss, Game, GeneratorLoss, Regularizer
from genjax.adversarial.info_networks import Codes, InfoGANDiscriminator, InfoGANGenerator, Recognition
from genjax.adversarial.losses import gan_discriminator_loss, non_saturating_generator_loss
from genjax.adversarial.players import init_player, run_player, train_player
from genjax.contract import AfterFn, Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables
from genjax.distributions import normal_log_prob

Information = Callable[[Recognition, Array], tuple[Array, dict[str, Array]]]  # Q's reading, latents -> lambda L_I, parts


def categorical_bound(logits: Array, code: Array) -> Array:
    """Return log Q(c | x) + H(c) of a category that is uniform.

    Args:
        logits: of Q, `[B, K]`.
        code: one-hot `[B, K]`.

    Returns:
        `[B]`, nats; its mean is a bound on I(c; x), and at most H(c) = log K.

    Reference: Chen et al. 2016, eq. 5.
    """
    chex.assert_rank([logits, code], 2)
    chex.assert_equal_shape([logits, code])
    return math.log(logits.shape[-1]) + jnp.sum(code * jax.nn.log_softmax(logits, axis=-1), axis=-1)


def uniform_bound(mean: Array, code: Array) -> Array:
    """Return log Q(c | x) + H(c) of numbers uniform on [-1, 1], Q Gaussian with standard deviation 1.

    Args:
        mean: of Q, `[B, C]`.
        code: `[B, C]`.

    Returns:
        `[B]`, nats; its mean is a bound on I(c; x).

    Reference: Chen et al. 2016, eq. 5.
    """
    chex.assert_rank([mean, code], 2)
    chex.assert_equal_shape([mean, code])
    return mean.shape[-1] * math.log(2.0) + jnp.sum(normal_log_prob(code, mean, log_std=0.0), axis=-1)


def draw_latents(codes: Codes, key: Array, shape: tuple[int, int]) -> Array:
    """Draw latents: noise from the standard normal, a uniform category, numbers uniform on [-1, 1].

    Args:
        codes: the parts of a latent.
        key: a key.
        shape: (N, `codes.width`).

    Returns:
        `[N, codes.width]`.
    """
    noise_key, category_key, number_key = jax.random.split(key, 3)
    num = shape[0]
    noise = jax.random.normal(noise_key, (num, codes.noise))
    category = jax.nn.one_hot(jax.random.randint(category_key, (num,), 0, codes.categories), codes.categories)
    numbers = jax.random.uniform(number_key, (num, codes.numbers), minval=-1.0, maxval=1.0)
    return jnp.concatenate([noise, category, numbers], axis=-1)


class Lambdas(NamedTuple):
    """Weights of L_I.

    category: of the category's part.
    numbers: of the numbers' part.
    """

    category: float = 1.0
    numbers: float = 0.1


def infogan(
    generator: InfoGANGenerator,
    discriminator: InfoGANDiscriminator,
    *,
    codes: Codes,
    lambdas: Lambdas = Lambdas(),
    generator_loss: GeneratorLoss = non_saturating_generator_loss,
    discriminator_loss: DiscriminatorLoss = gan_discriminator_loss,
    discriminator_steps: int = 1,
    regularizers: Mapping[str, Regularizer] | None = None,
    discriminator_after: AfterFn | None = None,
) -> GenerativeModel:
    """Bind a generator and a discriminator with the head Q into an InfoGAN.

    Args:
        generator: module (latents `[B, codes.width]`, train=) -> `[B, ...]` like batch['x'].
        discriminator: module (x `[B, ...]`, train=) -> Recognition.
        codes: the parts of a latent.
        lambdas: weights of L_I.
        generator_loss: of D's scores of generated examples.
        discriminator_loss: of D's scores of real and of generated examples.
        discriminator_steps: moves of the discriminator before each of the generator.
        regularizers: as in `genjax.adversarial.gan.gan`; the critic is D's score.
        discriminator_after: what follows each move of the discriminator (with Q), as in `Update.after`.

    Returns:
        A model with the players 'generator' and 'discriminator' (with Q) and the methods

            generate: (variables, key, latents `[N, codes.width]`) -> `[N, ...]`;
            recognize: (variables, key, x `[N, ...]`) -> Recognition;
            vary_category: (variables, key, latents) -> `[N, K, ...]`, every category with the rest of each latent;
            vary_number: (variables, key, latents, values `[T]`, *, index) -> `[N, T, ...]`.

    Reference: Chen et al. 2016, eq. 6.
    """
    game = Game(
        generator,
        discriminator,
        codes.width,
        generator_loss,
        discriminator_loss,
        dict(regularizers or {}),
        None,
        partial(draw_latents, codes),
    )
    information = partial(_information, codes, lambdas)
    methods = {
        "generate": partial(play.generate, game),
        "recognize": partial(recognize, game),
        "vary_category": partial(vary_category, game, codes),
        "vary_number": partial(vary_number, game, codes),
    }
    move_discriminator = Update(
        name="discriminator",
        players=("discriminator",),
        loss=partial(_discriminator_objective, game, information),
        repeat=discriminator_steps,
        after=discriminator_after,
    )
    return GenerativeModel(
        init=partial(_init, game),
        updates=(
            move_discriminator,
            Update("generator", ("generator",), partial(_generator_objective, game, information)),
        ),
        sample=partial(play.sample, game),
        methods=methods,
    )


def recognize(game: Game, variables: Variables, key: Array, x: Array) -> Recognition:
    """Return scores and Q of x `[N, ...]` by running statistics."""
    del key
    return run_player(game.discriminator, variables.params["discriminator"], variables.state["discriminator"], x)


def vary_category(game: Game, codes: Codes, variables: Variables, key: Array, latents: Array) -> Array:
    """Return pictures of every category, the rest of each latent as it is: `[N, K, ...]` of latents `[N, width]`."""
    choices = jnp.eye(codes.categories)
    return _varied(game, variables, key, latents, choices, codes.noise)


def vary_number(
    game: Game, codes: Codes, variables: Variables, key: Array, latents: Array, values: Array, *, index: int
) -> Array:
    """Return pictures with one number of the code set to values, the rest of each latent as it is.

    Args:
        latents: `[N, width]`.
        values: `[T]`; the generator has seen [-1, 1].
        index: which number, 0 .. C - 1.

    Returns:
        `[N, T, ...]`.

    Raises:
        ValueError: if there is no such number.
    """
    if not 0 <= index < codes.numbers:
        raise ValueError(f"There is no number {index} in a code of {codes.numbers} numbers, counted from 0.")
    return _varied(game, variables, key, latents, values[:, None], codes.noise + codes.categories + index)


def match_codes(codes: np.ndarray, labels: np.ndarray, num: int) -> np.ndarray:
    """Return the class of each category under the one-to-one assignment with the most examples right.

    Args:
        codes: categories of examples, integers 0 .. num - 1, `[N]`.
        labels: their classes, likewise.
        num: how many there are of both.

    Returns:
        Integers `[num]`: the class of category k.
    """
    from scipy.optimize import linear_sum_assignment  # here, so that models are free of scipy

    if codes.shape != labels.shape or codes.ndim != 1:
        raise ValueError(f"Categories {codes.shape} and classes {labels.shape} must have the same shape, [N].")
    counts = np.zeros((num, num), np.int64)
    np.add.at(counts, (codes, labels), 1)
    return linear_sum_assignment(counts, maximize=True)[1]


def _init(game: Game, key: Array, batch: Batch) -> Variables:
    generator_key, discriminator_key = jax.random.split(key)
    one = batch["x"][:1]
    generator, generator_state, fake = init_player(game.generator, generator_key, jnp.zeros((1, game.latent_dim)))
    if fake.shape != one.shape:
        raise ValueError(f"The generator makes examples {fake.shape[1:]}, but the data are {one.shape[1:]}.")
    discriminator, discriminator_state, _ = init_player(game.discriminator, discriminator_key, one)
    params = {"generator": generator, "discriminator": discriminator}
    return Variables(params, {"generator": generator_state, "discriminator": discriminator_state})


def _fakes(game: Game, variables: Variables, batch: Batch, key: Array) -> tuple[Array, Array, PyTree]:
    """Return (latents, what the generator makes of them in training, its moved state), as many as the batch has."""
    latent_key, run_key = jax.random.split(key)
    latents = game.prior(latent_key, (batch["x"].shape[0], game.latent_dim))
    params, state = variables.params["generator"], variables.state["generator"]
    return latents, *train_player(game.generator, params, state, run_key, latents)


def _information(codes: Codes, lambdas: Lambdas, read: Recognition, latents: Array) -> tuple[Array, dict[str, Array]]:
    """Return (mean of lambda L_I, means of both parts of L_I by name)."""
    _, category, numbers = jnp.split(latents, (codes.noise, codes.noise + codes.categories), axis=-1)
    of_category, of_numbers = categorical_bound(read.logits, category).mean(), uniform_bound(read.mean, numbers).mean()
    weighted = lambdas.category * of_category + lambdas.numbers * of_numbers
    return weighted, {"category_bound": of_category, "numbers_bound": of_numbers}


def _discriminator_objective(
    game: Game, information: Information, variables: Variables, batch: Batch, key: Array, step: Array
) -> tuple[Array, Aux]:
    """Return D's loss and regularizers - lambda L_I, for the trunk and the heads of D and Q: a LossFn."""
    del step
    fake_key, real_key, score_key, penalty_key = jax.random.split(key, 4)
    latents, fake, _ = _fakes(game, variables, batch, fake_key)
    kept = variables.state["discriminator"]
    critic = lambda x: play.score_in_training(game, variables, kept, batch, real_key, x)[0].score
    real, state = play.score_in_training(game, variables, kept, batch, real_key, batch["x"])
    read, state = play.score_in_training(game, variables, state, batch, score_key, fake)
    terms = game.discriminator_loss(real.score, read.score)
    weighted, bounds = information(read, latents)
    metrics = {"real": terms.real.mean(), "fake": terms.fake.mean()}
    metrics |= play.mean_penalties(game.regularizers, critic, batch["x"], fake, penalty_key)
    return sum(metrics.values()) - weighted, Aux({**variables.state, "discriminator": state}, metrics | bounds)


def _generator_objective(
    game: Game, information: Information, variables: Variables, batch: Batch, key: Array, step: Array
) -> tuple[Array, Aux]:
    """Return the generator's loss - lambda L_I: a LossFn."""
    del step
    fake_key, score_key = jax.random.split(key)
    latents, fake, state = _fakes(game, variables, batch, fake_key)
    read, _ = play.score_in_training(game, variables, variables.state["discriminator"], batch, score_key, fake)
    weighted, bounds = information(read, latents)
    fooling = game.generator_loss(read.score).mean()
    metrics = {"fooling": fooling, "fake_score": read.score.mean()} | bounds
    return fooling - weighted, Aux({**variables.state, "generator": state}, metrics)


def _varied(game: Game, variables: Variables, key: Array, latents: Array, choices: Array, start: int) -> Array:
    """Return pictures of latents whose coordinates from `start` on are each of `choices` `[T, width of the part]`."""
    chex.assert_rank([latents, choices], 2)
    shape = (latents.shape[0], choices.shape[0])
    rows = jnp.broadcast_to(latents[:, None], (*shape, latents.shape[1]))
    rows = rows.at[:, :, start : start + choices.shape[1]].set(jnp.broadcast_to(choices[None], (*shape, choices.shape[1])))
    pictures = play.generate(game, variables, key, rows.reshape(-1, latents.shape[1]))
    return pictures.reshape(*shape, *pictures.shape[1:])
