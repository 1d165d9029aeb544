"""StarGAN: one generator for all domains, told which one to make, and a discriminator that also says which it sees.

Of pictures x of domain c' (labels 0 ... K - 1) and a domain c drawn for each, with D_src the mean of D's scores of
patches and D_cls(. | x) its distribution over domains (eqs. 2, 3, 4 and 8):

    D descends   -E D_src(x) + E D_src(G(x, c)) + lambda_gp E (|grad D_src(u)| - 1)^2 + lambda_cls E -log D_cls(c' | x)
    G descends   -E D_src(G(x, c)) + lambda_cls E -log D_cls(c | G(x, c)) + lambda_rec E |x - G(G(x, c), c')|

u lies between x and G(x, c); |.| of pictures is a mean over entries; lambda_cls, lambda_rec, lambda_gp = 1, 10, 10, and
D moves five times for each move of G. The domain enters G as K more channels, each constant over the picture; so that it
is not lost, G's first map is to be left without instance normalization, unlike the paper's (`ResidualGenerator`).

Reference: Choi et al. 2018, "StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image
Translation", https://arxiv.org/abs/1711.09020
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial.adversarial_training import label_loss
from genjax.adversarial.image_translation import from_gallery, l1_loss, require_given
from genjax.adversarial.losses import wasserstein_discriminator_loss, wasserstein_generator_loss
from genjax.adversarial.players import init_player, run_player, train_player
from genjax.adversarial.regularizers import gradient_penalty
from genjax.contract import Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables
from genjax.nn import Conv


class Judgement(NamedTuple):
    """What a discriminator says of pictures.

    score: higher is more real, `[B]`.
    logits: of the domains `[B, K]`, or of attributes `[B, A]`.
    """

    score: Array
    logits: Array


class StarGANGenerator(nn.Module):
    """Pictures and a domain to pictures.

    network: module (picture with K more channels, train=) -> picture, as `ResidualGenerator`, its first map as it is.
    num_domains: K.
    """

    network: nn.Module
    num_domains: int

    @nn.compact
    def __call__(self, x: Array, label: Array, *, train: bool) -> Array:
        """Map x `[B, H, W, C]` and domains int32 `[B]` to `[B, H, W, C]`."""
        told = jax.nn.one_hot(label, self.num_domains, dtype=x.dtype)[:, None, None, :]
        told = jnp.broadcast_to(told, (*x.shape[:3], self.num_domains))
        return self.network(jnp.concatenate([x, told], axis=-1), train=train)


class StarGANDiscriminator(nn.Module):
    """Pictures to a score, the mean over patches, and logits of the domains.

    features: channels of the convolutions, each of which halves the side; nothing is normalized.
    num_domains: K.
    dtype: compute dtype.
    """

    features: Sequence[int]
    num_domains: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Judgement:
        """Judge x `[B, H, W, C]`, H and W multiples of 2^len(features)."""
        del train
        for width in self.features:
            x = jax.nn.leaky_relu(Conv(width, kernel_size=4, stride=2, dtype=self.dtype)(x), 0.01)
        # A Wasserstein loss sees differences of scores, so a bias of theirs would never move.
        score = Conv(1, kernel_size=3, use_bias=False, dtype=self.dtype, name="score")(x)
        logits = nn.Dense(self.num_domains, use_bias=False, dtype=self.dtype, name="domain")(x.reshape(x.shape[0], -1))
        return Judgement(score.mean(axis=(1, 2, 3)), logits)


class Star(NamedTuple):
    """The fixed part; see `stargan`."""

    generator: nn.Module
    discriminator: nn.Module
    num_domains: int
    class_weight: float
    reconstruction_weight: float
    penalty_weight: float


def stargan(
    generator: nn.Module,
    discriminator: nn.Module,
    *,
    num_domains: int,
    class_weight: float = 1.0,
    reconstruction_weight: float = 10.0,
    penalty_weight: float = 10.0,
    discriminator_steps: int = 5,
) -> GenerativeModel:
    """Bind a generator that is told a domain and a discriminator that tells domains into StarGAN.

    Args:
        generator: module (x, label int32 `[B]`, train=) -> pictures like batch['x'], as `StarGANGenerator`.
        discriminator: module (x, train=) -> Judgement, one example at a time (no batch normalization).
        num_domains: K; batch['label'] holds 0 ... K - 1.
        class_weight: lambda_cls.
        reconstruction_weight: lambda_rec.
        penalty_weight: lambda_gp.
        discriminator_steps: moves of the discriminator before each of the generator.

    Returns:
        A model with the players 'generator' and 'discriminator'. `condition` of samples is a mapping with 'label'
        `[N]`, the domain to make, and 'given' `[N, ...]`, pictures to make it of; where one is missing, domains are
        drawn alike, pictures from the first batch. Methods: `translate(x, label)`, `classify(x)` -> log-probabilities of
        the domains `[N, K]`.

    Reference: Choi et al. 2018, section 3.
    """
    weights = class_weight, reconstruction_weight, penalty_weight
    game = Star(generator, discriminator, num_domains, *weights)
    judge = partial(discriminator_objective, game)
    return GenerativeModel(
        init=partial(init_star, game),
        updates=(
            Update("discriminator", ("discriminator",), judge, repeat=discriminator_steps),
            Update("generator", ("generator",), partial(generator_objective, game)),
        ),
        sample=partial(sample, game),
        methods={"translate": partial(translate, game), "classify": partial(classify, game)},
    )


def init_star(game: Star, key: Array, batch: Batch) -> Variables:
    """Initialise both players on the first example of the batch.

    Raises:
        ValueError: if what the generator makes is not shaped like the data, or there are not K logits.
    """
    generator_key, discriminator_key = jax.random.split(key)
    x, label = batch["x"][:1], batch["label"][:1]
    generator, generator_state, made = init_player(game.generator, generator_key, x, label)
    if made.shape != x.shape:
        raise ValueError(f"The generator makes pictures {made.shape[1:]}, but the data are {x.shape[1:]}.")
    discriminator, discriminator_state, judged = init_player(game.discriminator, discriminator_key, x)
    if judged.score.shape != (1,) or judged.logits.shape != (1, game.num_domains):
        shapes = f"{judged.score.shape} and {judged.logits.shape}"
        raise ValueError(f"A discriminator gives scores [B] and logits [B, {game.num_domains}], not {shapes} for one.")
    params = {"generator": generator, "discriminator": discriminator}
    state = {"generator": generator_state, "discriminator": discriminator_state, "gallery": batch["x"]}
    return Variables(params, state)


def draw_domains(game: Star, key: Array, num: int) -> Array:
    """Return domains drawn alike, int32 `[num]`."""
    return jax.random.randint(key, (num,), 0, game.num_domains)


def discriminator_objective(
    game: Star, variables: Variables, batch: Batch, key: Array, step: Array
) -> tuple[Array, Aux]:
    """Return the discriminator's four terms: a LossFn for 'discriminator'."""
    del step
    label_key, make_key, run_key, penalty_key = jax.random.split(key, 4)
    x, params, state = batch["x"], variables.params, variables.state
    wanted = draw_domains(game, label_key, x.shape[0])
    made, _ = train_player(game.generator, params["generator"], state["generator"], make_key, x, wanted)
    judge = lambda x: train_player(game.discriminator, params["discriminator"], state["discriminator"], run_key, x)[0]
    seen = judge(x)
    terms = wasserstein_discriminator_loss(seen.score, judge(made).score)
    critic = lambda x: judge(x).score
    metrics = {"real": terms.real.mean(), "fake": terms.fake.mean()}
    metrics["penalty"] = gradient_penalty(critic, x, made, penalty_key, weight=game.penalty_weight).mean()
    metrics["domain"] = game.class_weight * label_loss(seen.logits, batch["label"]).mean()
    return sum(metrics.values()), Aux(state, metrics)


