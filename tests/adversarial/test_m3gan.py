"""M3GAN's filter on known waves and by least squares, its masks by counting, its errors by a known rule."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax.adversarial import block_mask, hidden_errors, masked_input, mutable_filter, series_error

STEPS = 12
ANGLE = 2 * np.pi * np.arange(STEPS) / STEPS


def test_the_filter_keeps_low_waves_and_drops_high_ones():
    low, high = 1 + np.sin(ANGLE), np.cos(4 * ANGLE)
    x = np.stack([low + high, low + high])[..., None].astype(np.float32)
    found = np.asarray(jax.jit(mutable_filter)(x, np.array([3, 7], np.int32)))
    np.testing.assert_allclose(found[..., 0], [low, low + high], atol=1e-5)


def test_the_filter_is_the_projection_on_low_waves():
    """Least squares on 1, cos, sin, cos 2, sin 2 of the angle."""
    x = np.random.default_rng(0).normal(size=(3, STEPS, 2)).astype(np.float32)
    basis = np.stack([np.ones(STEPS), np.cos(ANGLE), np.sin(ANGLE), np.cos(2 * ANGLE), np.sin(2 * ANGLE)], axis=1)
    expected = np.stack([basis @ np.linalg.lstsq(basis, one, rcond=None)[0] for one in x.astype(np.float64)])
    np.testing.assert_allclose(jax.jit(mutable_filter)(x, np.full(3, 3, np.int32)), expected, atol=1e-5)


def test_masks_hide_what_they_are_to_hide():
    mask = jax.jit(block_mask, static_argnums=(1, 2))
    found = mask(np.array([1, 4], np.int32), 5, 2)
    np.testing.assert_array_equal(found, [[1, 0, 0, 1, 1], [0, 1, 1, 1, 0]])
    np.testing.assert_array_equal(mask(np.array([3], np.int32), 5, 0), np.ones((1, 5)))


def test_nothing_of_a_hidden_step_is_given():
    x = np.arange(1, 7, dtype=np.float32).reshape(1, 3, 2)
    expected = [[[1, 2, 1, 1], [0, 0, 0, 0], [5, 6, 1, 1]]]
    np.testing.assert_array_equal(jax.jit(masked_input)(x, np.array([[1, 0, 1]], np.float32)), expected)


def test_errors_are_those_of_hidden_steps():
    """A rule that fills in 0 misses a step by its square; one that fills in the number of hidden steps, by that."""
    x = np.random.default_rng(1).normal(size=(2, 7, 2)).astype(np.float32)
    errors = jax.jit(hidden_errors, static_argnums=0, static_argnames="width")
    found = errors(lambda given: given[..., :2], x, width=3)
    np.testing.assert_allclose(found, np.square(x).sum(axis=2), rtol=1e-6)
    counted = lambda given: jnp.broadcast_to((1 - given[..., 2:]).sum(axis=1, keepdims=True), x.shape)
    np.testing.assert_allclose(errors(counted, x, width=2), np.square(x - 2).sum(axis=2), rtol=1e-6)


def test_the_error_is_summed():
    x, made = np.random.default_rng(2).normal(size=(2, 3, 4, 2)).astype(np.float32)
    expected = [np.linalg.norm(one) ** 2 for one in (made - x)]
    np.testing.assert_allclose(jax.jit(series_error)({}, made, x), expected, rtol=1e-5)
