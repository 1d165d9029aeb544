"""Adaptive discriminator augmentation: the discriminator sees augmented pictures only, real and generated alike.

Each transformation of T is made with probability p of its own, independently for each picture; as long as p is well
below 1 the generator cannot gain by making what T makes, so that nothing leaks into its pictures (section 2.2). Both
players' losses are of D(T x), and gradients go through T to the generator. With few pictures the discriminator learns
them by heart; how far it has, the share of real pictures that it is sure of tells:

    r_t = E sign D(T x_real)                                                                              (eq. 1)

0 without overfitting, 1 at its worst. Every few steps p moves up where r_t is above its target (0.6), down where it is
below, so fast that it could go from 0 to 1 in 500,000 pictures (section 3).

T is a sequence of steps: geometric ones are 3 x 3 matrices from homogeneous places in the new picture to those in the
old, multiplied before the picture is resampled once; ones of colour are 4 x 4 matrices of homogeneous colours. Appendix
B has their distributions; BLIT, GEOMETRY and COLOUR are its groups, and which to take is a matter of the data.
Resampling is bilinear here, with reflection at the border; the paper filters at twice the resolution.

Reference: Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data",
https://arxiv.org/abs/2006.06676
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates

from genjax.contract import Array

Step = Callable[[Array, int, Array, tuple[int, int]], Array]  # key, num, p, (H, W) -> matrices [num, n, n]
Augment = Callable[[Array, Array, Array], Array]  # key, x [B, H, W, C], p -> [B, H, W, C]


class AdaptiveAugmentation(NamedTuple):
    """How a discriminator's pictures are augmented.

    augment: T.
    target: of r_t.
    images: pictures within which p could go from 0 to 1.
    every: steps between two moves of p.
    start: p at first.
    """

    augment: Augment
    target: float = 0.6
    images: int = 500_000
    every: int = 4
    start: float = 0.0


class Overfitting(NamedTuple):
    """What is known of the discriminator since p last moved, and p.

    p: probability of each transformation, scalar in [0, 1].
    sign: mean over steps of mean sign D(T x_real), times `steps`.
    steps: how many.
    """

    p: Array
    sign: Array
    steps: Array


def init_overfitting(ada: AdaptiveAugmentation) -> Overfitting:
    """Return the state of step 0."""
    zero = jnp.zeros((), jnp.float32)
    return Overfitting(jnp.asarray(ada.start, jnp.float32), zero, zero)


def observe(seen: Overfitting, real_scores: Array) -> Overfitting:
    """Count one minibatch's scores of augmented real pictures, `[B]`, towards r_t."""
    return seen._replace(sign=seen.sign + jnp.sign(real_scores).mean(), steps=seen.steps + 1)


def adapt(ada: AdaptiveAugmentation, seen: Overfitting, batch_size: int) -> tuple[Overfitting, Array]:
    """Move p by what was seen, and forget it.

    Args:
        ada: target and pace.
        seen: since the last move.
        batch_size: pictures a step, over all devices.

    Returns:
        (the new state, r_t).

    Reference: Karras et al. 2020 (ADA), section 3 and eq. 1.
    """
    overfitting = seen.sign / jnp.maximum(seen.steps, 1.0)
    pace = jnp.sign(overfitting - ada.target) * seen.steps * (batch_size / ada.images)
    return init_overfitting(ada)._replace(p=jnp.clip(seen.p + pace, 0.0, 1.0)), overfitting


def augmentation(geometric: Sequence[Step], colour: Sequence[Step] = ()) -> Augment:
    """Return T made of steps, in their order: first the places of pixels, then their colours.

    Args:
        geometric: of the names below `mirror` ... `shift`.
        colour: of `brightness` ... `saturation`; pictures must have 1 channel or 3.
    """

    def augment(key: Array, x: Array, p: Array) -> Array:
        if x.ndim != 4:
            raise ValueError(f"Augmentation takes pictures [B, H, W, C], not {x.shape}.")
        num, size = x.shape[0], (x.shape[1], x.shape[2])
        keys = jax.random.split(key, len(geometric) + len(colour))
        matrices = lambda steps, keys: [step(k, num, p, size) for step, k in zip(steps, keys)]
        if geometric:
            # A place in the new picture is followed back to the old one: the last step is undone first.
            x = resample(x, product(matrices(geometric, keys[: len(geometric)])[::-1]))
        if colour:
            x = recolour(x, product(matrices(colour, keys[len(geometric) :])))
        return x

    return augment


