"""PixelRNN: both recurrent layers, their skewing, who sees whom, and the sampler that remembers."""

import functools

import jax
import numpy as np
import pytest

from genjax.autoregressive.lstm_layers import diagonal_lstm, row_lstm
from genjax.autoregressive.pixelrnn import DiagonalBiLSTM, PixelRNN, RowLSTM, pixelrnn
from genjax.autoregressive.skewing import inside, skew, unskew
from tests.autoregressive import raster_checks as checks

tiny = functools.partial(PixelRNN, features=4, layers=2, first_kernel=3, readout=8)
# A row up widens the view of the Row LSTM by one pixel to the right; the diagonals leave nothing out.
REACH = {RowLSTM: lambda up, right: right <= up, DiagonalBiLSTM: lambda up, right: True}


@pytest.mark.parametrize("layer", [RowLSTM, DiagonalBiLSTM])
@pytest.mark.parametrize("channels", [1, 3])
def test_it_sees_the_pixels_before_in_its_reach_and_no_other(layer, channels):
    shape, outputs = (4, 4, channels), 2 * channels
    network = PixelRNN(outputs, layer, features=6, layers=3, first_kernel=3, readout=30)
    before = lambda own, other: other < own
    seen = checks.dependence(network, shape)
    np.testing.assert_array_equal(seen, checks.expected(shape, outputs, REACH[layer], before))


@pytest.mark.parametrize("layer", [RowLSTM, DiagonalBiLSTM])
def test_probabilities_of_all_pictures_sum_to_one(layer):
    checks.assert_sums_to_one(pixelrnn(functools.partial(tiny, layer=layer), shape=(3, 3, 1), levels=2), 2, (3, 3, 1))


@pytest.mark.parametrize("layer", [RowLSTM, DiagonalBiLSTM])
@pytest.mark.parametrize("shape, levels", [((5, 4, 1), 17), ((3, 4, 3), 4)])
def test_incremental_sampling_is_naive_sampling(layer, shape, levels):
    model = pixelrnn(functools.partial(tiny, layer=layer), shape=shape, levels=levels)
    checks.assert_incremental_is_naive(model, shape, levels)


@pytest.mark.parametrize("height, width", [(1, 4), (4, 1), (3, 5), (5, 3)])
def test_skewing_and_its_inverse(height, width):
    x = np.random.default_rng(0).normal(size=(2, height, width, 3)).astype(np.float32)
    skewed = np.asarray(jax.jit(skew)(x))
    assert skewed.shape == (2, height, width + height - 1, 3)
    for i in range(height):
        np.testing.assert_array_equal(skewed[:, i, i : i + width], x[:, i])
    mask = inside(height, width)
    assert mask.sum() == height * width and not skewed[:, ~mask].any()
    np.testing.assert_array_equal(jax.jit(unskew)(skewed), x)
    with pytest.raises(ValueError, match="skewed map"):
        unskew(np.zeros((1, 3, 2, 1), np.float32))


@pytest.mark.parametrize("layer", [row_lstm, diagonal_lstm])
def test_scans_are_the_recursion_pixel_by_pixel(layer):
    """Equation 3 written out in NumPy, one pixel after the other, in float64."""
    rng = np.random.default_rng(1)
    height, width, h = 3, 4, 2
    neighbours = ((-1, -1), (-1, 0), (-1, 1)) if layer is row_lstm else ((-1, 0), (0, -1))
    cell = (-1, 0) if layer is row_lstm else (0, -1)
    gates, kernel = rng.normal(size=(1, height, width, 4 * h)), rng.normal(size=(len(neighbours) * h, 4 * h))
    sigmoid = lambda x: 1.0 / (1.0 + np.exp(-x))
    hidden, cells = {}, {}
    for i in range(height):
        for j in range(width):
            before = [hidden.get((i + dy, j + dx), np.zeros(h)) for dy, dx in neighbours]
            o, f, update, g = np.split(gates[0, i, j] + np.concatenate(before) @ kernel, 4)
            c = sigmoid(f) * cells.get((i + cell[0], j + cell[1]), np.zeros(h)) + sigmoid(update) * np.tanh(g)
            cells[i, j], hidden[i, j] = c, sigmoid(o) * np.tanh(c)
    wanted = np.array([[hidden[i, j] for j in range(width)] for i in range(height)])
    found = np.asarray(jax.jit(layer)(gates.astype(np.float32), kernel.astype(np.float32)))
    np.testing.assert_allclose(found[0], wanted, rtol=1e-5, atol=1e-6)
