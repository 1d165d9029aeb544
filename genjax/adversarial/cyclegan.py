"""CycleGAN: pictures of one domain made of another's, without pairs, by asking that the way there and back is the identity.

Of pictures x of A and y of B that have nothing to do with one another, with g_ab: A -> B, g_ba: B -> A and least-squares
discriminators d_a, d_b of patches (section 3; L_GAN as in section 4):

    generators       descend  E (d_b(g_ab(x)) - 1)^2 + E (d_a(g_ba(y)) - 1)^2
                              + lambda (E |g_ba(g_ab(x)) - x| + E |g_ab(g_ba(y)) - y|)          cycle, eq. 2
                              + lambda_identity (E |g_ab(y) - y| + E |g_ba(x) - x|)             identity, section 5.2
    discriminators   descend  for each domain, half of  E (d(real) - 1)^2 + E d(fake)^2

|.| is a mean over entries; lambda = 10, and lambda_identity = 5 where it is used. The discriminators see fakes from a
pool of past ones (Shrivastava et al. 2017, section 2.3): with probability 1/2 a fake is shown, and otherwise it trades
places with a random one of the pool, which is shown. Until the pool is full, fakes are put into it and shown. Here
every slot of a batch has a pool of its own, of P pictures, in `Variables.memory`.

Reference: Zhu et al. 2017, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks",
https://arxiv.org/abs/1703.10593
"""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial.game import DiscriminatorLoss, GeneratorLoss, Regularizer, mean_penalties
from genjax.adversarial.image_translation import from_gallery, l1_loss, mean_score, over_patches, require_given
from genjax.adversarial.losses import least_squares_discriminator_loss, least_squares_generator_loss
from genjax.adversarial.players import init_player, run_player, train_player
from genjax.contract import AfterFn, Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables


class Pool(NamedTuple):
    """Past fakes, a pool for each slot of a batch.

    pictures: `[B, P, ...]`.
    filled: how many of the P there are, int32 `[B]`.
    """

    pictures: Array
    filled: Array


class Cycle(NamedTuple):
    """The fixed part; see `cyclegan`."""

    modules: dict[str, nn.Module]
    cycle_weight: float
    identity_weight: float
    pool_size: int
    generator_loss: GeneratorLoss
    discriminator_loss: DiscriminatorLoss
    adversarial_weight: float
    regularizers: Mapping[str, Regularizer]


def empty_pool(pictures: Array, size: int) -> Pool:
    """Return pools without pictures, for fakes like `pictures` `[B, ...]`."""
    slots = jnp.zeros((pictures.shape[0], size, *pictures.shape[1:]), jnp.float32)
    return Pool(slots, jnp.zeros(pictures.shape[:1], jnp.int32))


def show_from_pool(key: Array, pool: Pool, fakes: Array) -> tuple[Array, Pool]:
    """Return what a discriminator is shown in the place of new fakes, and the pools after it.

    Args:
        key: decides for each slot whether its fake trades places, and with which picture.
        pool: of as many slots as there are fakes.
        fakes: `[B, ...]`.

    Returns:
        (pictures `[B, ...]`, Pool). A pool that is not full takes the fake, which is shown too.

    Raises:
        ValueError: pools and fakes do not fit.

    Reference: Zhu et al. 2017, section 4, "Training details"; the rule is that of the authors' code.
    """
    batch, size = pool.pictures.shape[:2]
    if pool.pictures.shape[2:] != fakes.shape[1:] or batch != fakes.shape[0]:
        raise ValueError(f"Pools of pictures {pool.pictures.shape} [B, P, ...] take no fakes of shape {fakes.shape}.")
    trade_key, place_key = jax.random.split(key)
    full = pool.filled >= size
    trades = jax.random.bernoulli(trade_key, 0.5, (batch,)) & full
    place = jnp.where(full, jax.random.randint(place_key, (batch,), 0, size), pool.filled)
    wide = lambda mask: mask.reshape(-1, *(1,) * (fakes.ndim - 1))
    old = jnp.take_along_axis(pool.pictures, wide(place)[:, None], axis=1)[:, 0]
    shown = jnp.where(wide(trades), old, fakes)
    enters = (jnp.arange(size)[None] == place[:, None]) & (trades | ~full)[:, None]
    pictures = jnp.where(enters.reshape(batch, size, *(1,) * (fakes.ndim - 1)), fakes[:, None], pool.pictures)
    return shown, Pool(pictures, jnp.minimum(pool.filled + 1, size))