def product(matrices: Sequence[Array]) -> Array:
    """Return the product of matrices `[B, n, n]`, the first to be applied rightmost."""
    total = matrices[0]
    for matrix in matrices[1:]:
        total = jnp.einsum("bij,bjk->bik", matrix, total)
    return total


def resample(x: Array, inverse: Array) -> Array:
    """Return pictures whose pixel at place u is that of x at place M u, bilinear, reflected at the border.

    Args:
        x: `[B, H, W, C]`.
        inverse: M `[B, 3, 3]`, of homogeneous (row, column, 1) from the middle of the picture, in pixels.

    Returns:
        `[B, H, W, C]`, of x's dtype.
    """
    height, width = x.shape[1:3]
    middle = jnp.asarray([(height - 1) / 2, (width - 1) / 2], jnp.float32)
    rows, columns = jnp.meshgrid(*(jnp.arange(n, dtype=jnp.float32) - (n - 1) / 2 for n in (height, width)), indexing="ij")
    places = jnp.stack([rows, columns, jnp.ones_like(rows)]).reshape(3, -1)
    found = jnp.einsum("bij,jn->bin", inverse[:, :2], places) + middle[None, :, None]
    found = found.reshape(-1, 2, height, width)
    one = lambda channel, at: map_coordinates(channel, [at[0], at[1]], order=1, mode="mirror")
    over_channels = jax.vmap(one, in_axes=(2, None), out_axes=2)
    return jax.vmap(over_channels)(x.astype(jnp.float32), found).astype(x.dtype)


def recolour(x: Array, matrix: Array) -> Array:
    """Return pictures with colours M (r, g, b, 1); grey ones are told by the mean of their three equal colours.

    Args:
        x: `[B, H, W, C]`, C = 1 or 3.
        matrix: M `[B, 4, 4]`.

    Raises:
        ValueError: for other channels.
    """
    if x.shape[-1] not in (1, 3):
        raise ValueError(f"Colours are transformed in pictures of 1 or 3 channels, not {x.shape[-1]}.")
    linear, offset = matrix[:, :3, :3], matrix[:, :3, 3]
    if x.shape[-1] == 1:
        linear, offset = linear.sum(axis=2).mean(axis=1)[:, None, None], offset.mean(axis=1)[:, None]
    return jnp.einsum("bhwj,bij->bhwi", x, linear.astype(x.dtype)) + offset.astype(x.dtype)[:, None, None]


def mirror(key: Array, num: int, p: Array, size: tuple[int, int]) -> Array:
    """Mirror left and right with probability p/2 (p of a choice of 1 in 2)."""
    del size
    flipped = jax.random.bernoulli(key, p / 2, (num,))
    return _diagonal(jnp.ones(num), jnp.where(flipped, -1.0, 1.0))


def quarter_turns(key: Array, num: int, p: Array, size: tuple[int, int]) -> Array:
    """Turn by 0, 90, 180 or 270 degrees."""
    del size
    chance, choice = jax.random.split(key)
    turns = jax.random.randint(choice, (num,), 0, 4).astype(jnp.float32)
    return _rotation(_with(chance, p, turns * (math.pi / 2), 0.0))


def whole_shift(key: Array, num: int, p: Array, size: tuple[int, int]) -> Array:
    """Shift by whole pixels, uniform in +-1/8 of each side."""
    chance, amount = jax.random.split(key)
    sides = jnp.asarray(size, jnp.float32)[None]
    shift = jnp.round(jax.random.uniform(amount, (num, 2), minval=-0.125, maxval=0.125) * sides)
    return _translation(_with(chance, p, shift, 0.0))


def scale(key: Array, num: int, p: Array, size: tuple[int, int]) -> Array:
    """Scale both axes alike by exp(0.2 ln 2 n), n standard normal."""
    del size
    factor = _log_normal(key, num, p, 0.2 * math.log(2))
    return _diagonal(factor, factor)


def rotation(key: Array, num: int, p: Array, size: tuple[int, int]) -> Array:
    """Turn by any angle, with probability 1 - sqrt(1 - p): two of these, around `stretch`, turn with p."""
    del size
    chance, amount = jax.random.split(key)
    angle = jax.random.uniform(amount, (num,), minval=-math.pi, maxval=math.pi)
    return _rotation(_with(chance, 1 - jnp.sqrt(1 - p), angle, 0.0))


def stretch(key: Array, num: int, p: Array, size: tuple[int, int]) -> Array:
    """Scale rows by exp(0.2 ln 2 n) and columns by its inverse."""
    del size
    factor = _log_normal(key, num, p, 0.2 * math.log(2))
    return _diagonal(factor, 1 / factor)


