"""AttGAN: attributes of a picture edited by an encoder and a decoder that is told all of them.

Of pictures x with binary attributes a in {0, 1}^A, and b, those of another picture: z = enc(x), x^a = dec(z, a) and
x^b = dec(z, b), a score D and the logits of attribute classifiers C that share D's convolutions (eqs. 1 to 10):

    encoder, decoder    descend   lambda_1 E |x - x^a|_1 + lambda_2 E l(C(x^b), b) - E D(x^b)
    discriminator       descends  -E D(x) + E D(x^b) + 10 E (|grad D(u)| - 1)^2 + lambda_3 E l(C(x), a)

with l the sum over attributes of the cross-entropies, u between x and x^b, |.| of pictures a mean over entries, and
lambda_1, lambda_2, lambda_3 = 100, 10, 1. No attribute is asked of z: an encoder that forgot them could not rebuild x
from what they do not say, and it is C alone that makes x^b show b. D moves five times for each move of the others.

The last map but the code's skips to the decoder, which is told the attributes at both.

Nothing in the loss asks that an edit be of the picture given and not of another one, and networks that see whole
pictures make others. Local ones edit each place by what is near it and by means over the picture: these say what a
place cannot know by itself, such as whether white is stroke or ground, but not where the strokes of another one are.

Reference: He et al. 2019, "AttGAN: Facial Attribute Editing by Only Changing What You Want",
https://arxiv.org/abs/1711.10678
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from genjax.adversarial.game import DiscriminatorLoss, GeneratorLoss, Regularizer, mean_penalties
from genjax.adversarial.image_translation import from_gallery, l1_loss, leaky_relu, require_given
from genjax.adversarial.losses import wasserstein_discriminator_loss, wasserstein_generator_loss
from genjax.adversarial.players import init_player, run_player, train_player
from genjax.adversarial.stargan import PENALTY, Judgement
from genjax.contract import AfterFn, Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables
from genjax.nn import BatchNorm, Conv, ConvTranspose


class Encoding(NamedTuple):
    """What an encoder makes of pictures.

    code: z, `[B, h, w, D]`.
    beside: the map before it, `[B, h', w', D']`.
    """

    code: Array
    beside: Array


def attribute_loss(logits: Array, attributes: Array) -> Array:
    """Return the sum over attributes of the cross-entropy of each.

    Args:
        logits: `[B, A]`.
        attributes: 0 or 1, `[B, A]`.

    Returns:
        `[B]`, in nats.

    Reference: He et al. 2019, eqs. 4 and 5.
    """
    chex.assert_rank([logits, attributes], 2)
    return optax.sigmoid_binary_cross_entropy(logits, attributes.astype(logits.dtype)).sum(axis=1)


class AttGANEncoder(nn.Module):
    """Pictures to a code, by convolutions that halve the side, or by local ones.

    features: channels, from the picture inwards; the last ones are the code's.
    local: kernels of 3 that keep the side, where a picture is padded by its reflection, so that a place does not know
        where it is, and read the means of their maps as well.
    axis_name: mapped axis of batch normalization under pmap.
    dtype: compute dtype.
    """

    features: Sequence[int]
    local: bool = False
    axis_name: str | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Encoding:
        """Map pictures `[B, H, W, C]`, H and W multiples of 2^len(features) unless it is local, to an Encoding."""
        norm = partial(BatchNorm, axis_name=self.axis_name, dtype=self.dtype)
        size = {"kernel_size": 3, "padding": "VALID"} if self.local else {"kernel_size": 4, "stride": 2}
        maps = [x]
        for width in self.features:
            seen = _around(maps[-1]) if self.local else maps[-1]
            h = Conv(width, use_bias=False, dtype=self.dtype, **size)(seen)
            maps.append(leaky_relu(norm()(h, train=train)))
        return Encoding(code=maps[-1], beside=maps[-2])


class AttGANDecoder(nn.Module):
    """A code and attributes to pictures in [-1, 1].

    features: channels of the maps, from the code outwards; each doubles the side, as the picture itself does.
    out_channels: of the pictures.
    local: work on each place of a local encoder's maps by itself; nothing is doubled.
    axis_name: mapped axis of batch normalization under pmap.
    dtype: compute dtype.
    """

    features: Sequence[int]
    out_channels: int
    local: bool = False
    axis_name: str | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, encoding: Encoding, attributes: Array, *, train: bool) -> Array:
        """Map an Encoding and attributes `[B, A]`, 0 or 1, to pictures `[B, H, W, out_channels]`."""
        norm = partial(BatchNorm, axis_name=self.axis_name, dtype=self.dtype)
        up = partial(Conv, kernel_size=1, dtype=self.dtype) if self.local else partial(ConvTranspose, dtype=self.dtype)
        h = _told(encoding.code, attributes)
        for index, width in enumerate(self.features):
            h = jax.nn.relu(norm()(up(width, use_bias=False)(h), train=train))
            if index == 0:
                h = _told(jnp.concatenate([h, encoding.beside.astype(h.dtype)], axis=-1), attributes)
        return jnp.tanh(up(self.out_channels)(h))


class AttGANDiscriminator(nn.Module):
    """Pictures to a score and to logits of the attributes, which share the convolutions; nothing is normalized.

    features: channels of the convolutions, each of which halves the side.
    hidden: units of the layer before the score, and of that before the logits.
    num_attributes: A.
    dtype: compute dtype.
    """

    features: Sequence[int]
    hidden: int
    num_attributes: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Judgement:
        """Judge pictures `[B, H, W, C]`."""
        del train
        for width in self.features:
            x = leaky_relu(Conv(width, kernel_size=4, stride=2, dtype=self.dtype)(x))
        x = x.reshape(x.shape[0], -1)
        hidden = lambda **options: leaky_relu(nn.Dense(self.hidden, dtype=self.dtype, **options)(x))
        # A Wasserstein loss sees differences of scores: a bias of theirs would never move, and that of a unit which is on
        # the same side of 0 in all pictures would move by rounding errors.
        score = nn.Dense(1, use_bias=False, dtype=self.dtype, name="score")(hidden(use_bias=False))
        return Judgement(score[:, 0], nn.Dense(self.num_attributes, dtype=self.dtype, name="attributes")(hidden()))


class AttGANWeights(NamedTuple):
    """Of the terms, as in the module: lambda_1, lambda_2, lambda_3."""

    reconstruction: float = 100.0
    edited: float = 10.0
    true: float = 1.0


WEIGHTS = AttGANWeights()


class Editing(NamedTuple):
    """The fixed part; see `attgan`."""

    encoder: nn.Module
    decoder: nn.Module
    discriminator: nn.Module
    weights: AttGANWeights
    generator_loss: GeneratorLoss
    discriminator_loss: DiscriminatorLoss
    regularizers: Mapping[str, Regularizer]


def attgan(
    encoder: nn.Module,
    decoder: nn.Module,
    discriminator: nn.Module,
    *,
    weights: AttGANWeights = WEIGHTS,
    generator_loss: GeneratorLoss = wasserstein_generator_loss,
    discriminator_loss: DiscriminatorLoss = wasserstein_discriminator_loss,
    discriminator_steps: int = 5,
    regularizers: Mapping[str, Regularizer] | None = None,
    discriminator_after: AfterFn | None = None,
) -> GenerativeModel:
    """Bind an encoder, a decoder and a discriminator that classifies into AttGAN.

    Args:
        encoder: module (x, train=) -> code, any tree, as `AttGANEncoder`.
        decoder: module (code, attributes `[B, A]`, train=) -> pictures like batch['x'], as `AttGANDecoder`.
        discriminator: module (x, train=) -> Judgement, one example at a time (no batch normalization).
        weights: of the terms.
        generator_loss: of the scores `[B]` of edits -> `[B]`.
        discriminator_loss: of the scores `[B]` of pictures and of edits.
        discriminator_steps: moves of the discriminator before each of the others.
        regularizers: name -> a term `[B]` of (critic, pictures, edits, key) that weighs itself, added to the
            discriminator's loss; the gradient penalty of weight 10 if None.
        discriminator_after: what follows each move of the discriminator, as in `Update.after`.

    Returns:
        A model of batch['x'] with batch['attributes'], 0 or 1 in float32 `[B, A]`; its players are 'encoder', 'decoder'
        and 'discriminator', its updates 'discriminate' and 'edit'. `condition` of samples is a mapping with
        'attributes' `[N, A]` and 'given' `[N, ...]`, pictures to edit; what is missing is drawn from the first batch.
        Methods: `translate(x, attributes)`, the edit, and `classify(x)` -> probabilities of the attributes `[N, A]`.

    Reference: He et al. 2019, section 3.
    """
    game = Editing(
        encoder=encoder,
        decoder=decoder,
        discriminator=discriminator,
        weights=weights,
        generator_loss=generator_loss,
        discriminator_loss=discriminator_loss,
        regularizers=PENALTY if regularizers is None else dict(regularizers),
    )
    move_discriminator = Update(
        name="discriminate",
        players=("discriminator",),
        loss=partial(discriminator_objective, game),
        repeat=discriminator_steps,
        after=discriminator_after,
    )
    return GenerativeModel(
        init=partial(init_editing, game),
        updates=(
            move_discriminator,
            Update("edit", ("encoder", "decoder"), partial(edit_objective, game)),
        ),
        sample=partial(sample, game),
        methods={"translate": partial(translate, game), "classify": partial(classify, game)},
    )


def init_editing(game: Editing, key: Array, batch: Batch) -> Variables:
    """Initialise the three players on the first example of the batch.

    Raises:
        ValueError: if what the decoder makes is not shaped like the data, or there is no logit for each attribute.
    """
    encoder_key, decoder_key, discriminator_key = jax.random.split(key, 3)
    x, attributes = batch["x"][:1], batch["attributes"][:1]
    encoder, encoder_state, code = init_player(game.encoder, encoder_key, x)
    decoder, decoder_state, made = init_player(game.decoder, decoder_key, code, attributes)
    if made.shape != x.shape:
        raise ValueError(f"The decoder makes pictures {made.shape[1:]}, but the data are {x.shape[1:]}.")
    discriminator, discriminator_state, judged = init_player(game.discriminator, discriminator_key, x)
    if judged.score.shape != (1,) or judged.logits.shape != attributes.shape:
        shapes = f"{judged.score.shape} and {judged.logits.shape}"
        raise ValueError(f"A discriminator gives scores [B] and a logit for each attribute, not {shapes} for one.")
    params = {"encoder": encoder, "decoder": decoder, "discriminator": discriminator}
    state = {"encoder": encoder_state, "decoder": decoder_state, "discriminator": discriminator_state}
    gallery = {"given": batch["x"], "attributes": batch["attributes"]}
    return Variables(params, state | {"gallery": gallery})


def edit_in_training(
    game: Editing, variables: Variables, key: Array, x: Array, asked: Sequence[Array]
) -> tuple[list[Array], dict[str, PyTree]]:
    """Return (a picture for each of the attributes asked for, the moved states of encoder and decoder)."""
    code_key, key = jax.random.split(key)
    params, state = variables.params, variables.state
    code, encoder_state = train_player(game.encoder, params["encoder"], state["encoder"], code_key, x)
    made, decoder_state = [], state["decoder"]
    for index, attributes in enumerate(asked):
        run_key = jax.random.fold_in(key, index)
        picture, decoder_state = train_player(game.decoder, params["decoder"], decoder_state, run_key, code, attributes)
        made.append(picture)
    return made, {"encoder": encoder_state, "decoder": decoder_state}


def discriminator_objective(
    game: Editing, variables: Variables, batch: Batch, key: Array, step: Array
) -> tuple[Array, Aux]:
    """Return the discriminator's terms: a LossFn for 'discriminator'."""
    del step
    order_key, edit_key, run_key, penalty_key = jax.random.split(key, 4)
    x, params, state = batch["x"], variables.params["discriminator"], variables.state["discriminator"]
    other = jax.random.permutation(order_key, batch["attributes"])
    (edited,), _ = edit_in_training(game, variables, edit_key, x, [other])
    judge = lambda x: train_player(game.discriminator, params, state, run_key, x)[0]
    seen, critic = judge(x), lambda x: judge(x).score
    terms = game.discriminator_loss(seen.score, critic(edited))
    metrics = {"real": terms.real.mean(), "fake": terms.fake.mean()}
    metrics |= mean_penalties(game.regularizers, critic, x, edited, penalty_key)
    metrics["attributes"] = game.weights.true * attribute_loss(seen.logits, batch["attributes"]).mean()
    return sum(metrics.values()), Aux(variables.state, metrics)