def cyclegan(
    g_ab: nn.Module,
    g_ba: nn.Module,
    d_a: nn.Module,
    d_b: nn.Module,
    *,
    cycle_weight: float = 10.0,
    identity_weight: float = 0.0,
    pool_size: int = 4,
    generator_loss: GeneratorLoss = least_squares_generator_loss,
    discriminator_loss: DiscriminatorLoss = least_squares_discriminator_loss,
    adversarial_weight: float = 2.0,
    discriminator_steps: int = 1,
    regularizers: Mapping[str, Regularizer] | None = None,
    discriminator_after: AfterFn | None = None,
) -> GenerativeModel:
    """Bind two generators and two discriminators of patches into CycleGAN.

    Args:
        g_ab: module (x, train=) -> pictures like batch['y'], as `ResidualGenerator`.
        g_ba: likewise, (y, train=) -> pictures like batch['x'].
        d_a: module (x, train=) -> scores `[B, h, w]`, as `PatchGAN`, or `[B]`.
        d_b: likewise, of y.
        cycle_weight: lambda.
        identity_weight: lambda_identity; 0 where the domains have other channels.
        pool_size: P, past fakes a slot: batch size * P of each domain in all; 50 in the paper, with batches of 1.
        generator_loss: of the scores `[B]` of what was made -> `[B]`; taken as a mean over patches.
        discriminator_loss: of the scores `[B]` of pictures and of fakes; likewise.
        adversarial_weight: on generator_loss; 2, as the paper's square is not halved.
        discriminator_steps: updates of the discriminators after each of the generators.
        regularizers: name -> a term `[B]` of (critic, pictures, fakes shown, key) that weighs itself, added to each
            discriminator's loss. The critic is the mean of a picture's scores.
        discriminator_after: what follows each move of the discriminators, as in `Update.after`.

    Returns:
        A model of batch['x'] and batch['y'], with the players 'g_ab', 'g_ba', 'd_a', 'd_b' and the updates 'generate'
        and 'discriminate'. `sample` makes pictures of A of pictures of B, given as `condition` `[N, ...]` or drawn from
        the first batch. Methods: `translate(y)`, B -> A like samples, and `translate_ab(x)`, A -> B.

    Reference: Zhu et al. 2017, sections 3 and 4.
    """
    game = Cycle(
        modules={"g_ab": g_ab, "g_ba": g_ba, "d_a": d_a, "d_b": d_b},
        cycle_weight=cycle_weight,
        identity_weight=identity_weight,
        pool_size=pool_size,
        generator_loss=generator_loss,
        discriminator_loss=discriminator_loss,
        adversarial_weight=adversarial_weight,
        regularizers=dict(regularizers or {}),
    )
    move_discriminators = Update(
        name="discriminate",
        players=("d_a", "d_b"),
        loss=partial(discriminator_objective, game),
        repeat=discriminator_steps,
        after=discriminator_after,
    )
    return GenerativeModel(
        init=partial(init_cycle, game),
        updates=(
            Update("generate", ("g_ab", "g_ba"), partial(generator_objective, game)),
            move_discriminators,
        ),
        sample=partial(sample, game),
        methods={"translate": partial(translate, game, "g_ba"), "translate_ab": partial(translate, game, "g_ab")},
    )


def init_cycle(game: Cycle, key: Array, batch: Batch) -> Variables:
    """Initialise the four players on the first examples of both domains, and empty pools.

    Raises:
        ValueError: if a generator's pictures are not shaped like those of its domain.
    """
    x, y = batch["x"], batch["y"]
    inputs, wanted = {"g_ab": x, "g_ba": y, "d_a": x, "d_b": y}, {"g_ab": y, "g_ba": x}
    params, state = {}, {}
    for (name, module), player_key in zip(game.modules.items(), jax.random.split(key, 4)):
        params[name], state[name], made = init_player(module, player_key, inputs[name][:1])
        if name in wanted and made.shape[1:] != wanted[name].shape[1:]:
            raise ValueError(f"{name} makes pictures {made.shape[1:]}, but its domain has {wanted[name].shape[1:]}.")
    memory = {"a": empty_pool(x, game.pool_size), "b": empty_pool(y, game.pool_size)}
    return Variables(params, state | {"gallery": y}, memory)


