"""Progressive GAN: both players grow from 4 x 4 to the full picture, resolution by resolution.

A run trains at one resolution; the next run, at twice the side, starts from it (`init` takes its variables as `lower`).
The new layers fade in: with to_rgb and from_rgb the 1 x 1 convolutions between features and colours,

    G(z) = (1 - a) up(to_rgb_half(h)) + a to_rgb(block(up h))                                             (figure 2)
    D(x) = rest((1 - a) from_rgb_half(down x) + a down(block(from_rgb x)))
    x    = (1 - a) up(down x) + a x                         real pictures as well                       (its caption)

where a, in the state, goes from 0 to 1 over the first steps of a run, and stays. At a = 0 both players are those of the
lower resolution, its picture upsampled. up is by nearest neighbours, down by means of 2 x 2.

Generator: layers at an equalized learning rate and pixel norm after each LeakyReLU 0.2; latents on the sphere of radius
sqrt(L); a linear output. Discriminator: likewise without norms, minibatch standard deviation before its last
convolution. The loss is WGAN-GP's, one discriminator step to one of the generator, and a drift penalty
epsilon D(x)^2, epsilon = 1e-3, which keeps scores near 0 (appendix A.1).

A stage hands on averaged parameters, where its run keeps them, of both players.

Reference: Karras et al. 2018, "Progressive Growing of GANs for Improved Quality, Stability, and Variation",
https://arxiv.org/abs/1710.10196
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial.equalized import HE, EqualizedConv, EqualizedDense, leaky_relu, minibatch_stddev, pixel_norm
from genjax.adversarial.game import DiscriminatorLoss, GeneratorLoss, Regularizer
from genjax.adversarial.gan import gan
from genjax.adversarial.losses import DiscriminatorTerms, wasserstein_discriminator_loss, wasserstein_generator_loss
from genjax.adversarial.regularizers import gradient_penalty
from genjax.contract import AfterFn, Array, Batch, GenerativeModel, LossFn, PyTree, Variables

BASE = 4  # side of the first resolution


class ProGANGenerator(nn.Module):
    """Latents to pictures of one resolution.

    features: channels at 4 x 4, 8 x 8, ...; as many as there are resolutions.
    channels: C of the pictures.
    dtype: compute dtype.
    """

    features: Sequence[int]
    channels: int = 1
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array, *, train: bool) -> Array:
        """Map latents `[B, L]` to pictures `[B, H, W, C]`, H = W = 4 * 2^(resolutions - 1), meant for [-1, 1]."""
        del train
        to_rgb = lambda side: EqualizedConv(self.channels, 1, dtype=self.dtype, name=f"to_rgb_{side}")
        side, last = BASE, BASE * 2 ** (len(self.features) - 1)
        layer = partial(_normed_conv, dtype=self.dtype)
        # The first layer's gain is a quarter of He's, as in the authors' code: z has unit entries already.
        x = EqualizedDense(BASE**2 * self.features[0], gain=HE / 4, dtype=self.dtype, name="project")(pixel_norm(z))
        x = pixel_norm(leaky_relu(x.reshape(-1, BASE, BASE, self.features[0])))
        x = layer(self.features[0], name="conv_4")(x)
        for width in self.features[1:]:
            half, side = x, 2 * side
            x = layer(width, name=f"conv_{side}_0")(double(x))
            x = layer(width, name=f"conv_{side}_1")(x)
        if last == BASE:
            return to_rgb(BASE)(x)
        alpha = fade(self)
        return blend(alpha, double(to_rgb(last // 2)(half)), to_rgb(last)(x))


class ProGANDiscriminator(nn.Module):
    """Pictures of one resolution to scores.

    features: channels at 4 x 4, 8 x 8, ...; as many as there are resolutions.
    group: examples a group of the minibatch standard deviation.
    dtype: compute dtype.
    """

    features: Sequence[int]
    group: int = 4
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map pictures `[B, H, W, C]` to scores `[B]`."""
        del train
        conv = partial(EqualizedConv, gain=HE, dtype=self.dtype)
        from_rgb = lambda x, side, width: leaky_relu(conv(width, 1, name=f"from_rgb_{side}")(x))
        side = check_side(x.shape[1:], self.features)
        picture, x = x, from_rgb(x, side, self.features[-1])
        for index in range(len(self.features) - 1, 0, -1):
            x = leaky_relu(conv(self.features[index], name=f"conv_{side}_0")(x))
            x = halve(leaky_relu(conv(self.features[index - 1], name=f"conv_{side}_1")(x)))
            if index == len(self.features) - 1:
                half = from_rgb(halve(picture), side // 2, self.features[index - 1])
                x = blend(fade(self), half, x)
            side //= 2
        x = leaky_relu(conv(self.features[0], name="conv_4")(minibatch_stddev(x, group=self.group)))
        dense = partial(EqualizedDense, dtype=self.dtype)
        x = leaky_relu(dense(self.features[0], gain=HE, name="dense")(x.reshape(x.shape[0], -1)))
        return dense(1, name="score")(x)[:, 0]


def _normed_conv(features: int, *, name: str, dtype: Any):
    """Return x -> pixel_norm(LeakyReLU(conv(x)))."""
    conv = EqualizedConv(features, gain=HE, dtype=dtype, name=name)
    return lambda x: pixel_norm(leaky_relu(conv(x)))


def fade(module: nn.Module) -> Array:
    """Declare and return how far the module's highest resolution has come, in [0, 1]: its state 'fade'/'alpha'."""
    return module.variable("fade", "alpha", lambda: jnp.zeros((), jnp.float32)).value


def blend(alpha: Array, low: Array, high: Array) -> Array:
    """Return (1 - alpha) low + alpha high, exactly `low` at 0 and `high` at 1; alpha is a scalar."""
    alpha = alpha.astype(high.dtype)
    return (1 - alpha) * low + alpha * high


def blend_pictures(alpha: Array, x: Array) -> Array:
    """Return (1 - alpha) up(down x) + alpha x: a picture between half its resolution and its own.

    Args:
        alpha: in [0, 1], scalar.
        x: `[B, H, W, C]`, both sides even.

    Returns:
        `[B, H, W, C]`.

    Reference: Karras et al. 2018, caption of figure 2.
    """
    return blend(alpha, double(halve(x)), x)


def with_drift(loss: DiscriminatorLoss, *, weight: float = 1e-3) -> DiscriminatorLoss:
    """Return a discriminator's loss with weight D(x)^2 added to its term of real examples: scores stay near 0.

    Reference: Karras et al. 2018, appendix A.1.
    """

    def drifting(real_scores: Array, fake_scores: Array) -> DiscriminatorTerms:
        terms = loss(real_scores, fake_scores)
        return terms._replace(real=terms.real + weight * real_scores**2)

    return drifting


def double(x: Array) -> Array:
    """Double the sides of x `[B, H, W, C]` by nearest neighbours: `[B, 2 H, 2 W, C]`."""
    batch, height, width, channels = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None], (batch, height, 2, width, 2, channels))
    return x.reshape(batch, 2 * height, 2 * width, channels)


