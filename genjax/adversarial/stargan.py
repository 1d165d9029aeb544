"""StarGAN: one generator for all domains, told which one to make, and a discriminator that also says which it sees.

Of pictures x of domain c' (labels 0 ... K - 1) and a domain c drawn for each, with D_src the mean of D's scores of
patches and D_cls(. | x) its distribution over domains (eqs. 2, 3, 4 and 8):

    D descends   -E D_src(x) + E D_src(G(x, c)) + lambda_gp E (|grad D_src(u)| - 1)^2 + lambda_cls E -log D_cls(c' | x)
    G descends   -E D_src(G(x, c)) + lambda_cls E -log D_cls(c | G(x, c)) + lambda_rec E |x - G(G(x, c), c')|

u lies between x and G(x, c); |.| of pictures is a mean over entries; lambda_cls, lambda_rec, lambda_gp = 1, 10, 10, and
D moves five times for each move of G. The domain enters G as K more channels, each constant over the picture; so that it
is not lost, G's first map is to be left without instance normalization, unlike the paper's (`ResidualGenerator`).

G may be told the domain that its picture comes from as well, G(x, c, c') and G(G(x, c, c'), c', c), and D judge a
picture as one of a domain, D_src(x, c') and D_src(G(x, c, c'), c) (Kaneko et al. 2019, whose D judges it as one that
comes from another, too). Afterwards, where its domain is not known, a picture's is the likeliest by D_cls.

Reference: Choi et al. 2018, "StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image
Translation", https://arxiv.org/abs/1711.09020; Kaneko et al. 2019, "StarGAN-VC2", https://arxiv.org/abs/1907.12279
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial.adversarial_training import label_loss
from genjax.adversarial.game import DiscriminatorLoss, GeneratorLoss, Regularizer, mean_penalties
from genjax.adversarial.image_translation import from_gallery, l1_loss, require_given
from genjax.adversarial.losses import wasserstein_discriminator_loss, wasserstein_generator_loss
from genjax.adversarial.players import init_player, run_player, train_player
from genjax.adversarial.regularizers import gradient_penalty
from genjax.contract import AfterFn, Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables
from genjax.nn import Conv


PENALTY: dict[str, Regularizer] = {"gradient_penalty": gradient_penalty}  # of lambda_gp = 10


class Judgement(NamedTuple):
    """What a discriminator says of pictures.

    score: higher is more real, `[B]`; or as one of each domain, `[B, K]`.
    logits: of the domains `[B, K]`, or of attributes `[B, A]`.
    """

    score: Array
    logits: Array


class StarGANGenerator(nn.Module):
    """Pictures and a domain to pictures.

    network: module (picture with K more channels, K^2 where it is told both domains, train=) -> picture, as
        `ResidualGenerator`, its first map as it is.
    num_domains: K.
    """

    network: nn.Module
    num_domains: int

    @nn.compact
    def __call__(self, x: Array, label: Array, source: Array | None = None, *, train: bool) -> Array:
        """Map x `[B, H, W, C]` and domains int32 `[B]`, to go to and maybe to come from, to `[B, H, W, C]`."""
        if source is None:
            told = jax.nn.one_hot(label, self.num_domains, dtype=x.dtype)
        else:
            told = jax.nn.one_hot(label * self.num_domains + source, self.num_domains**2, dtype=x.dtype)
        told = jnp.broadcast_to(told[:, None, None, :], (*x.shape[:3], told.shape[-1]))
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


class StarGANPerceptron(nn.Module):
    """Pictures to a score as one of each domain, and logits of the domains, by one multilayer perceptron.

    hidden: widths of the hidden layers, LeakyReLU 0.2 after each.
    num_domains: K.
    dtype: compute dtype.
    """

    hidden: Sequence[int]
    num_domains: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Judgement:
        """Judge x `[B, ...]`."""
        del train
        x = x.reshape(x.shape[0], -1)
        for width in self.hidden:
            x = jax.nn.leaky_relu(nn.Dense(width, dtype=self.dtype)(x), 0.2)
        heads = {name: nn.Dense(self.num_domains, dtype=self.dtype, name=name) for name in ("score", "domain")}
        return Judgement(heads["score"](x), heads["domain"](x))


class Star(NamedTuple):
    """The fixed part; see `stargan`."""

    generator: nn.Module
    discriminator: nn.Module
    num_domains: int
    class_weight: float
    reconstruction_weight: float
    generator_loss: GeneratorLoss
    discriminator_loss: DiscriminatorLoss
    regularizers: Mapping[str, Regularizer]
    both_domains: bool


def stargan(
    generator: nn.Module,
    discriminator: nn.Module,
    *,
    num_domains: int,
    class_weight: float = 1.0,
    reconstruction_weight: float = 10.0,
    generator_loss: GeneratorLoss = wasserstein_generator_loss,
    discriminator_loss: DiscriminatorLoss = wasserstein_discriminator_loss,
    discriminator_steps: int = 5,
    regularizers: Mapping[str, Regularizer] | None = None,
    discriminator_after: AfterFn | None = None,
    both_domains: bool = False,
) -> GenerativeModel:
    """Bind a generator that is told a domain and a discriminator that tells domains into StarGAN.

    Args:
        generator: module (x, label int32 `[B]`, train=) -> pictures like batch['x'], as `StarGANGenerator`;
            (x, label, source, train=) if both_domains.
        discriminator: module (x, train=) -> Judgement, one example at a time (no batch normalization).
        num_domains: K; batch['label'] holds 0 ... K - 1.
        class_weight: lambda_cls.
        reconstruction_weight: lambda_rec.
        generator_loss: of the scores `[B]` of what was made -> `[B]`.
        discriminator_loss: of the scores `[B]` of pictures and of what was made.
        discriminator_steps: moves of the discriminator before each of the generator.
        regularizers: name -> a term `[B]` of (critic, pictures, what was made, key) that weighs itself, added to the
            discriminator's loss; the paper's gradient penalty of lambda_gp = 10 if None. Where there are scores for
            each domain, the critic's are those for the pictures' own.
        discriminator_after: what follows each move of the discriminator, as in `Update.after`.
        both_domains: whether the generator is told the domain that a picture comes from as well, and the discriminator
            gives a score for each, `[B, K]`, as `StarGANPerceptron`.

    Returns:
        A model with the players 'generator' and 'discriminator'. `condition` of samples is a mapping with 'label'
        `[N]`, the domain to make, and 'given' `[N, ...]`, pictures to make it of; where one is missing, domains are
        drawn alike, pictures from the first batch. Methods: `translate(x, label)`, `classify(x)` -> log-probabilities of
        the domains `[N, K]`.

    Reference: Choi et al. 2018, section 3.
    """
    game = Star(
        generator=generator,
        discriminator=discriminator,
        num_domains=num_domains,
        class_weight=class_weight,
        reconstruction_weight=reconstruction_weight,
        generator_loss=generator_loss,
        discriminator_loss=discriminator_loss,
        regularizers=PENALTY if regularizers is None else dict(regularizers),
        both_domains=both_domains,
    )
    move_discriminator = Update(
        name="discriminator",
        players=("discriminator",),
        loss=partial(discriminator_objective, game),
        repeat=discriminator_steps,
        after=discriminator_after,
    )
    return GenerativeModel(
        init=partial(init_star, game),
        updates=(
            move_discriminator,
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
    generator, generator_state, made = init_player(game.generator, generator_key, x, *_told(game, label, label))
    if made.shape != x.shape:
        raise ValueError(f"The generator makes pictures {made.shape[1:]}, but the data are {x.shape[1:]}.")
    discriminator, discriminator_state, judged = init_player(game.discriminator, discriminator_key, x)
    scores = (1, game.num_domains) if game.both_domains else (1,)
    if judged.score.shape != scores or judged.logits.shape != (1, game.num_domains):
        due = f"scores [B, {game.num_domains}]" if game.both_domains else "scores [B]"
        shapes = f"{judged.score.shape} and {judged.logits.shape}"
        raise ValueError(f"A discriminator gives {due} and logits [B, {game.num_domains}], not {shapes} for one.")
    params = {"generator": generator, "discriminator": discriminator}
    state = {"generator": generator_state, "discriminator": discriminator_state, "gallery": batch["x"]}
    return Variables(params, state)


def draw_domains(game: Star, key: Array, num: int) -> Array:
    """Return domains drawn alike, int32 `[num]`."""
    return jax.random.randint(key, (num,), 0, game.num_domains)


def score_as(game: Star, judged: Judgement, label: Array) -> Array:
    """Return the scores of pictures `[B]`, as ones of the domains `label` `[B]` where there is one for each."""
    if not game.both_domains:
        return judged.score
    return jnp.take_along_axis(judged.score, label[:, None], axis=1)[:, 0]


def discriminator_objective(
    game: Star, variables: Variables, batch: Batch, key: Array, step: Array
) -> tuple[Array, Aux]:
    """Return the discriminator's terms: a LossFn for 'discriminator'."""
    del step
    label_key, make_key, run_key, penalty_key = jax.random.split(key, 4)
    x, params, state = batch["x"], variables.params, variables.state
    wanted = draw_domains(game, label_key, x.shape[0])
    generator = game.generator, params["generator"], state["generator"]
    made, _ = train_player(*generator, make_key, x, *_told(game, wanted, batch["label"]))
    judge = lambda x: train_player(game.discriminator, params["discriminator"], state["discriminator"], run_key, x)[0]
    seen = judge(x)
    own = lambda judged: score_as(game, judged, batch["label"])
    terms = game.discriminator_loss(own(seen), score_as(game, judge(made), wanted))
    metrics = {"real": terms.real.mean(), "fake": terms.fake.mean()}
    metrics |= mean_penalties(game.regularizers, lambda x: own(judge(x)), x, made, penalty_key)
    metrics["domain"] = game.class_weight * label_loss(seen.logits, batch["label"]).mean()
    return sum(metrics.values()), Aux(state, metrics)