def play(game: Cycle, variables: Variables, key: Array, index: int, name: str, pictures: Array) -> tuple[Array, PyTree]:
    """Run a player as it is trained, with the index-th key of the update; (outputs, its moved state)."""
    params, state = variables.params[name], variables.state[name]
    return train_player(game.modules[name], params, state, jax.random.fold_in(key, index), pictures)


def generator_objective(game: Cycle, variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
    """Return the generators' three terms: a LossFn for 'g_ab' and 'g_ba'."""
    del step
    x, y = batch["x"], batch["y"]
    run = partial(play, game, variables, key)
    (fake_y, state_ab), (fake_x, state_ba) = run(0, "g_ab", x), run(1, "g_ba", y)
    fools = lambda scores: game.adversarial_weight * over_patches(game.generator_loss)(scores).mean()
    metrics = {"adversarial_ab": fools(run(2, "d_b", fake_y)[0]), "adversarial_ba": fools(run(3, "d_a", fake_x)[0])}
    x_again, y_again = run(4, "g_ba", fake_y)[0], run(5, "g_ab", fake_x)[0]
    metrics["cycle"] = l1_loss(x_again, x).mean() + l1_loss(y_again, y).mean()
    loss = metrics["adversarial_ab"] + metrics["adversarial_ba"] + game.cycle_weight * metrics["cycle"]
    if game.identity_weight:
        same = l1_loss(run(6, "g_ab", y)[0], y).mean() + l1_loss(run(7, "g_ba", x)[0], x).mean()
        metrics["identity"] = same
        loss = loss + game.identity_weight * same
    return loss, Aux({**variables.state, "g_ab": state_ab, "g_ba": state_ba}, metrics)


def discriminator_objective(
    game: Cycle, variables: Variables, batch: Batch, key: Array, step: Array
) -> tuple[Array, Aux]:
    """Return the discriminators' losses on pictures and on fakes from the pools: a LossFn for 'd_a' and 'd_b'."""
    del step
    play_key, *pool_keys = jax.random.split(key, 3)
    run = partial(play, game, variables, play_key)
    fakes = {"a": run(0, "g_ba", batch["y"])[0], "b": run(1, "g_ab", batch["x"])[0]}
    reals = {"a": batch["x"], "b": batch["y"]}
    loss, metrics, memory, moved = jnp.zeros(()), {}, {}, {}
    for index, domain in enumerate(fakes):
        judge = f"d_{domain}"
        shown, memory[domain] = show_from_pool(pool_keys[index], variables.memory[domain], fakes[domain])
        real_scores, moved[judge] = run(2 + 2 * index, judge, reals[domain])
        terms = over_patches(game.discriminator_loss)(real_scores, run(3 + 2 * index, judge, shown)[0])
        critic = lambda pictures, judge=judge: mean_score(run(6 + index, judge, pictures)[0])
        penalties = mean_penalties(game.regularizers, critic, reals[domain], shown, jax.random.fold_in(key, index))
        metrics |= {f"real_{domain}": terms.real.mean(), f"fake_{domain}": terms.fake.mean()}
        metrics |= {f"{name}_{domain}": penalty for name, penalty in penalties.items()}
        loss = loss + terms.real.mean() + terms.fake.mean() + sum(penalties.values())
    return loss, Aux({**variables.state, **moved}, metrics, memory)


def translate(game: Cycle, name: str, variables: Variables, key: Array, pictures: Array) -> Array:
    """Return what one of the generators makes of pictures `[N, ...]`."""
    del key
    return run_player(game.modules[name], variables.params[name], variables.state[name], pictures)


def sample(game: Cycle, variables: Variables, key: Array, num_samples: int, *, condition: Array | None = None) -> Array:
    """Return pictures of A made of `condition` `[num_samples, ...]`, or of pictures of B drawn from the first batch's."""
    require_given(condition, num_samples)
    given = from_gallery(key, variables.state["gallery"], num_samples) if condition is None else condition
    return translate(game, "g_ba", variables, key, given)