def halve(x: Array) -> Array:
    """Halve the sides of x `[B, H, W, C]`, both even, by means of 2 x 2: `[B, H / 2, W / 2, C]`."""
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))


def progan(
    shape: Sequence[int],
    *,
    latent_dim: int = 128,
    generator_features: Sequence[int] = (128, 64),
    discriminator_features: Sequence[int] = (128, 64),
    fade_steps: int = 1000,
    group: int = 4,
    generator_loss: GeneratorLoss = wasserstein_generator_loss,
    discriminator_loss: DiscriminatorLoss = wasserstein_discriminator_loss,
    drift_weight: float = 1e-3,
    regularizers: Mapping[str, Regularizer] | None = None,
    dtype: Any = None,
    **options: Any,
) -> GenerativeModel:
    """Bind both players at one resolution.

    Args:
        shape: (H, W, C) of a picture, H = W = 4 * 2^(number of features - 1), in [-1, 1].
        latent_dim: coordinates of a latent.
        generator_features: channels at 4 x 4, 8 x 8, ...
        discriminator_features: likewise; it may grow together with the generator only.
        fade_steps: steps until alpha is 1; of no effect at 4 x 4.
        group: examples a group of the minibatch standard deviation.
        generator_loss: of the scores of generated examples.
        discriminator_loss: of the scores of real and of generated examples, to which the drift penalty is added.
        drift_weight: epsilon of the drift penalty.
        regularizers: as in `genjax.adversarial.gan.gan`; the paper's gradient penalty of lambda = 10 if None.
        dtype: compute dtype.
        options: further arguments of `genjax.adversarial.gan.gan` (condition_of, prior, discriminator_steps,
            discriminator_after).

    Returns:
        A model as `gan` makes it, whose `init` takes `lower`, the Variables of a run at half the side with the same
        features but the last. Without it all layers start anew.

    Raises:
        ValueError: the shape is not that of the features; from `init`, where `lower` has other layers.

    Reference: Karras et al. 2018.
    """
    check_side(shape, generator_features)
    check_side(shape, discriminator_features)
    model = gan(
        ProGANGenerator(tuple(generator_features), shape[-1], dtype),
        ProGANDiscriminator(tuple(discriminator_features), group, dtype),
        latent_dim=latent_dim,
        generator_loss=generator_loss,
        discriminator_loss=with_drift(discriminator_loss, weight=drift_weight),
        regularizers={"gradient_penalty": gradient_penalty} if regularizers is None else regularizers,
        **options,
    )
    discriminate, generate = model.updates
    if len(generator_features) > 1:
        # The generator moves last in a step, so that both players saw the same alpha.
        generate = generate._replace(after=fade_in(fade_steps))
        discriminate = discriminate._replace(loss=on_blended_pictures(discriminate.loss))
    return model._replace(init=grown(model.init), updates=(discriminate, generate))


