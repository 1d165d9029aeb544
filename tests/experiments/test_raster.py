"""What configs of models pixel by pixel share."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.measure import block_reduce

from experiments import raster
from experiments.configs.common import base
from genjax.errors import UserError


def config_of(levels, stored):
    config = base("autoregressive/some")
    config.model.levels, config.model.stored_levels = levels, stored
    return config


def test_histogram_floor_of_a_handful_of_pictures():
    """Levels 0, 0, 1 and 1, 1, 1 of two entries, one count added to each: 3/5, 2/5 and 1/5, 4/5; pooled 3/8, 5/8."""
    train = np.array([[0, 1], [0, 1], [1, 1]], np.uint8).reshape(3, 1, 2, 1)
    test = np.array([[0, 0]], np.uint8).reshape(1, 1, 2, 1)
    context = SimpleNamespace(
        config=config_of(2, 2),
        train=lambda: iter([{"x": train[:2]}, {"x": train[2:]}]),
        test=lambda: iter([{"x": test}]),
    )
    floor = raster.histogram_floor(context)
    np.testing.assert_allclose(floor["entry_bits_per_dim"], -np.mean(np.log2([3 / 5, 1 / 5])), rtol=1e-6)
    np.testing.assert_allclose(floor["pooled_bits_per_dim"], -np.log2(3 / 8), rtol=1e-6)


def test_low_resolution_is_the_mean_of_squares():
    x = np.random.default_rng(0).integers(0, 17, size=(2, 4, 6, 1)).astype(np.uint8)
    maps = raster.low_resolution(2, 17)(jax.random.key(0), {"x": jnp.asarray(x)})["map"]
    means = block_reduce(x / 8.0 - 1.0, (1, 2, 2, 1), np.mean)
    np.testing.assert_allclose(maps, means.repeat(2, axis=1).repeat(2, axis=2), rtol=1e-5, atol=1e-6)


def test_binarization_gives_integers_at_the_rate_of_the_ink():
    x = jnp.broadcast_to(jnp.arange(17, dtype=jnp.uint8).reshape(1, 17, 1, 1), (20_000, 17, 1, 1))
    drawn = raster.stored_or_binary(config_of(2, 17))(jax.random.key(0), {"x": x})["x"]
    assert drawn.dtype == jnp.uint8
    rate, wanted = np.asarray(drawn, np.float64).mean(axis=(0, 2, 3)), np.arange(17) / 16
    assert np.all(np.abs(rate - wanted) <= 5 * np.sqrt(wanted * (1 - wanted) / 20_000))
    stored = raster.stored_or_binary(config_of(17, 17))(jax.random.key(0), {"x": x})["x"]
    np.testing.assert_array_equal(stored, x)


def test_mistakes_are_told():
    with pytest.raises(UserError, match="neither 2 nor"):
        raster.stored_or_binary(config_of(4, 17))
    with pytest.raises(UserError, match="has no variant 'large'; it has '', 'tiny'"):
        raster.apply_variant(config_of(2, 2), "large", {"tiny": lambda config: None})
