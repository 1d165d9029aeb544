"""SinGAN: a pyramid of small GANs that learn the patches of one picture, and draw new pictures of any size.

The picture x is shrunk to x_0 (coarsest), ..., x_N (finest). Scales are numbered from the coarsest here; the paper
counts the other way. Each has a generator G_n of its own, a few convolutions psi_n that see 11 x 11 pixels, so that
patches are learned and not the whole. They draw one after the other, y enlarged to the next size (eqs. 1 to 3):

    x~_0 = psi_0(s_0 z_0),    x~_n = y + psi_n(s_n z_n + y),    y = (x~_{n-1}) enlarged,    z_n normal

The scales are trained from the coarsest to the finest, each with those below it frozen: one scale is one stage. Its
players descend (eqs. 4 and 5)

    critic       mean D(fake) - mean D(x_n) + lambda * gradient penalty
    generator    -mean D(fake) + alpha |G_n(0, y*) - x_n|^2 per entry

where D gives one score a patch, and y* is the enlarged reconstruction of the scale below, made of one noise map z* that
is fixed when the coarsest scale begins (G_0(s_0 z*) is asked for x_0) and of no noise above. So there is a noise of which
the pyramid draws the picture itself, and the noise level s_n is what the reconstruction below misses: noise_scale times
the root mean square of y* - x_n (s_0 = 1). Generator and critic start from those of the scale below.

As in the authors' code, the penalty asks every pixel for a gradient of norm 1, over its channels, of the sum of the
score map; pictures and noise are padded by zeros once, by as much as the convolutions take away; and normalization
is over the pixels of one picture at a time, which is what batch normalization is with a batch of one, so that samples
are normalised by themselves too and examples have gradients of their own.

Reference: Rott Shaham, Dekel & Michaeli 2019, "SinGAN: Learning a Generative Model from a Single Natural Image",
https://arxiv.org/abs/1905.01164
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial.losses import wasserstein_discriminator_loss, wasserstein_generator_loss
from genjax.adversarial.players import init_player, run_player, train_player
from genjax.adversarial.regularizers import between, safe_sqrt
from genjax.contract import Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables
from genjax.nn import Conv, GroupNorm

Size = tuple[int, int]  # height, width


class PatchNetwork(nn.Module):
    """Convolutions without padding, normalized over each picture, LeakyReLU 0.2; the output is linear.

    features: channels of each hidden layer; `depth` of them.
    outputs: channels of the output.
    depth: hidden layers; with the last one the sides shrink by 2 (depth + 1).
    use_bias: of the last layer; a critic whose scores are only subtracted has none.
    dtype: compute dtype.
    """

    features: int
    outputs: int
    depth: int = 4
    use_bias: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H - 2 (depth + 1), W - 2 (depth + 1), outputs]`."""
        del train
        conv = partial(Conv, padding="VALID", kernel_init=nn.initializers.normal(0.02), dtype=self.dtype)
        for _ in range(self.depth):
            x = GroupNorm(self.features, epsilon=1e-5, dtype=self.dtype)(conv(self.features, use_bias=False)(x))
            x = nn.leaky_relu(x, 0.2)
        return conv(self.outputs, use_bias=self.use_bias)(x)


class Pyramid(NamedTuple):
    """The fixed part of one scale.

    generator: psi_n as a module; the same for all scales.
    critic: D_n.
    sizes: of the scales up to this one, from the coarsest.
    margin: pixels that the generator's convolutions take away on each side.
    reconstruction_weight: alpha.
    penalty_weight: lambda.
    noise_scale: of s_n.
    """

    generator: nn.Module
    critic: nn.Module
    sizes: tuple[Size, ...]
    margin: int
    reconstruction_weight: float
    penalty_weight: float
    noise_scale: float