def grown(init: Any) -> Any:
    """Return an `InitFn` that takes every layer it can from `lower`, a run at half the side, and starts the rest anew."""

    def grown_init(key: Array, batch: Batch, *, lower: Variables | None = None) -> Variables:
        fresh = init(key, batch)
        if lower is None:
            return fresh
        params = {player: take_layers(fresh.params[player], lower.params[player], player) for player in fresh.params}
        return fresh._replace(params=params)

    return grown_init


def take_layers(fresh: Mapping[str, PyTree], lower: Mapping[str, PyTree], player: str) -> dict[str, PyTree]:
    """Return the layers of a player, from `lower` by name where it has them and else from `fresh`.

    Raises:
        ValueError: a layer of both has different shapes, or `lower` is not of half the side.
    """
    shapes = lambda tree: jax.tree.map(jnp.shape, tree)
    shared = [name for name in fresh if name in lower]
    other = [name for name in shared if shapes(fresh[name]) != shapes(lower[name])]
    new = {name for name in fresh if name not in lower}
    sides = {int(number) for name in new for number in re.findall(r"_(\d+)", name)[:1]}
    if other or len(sides) != 1:
        raise ValueError(
            f"The lower run does not fit: the {player}'s layers {other} have other shapes, and those of {sorted(sides)} "
            "pixels are new, where one resolution should be. Give it the same features but the last."
        )
    return {name: lower[name] if name in lower else fresh[name] for name in fresh}


def fade_in(steps: int) -> AfterFn:
    """Return what moves alpha of both players up by 1 / steps, to 1 at most, for `Update.after`."""
    if steps < 1:
        raise ValueError(f"Fading in takes at least one step, not {steps}.")

    def after(params: Mapping[str, PyTree], state: PyTree) -> tuple[Mapping[str, PyTree], PyTree]:
        alpha = jnp.minimum(state["generator"]["fade"]["alpha"] + 1 / steps, 1.0)
        return params, {player: {**kept, "fade": {"alpha": alpha}} for player, kept in state.items()}

    return after


def on_blended_pictures(loss: LossFn) -> LossFn:
    """Return the discriminator's loss on a batch blended as far as the players are."""

    def blended(variables: Variables, batch: Batch, key: Array, step: Array):
        alpha = variables.state["discriminator"]["fade"]["alpha"]
        value, aux = loss(variables, {**batch, "x": blend_pictures(alpha, batch["x"])}, key, step)
        return value, aux._replace(metrics={**aux.metrics, "alpha": alpha})

    return blended


def check_side(shape: Sequence[int], features: Sequence[int]) -> int:
    """Return the side of pictures (H, W, C), which must be that of as many resolutions as there are features."""
    side = BASE * 2 ** (len(features) - 1)
    if tuple(shape[:2]) != (side, side):
        sides = " x ".join(str(n) for n in shape[:2])
        raise ValueError(
            f"{len(features)} features, {tuple(features)}, are for pictures of {side} x {side}, not {sides}."
        )
    return side
