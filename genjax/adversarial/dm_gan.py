"""DM-GAN: a first small picture from the sentence, refined by a memory of the words.

The sentence s becomes c ~ N(mu(s), sigma(s)^2) (conditioning augmentation), and with noise z a first feature map R, of
which the first picture is drawn, half the final side. The refinement looks from each pixel r_j of R at the words w_i
(section 3.1, eqs. 1 to 9 of the paper):

    gate of writing    g_i = sigmoid(A w_i + B mean_j r_j)
    memory             m_i = M_w(w_i) g_i + M_r(mean_j r_j) (1 - g_i)
    addressing         a_ij = softmax over words i of phi_K(m_i)^T r_j
    reading            o_j = sum_i a_ij phi_V(m_i)
    gate of response   h_j = sigmoid(W [o_j, r_j] + b)
    refined            r'_j = o_j h_j + r_j (1 - h_j)

and the final picture is drawn of r', enlarged. Each size has a discriminator with two scores, D(x) of the picture alone
and D(x, s) of the pair. The players descend

    discriminator   sum over sizes of (GAN loss of D(x) + matching-aware loss of D(x, s)) / 2
    generator       sum over sizes of (-log D(x^) - log D(x^, s)) / 2 + l_CA KL(c | N(0, I)) + l_match * matching

(eqs. 10 to 13). Mismatching pairs are in the authors' code. The paper's matching term is DAMSM, a softmax over words and
sentences by encoders trained beforehand; here it is the structured loss by the encoders of
`genjax.adversarial.text_matching`, on sentences alone, and they are trained in the same run by the update 'embed'. One
refinement where the paper has two.

Reference: Zhu, Pan, Chen & Yang 2019, "DM-GAN: Dynamic Memory Generative Adversarial Networks for Text-to-Image
Synthesis", https://arxiv.org/abs/1904.01310
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial.dcgan import base_side
from genjax.adversarial.losses import gan_discriminator_loss, non_saturating_generator_loss
from genjax.adversarial.players import init_player, run_player, train_player
from genjax.adversarial.text2image_gan import embedding_objective, encode_text, matching_aware_loss
from genjax.adversarial.text_matching import TextFeatures, ranking_loss
from genjax.contract import Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables
from genjax.distributions import normal_kl
from genjax.nn import BatchNorm, Conv


class Drawing(NamedTuple):
    """What the generator makes.

    small: the first picture `[B, H / 2, W / 2, C]`.
    picture: the refined one `[B, H, W, C]`.
    mean, log_std: of c, `[B, D]`.
    """

    small: Array
    picture: Array
    mean: Array
    log_std: Array


class PairScores(NamedTuple):
    """Scores `[B]` of pictures alone and of pictures with their texts."""

    alone: Array
    matched: Array


def read_memory(keys: Array, values: Array, queries: Array, mask: Array) -> Array:
    """Return o_j = sum_i a_ij v_i with a_ij = softmax over i of k_i^T q_j.

    Args:
        keys: `[B, L, R]`.
        values: `[B, L, V]`.
        queries: `[B, N, R]`.
        mask: `[B, L]`, 0 for slots that are not read; one at least is.

    Returns:
        `[B, N, V]`.

    Reference: Zhu et al. 2019, eqs. 4 and 5.
    """
    chex.assert_rank([keys, values, queries, mask], [3, 3, 3, 2])
    logits = jnp.einsum("blr,bnr->bnl", keys, queries).astype(jnp.float32)
    logits = jnp.where(mask[:, None] > 0, logits, jnp.full_like(logits, -1e9))
    return jnp.einsum("bnl,blv->bnv", jax.nn.softmax(logits, axis=-1).astype(values.dtype), values)


class MemoryRefinement(nn.Module):
    """A feature map, refined by what its pixels read of the words.

    memory: coordinates of a slot.
    dtype: compute dtype.
    """

    memory: int
    dtype: Any = None

    @nn.compact
    def __call__(self, r: Array, text: TextFeatures) -> Array:
        """Map features `[B, H, W, R]` to the same shape."""
        batch, height, width, features = r.shape
        dense = partial(nn.Dense, dtype=self.dtype)
        mean = r.mean(axis=(1, 2))
        gate = dense(1, use_bias=False, name="gate_word")(text.words)
        gate = nn.sigmoid(gate + dense(1, use_bias=False, name="gate_picture")(mean)[:, None])
        slots = dense(self.memory, name="write_word")(text.words) * gate
        slots = slots + dense(self.memory, name="write_picture")(mean)[:, None] * (1 - gate)
        # No bias in the keys: it would add the same to the logits of all words.
        keys = dense(features, use_bias=False, name="key")(slots)
        values = dense(features, name="value")(slots)
        pixels = r.reshape(batch, height * width, features)
        read = read_memory(keys, values, pixels, text.mask)
        answer = nn.sigmoid(dense(1, name="response")(jnp.concatenate([read, pixels], axis=-1)))
        return (read * answer + pixels * (1 - answer)).reshape(r.shape)


class DMGenerator(nn.Module):
    """Noise and texts to two pictures in [-1, 1], the second twice the side of the first.

    shape: (H, W, C) of the final picture, square, H a multiple of 4.
    features: channels of the feature maps.
    told: coordinates of c.
    memory: coordinates of a slot.
    axis_name: mapped axis of batch normalization under pmap.
    dtype: compute dtype.
    """

    shape: Sequence[int]
    features: int = 32
    told: int = 32
    memory: int = 32
    axis_name: str | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array, noise: Array, text: TextFeatures, *, train: bool) -> Drawing:
        """Draw of latents `[B, L]`, noise of c `[B, told]` and texts.

        Raises:
            ValueError: the picture cannot be halved twice.
        """
        base_side(self.shape, (self.features, self.features))
        base, width, dtype = self.shape[0] // 4, self.features, self.dtype
        norm = partial(BatchNorm, axis_name=self.axis_name, dtype=dtype)
        conv = partial(Conv, use_bias=False, dtype=dtype)
        paint = lambda x: jnp.tanh(Conv(self.shape[-1], dtype=dtype)(x)).astype(jnp.float32)
        mean, log_std = jnp.split(nn.Dense(2 * self.told, dtype=dtype)(text.sentence).astype(jnp.float32), 2, axis=1)
        told = mean + jnp.exp(log_std) * noise
        x = nn.Dense(base * base * 2 * width, use_bias=False, dtype=dtype)(jnp.concatenate([z, told], axis=1))
        x = nn.relu(norm()(x.reshape(-1, base, base, 2 * width), train=train))
        r = nn.relu(norm()(conv(width)(_double(x)), train=train))
        small = paint(r)
        r = MemoryRefinement(self.memory, dtype)(r, text)
        h = nn.relu(norm()(conv(width)(r), train=train))
        r = r + norm()(conv(width)(h), train=train)
        r = nn.relu(norm()(conv(width)(_double(r)), train=train))
        return Drawing(small, paint(r), mean, log_std)


class PairDiscriminator(nn.Module):
    """Pictures and embeddings of texts to two scores.

    features: channels of the feature maps, from the picture inwards; each halves the side once.
    told: coordinates that the embedding is compressed to.
    axis_name: mapped axis of batch normalization under pmap.
    dtype: compute dtype.
    """

    features: Sequence[int]
    told: int = 32
    axis_name: str | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, embedding: Array, *, train: bool) -> PairScores:
        """Map pictures `[B, H, W, C]` and embeddings `[B, E]` to scores."""
        base = base_side(x.shape[1:], self.features)
        norm = partial(BatchNorm, axis_name=self.axis_name, dtype=self.dtype)
        end = partial(Conv, 1, kernel_size=base, padding="VALID", dtype=self.dtype)
        first, *inner = self.features
        x = nn.leaky_relu(Conv(first, 4, 2, dtype=self.dtype)(x), 0.2)
        for width in inner:
            x = nn.leaky_relu(norm()(Conv(width, 4, 2, use_bias=False, dtype=self.dtype)(x), train=train), 0.2)
        told = nn.leaky_relu(nn.Dense(self.told, dtype=self.dtype)(embedding), 0.2)
        told = jnp.broadcast_to(told[:, None, None], (*x.shape[:3], self.told))
        pair = Conv(self.features[-1], 1, use_bias=False, dtype=self.dtype)(jnp.concatenate([x, told], axis=-1))
        pair = nn.leaky_relu(norm()(pair, train=train), 0.2)
        return PairScores(end(name="alone")(x)[:, 0, 0, 0], end(name="matched")(pair)[:, 0, 0, 0])


class DMGame(NamedTuple):
    """The fixed part; see `dm_gan`. The discriminators are 'small' and 'large'."""

    generator: nn.Module
    discriminators: dict[str, nn.Module]
    text: nn.Module
    picture: nn.Module
    latent_dim: int
    margin: float
    augmentation_weight: float
    matching_weight: float


def dm_gan(
    generator: nn.Module,
    small_discriminator: nn.Module,
    discriminator: nn.Module,
    text_encoder: nn.Module,
    picture_encoder: nn.Module,
    *,
    latent_dim: int = 100,
    margin: float = 1.0,
    augmentation_weight: float = 1.0,
    matching_weight: float = 5.0,
) -> GenerativeModel:
    """Bind a generator of two sizes, a discriminator for each and two encoders into a model.

    Args:
        generator: module (latents `[B, latent_dim]`, noise `[B, told]`, TextFeatures, train=) -> Drawing; `told` is
            an attribute of it.
        small_discriminator: module (x `[B, H / 2, W / 2, C]`, embeddings `[B, E]`, train=) -> PairScores.
        discriminator: likewise, of pictures like batch['x'].
        text_encoder: module (tokens int32 `[B, L]`, train=) -> TextFeatures.
        picture_encoder: module (x, train=) -> `[B, E]`.
        latent_dim: coordinates of a latent.
        margin: of the ranking loss.
        augmentation_weight: l_CA.
        matching_weight: l_match.

    Returns:
        A model of batches with 'x', 'text' and 'label', with the players 'text', 'picture', 'small', 'large' and
        'generator'. The condition of samples is tokens `[N, L]`. Methods: `draw(latents, noise, text)`, a Drawing, and
        `encode_text(text)`.

    Reference: Zhu et al. 2019, eqs. 10 to 13.
    """
    judges = {"small": small_discriminator, "large": discriminator}
    weights = (margin, augmentation_weight, matching_weight)
    game = DMGame(generator, judges, text_encoder, picture_encoder, latent_dim, *weights)
    return GenerativeModel(
        init=partial(init_dm_game, game),
        updates=(
            Update("embed", ("text", "picture"), partial(embedding_objective, game)),
            Update("discriminator", ("small", "large"), partial(discriminator_objective, game)),
            Update("generator", ("generator",), partial(generator_objective, game)),
        ),
        sample=partial(sample, game),
        methods={"draw": partial(draw, game), "encode_text": partial(encode_text, game)},
    )


def init_dm_game(game: DMGame, key: Array, batch: Batch) -> Variables:
    """Initialise all players on the first example of the batch."""
    keys = jax.random.split(key, 5)
    x, params, state = batch["x"][:1], {}, {}
    params["text"], state["text"], text = init_player(game.text, keys[0], batch["text"][:1])
    params["picture"], state["picture"], _ = init_player(game.picture, keys[1], x)
    noise = jnp.zeros((1, game.generator.told), jnp.float32)
    latents = jnp.zeros((1, game.latent_dim), jnp.float32)
    params["generator"], state["generator"], drawn = init_player(game.generator, keys[2], latents, noise, text)
    if drawn.picture.shape != x.shape:
        raise ValueError(f"The generator makes pictures {drawn.picture.shape[1:]}, but the data are {x.shape[1:]}.")
    for k, (name, judge) in zip(keys[3:], game.discriminators.items()):
        seen = drawn.small if name == "small" else x
        params[name], state[name], _ = init_player(judge, k, seen, text.sentence)
    return Variables(params, state)


def discriminator_objective(
    game: DMGame, variables: Variables, batch: Batch, key: Array, step: Array
) -> tuple[Array, Aux]:
    """Return the mean loss of both discriminators, alone and matched: a LossFn for 'small' and 'large'."""
    del step
    draw_key, *keys = jax.random.split(key, 3)
    text, drawn, _ = _draw_in_training(game, variables, batch, draw_key)
    real = {"small": _halve(batch["x"]), "large": batch["x"]}
    fake = {"small": drawn.small, "large": drawn.picture}
    other = jnp.roll(text.sentence, 1, axis=0)
    different = batch["label"] != jnp.roll(batch["label"], 1)
    loss, metrics, state = jnp.zeros(()), {}, dict(variables.state)
    for k, (name, judge) in zip(keys, game.discriminators.items()):
        run = partial(train_player, judge, variables.params[name])
        real_key, other_key, fake_key = jax.random.split(k, 3)
        true, moved = run(state[name], real_key, real[name], text.sentence)
        wrong, moved = run(moved, other_key, real[name], other)
        false, state[name] = run(moved, fake_key, fake[name], text.sentence)
        alone = gan_discriminator_loss(true.alone, false.alone)
        pair = matching_aware_loss(true.matched, wrong.matched, false.matched)
        mismatched = jnp.where(different, pair.mismatched, jnp.zeros_like(pair.mismatched))
        own = 0.5 * (alone.real + alone.fake + pair.real + mismatched + pair.fake).mean()
        metrics |= {name: own, f"{name}_matched": true.matched.mean(), f"{name}_mismatched": wrong.matched.mean()}
        loss = loss + own
    return loss, Aux(state, metrics)


def generator_objective(game: DMGame, variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
    """Return the generator's loss at both sizes with augmentation and matching: a LossFn for 'generator'."""
    del step
    draw_key, look_key, *keys = jax.random.split(key, 4)
    text, drawn, moved = _draw_in_training(game, variables, batch, draw_key)
    fake, metrics = {"small": drawn.small, "large": drawn.picture}, {}
    for k, (name, judge) in zip(keys, game.discriminators.items()):
        params, state = variables.params[name], variables.state[name]
        scores, _ = train_player(judge, params, state, k, fake[name], text.sentence)
        both = non_saturating_generator_loss(scores.alone) + non_saturating_generator_loss(scores.matched)
        metrics[name] = 0.5 * both.mean()
    metrics["augmentation"] = normal_kl(drawn.mean, drawn.log_std).sum(axis=1).mean()
    params, state = variables.params["picture"], variables.state["picture"]
    seen, _ = train_player(game.picture, params, state, look_key, drawn.picture)
    different = batch["label"][:, None] != batch["label"][None]
    terms = ranking_loss(seen @ text.sentence.T, different, margin=game.margin)
    metrics["matching"] = (terms.picture + terms.text).mean()
    loss = metrics["small"] + metrics["large"] + game.augmentation_weight * metrics["augmentation"]
    loss = loss + game.matching_weight * metrics["matching"]
    return loss, Aux({**variables.state, "generator": moved}, metrics)


