"""GAN-INT-CLS: pictures from sentences, with a discriminator that knows when the two do not match.

The generator makes x^ = G(z, phi(t)) of noise z and the embedding of a text t. The discriminator sees three kinds of
pairs (Algorithm 1), of a picture x with its text t, with another's text t^, and of a generated picture with its text:

    s_r = D(x, phi(t)),    s_w = D(x, phi(t^)),    s_f = D(x^, phi(t))
    discriminator ascends  log s_r + (log(1 - s_w) + log(1 - s_f)) / 2          GAN-CLS, line 10
    generator ascends      log s_f

Without s_w a generator is asked for real pictures only, and hears of the text where it fails at that. t^ is the text
of the next example of the minibatch; where that shows the same (its label is the same), the pair says nothing.

Interpolated texts (GAN-INT, eq. 5) need no pictures: the generator is also asked for pictures of
beta phi(t_1) + (1 - beta) phi(t_2), which fills the gaps between the texts that there are, beta = 1/2.

phi is trained beforehand in the paper, by the structured joint embedding with a picture encoder. Here the update
'embed' trains both in the same run (see `genjax.adversarial.text_matching`), and no gradient of the game reaches them;
an optimizer of 'embed' whose rate ends at 0 early makes them trained beforehand for the rest of the run.

Networks (section 4.1): the embedding passes a linear layer and a LeakyReLU; in the generator it joins the noise, in
the discriminator it is laid at every pixel of the last feature map. The rest is DCGAN.

Reference: Reed, Akata, Yan, Logeswaran, Schiele & Lee 2016, "Generative Adversarial Text to Image Synthesis",
https://arxiv.org/abs/1605.05396
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial import game as play
from genjax.adversarial.dcgan import DCGANGenerator, base_side, scale_init, weight_init
from genjax.adversarial.game import Game
from genjax.adversarial.losses import gan_discriminator_loss, non_saturating_generator_loss
from genjax.adversarial.players import init_player, run_player, train_player
from genjax.adversarial.text_matching import TextFeatures, ranking_loss
from genjax.contract import Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables
from genjax.nn import BatchNorm, Conv


class MatchingTerms(NamedTuple):
    """The three terms of a matching-aware discriminator's loss, `[B]` each, in nats; the loss is their sum.

    real: on real pictures with their texts.
    mismatched: on real pictures with others' texts.
    fake: on generated pictures with the texts they were made of.
    """

    real: Array
    mismatched: Array
    fake: Array


def matching_aware_loss(real_scores: Array, mismatched_scores: Array, fake_scores: Array) -> MatchingTerms:
    """Return the terms -log s_r, -log(1 - s_w) / 2 and -log(1 - s_f) / 2.

    Args:
        real_scores: logits of real pictures with their texts `[B]`.
        mismatched_scores: logits of real pictures with others' texts `[B]`.
        fake_scores: logits of generated pictures with their texts `[B]`.

    Returns:
        MatchingTerms `[B]` each, in nats.

    Reference: Reed et al. 2016b, Algorithm 1, line 10.
    """
    chex.assert_rank([real_scores, mismatched_scores, fake_scores], 1)
    reject = lambda scores: -0.5 * jax.nn.log_sigmoid(-scores)
    return MatchingTerms(-jax.nn.log_sigmoid(real_scores), reject(mismatched_scores), reject(fake_scores))


class TextGenerator(nn.Module):
    """Latents and embeddings of texts to pictures in [-1, 1].

    shape: (H, W, C) of a picture.
    features: channels of the feature maps, from the picture inwards.
    told: coordinates that the embedding is compressed to.
    axis_name: mapped axis of batch normalization under pmap.
    dtype: compute dtype.
    """

    shape: Sequence[int]
    features: Sequence[int]
    told: int = 128
    axis_name: str | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array, embedding: Array, *, train: bool) -> Array:
        """Map latents `[B, L]` and embeddings `[B, E]` to pictures `[B, H, W, C]`."""
        told = nn.leaky_relu(nn.Dense(self.told, dtype=self.dtype)(embedding), 0.2)
        joined = jnp.concatenate([z.astype(told.dtype), told], axis=1)
        draw = DCGANGenerator(self.shape, self.features, axis_name=self.axis_name, dtype=self.dtype)
        return draw(joined, train=train)


class TextDiscriminator(nn.Module):
    """Pictures and embeddings of texts to scores.

    features: channels of the feature maps, from the picture inwards; each halves the side once.
    told: coordinates that the embedding is compressed to.
    axis_name: mapped axis of batch normalization under pmap.
    dtype: compute dtype.
    """

    features: Sequence[int]
    told: int = 128
    axis_name: str | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, embedding: Array, *, train: bool) -> Array:
        """Map pictures `[B, H, W, C]` and embeddings `[B, E]` to scores `[B]`."""
        base = base_side(x.shape[1:], self.features)
        conv = partial(Conv, kernel_init=weight_init, dtype=self.dtype)
        norm = partial(BatchNorm, axis_name=self.axis_name, scale_init=scale_init, dtype=self.dtype)
        first, *inner = self.features
        x = nn.leaky_relu(conv(first, 4, 2)(x), 0.2)
        for width in inner:
            x = nn.leaky_relu(norm()(conv(width, 4, 2, use_bias=False)(x), train=train), 0.2)
        told = nn.leaky_relu(nn.Dense(self.told, dtype=self.dtype)(embedding), 0.2)
        told = jnp.broadcast_to(told[:, None, None], (*x.shape[:3], self.told))
        x = conv(self.features[-1], 1, use_bias=False)(jnp.concatenate([x, told], axis=-1))
        x = nn.leaky_relu(norm()(x, train=train), 0.2)
        return conv(1, kernel_size=base, padding="VALID")(x)[:, 0, 0, 0]


class TextGame(NamedTuple):
    """The fixed part; see `text2image_gan`. `game` is told the embedding as its condition."""

    game: Game
    text: nn.Module
    picture: nn.Module
    margin: float
    beta: float | None


def text2image_gan(
    generator: nn.Module,
    discriminator: nn.Module,
    text_encoder: nn.Module,
    picture_encoder: nn.Module,
    *,
    latent_dim: int = 100,
    beta: float | None = 0.5,
    margin: float = 1.0,
) -> GenerativeModel:
    """Bind two players and two encoders into a model that draws what a text says.

    Args:
        generator: module (latents `[B, latent_dim]`, embeddings `[B, E]`, train=) -> pictures like batch['x'].
        discriminator: module (x `[B, H, W, C]`, embeddings `[B, E]`, train=) -> scores `[B]`.
        text_encoder: module (tokens int32 `[B, L]`, train=) -> TextFeatures.
        picture_encoder: module (x, train=) -> `[B, E]`.
        latent_dim: coordinates of a latent.
        beta: weight of a text's own embedding between it and the next one's (GAN-INT); None leaves interpolated
            texts out (GAN-CLS).
        margin: of the ranking loss, between pairs whose batch['label'] differ.

    Returns:
        A model of batches with 'x', 'text' and 'label', with the players 'text', 'picture', 'generator' and
        'discriminator' and the updates 'embed', 'discriminator' and 'generator'. The condition of samples is tokens
        `[N, L]`. Methods, each (variables, key, ...): `encode_text(text)`, `generate(latents, text)`,
        `score(x, text)`, and `between_texts(latents, start, end, num_steps=)`, pictures `[N, num_steps, ...]` of one
        latent along the line between two embeddings.

    Reference: Reed et al. 2016b, Algorithm 1 and eq. 5.
    """
    condition_of = lambda batch: batch["embedding"]
    game = Game(
        generator,
        discriminator,
        latent_dim,
        non_saturating_generator_loss,
        gan_discriminator_loss,
        {},
        condition_of,
        jax.random.normal,
    )
    told = TextGame(game, text_encoder, picture_encoder, margin, beta)
    methods = {"encode_text": encode_text, "generate": generate, "score": score, "between_texts": between_texts}
    return GenerativeModel(
        init=partial(init_text_game, told),
        updates=(
            Update("embed", ("text", "picture"), partial(embedding_objective, told)),
            Update("discriminator", ("discriminator",), partial(discriminator_objective, told)),
            Update("generator", ("generator",), partial(generator_objective, told)),
        ),
        sample=partial(sample, told),
        methods={name: partial(method, told) for name, method in methods.items()},
    )


def init_text_game(told: TextGame, key: Array, batch: Batch) -> Variables:
    """Initialise the encoders and both players on the first example of the batch."""
    text_key, picture_key, game_key = jax.random.split(key, 3)
    one = {name: value[:1] for name, value in batch.items()}
    text, text_state, features = init_player(told.text, text_key, one["text"])
    picture, picture_state, seen = init_player(told.picture, picture_key, one["x"])
    if seen.shape != features.sentence.shape:
        raise ValueError(
            f"Texts and pictures need embeddings of one size, [B, E]; these are {features.sentence.shape[1:]} and "
            f"{seen.shape[1:]}."
        )
    players = play.init_game(told.game, game_key, {**one, "embedding": features.sentence})
    params = {"text": text, "picture": picture, **players.params}
    return Variables(params, {"text": text_state, "picture": picture_state, **players.state})


def embedding_objective(told: TextGame, variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
    """Return the mean of the ranking loss: a LossFn for the encoders. Mismatches are those within the minibatch."""
    del step
    text_key, picture_key = jax.random.split(key)
    params, state = variables.params, variables.state
    features, text_state = train_player(told.text, params["text"], state["text"], text_key, batch["text"])
    seen, picture_state = train_player(told.picture, params["picture"], state["picture"], picture_key, batch["x"])
    similarity = seen @ features.sentence.T
    different = batch["label"][:, None] != batch["label"][None]
    terms = ranking_loss(similarity, different, margin=told.margin)
    loss = terms.picture.mean() + terms.text.mean()
    # Other examples that show the same are no mistakes, and are left out.
    best = jnp.where(different | jnp.eye(len(similarity), dtype=bool), similarity, -jnp.inf).argmax(axis=1)
    right = (best == jnp.arange(len(similarity))).astype(jnp.float32).mean()
    metrics = {"picture": terms.picture.mean(), "text": terms.text.mean(), "text_found": right}
    return loss, Aux({**state, "text": text_state, "picture": picture_state}, metrics)


def discriminator_objective(
    told: TextGame, variables: Variables, batch: Batch, key: Array, step: Array
) -> tuple[Array, Aux]:
    """Return the mean of the matching-aware loss: a LossFn for the player 'discriminator'."""
    del step
    fake_key, real_run, mismatched_run, fake_run = jax.random.split(key, 4)
    state = variables.state["discriminator"]
    batch = _told_batch(told, variables, batch)
    other = {**batch, "embedding": jnp.roll(batch["embedding"], 1, axis=0)}
    fake, _ = play.generate_in_training(told.game, variables, batch, fake_key)
    scored = partial(play.score_in_training, told.game, variables)
    real_scores, state = scored(state, batch, real_run, batch["x"])
    mismatched_scores, state = scored(state, other, mismatched_run, batch["x"])
    fake_scores, state = scored(state, batch, fake_run, fake)
    terms = matching_aware_loss(real_scores, mismatched_scores, fake_scores)
    different = batch["label"] != jnp.roll(batch["label"], 1)
    mismatched = jnp.where(different, terms.mismatched, jnp.zeros_like(terms.mismatched)).mean()
    metrics = {"real": terms.real.mean(), "mismatched": mismatched, "fake": terms.fake.mean()}
    metrics |= {"real_score": real_scores.mean(), "mismatched_score": mismatched_scores.mean()}
    metrics |= {"fake_score": fake_scores.mean()}
    loss = terms.real.mean() + mismatched + terms.fake.mean()
    return loss, Aux({**variables.state, "discriminator": state}, metrics)


def generator_objective(told: TextGame, variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
    """Return the mean of the generator's loss on texts, plus that on interpolated ones: a LossFn for 'generator'."""
    own_key, between_key = jax.random.split(key)
    batch = _told_batch(told, variables, batch)
    loss, aux = play.generator_objective(told.game, variables, batch, own_key, step)
    if told.beta is None:
        return loss, aux
    embedding = batch["embedding"]
    mixed = told.beta * embedding + (1 - told.beta) * jnp.roll(embedding, 1, axis=0)
    moved = variables._replace(state=aux.state)
    added, after = play.generator_objective(told.game, moved, {**batch, "embedding": mixed}, between_key, step)
    return loss + added, Aux(after.state, {**aux.metrics, "interpolated_score": after.metrics["fake_score"]})


