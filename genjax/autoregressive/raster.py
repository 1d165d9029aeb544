"""Pictures pixel by pixel in raster order, the frame of PixelRNN, PixelCNN, Gated PixelCNN and PixelCNN++.

    log p(x) = sum_i log p(x_i | x_<i),    i over rows, in a row over columns, in a pixel over colours

A *network* gives for every pixel the numbers that its distribution needs, from the pixels before it; a *head* says
what the distribution is. The likelihood is one call of the network on the whole picture and exact: nats of the stored
integers. Sampling draws uniform numbers first, one set a pixel, and each pixel by inversion. Two ways of it are here,

    naive          the whole network at every pixel: H W network evaluations a picture
    incremental    the network at one place, `at`, everything it saw before kept in its cache: about one evaluation

which from equal uniform numbers make equal pictures. A network that is used here is called as

    network(s, condition)                        s [B, H, W, C] in [-1, 1] -> outputs [B, H, W, n]
    network(s, condition, at=Place(i))           what row i needs and no pixel of it decides; only the cache changes
    network(s, condition, at=Place(i, j))        -> outputs [B, n] of this pixel

with the collection 'cache' mutable in the last two. s holds the pixels drawn so far; colours of the current pixel that
are drawn may be called for again.
"""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import lax

from genjax.autoregressive.completion import spread_known
from genjax.autoregressive.conditionals import draw_uniforms
from genjax.contract import Array, Aux, Batch, GenerativeModel, LogProb, PyTree, Update, Variables
from genjax.nn.row_buffer import Place, empty_cache
from genjax.pixels import bits_per_dim, from_symmetric, to_symmetric


class Head(NamedTuple):
    """The distribution of a pixel given the network's outputs.

    outputs: n, numbers the network gives a pixel.
    uniforms: numbers in (0, 1) that drawing a pixel takes.
    passes: 1 if one set of outputs serves all colours; C if the outputs of a colour need the colours before it.
    log_prob: (x [B, H, W, C] integers, outputs [B, H, W, n]) -> nats [B].
    draw: (outputs [B, n], uniforms [B, u], given [B, C], known [B, C]) -> levels int32 [B, C], `given` where known.
    """

    outputs: int
    uniforms: int
    passes: int
    log_prob: Callable[[Array, Array], Array]
    draw: Callable[[Array, Array, Array, Array], Array]


class Known(NamedTuple):
    """What of the pictures is given.

    x: integers [B, H, W, C].
    mask: bool [B, H, W, C], True where x is to be kept.
    """

    x: Array
    mask: Array


class _Draw(NamedTuple):
    """Everything that drawing a pixel needs beside the network: the head, levels L, uniforms [B, H, W, u], Known."""

    head: Head
    levels: int
    uniforms: Array
    known: Known