def draw(game: DMGame, variables: Variables, key: Array, latents: Array, noise: Array, text: Array) -> Drawing:
    """Return what the generator makes of latents `[N, latent_dim]`, noise of c `[N, told]` and texts `[N, L]`."""
    features = encode_text(game, variables, key, text)
    return run_player(
        game.generator, variables.params["generator"], variables.state["generator"], latents, noise, features
    )


def sample(game: DMGame, variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None) -> Array:
    """Return refined pictures of texts, `condition` `[num_samples, L]`."""
    if condition is None:
        raise ValueError("This model draws what a text says: give `condition`, tokens [num_samples, L].")
    latents, noise = _noise(game, key, num_samples)
    return draw(game, variables, key, latents, noise, condition).picture


def _draw_in_training(
    game: DMGame, variables: Variables, batch: Batch, key: Array
) -> tuple[TextFeatures, Drawing, PyTree]:
    """Draw for the texts of a batch; (features of the texts, drawing, generator's moved state)."""
    noise_key, run_key = jax.random.split(key)
    text = encode_text(game, variables, key, batch["text"])
    params, state = variables.params["generator"], variables.state["generator"]
    noise = _noise(game, noise_key, batch["x"].shape[0])
    drawn, moved = train_player(game.generator, params, state, run_key, *noise, text)
    return text, drawn, moved


def _noise(game: DMGame, key: Array, num: int) -> tuple[Array, Array]:
    """Return latents and the noise of conditioning augmentation."""
    latent_key, noise_key = jax.random.split(key)
    return jax.random.normal(latent_key, (num, game.latent_dim)), jax.random.normal(noise_key, (num, game.generator.told))


def _double(x: Array) -> Array:
    """Repeat each pixel of `[B, H, W, C]` twice in each direction."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def _halve(x: Array) -> Array:
    """Return means of 2 x 2 pixels."""
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))