def encode_text(told: TextGame, variables: Variables, key: Array, text: Array) -> TextFeatures:
    """Return the features of texts `[N, L]`."""
    del key
    return run_player(told.text, variables.params["text"], variables.state["text"], text)


def generate(told: TextGame, variables: Variables, key: Array, latents: Array, text: Array) -> Array:
    """Return what the generator makes of latents `[N, latent_dim]` and texts `[N, L]`, `[N, H, W, C]`."""
    return play.generate(told.game, variables, key, latents, encode_text(told, variables, key, text).sentence)


def sample(
    told: TextGame, variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None
) -> Array:
    """Return pictures of texts, `condition` `[num_samples, L]`."""
    if condition is None:
        raise ValueError("This model draws what a text says: give `condition`, tokens [num_samples, L].")
    latents = told.game.prior(key, (num_samples, told.game.latent_dim))
    return generate(told, variables, key, latents, condition)


def score(told: TextGame, variables: Variables, key: Array, x: Array, text: Array) -> Array:
    """Return the discriminator's scores of pictures x with texts `[N, L]`, `[N]`."""
    return play.score(told.game, variables, key, x, encode_text(told, variables, key, text).sentence)


def between_texts(
    told: TextGame, variables: Variables, key: Array, latents: Array, start: Array, end: Array, *, num_steps: int = 8
) -> Array:
    """Return pictures along the line between the embeddings of two texts, both ends included.

    Args:
        latents: `[N, latent_dim]`, kept along each line.
        start: texts `[N, L]`.
        end: texts `[N, L]`.
        num_steps: points on each line.

    Returns:
        `[N, num_steps, H, W, C]`.

    Reference: Reed et al. 2016b, section 5.4 and figure 8.
    """
    first, last = (encode_text(told, variables, key, text).sentence for text in (start, end))
    weight = jnp.linspace(0.0, 1.0, num_steps)[None, :, None]
    embedding = ((1 - weight) * first[:, None] + weight * last[:, None]).reshape(-1, first.shape[-1])
    pictures = play.generate(told.game, variables, key, jnp.repeat(latents, num_steps, axis=0), embedding)
    return pictures.reshape(latents.shape[0], num_steps, *pictures.shape[1:])


def _told_batch(told: TextGame, variables: Variables, batch: Batch) -> Batch:
    """Return the batch with the embeddings of its texts, which are constants to the players of the game."""
    text = run_player(told.text, variables.params["text"], variables.state["text"], batch["text"])
    return {**batch, "embedding": text.sentence}