def sample_naive(outputs: Callable[[Array], Array], draw: _Draw) -> Array:
    """Draw pictures by the whole network at every pixel.

    Args:
        outputs: s [B, H, W, C] -> [B, H, W, n].
        draw: see `_Draw`.

    Returns:
        s [B, H, W, C], in [-1, 1].
    """
    _, height, width, _ = draw.known.x.shape

    def pixel(s: Array, index: Array) -> tuple[Array, None]:
        at = Place(index // width, index % width)
        for colour in range(draw.head.passes):
            s = _put(s, at, _level(draw, _pixel(outputs(s), at), at), _colours(draw, colour))
        return s, None

    start = jnp.zeros(draw.known.x.shape, jnp.float32)
    return lax.scan(pixel, start, jnp.arange(height * width, dtype=jnp.int32))[0]


def sample_incremental(
    row: Callable[[PyTree, Array, Place], PyTree],
    pixel: Callable[[PyTree, Array, Place], tuple[Array, PyTree]],
    cache: PyTree,
    draw: _Draw,
) -> Array:
    """Draw pictures by one place of the network at a time.

    Args:
        row: (cache, s, Place(i)) -> cache.
        pixel: (cache, s, Place(i, j)) -> (outputs [B, n], cache).
        cache: before the first pixel.
        draw: see `_Draw`.

    Returns:
        s [B, H, W, C], in [-1, 1].
    """
    _, height, width, _ = draw.known.x.shape

    def one_pixel(carry: tuple[PyTree, Array], at: Place) -> tuple[PyTree, Array]:
        cache, s = carry
        for colour in range(draw.head.passes):
            outputs, cache = pixel(cache, s, at)
            s = _put(s, at, _level(draw, outputs, at), _colours(draw, colour))
        return cache, s

    def one_row(carry: tuple[PyTree, Array], i: Array) -> tuple[tuple[PyTree, Array], None]:
        cache, s = carry
        carry = row(cache, s, Place(i)), s
        columns = jnp.arange(width, dtype=jnp.int32)
        return lax.scan(lambda carry, j: (one_pixel(carry, Place(i, j)), None), carry, columns)[0], None

    start = cache, jnp.zeros(draw.known.x.shape, jnp.float32)
    return lax.scan(one_row, start, jnp.arange(height, dtype=jnp.int32))[0][1]


def raster_model(
    network: nn.Module,
    head: Head,
    *,
    player: str,
    shape: tuple[int, int, int],
    levels: int,
    condition_of: Callable[[Batch], PyTree] | None = None,
) -> GenerativeModel:
    """Bind a network and a head into a model of integer pictures.

    Args:
        network: as this module's docstring says; parameters alone beside the cache, dropout under `train`.
        head: what a pixel's distribution is.
        player: name of the group of parameters, and of the update.
        shape: (H, W, C) of a picture.
        levels: L; an entry of x is one of 0 ... L-1.
        condition_of: batch -> condition, e.g. `lambda batch: batch['label']`; `sample` then needs one.

    Returns:
        A model with one player and one update; metrics nats and bits_per_dim. `log_prob` is exact. `sample` is
        incremental. Methods, each (variables, key, ..., *, condition=None):

        outputs(x) -> [B, H, W, n]               what the network says of each pixel, float32
        complete(x, known) -> [B, H, W, C]       x where known, the rest drawn; see `genjax.autoregressive.completion`
        sample_naive(num) -> [num, H, W, C]      from the same key the pictures of `sample`, by whole evaluations

    Raises:
        ValueError: from `init`, where the data do not have the shape or the network not the head's outputs; from
            `sample` and `complete`, for a condition that is missing or not wanted.
    """
    dtype = jnp.uint8 if levels <= 256 else jnp.int32

    def init(key: Array, batch: Batch) -> Variables:
        s = to_symmetric(batch["x"], levels)
        if s.shape[1:] != tuple(shape):
            raise ValueError(f"the data have shape {s.shape[1:]} an example; the model was built for {tuple(shape)}.")
        outputs, variables = network.init_with_output(key, s, _condition(batch), mutable=["params"])
        if outputs.shape != (*s.shape[:3], head.outputs):
            raise ValueError(f"the network gives {outputs.shape[1:]} for a picture; the head takes {head.outputs} a pixel.")
        return Variables(params={player: variables["params"]})

    def _condition(batch: Batch) -> PyTree:
        return None if condition_of is None else condition_of(batch)

    def outputs_of(variables: Variables, x: Array, condition: PyTree, **options) -> Array:
        params = {"params": variables.params[player]}
        return network.apply(params, to_symmetric(x, levels), condition, **options).astype(jnp.float32)

    def log_prob(variables: Variables, key: Array, batch: Batch) -> Array:
        del key
        return head.log_prob(batch["x"], outputs_of(variables, batch["x"], _condition(batch)))

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        outputs = outputs_of(variables, batch["x"], _condition(batch), train=True, rngs={"dropout": key})
        nats = jnp.mean(head.log_prob(batch["x"], outputs))
        metrics = {"nats": nats, "bits_per_dim": bits_per_dim(nats, batch["x"][0].size)}
        return -nats, Aux(state=variables.state, metrics=metrics)

    def prepare(key: Array, known: Known, condition: PyTree) -> _Draw:
        _require_condition(condition_of, condition)
        return _Draw(head, levels, draw_uniforms(key, (*known.x.shape[:3], head.uniforms)), known)

    def incrementally(variables: Variables, key: Array, known: Known, condition: PyTree) -> Array:
        draw, params = prepare(key, known, condition), variables.params[player]
        cache = empty_cache(network, params, jnp.zeros(known.x.shape, jnp.float32), condition)

        def call(cache: PyTree, s: Array, at: Place) -> tuple[Array | None, PyTree]:
            arguments = {"params": params, "cache": cache}
            outputs, changed = network.apply(arguments, s, condition, at=at, mutable=["cache"])
            return outputs, changed.get("cache", {})

        row = lambda cache, s, at: call(cache, s, at)[1]
        return from_symmetric(sample_incremental(row, call, cache, draw), levels)

    def sample(variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None) -> Array:
        return incrementally(variables, key, _nothing_known(num_samples, shape, dtype), condition)

    def naive(variables: Variables, key: Array, num: int, *, condition: PyTree = None) -> Array:
        draw = prepare(key, _nothing_known(num, shape, dtype), condition)
        params = {"params": variables.params[player]}
        return from_symmetric(sample_naive(lambda s: network.apply(params, s, condition), draw), levels)

    def complete(variables: Variables, key: Array, x: Array, known: Array, *, condition: PyTree = None) -> Array:
        return incrementally(variables, key, Known(x, spread_known(x, known)), condition)

    return GenerativeModel(
        init=init,
        updates=(Update(player, (player,), loss),),
        sample=sample,
        log_prob=LogProb(log_prob, "exact"),
        methods={
            "outputs": lambda variables, key, x, *, condition=None: outputs_of(variables, x, condition),
            "complete": complete,
            "sample_naive": naive,
        },
    )


def _level(draw: _Draw, outputs: Array, at: Place) -> Array:
    """Return the pixel drawn at a place, in [-1, 1], [B, C]."""
    uniforms, given, mask = (_pixel(x, at) for x in (draw.uniforms, draw.known.x, draw.known.mask))
    level = draw.head.draw(outputs.astype(jnp.float32), uniforms, given.astype(jnp.int32), mask)
    return to_symmetric(level, draw.levels)


def _colours(draw: _Draw, colour: int) -> slice:
    """Return the colours that a pass decides."""
    return slice(None) if draw.head.passes == 1 else slice(colour, colour + 1)


def _pixel(maps: Array, at: Place) -> Array:
    """Return maps [B, H, W, ...] at a pixel, [B, ...]."""
    row = lax.dynamic_index_in_dim(maps, at.row, 1, keepdims=False)
    return lax.dynamic_index_in_dim(row, at.column, 1, keepdims=False)


def _put(s: Array, at: Place, pixel: Array, colours: slice) -> Array:
    """Write colours of a pixel [B, C] into pictures [B, H, W, C]."""
    values = pixel[:, None, None, colours]
    return lax.dynamic_update_slice(s, values, (0, at.row, at.column, colours.start or 0))


def _nothing_known(num: int, shape: tuple[int, int, int], dtype: jnp.dtype) -> Known:
    return Known(jnp.zeros((num, *shape), dtype), jnp.zeros((num, *shape), bool))


def _require_condition(condition_of: Callable | None, condition: PyTree) -> None:
    if (condition_of is None) != (condition is None):
        wanted = "unconditional: give no condition" if condition_of is None else "conditional: give a condition"
        raise ValueError(f"this model is {wanted}.")

