"""Masked convolutions against dense ones under a mask, and at one place against the whole map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from genjax.nn.masked_conv import (
    HERE,
    CausalConv,
    ChannelOrder,
    _dense_convolution,
    block_taps,
    causal_conv,
    colours_of,
    raster_taps,
    row_taps,
)
from genjax.nn.row_buffer import Place, empty_cache, neighbours


@pytest.mark.parametrize("size, centre, stride", [(3, True, 1), (5, False, 1), (3, True, 2)])
def test_it_is_the_masked_convolution_of_lax_with_its_gradients(size, centre, stride):
    """The mask of the paper: ones in raster order up to the centre, zeros after it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 6, 5, 3)).astype(np.float32)
    full = rng.normal(size=(size, size, 3, 4)).astype(np.float32)
    open_taps = np.arange(size * size) < size * size // 2 + centre
    mask = open_taps.reshape(size, size, 1, 1).astype(np.float32)
    taps, pad = raster_taps(size, centre=centre), size // 2

    def theirs(x, full):
        numbers = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(x, full * mask, (stride, stride), [(pad, pad)] * 2, dimension_numbers=numbers)

    ours = lambda x, full: causal_conv(x, full.reshape(size * size, 3, 4)[: len(taps)], taps, stride=stride)
    elsewhere = lambda x, full: _dense_convolution(x, full.reshape(size * size, 3, 4)[: len(taps)], taps, stride)
    weights = rng.normal(size=jax.eval_shape(theirs, x, full).shape).astype(np.float32)
    graded = lambda f: jax.value_and_grad(lambda a: jnp.sum(f(*a) * weights))
    *mine, expected = jax.jit(lambda a: [graded(f)(a) for f in (ours, elsewhere, theirs)])((x, full))
    for found in mine:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), found, expected)


def test_colours_see_those_before_and_on_features_their_own():
    """Types A and B for three colours of two features each, as figure 2 (right) of the paper draws them."""
    picture, features = (0, 1, 2), colours_of(6, 3)
    assert features == (0, 0, 1, 1, 2, 2)
    a = ChannelOrder(picture, features, strict=True).mask()
    np.testing.assert_array_equal(a.T, [[0, 0, 0], [0, 0, 0], [1, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 0]])
    b = ChannelOrder(features, picture).mask()
    np.testing.assert_array_equal(b.T, [[1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]])


def test_the_colour_mask_holds_at_the_pixel_itself_alone():
    conv = CausalConv(3, raster_taps(3, centre=True), ChannelOrder((0, 1, 2), (0, 1, 2), strict=True))
    x = np.random.default_rng(0).normal(size=(1, 3, 3, 3)).astype(np.float32)

    @jax.jit
    def differentiated(x):
        variables = conv.init(jax.random.key(1), x, mutable=["params"])
        return jax.jacfwd(lambda x: conv.apply(variables, x)[0, 1, 1])(x)

    jacobian = np.asarray(differentiated(x))[:, 0] != 0
    np.testing.assert_array_equal(jacobian[:, 1, 1], np.tril(np.ones((3, 3), bool), -1))
    assert jacobian[:, 0].all() and jacobian[:, 1, 0].all() and not jacobian[:, 2].any() and not jacobian[:, 1, 2].any()


ABOVE, ROWS = block_taps(range(-2, 0), range(-1, 2)), block_taps(range(-1, 1), range(-2, 2))
@pytest.mark.parametrize("taps", [raster_taps(5, centre=True), row_taps(3, centre=False), ABOVE, HERE])
@pytest.mark.parametrize("remembering", [True, False])
def test_a_pixel_at_a_time_is_the_whole_map(taps, remembering):
    assert_places_are_the_map(CausalConv(4, taps), remembering, by_rows=False)


@pytest.mark.parametrize("taps, stride", [(ABOVE, 1), (ROWS, 1), (ROWS, 2)])
def test_a_row_at_a_time_is_the_whole_map(taps, stride):
    for remembering in (True, False):
        assert_places_are_the_map(CausalConv(4, taps, stride=stride), remembering, by_rows=True)


def assert_places_are_the_map(conv, remembering, by_rows):
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32)
    whole, variables = jax.jit(lambda x: conv.init_with_output(jax.random.key(1), x, mutable=["params"]))(x)
    params = variables["params"]

    def place(cache, at):
        part = x
        if remembering:
            part = lax.dynamic_index_in_dim(x, at.row, 1, keepdims=False)
            part = part if by_rows else lax.dynamic_index_in_dim(part, at.column, 1, keepdims=False)
        y, changed = conv.apply({"params": params, "cache": cache}, part, at, mutable=["cache"])
        return changed.get("cache", {}), y

    rows, columns = (part.reshape(-1).astype(np.int32) for part in np.mgrid[:4, :6])
    places = Place(np.arange(4, dtype=np.int32)) if by_rows else Place(rows, columns)
    made = jax.jit(lambda x: lax.scan(place, empty_cache(conv, params, x), places)[1])(x)
    made = np.moveaxis(np.asarray(made), 0, 1).reshape(2, 4, -1, 4)
    np.testing.assert_allclose(made[:, :: conv.stride], whole, rtol=1e-5, atol=1e-5)


def test_mistakes_are_told():
    x, zeros = np.zeros((1, 3, 3, 2), np.float32), lambda *shape: np.zeros(shape, np.float32)
    with pytest.raises(ValueError, match="odd size"):
        raster_taps(4, centre=True)
    with pytest.raises(ValueError, match="rows below"):
        causal_conv(x, zeros(1, 2, 4), ((1, 0),))
    with pytest.raises(ValueError, match="must be"):
        causal_conv(x, zeros(2, 2, 4), HERE)
    with pytest.raises(ValueError, match="empty_cache"):
        conv = CausalConv(1, row_taps(3, centre=True))
        params = jax.eval_shape(lambda: conv.init(jax.random.key(0), x, mutable=["params"]))
        at = Place(np.int32(0), np.int32(0))
        jax.eval_shape(lambda params: conv.apply(params, x[:, 0, 0], at, mutable=["cache"]), params)


def test_no_more_is_multiplied_than_is_open():
    x = np.zeros((1, 4, 4, 2), np.float32)
    gathered = jax.eval_shape(lambda x: neighbours(x, raster_taps(7, centre=False)), x)
    assert gathered.shape == (1, 4, 4, 24 * 2)