def pyramid_sizes(finest: Size, *, coarsest: int, num_scales: int) -> tuple[Size, ...]:
    """Return the sizes of a pyramid, from the coarsest, in equal ratios.

    Args:
        finest: (height, width) of the picture.
        coarsest: shorter side of the coarsest scale.
        num_scales: at least 1; with 1 the finest size is the only one.

    Raises:
        ValueError: the coarsest scale is not smaller than the picture, or there is none.

    Reference: Rott Shaham et al. 2019, supplementary material, section 2.
    """
    shorter = min(finest)
    if num_scales < 1 or (num_scales > 1 and not 0 < coarsest < shorter):
        raise ValueError(
            f"A pyramid needs a scale at least, and a coarsest one smaller than the picture; these are {num_scales} "
            f"scales from {coarsest} to {shorter}."
        )
    ratios = [(coarsest / shorter) ** (1 - n / (num_scales - 1)) for n in range(num_scales - 1)] + [1.0]
    return tuple(tuple(round(ratio * side) for side in finest) for ratio in ratios)


def resize(x: Array, size: Size) -> Array:
    """Resize pictures `[B, H, W, C]` to a size, by cubic interpolation, antialiased where they shrink."""
    return jax.image.resize(x, (x.shape[0], *size, x.shape[3]), "cubic")


def pixel_gradient_penalty(critic: Any, real: Array, fake: Array, key: Array) -> Array:
    """Return how far the gradient of the summed score map is from norm 1 at each pixel, between real and fake.

    Args:
        critic: pictures `[B, H, W, C]` -> score maps `[B, h, w]`, one picture at a time.
        real: `[B, H, W, C]`.
        fake: `[B, H, W, C]`.
        key: draws where on the line between a real and a generated picture.

    Returns:
        mean over pixels of (|grad at the pixel| - 1)^2, `[B]`.

    Reference: Gulrajani et al. 2017, eq. 3, taken pixel by pixel as in the authors' code of SinGAN.
    """
    x = between(real, fake, key)
    scores, pull = jax.vjp(critic, x)
    (gradient,) = pull(jnp.ones_like(scores))
    return ((safe_sqrt(jnp.sum(gradient**2, axis=-1)) - 1) ** 2).mean(axis=(1, 2))


def singan(
    generator: nn.Module,
    critic: nn.Module,
    *,
    sizes: Sequence[Size],
    margin: int,
    reconstruction_weight: float = 10.0,
    penalty_weight: float = 0.1,
    noise_scale: float = 0.1,
    critic_steps: int = 1,
) -> GenerativeModel:
    """Bind one scale into a model, over the frozen scales below it.

    Args:
        generator: module (`[B, H, W, C]`, train=) -> the same with `margin` pixels less on each side.
        critic: module (`[B, H, W, C]`, train=) -> score maps `[B, h, w, 1]`, one picture at a time.
        sizes: (height, width) of the scales up to this one, from the coarsest; batches have pictures of the last.
        margin: of the generator.
        reconstruction_weight: alpha.
        penalty_weight: lambda.
        noise_scale: s_n over the root mean square that the reconstruction below misses.
        critic_steps: updates of the critic before each of the generator (the paper makes three of each in turn).

    Returns:
        A model with the players 'generator' and 'critic'. Its init takes, from the second scale on, `coarser=`: the
        Variables of the scale below. Samples take `stretch=(1.0, 1.0)`, static, how many times higher and wider
        they are than the picture. Methods, each (variables, key, ...): `reconstruct()`, the picture drawn of z*,
        `[1, H, W, C]`; `inject(x, first=)`, pictures of any kind, `[N, ...]`, that enter the pyramid enlarged to
        scale `first` in the place of y, and leave it in the look of the photograph (paint to image, harmonization).

    Raises:
        ValueError: there is no scale.

    Reference: Rott Shaham et al. 2019, eqs. 1 to 5.
    """
    if not sizes:
        raise ValueError("A pyramid needs at least one scale: give `sizes`.")
    sizes = tuple(tuple(size) for size in sizes)
    pyramid = Pyramid(generator, critic, sizes, margin, reconstruction_weight, penalty_weight, noise_scale)
    return GenerativeModel(
        init=partial(init_scale, pyramid),
        updates=(
            Update("critic", ("critic",), partial(critic_objective, pyramid), repeat=critic_steps),
            Update("generator", ("generator",), partial(generator_objective, pyramid)),
        ),
        sample=partial(sample, pyramid),
        methods={"reconstruct": partial(reconstruct, pyramid), "inject": partial(inject, pyramid)},
    )