def shift(key: Array, num: int, p: Array, size: tuple[int, int]) -> Array:
    """Shift by normal fractions of each side, of standard deviation 1/8."""
    chance, amount = jax.random.split(key)
    sides = jnp.asarray(size, jnp.float32)[None]
    return _translation(_with(chance, p, 0.125 * jax.random.normal(amount, (num, 2)) * sides, 0.0))


def brightness(key: Array, num: int, p: Array, size: tuple[int, int]) -> Array:
    """Add to all colours a normal number of standard deviation 0.2, where they lie in [-1, 1]."""
    del size
    chance, amount = jax.random.split(key)
    added = _with(chance, p, 0.2 * jax.random.normal(amount, (num,)), 0.0)
    return jnp.eye(4)[None] + added[:, None, None] * jnp.asarray([[0, 0, 0, 1.0]] * 3 + [[0, 0, 0, 0]])[None]


def contrast(key: Array, num: int, p: Array, size: tuple[int, int]) -> Array:
    """Multiply all colours by exp(0.5 ln 2 n), around 0."""
    del size
    factor = _log_normal(key, num, p, 0.5 * math.log(2))
    return jnp.eye(4)[None] * jnp.stack([factor, factor, factor, jnp.ones(num)], axis=1)[:, :, None]


def luma_flip(key: Array, num: int, p: Array, size: tuple[int, int]) -> Array:
    """Reflect at the plane across the grey axis with probability p/2: dark becomes light."""
    del size
    chosen = jax.random.bernoulli(key, p / 2, (num,)).astype(jnp.float32)
    return jnp.eye(4)[None] - 2 * chosen[:, None, None] * _luma()[None]


def hue(key: Array, num: int, p: Array, size: tuple[int, int]) -> Array:
    """Turn colours around the grey axis by any angle (Rodrigues' formula)."""
    del size
    chance, amount = jax.random.split(key)
    angle = _with(chance, p, jax.random.uniform(amount, (num,), minval=-math.pi, maxval=math.pi), 0.0)[:, None, None]
    across = jnp.asarray([[0, -1, 1, 0], [1, 0, -1, 0], [-1, 1, 0, 0], [0, 0, 0, 0]], jnp.float32) / math.sqrt(3)
    still = _luma() + jnp.diag(jnp.asarray([0.0, 0.0, 0.0, 1.0]))
    return still[None] + jnp.cos(angle) * (jnp.eye(4) - still)[None] + jnp.sin(angle) * across[None]


def saturation(key: Array, num: int, p: Array, size: tuple[int, int]) -> Array:
    """Multiply what colours differ from grey by exp(ln 2 n)."""
    del size
    factor = _log_normal(key, num, p, math.log(2))[:, None, None]
    still = _luma() + jnp.diag(jnp.asarray([0.0, 0.0, 0.0, 1.0]))
    return still[None] + factor * (jnp.eye(4) - still)[None]


BLIT = (mirror, quarter_turns, whole_shift)
GEOMETRY = (scale, rotation, stretch, rotation, shift)
COLOUR = (brightness, contrast, luma_flip, hue, saturation)


def _with(key: Array, p: Array, chosen: Array, otherwise: Any) -> Array:
    """Return `chosen` for each example with probability p, else `otherwise`."""
    taken = jax.random.bernoulli(key, p, chosen.shape[:1]).reshape((-1,) + (1,) * (chosen.ndim - 1))
    return jnp.where(taken, chosen, jnp.full_like(chosen, otherwise))


def _log_normal(key: Array, num: int, p: Array, std: float) -> Array:
    chance, amount = jax.random.split(key)
    return _with(chance, p, jnp.exp(std * jax.random.normal(amount, (num,))), 1.0)


def _luma() -> Array:
    """Return the projection on the grey axis, `[4, 4]`."""
    grey = jnp.asarray([1.0, 1.0, 1.0, 0.0]) / math.sqrt(3)
    return grey[:, None] * grey[None]


def _diagonal(rows: Array, columns: Array) -> Array:
    return jnp.eye(3)[None] * jnp.stack([rows, columns, jnp.ones_like(rows)], axis=1)[:, :, None]


def _rotation(angle: Array) -> Array:
    c, s, zero = jnp.cos(angle), jnp.sin(angle), jnp.zeros_like(angle)
    rows = [[c, -s, zero], [s, c, zero], [zero, zero, zero + 1]]
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=1)


def _translation(shift: Array) -> Array:
    return jnp.eye(3)[None] + jnp.pad(shift[:, :, None], ((0, 0), (0, 1), (2, 0)))