def edit_objective(game: Editing, variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
    """Return the three terms of encoder and decoder: a LossFn for both."""
    del step
    order_key, edit_key, run_key = jax.random.split(key, 3)
    x, attributes = batch["x"], batch["attributes"]
    other = jax.random.permutation(order_key, attributes)
    (again, edited), moved = edit_in_training(game, variables, edit_key, x, [attributes, other])
    judge = game.discriminator, variables.params["discriminator"], variables.state["discriminator"]
    seen, _ = train_player(*judge, run_key, edited)
    metrics = {"adversarial": game.generator_loss(seen.score).mean()}
    metrics["attributes"] = game.weights.edited * attribute_loss(seen.logits, other).mean()
    metrics["reconstruction"] = game.weights.reconstruction * l1_loss(again, x).mean()
    return sum(metrics.values()), Aux({**variables.state, **moved}, metrics)


def translate(game: Editing, variables: Variables, key: Array, x: Array, attributes: Array) -> Array:
    """Return pictures `[N, ...]` with attributes `[N, A]`, by running statistics."""
    del key
    code = run_player(game.encoder, variables.params["encoder"], variables.state["encoder"], x)
    return run_player(game.decoder, variables.params["decoder"], variables.state["decoder"], code, attributes)


def classify(game: Editing, variables: Variables, key: Array, x: Array) -> Array:
    """Return the probabilities of the attributes of pictures `[N, ...]`, `[N, A]`."""
    del key
    params, state = variables.params["discriminator"], variables.state["discriminator"]
    return jax.nn.sigmoid(run_player(game.discriminator, params, state, x).logits)


def sample(
    game: Editing, variables: Variables, key: Array, num_samples: int, *, condition: Mapping[str, PyTree] | None = None
) -> Array:
    """Return the pictures in `condition` edited to the attributes there; what it does not hold is drawn."""
    told, gallery = dict(condition or {}), variables.state["gallery"]
    if not told.keys() <= gallery.keys():
        raise ValueError(f"A condition holds 'attributes' and 'given', not {sorted(told)}.")
    for name, name_key in zip(gallery, jax.random.split(key)):
        if name not in told:
            told[name] = from_gallery(name_key, gallery[name], num_samples)
    require_given(told["given"], num_samples)
    return translate(game, variables, key, told["given"], told["attributes"])


def _told(x: Array, attributes: Array) -> Array:
    """Return maps with a channel for each attribute, -1 or 1 throughout."""
    told = (2 * attributes - 1).astype(x.dtype)[:, None, None, :]
    return jnp.concatenate([x, jnp.broadcast_to(told, (*x.shape[:3], told.shape[-1]))], axis=-1)


def _around(x: Array) -> Array:
    """Return maps with a border of one by reflection, and after them the mean of each over the picture, throughout."""
    mean = x.mean(axis=(1, 2), keepdims=True)
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    return jnp.concatenate([x, jnp.broadcast_to(mean, x.shape)], axis=-1)