def generator_objective(game: Star, variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
    """Return the generator's three terms: a LossFn for 'generator'."""
    del step
    label_key, make_key, back_key, run_key = jax.random.split(key, 4)
    x, params, state = batch["x"], variables.params, variables.state
    wanted = draw_domains(game, label_key, x.shape[0])
    run = partial(train_player, game.generator, params["generator"])
    made, moved = run(state["generator"], make_key, x, wanted)
    again, moved = run(moved, back_key, made, batch["label"])
    judge = game.discriminator, params["discriminator"], state["discriminator"]
    seen, _ = train_player(*judge, run_key, made)
    metrics = {"adversarial": wasserstein_generator_loss(seen.score).mean()}
    metrics["domain"] = game.class_weight * label_loss(seen.logits, wanted).mean()
    metrics["reconstruction"] = game.reconstruction_weight * l1_loss(again, x).mean()
    return sum(metrics.values()), Aux({**state, "generator": moved}, metrics)


def translate(game: Star, variables: Variables, key: Array, x: Array, label: Array) -> Array:
    """Return pictures `[N, ...]` in the domains `label`, int32 `[N]`."""
    del key
    return run_player(game.generator, variables.params["generator"], variables.state["generator"], x, label)


def classify(game: Star, variables: Variables, key: Array, x: Array) -> Array:
    """Return log D_cls(c | x) of pictures `[N, ...]`, `[N, K]`."""
    del key
    params, state = variables.params["discriminator"], variables.state["discriminator"]
    return jax.nn.log_softmax(run_player(game.discriminator, params, state, x).logits)


def sample(
    game: Star, variables: Variables, key: Array, num_samples: int, *, condition: Mapping[str, PyTree] | None = None
) -> Array:
    """Return pictures of the domains and made of the pictures in `condition`; what it does not hold is drawn."""
    told, (label_key, picture_key) = dict(condition or {}), jax.random.split(key)
    if not told.keys() <= {"label", "given"}:
        raise ValueError(f"A condition holds 'label' and 'given', not {sorted(told)}.")
    if "label" not in told:
        told["label"] = draw_domains(game, label_key, num_samples)
    if "given" not in told:
        told["given"] = from_gallery(picture_key, variables.state["gallery"], num_samples)
    require_given(told["given"], num_samples)
    return translate(game, variables, key, told["given"], told["label"])
