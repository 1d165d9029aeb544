"""How made series are judged: fits of sines against sines that are known, and the power of the test's kernel."""

import jax.numpy as jnp
import numpy as np

from experiments.series import best_bandwidth, draw, draw_bars, fit_sines, power_ratio

RANDOM = np.random.default_rng(0)


def test_a_sine_is_found():
    time = np.arange(1, 31) / 30
    frequency, amplitude = np.array([1.3, 2.75, 4.9]), np.array([0.2, 0.5, 0.9])
    x = amplitude[:, None] * np.sin(2 * np.pi * frequency[:, None] * time + 0.7)
    found = fit_sines(x)
    np.testing.assert_allclose(found["frequency"], frequency, atol=0.011)
    np.testing.assert_allclose(found["amplitude"], amplitude, rtol=1e-3)
    assert np.all(found["residual"] < 1e-3)
    noise = fit_sines(RANDOM.normal(size=(20, 30)))
    assert np.all(noise["residual"] > 0.5)


def test_the_ratio_is_large_where_distributions_differ_and_its_bandwidth_is_chosen():
    """Under the null the ratio is a standard normal's size or less; a bandwidth far too wide has no power."""
    x, y, shifted = RANDOM.normal(size=(3, 200, 2)).astype(np.float32)
    shifted = shifted + 0.5
    ratio = lambda a, b, s: float(power_ratio(jnp.asarray(a), jnp.asarray(b), s))
    assert abs(ratio(x, y, 1.0)) < 2 < ratio(x, shifted, 1.0)
    # A scale of 0.05 apart from each other: fine structure needs a narrow kernel.
    fine = np.sign(RANDOM.normal(size=(200, 2))).astype(np.float32)
    blurred = fine + 0.3 * RANDOM.normal(size=(200, 2)).astype(np.float32)
    assert best_bandwidth(fine, blurred) < best_bandwidth(x, 3 * shifted)


def test_pictures():
    x = np.sin(np.linspace(0, 6, 30))[None, :, None].astype(np.float32)
    picture = np.asarray(draw(jnp.asarray(x)))
    assert picture.shape == (1, 32, 60, 1) and picture.min() == 0 and picture.max() > 0.9
    brightest = picture[0, ..., 0].argmax(axis=0)[::2]
    np.testing.assert_allclose(1 - brightest / 15.5, x[0, :, 0], atol=0.06)
    bars = np.eye(4, dtype=np.float32)[RANDOM.integers(0, 4, size=(2, 3, 5))]
    roll = np.asarray(draw_bars(jnp.asarray(bars)))
    assert roll.shape == (2, 4, 15, 1)
    np.testing.assert_array_equal(roll[1, ::-1, 7, 0], bars[1, 1, 2])
