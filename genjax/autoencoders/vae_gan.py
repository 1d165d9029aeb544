"""VAE-GAN, an autoencoder whose errors a discriminator measures (Larsen et al. 2016, arXiv:1512.09300).

A VAE's Gaussian p(x|z) compares pixels, and blurs. Here what a discriminator sees of a picture, its features f in some
layer, is modelled instead: p(f(x)|z) = N(f(x); f(x~), I), x~ = decoder(z), z ~ q(z|x). With the terms

    prior   KL(q(z|x) || N(0, I))                                                                           (4)
    like    |f(x) - f(x~)|^2 / 2 + const            in nats                                                 (6), (7)
    gan     log D(x) + log(1 - D(x~)) + log(1 - D(x_p)),   x_p = decoder(z_p), z_p ~ N(0, I)                (10)

a step (Algorithm 1) moves each player by the terms that are its own:

    encoder         descends   prior + like
    decoder         descends   gamma like - log D(x~) - log D(x_p)                                           (9)
    discriminator   descends   -gan, without like: it would make all features alike

The decoder descends -log D instead of the paper's log(1 - D) (there in (10)): same fixed point, and a gradient while
the discriminator wins; the losses on scores are arguments. The updates are made one after the other, each on what the
one before has changed.
"""

from typing import Any, NamedTuple, Sequence

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.autoencoders.binding import bind_networks, only_params, widened
from genjax.autoencoders.elbo import Gaussian, analytic_rate
from genjax.autoencoders.latent_game import ScoreLoss, ScoresLoss
from genjax.autoencoders.likelihoods import fixed_gaussian
from genjax.contract import Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables
from genjax.nn.conv import Conv


class Judgement(NamedTuple):
    """What a discriminator says of pictures.

    features: f, [B, ...].
    scores: [B], logits of being real.
    """

    features: Array
    scores: Array


class ConvJudge(nn.Module):
    """Pictures [B, H, W, C] -> Judgement: strided 3 x 3 convolutions, then a dense layer whose output is f.

    widths: channels; all but the first convolution halve the side.
    num_features: size of f.
    dtype: compute dtype.
    """

    widths: Sequence[int] = (32, 64)
    num_features: int = 128
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Judgement:
        leaky = lambda h: nn.leaky_relu(h, 0.2)
        for index, width in enumerate(self.widths):
            x = leaky(Conv(width, kernel_size=3, stride=1 if index == 0 else 2, dtype=self.dtype)(x))
        features = nn.Dense(self.num_features, dtype=self.dtype)(x.reshape(x.shape[0], -1))
        return Judgement(features, nn.Dense(1, dtype=self.dtype)(leaky(features))[:, 0])


def feature_distortion(features: Array, others: Array) -> Array:
    """Return -log N(f; f', I) without its constant: half the squared distance.

    Args:
        features: [B, ...].
        others: [B, ...].

    Returns:
        [B], nats.

    Reference: Larsen et al. 2016, eq. 6 and 7.
    """
    if features.ndim < 2 or features.shape != others.shape:
        raise ValueError(f"features have shapes {features.shape} and {others.shape}; both must be the same [B, ...].")
    return 0.5 * jnp.sum((features - others) ** 2, axis=tuple(range(1, features.ndim)))


