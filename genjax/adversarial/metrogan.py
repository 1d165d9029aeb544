"""MetroGAN: maps of settlements from maps of what is known of a place, with growing resolution and dry feet.

After the description of the paper. A U-Net turns what is known of a place, y (elevation, water, light at night), into a
map x of what is built:

    discriminator   descends   mean over scores of (D(x_l, y) - 1)^2 / 2 + D(G(y)_l, y)^2 / 2
    generator       descends   (D(G(y)_l, y) - 1)^2 / 2 + w_1 |G(y)_l - x_l| + w_g geo(G(y), y)

- geographical loss: geo is the mean of what is built on cells of water, where nothing is in the data;
- growing resolution: x_l is x seen at level l, pooled to a side that doubles from level to level and repeated to the
  full side; between two levels it is their mixture, as in ProGAN's fading in. l rises linearly with the step, so that
  the game is first about where cities are and then about their streets. Here the networks have their full size from the
  start, and what both are judged by grows;
- least squares, which does not saturate where most cells are empty;
- the discriminator judges at two scales: patches of the map, and of the map at half the side.

Reference: Zhang et al. 2022, "MetroGAN: Simulating Urban Morphology with Generative Adversarial Network",
https://arxiv.org/abs/2207.02590
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial import paired_game
from genjax.adversarial.image_translation import PatchGAN, l1_loss
from genjax.adversarial.losses import least_squares_discriminator_loss, least_squares_generator_loss
from genjax.adversarial.paired_game import Paired, given_y, make_in_training
from genjax.adversarial.players import train_player
from genjax.contract import Array, Aux, Batch, GenerativeModel, Update, Variables


class Growth(NamedTuple):
    """How resolution grows: `levels` doublings of the side, one in `steps` steps each."""

    levels: int
    steps: int


class MultiScaleDiscriminator(nn.Module):
    """Maps and what is known of their places to scores of patches, at the full side and at half of it.

    features: channels of the convolutions at either scale; each halves the side.
    dtype: compute dtype.
    """

    features: Sequence[int]
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, given: Array, *, train: bool) -> Array:
        """Map maps `[B, H, W, 1]` and `given` `[B, H, W, C]` to scores `[B, S]`."""
        strides = (2,) * len(self.features)
        scores = []
        for side in ("full", "half"):
            judge = PatchGAN(self.features, strides, normalize=False, dtype=self.dtype, name=side)
            scores.append(judge(x, given, train=train).reshape(x.shape[0], -1))
            x, given = pooled(x, 2), pooled(given, 2)
        return jnp.concatenate(scores, axis=1)


def pooled(x: Array, times: int) -> Array:
    """Return the means of `times` x `times` blocks of x `[B, H, W, C]`."""
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // times, times, width // times, times, channels).mean(axis=(2, 4))


def seen_at_level(x: Array, level: float | Array, levels: int) -> Array:
    """Return maps as they are seen while resolution grows.

    Args:
        x: `[B, H, W, C]`, sides multiples of 2^levels.
        level: l in [0, levels]; 0 is the coarsest, `levels` all of x.
        levels: doublings of the side.

    Returns:
        `[B, H, W, C]`: x pooled by 2^(levels - l) and repeated where l is whole, linear between.

    Reference: after the growing structure of Zhang et al. 2022; Karras et al. 2018, figure 2.
    """
    chex.assert_rank(x, 4)
    total = jnp.zeros_like(x)
    for whole in range(levels + 1):
        times = 2 ** (levels - whole)
        share = jnp.maximum(0.0, 1.0 - jnp.abs(jnp.asarray(level, x.dtype) - whole))
        total += share * jnp.repeat(jnp.repeat(pooled(x, times), times, axis=1), times, axis=2)
    return total


def geographical_loss(made: Array, water: Array) -> Array:
    """Return how much is built on water.

    Args:
        made: maps in [-1, 1], -1 where nothing is built, `[B, H, W, 1]`.
        water: 1 on water and 0 elsewhere, likewise.

    Returns:
        Mean of (made + 1) / 2 over the cells of water, in [0, 1], 0 where there are none, `[B]`.

    Reference: after the geographical loss of Zhang et al. 2022.
    """
    chex.assert_rank([made, water], 4)
    whole = lambda of: of.sum(axis=(1, 2, 3))
    return whole(water * (made + 1) / 2) / jnp.maximum(whole(water), 1.0)


def metrogan(
    generator: nn.Module,
    discriminator: nn.Module,
    *,
    water_of: Callable[[Array], Array],
    growth: Growth,
    l1_weight: float = 5.0,
    geographical_weight: float = 5.0,
) -> GenerativeModel:
    """Bind a U-Net and a discriminator of several scales.

    Args:
        generator: module (given `[B, H, W, C]`, train=) -> maps `[B, H, W, 1]` in [-1, 1].
        discriminator: module (map, given, train=) -> scores `[B, S]`.
        water_of: given -> where water is, 1 or 0 `[B, H, W, 1]`.
        growth: see Growth.
        l1_weight: w_1.
        geographical_weight: w_g.

    Returns:
        A model of batches with maps 'x' and what is known 'y', with the methods `translate` and `score` of
        `genjax.adversarial.paired_game`; `sample` takes what is known as its condition.

    Reference: Zhang et al. 2022.
    """
    game = Paired(
        generator,
        discriminator,
        given_of=given_y,
        terms={},
        generator_loss=_over_scores(least_squares_generator_loss),
        discriminator_loss=_over_scores(least_squares_discriminator_loss),
        generator_weight=1.0,
        discriminator_weight=1.0,
        regularizers={},
        frozen=dict,
    )

    def discriminator_objective(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        make_key, real_key, fake_key = jax.random.split(key, 3)
        made, _ = make_in_training(game, variables, make_key, batch["y"])
        params, state = variables.params["discriminator"], variables.state["discriminator"]
        real, fake = (_seen(of, step, growth) for of in (batch["x"], made))
        real_scores, state = train_player(discriminator, params, state, real_key, real, batch["y"])
        fake_scores, state = train_player(discriminator, params, state, fake_key, fake, batch["y"])
        terms = game.discriminator_loss(real_scores, fake_scores)
        metrics = {"real": terms.real.mean(), "fake": terms.fake.mean()}
        return sum(metrics.values()), Aux({**variables.state, "discriminator": state}, metrics)

    def generator_objective(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        make_key, run_key = jax.random.split(key)
        made, state = make_in_training(game, variables, make_key, batch["y"])
        params, kept = variables.params["discriminator"], variables.state["discriminator"]
        real, fake = (_seen(of, step, growth) for of in (batch["x"], made))
        scores, _ = train_player(discriminator, params, kept, run_key, fake, batch["y"])
        metrics = {
            "adversarial": game.generator_loss(scores).mean(),
            "l1": l1_weight * l1_loss(fake, real).mean(),
            "water": geographical_weight * geographical_loss(made, water_of(batch["y"])).mean(),
        }
        return sum(metrics.values()), Aux({**variables.state, "generator": state}, metrics)

    return GenerativeModel(
        init=partial(paired_game.init_paired, game),
        updates=(
            Update("discriminator", ("discriminator",), discriminator_objective),
            Update("generator", ("generator",), generator_objective),
        ),
        sample=partial(paired_game.sample, game),
        methods={"translate": partial(paired_game.translate, game), "score": partial(paired_game.score, game)},
    )


def _seen(x: Array, step: Array, growth: Growth) -> Array:
    level = jnp.clip(step.astype(jnp.float32) / growth.steps, 0.0, growth.levels)
    return seen_at_level(x, level, growth.levels)


def _over_scores(loss: Callable[..., Any]) -> Callable[..., Any]:
    """Return a loss on scores `[B, S]`, the mean of one on scores `[B]`."""
    each = jax.vmap(loss, in_axes=1, out_axes=1)
    return lambda *scores: jax.tree.map(lambda values: values.mean(axis=1), each(*scores))
