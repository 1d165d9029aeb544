"""Transforms: pure functions (key, batch) -> batch, run on the device inside the compiled step.

    transform = chain(flip_horizontal(0.5), symmetric(256))
    batch = transform(key, {"x": uint8 [B, H, W, C], "label": int32 [B]})

Each of the functions below returns one. A transform sees the global batch and draws with the one key of the step, so
that what it draws depends neither on how many devices hold the batch nor on how it was read. `chain` hands every
member a key of its own. Entries other than 'x' (or, for `one_hot_label`, 'label') pass unchanged.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from genjax import pixels
from genjax.contract import Array, Batch

Transform = Callable[[Array, Batch], Batch]


def chain(*transforms: Transform) -> Transform:
    """Apply transforms in order, the i-th with the i-th of as many keys."""

    def transform(key: Array, batch: Batch) -> Batch:
        for member, member_key in zip(transforms, jax.random.split(key, max(len(transforms), 1))):
            batch = member(member_key, batch)
        return batch

    return transform


def on_x(function: Callable[[Array, Array], Array]) -> Transform:
    """Make a transform of a function (key, x [B, ...]) -> x [B, ...]."""

    def transform(key: Array, batch: Batch) -> Batch:
        return {**batch, "x": function(key, batch["x"])}

    return transform


def symmetric(levels: int) -> Transform:
    """Scale levels onto [-1, 1], float32; see `genjax.pixels.to_symmetric`."""
    return on_x(lambda key, x: pixels.to_symmetric(x, levels))


def unit(levels: int) -> Transform:
    """Scale levels onto [0, 1], float32; see `genjax.pixels.to_unit`."""
    return on_x(lambda key, x: pixels.to_unit(x, levels))


def dequantize(levels: int) -> Transform:
    """Fill the gaps between levels by uniform noise, (x + u) / L in (0, 1); see `genjax.pixels.dequantize_uniform`.

    For samples to look at or metrics of them. A model whose log_prob is of the stored integers takes these, and calls
    `dequantize_uniform` itself, since it needs the log-determinant.
    """
    return on_x(lambda key, x: pixels.dequantize_uniform(key, x, levels)[0])


def binarize_dynamic(levels: int) -> Transform:
    """Draw each pixel anew from Bernoulli(x / (L - 1)), float32 0 or 1.

    Reference:
        Burda, Grosse and Salakhutdinov, Importance weighted autoencoders, 2016, section 5.1.
    """

    def binarize(key: Array, x: Array) -> Array:
        return jax.random.bernoulli(key, pixels.to_unit(x, levels)).astype(jnp.float32)

    return on_x(binarize)


def binarize_threshold(levels: int, threshold: float = 0.5) -> Transform:
    """Set pixels with x / (L - 1) > threshold to 1 and the others to 0, float32."""
    return on_x(lambda key, x: (pixels.to_unit(x, levels) > threshold).astype(jnp.float32))


def binarize_static(levels: int, seed: int) -> Transform:
    """Draw each pixel from Bernoulli(x / (L - 1)) once for ever: the same image gives the same bits in every batch.

    The noise of an image is that of the key fold_in(key(seed), hash of the image); the step's key is not
    used. This is not the fixed file that papers on static MNIST share, which cannot be made from MNIST: it was drawn
    once by its author.
    """

    def one(image: Array) -> Array:
        key = jax.random.fold_in(jax.random.key(seed), hash_levels(image))
        return jax.random.bernoulli(key, pixels.to_unit(image, levels)).astype(jnp.float32)

    return on_x(lambda key, x: jax.vmap(one)(x))


def hash_levels(image: Array) -> Array:
    """Hash the integers of one array to 32 bits.

    Entry x at place i becomes a word mixed of (i, x); the words are added modulo 2^32 and mixed again. The mixing is
    the finalizer of MurmurHash3, under which every bit of the input moves every bit of the output.

    Args:
        image: integers of any shape, below 2^16.
    Returns:
        uint32 scalar.
    """
    flat = image.reshape(-1).astype(jnp.uint32)
    place = jnp.arange(flat.shape[0], dtype=jnp.uint32)
    return _mix(jnp.sum(_mix(_mix(place + 1) ^ flat), dtype=jnp.uint32))


def _mix(word: Array) -> Array:
    """Apply the 32-bit finalizer of MurmurHash3."""
    word = (word ^ (word >> 16)) * jnp.uint32(0x85EBCA6B)
    word = (word ^ (word >> 13)) * jnp.uint32(0xC2B2AE35)
    return word ^ (word >> 16)


def flip_horizontal(prob: float) -> Transform:
    """Mirror each image [H, W, C] of the batch left to right with probability `prob`, independently."""

    def flip(key: Array, x: Array) -> Array:
        _check_images(x)
        chosen = jax.random.bernoulli(key, prob, x.shape[:1])
        return jnp.where(chosen[:, None, None, None], x[:, :, ::-1], x)

    return on_x(flip)


def one_hot_label(num_classes: int) -> Transform:
    """Turn 'label' from int32 [B] into float32 [B, num_classes]."""

    def transform(key: Array, batch: Batch) -> Batch:
        return {**batch, "label": jax.nn.one_hot(batch["label"], num_classes, dtype=jnp.float32)}

    return transform


def pad_to(size: int, value: float = 0) -> Transform:
    """Pad images at the edges to size x size, the image in the middle (an odd rest goes right and below)."""

    def pad(key: Array, x: Array) -> Array:
        _check_images(x)
        rest = [size - x.shape[1], size - x.shape[2]]
        if min(rest) < 0:
            raise ValueError(f"Images of {x.shape[1]}x{x.shape[2]} cannot be padded to {size}x{size}.")
        width = [(0, 0), *((amount // 2, amount - amount // 2) for amount in rest), (0, 0)]
        return jnp.pad(x, width, constant_values=jnp.asarray(value, x.dtype))

    return on_x(pad)


def crop(size: int) -> Transform:
    """Cut size x size out of the middle of images; undoes `pad_to`."""

    def cut(key: Array, x: Array) -> Array:
        _check_images(x)
        top, left = (x.shape[1] - size) // 2, (x.shape[2] - size) // 2
        if min(top, left) < 0:
            raise ValueError(f"Images of {x.shape[1]}x{x.shape[2]} cannot be cropped to {size}x{size}.")
        return x[:, top : top + size, left : left + size]

    return on_x(cut)


def _check_images(x: Array) -> None:
    if x.ndim != 4:
        raise ValueError(f"x must be images [B, H, W, C], got shape {x.shape}.")