def generator_objective(game: Star, variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
    """Return the generator's three terms: a LossFn for 'generator'."""
    del step
    label_key, make_key, back_key, run_key = jax.random.split(key, 4)
    x, params, state = batch["x"], variables.params, variables.state
    wanted = draw_domains(game, label_key, x.shape[0])
    run = partial(train_player, game.generator, params["generator"])
    made, moved = run(state["generator"], make_key, x, *_told(game, wanted, batch["label"]))
    again, moved = run(moved, back_key, made, *_told(game, batch["label"], wanted))
    judge = game.discriminator, params["discriminator"], state["discriminator"]
    seen, _ = train_player(*judge, run_key, made)
    metrics = {"adversarial": game.generator_loss(score_as(game, seen, wanted)).mean()}
    metrics["domain"] = game.class_weight * label_loss(seen.logits, wanted).mean()
    metrics["reconstruction"] = game.reconstruction_weight * l1_loss(again, x).mean()
    return sum(metrics.values()), Aux({**state, "generator": moved}, metrics)


def translate(game: Star, variables: Variables, key: Array, x: Array, label: Array) -> Array:
    """Return pictures `[N, ...]` in the domains `label`, int32 `[N]`."""
    source = classify(game, variables, key, x).argmax(axis=1) if game.both_domains else label
    generator = game.generator, variables.params["generator"], variables.state["generator"]
    return run_player(*generator, x, *_told(game, label, source))


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


def _told(game: Star, wanted: Array, source: Array) -> tuple[Array, ...]:
    """Return what the generator is told beside the picture."""
    return (wanted, source) if game.both_domains else (wanted,)