def init_scale(pyramid: Pyramid, key: Array, batch: Batch, *, coarser: Variables | None = None) -> Variables:
    """Initialise a scale: networks as those below, noise as wide as what the reconstruction below misses.

    Raises:
        ValueError: the stages do not fit the sizes, or the pictures are not of this scale's size.
    """
    below = () if coarser is None else (*coarser.state["below"], coarser.params["generator"])
    picture, size = batch["x"][:1], pyramid.sizes[-1]
    if len(below) != len(pyramid.sizes) - 1:
        raise ValueError(
            f"Scale {len(pyramid.sizes) - 1} stands on as many trained ones; `coarser` brings {len(below)}: train the "
            "scales in their order, and give each the one below."
        )
    if picture.shape[1:3] != size:
        raise ValueError(f"This scale is of pictures {size}, height and width, but the data are {picture.shape[1:3]}.")
    generator_key, critic_key, noise_key = jax.random.split(key, 3)
    padded = _pad(pyramid, picture)
    generator, _, drawn = init_player(pyramid.generator, generator_key, padded)
    if drawn.shape != picture.shape:
        raise ValueError(f"With margin {pyramid.margin} the generator makes {drawn.shape}, not pictures {picture.shape}.")
    critic, _, _ = init_player(pyramid.critic, critic_key, picture)
    if coarser is None:
        noise = jax.random.normal(noise_key, (*size, picture.shape[3]))
        state = {"below": (), "noise": noise, "stds": jnp.ones((1,), jnp.float32)}
        return Variables({"generator": generator, "critic": critic}, state)
    missed = _enlarged_reconstruction(pyramid, {**coarser.state, "below": below}) - picture
    std = pyramid.noise_scale * jnp.sqrt(jnp.mean(missed**2))
    state = {**coarser.state, "below": below, "stds": jnp.append(coarser.state["stds"], std)}
    # Copies: a frozen scale and the one that starts from it are two arrays.
    params = jax.tree.map(jnp.copy, {name: coarser.params[name] for name in ("generator", "critic")})
    return Variables(params, state)