def vae_gan(
    encoder: nn.Module,
    decoder: nn.Module,
    discriminator: nn.Module,
    *,
    latent_dim: int,
    discriminator_loss: ScoresLoss,
    decoder_loss: ScoreLoss,
    similarity: float = 1.0,
) -> GenerativeModel:
    """Build a VAE-GAN.

    Args:
        encoder: x [B, ...] -> (mean, log_std), each [B, latent_dim]. No collections beside 'params'.
        decoder: z [B, latent_dim] -> x~ [B, ...], like x. Likewise.
        discriminator: x -> Judgement, `ConvJudge`. Likewise.
        latent_dim: Z.
        discriminator_loss: (real scores, fake scores) -> (real [B], fake [B]).
        decoder_loss: fake scores [B] -> [B].
        similarity: gamma.

    Returns:
        A model with the updates 'encoder', 'decoder' and 'discriminator', each of the player of its name. `sample`
        decodes z ~ N(0, I). Methods, each (variables, key, ...):

        encode(x) -> Gaussian;   decode(z) -> [B, ...];   reconstruct(x) -> [B, ...] at the mean of q(z|x)
        features(x) -> [B, ...]                  f
        interpolate(x, y, *, num) -> [B, num, ...]
    """
    # The likelihood only says that the decoder gives one number a pixel.
    networks = bind_networks(encoder, decoder, fixed_gaussian(1.0), latent_dim=latent_dim)

    def judge(params: PyTree, x: Array) -> Judgement:
        found = discriminator.apply({"params": params["discriminator"]}, x)
        return Judgement(widened(found.features), widened(found.scores))

    def init(key: Array, batch: Batch) -> Variables:
        networks_key, judge_key = jax.random.split(key)
        params = dict(networks.init(networks_key, batch).params)
        found, variables = discriminator.init_with_output(judge_key, batch["x"])
        chex.assert_shape(found.scores, batch["x"].shape[:1])
        return Variables({**params, "discriminator": only_params("discriminator", variables)})

    def again(params: PyTree, x: Array, key: Array) -> tuple[Gaussian, Array]:
        posterior = networks.encode(params, x)
        return posterior, networks.decode(params, posterior.sample(key))

    def from_prior(params: PyTree, key: Array, num: int) -> Array:
        return networks.decode(params, jax.random.normal(key, (num, latent_dim)))

    def encoder_update(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        posterior, remade = again(variables.params, batch["x"], key)
        seen, again_seen = (judge(variables.params, x).features for x in (batch["x"], remade))
        like = feature_distortion(seen, again_seen)
        metrics = {"rate": jnp.mean(analytic_rate(posterior, posterior.mean)), "like": jnp.mean(like)}
        return metrics["rate"] + metrics["like"], Aux(variables.state, metrics)

    def decoder_update(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        again_key, prior_key = jax.random.split(key)
        params, x = variables.params, batch["x"]
        seen, remade = judge(params, x), judge(params, again(params, x, again_key)[1])
        drawn = judge(params, from_prior(params, prior_key, x.shape[0]))
        like = jnp.mean(feature_distortion(seen.features, remade.features))
        fooled = jnp.mean(decoder_loss(remade.scores) + decoder_loss(drawn.scores))
        return similarity * like + fooled, Aux(variables.state, {"like": like, "fooled": fooled})

    def discriminator_update(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        again_key, prior_key = jax.random.split(key)
        params, x = variables.params, batch["x"]
        real, remade = judge(params, x).scores, judge(params, again(params, x, again_key)[1]).scores
        drawn = judge(params, from_prior(params, prior_key, x.shape[0])).scores
        is_real, is_remade = discriminator_loss(real, remade)
        metrics = {"real": jnp.mean(is_real), "remade": jnp.mean(is_remade)}
        metrics["drawn"] = jnp.mean(discriminator_loss(real, drawn)[1])
        return sum(metrics.values()), Aux(variables.state, metrics)

    def encode(variables: Variables, key: Array, x: Array) -> Gaussian:
        del key
        return networks.encode(variables.params, x)

    def decode(variables: Variables, key: Array, z: Array) -> Array:
        del key
        return networks.decode(variables.params, z)

    def reconstruct(variables: Variables, key: Array, x: Array) -> Array:
        return decode(variables, key, encode(variables, key, x).mean)

    def features(variables: Variables, key: Array, x: Array) -> Array:
        del key
        return judge(variables.params, x).features

    def interpolate(variables: Variables, key: Array, x: Array, y: Array, *, num: int = 8) -> Array:
        along = jnp.linspace(0.0, 1.0, num)[None, :, None]
        start, end = (encode(variables, key, pictures).mean[:, None] for pictures in (x, y))
        pictures = decode(variables, key, ((1.0 - along) * start + along * end).reshape(-1, latent_dim))
        return pictures.reshape(x.shape[0], num, *pictures.shape[1:])

    def sample(variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None) -> Array:
        if condition is not None:
            raise ValueError("this model is unconditional: sample takes no condition.")
        return from_prior(variables.params, key, num_samples)

    updates = (
        Update("encoder", ("encoder",), encoder_update),
        Update("decoder", ("decoder",), decoder_update),
        Update("discriminator", ("discriminator",), discriminator_update),
    )
    methods = {method.__name__: method for method in (encode, decode, reconstruct, features, interpolate)}
    return GenerativeModel(init, updates, sample, methods=methods)