def critic_objective(pyramid: Pyramid, variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
    """Return the mean of the critic's loss with its penalty: a LossFn for the player 'critic'."""
    del step
    fake_key, run_key, penalty_key = jax.random.split(key, 3)
    fake = draw(pyramid, variables, fake_key, batch["x"].shape[0])
    score_map = partial(_score_map, pyramid, variables, run_key)
    terms = wasserstein_discriminator_loss(score_map(batch["x"]).mean((1, 2)), score_map(fake).mean((1, 2)))
    penalty = pixel_gradient_penalty(score_map, batch["x"], fake, penalty_key).mean()
    loss = terms.real.mean() + terms.fake.mean() + pyramid.penalty_weight * penalty
    metrics = {"distance": -(terms.real + terms.fake).mean(), "penalty": penalty}
    return loss, Aux(variables.state, metrics)


def generator_objective(
    pyramid: Pyramid, variables: Variables, batch: Batch, key: Array, step: Array
) -> tuple[Array, Aux]:
    """Return the generator's adversarial loss and reconstruction: a LossFn for the player 'generator'."""
    del step
    fake_key, run_key = jax.random.split(key)
    fake = draw(pyramid, variables, fake_key, batch["x"].shape[0])
    adversarial = wasserstein_generator_loss(_score_map(pyramid, variables, run_key, fake).mean((1, 2))).mean()
    error = jnp.mean((reconstruct(pyramid, variables, key) - batch["x"][:1]) ** 2)
    loss = adversarial + pyramid.reconstruction_weight * error
    return loss, Aux(variables.state, {"adversarial": adversarial, "reconstruction": error})


def draw(
    pyramid: Pyramid, variables: Variables, key: Array, num: int, *, stretch: tuple[float, float] = (1.0, 1.0)
) -> Array:
    """Return what the pyramid draws of noise at every scale, `[num, H, W, C]`."""
    size, channels = pyramid.sizes[0], variables.state["noise"].shape[-1]
    start = jnp.zeros((num, *_stretched(size, stretch), channels), jnp.float32)
    return _climb(pyramid, variables, key, start, first=0, stretch=stretch)


def sample(
    pyramid: Pyramid,
    variables: Variables,
    key: Array,
    num_samples: int,
    *,
    condition: PyTree = None,
    stretch: tuple[float, float] = (1.0, 1.0),
) -> Array:
    """Return new pictures `[num_samples, H, W, C]`, `stretch` times as high and wide as the one that was learned."""
    if condition is not None:
        raise ValueError("This model is of one picture and takes no `condition`.")
    return draw(pyramid, variables, key, num_samples, stretch=stretch)


def reconstruct(pyramid: Pyramid, variables: Variables, key: Array) -> Array:
    """Return the picture that is drawn of z*, `[1, H, W, C]`."""
    del key
    generator, state = variables.params["generator"], variables.state
    if len(pyramid.sizes) == 1:
        zeros = jnp.zeros_like(state["noise"])[None]
        return _refine(pyramid, generator, zeros, state["stds"][0] * state["noise"][None])
    under = _enlarged_reconstruction(pyramid, state)
    return _refine(pyramid, generator, under, jnp.zeros_like(under))


def inject(pyramid: Pyramid, variables: Variables, key: Array, x: Array, *, first: int = 1) -> Array:
    """Return pictures x `[N, ..., ..., C]` drawn on from scale `first` >= 1 to this one, `[N, H, W, C]`.

    Reference: Rott Shaham et al. 2019, section 4 (paint to image, editing, harmonization).
    """
    if not 1 <= first < len(pyramid.sizes):
        raise ValueError(f"Pictures enter at one of the scales 1 to {len(pyramid.sizes) - 1}, not at {first}.")
    under = resize(resize(x, pyramid.sizes[first - 1]), pyramid.sizes[first])
    return _climb(pyramid, variables, key, under, first=first)


def _climb(
    pyramid: Pyramid,
    variables: Variables,
    key: Array,
    under: Array,
    *,
    first: int,
    stretch: tuple[float, float] = (1.0, 1.0),
) -> Array:
    """Draw from scale `first` on, over `under`, already of that scale's size."""
    generators = (*variables.state["below"], variables.params["generator"])
    for n in range(first, len(pyramid.sizes)):
        if n > first:
            under = resize(under, _stretched(pyramid.sizes[n], stretch))
        noise = variables.state["stds"][n] * jax.random.normal(jax.random.fold_in(key, n), under.shape)
        under = _refine(pyramid, generators[n], under, noise)
    return under


def _enlarged_reconstruction(pyramid: Pyramid, state: PyTree) -> Array:
    """Return y*, of the last scale's size, by the scales below it."""
    first, *others = state["below"]
    noise = state["stds"][0] * state["noise"][None]
    x = _refine(pyramid, first, jnp.zeros_like(noise), noise)
    for generator, size in zip(others, pyramid.sizes[1:]):
        x = resize(x, size)
        x = _refine(pyramid, generator, x, jnp.zeros_like(x))
    return resize(x, pyramid.sizes[-1])


def _refine(pyramid: Pyramid, generator: PyTree, under: Array, noise: Array) -> Array:
    """Return y + psi(z + y), psi's output through tanh."""
    # Normalization over each picture makes no difference between training and use.
    return under + jnp.tanh(run_player(pyramid.generator, generator, {}, _pad(pyramid, under + noise)))


def _score_map(pyramid: Pyramid, variables: Variables, key: Array, x: Array) -> Array:
    """Return the critic's scores of the patches of x, `[B, h, w]`."""
    return train_player(pyramid.critic, variables.params["critic"], {}, key, x)[0][..., 0]


def _pad(pyramid: Pyramid, x: Array) -> Array:
    margin = (pyramid.margin, pyramid.margin)
    return jnp.pad(x, ((0, 0), margin, margin, (0, 0)))


def _stretched(size: Size, stretch: tuple[float, float]) -> Size:
    return tuple(round(side * factor) for side, factor in zip(size, stretch))
