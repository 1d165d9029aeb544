"""MI-GAN's terms: Gram matrices that know texture and no places, total variation by hand, Dice as the F1 score."""

import jax
import numpy as np
from scipy.signal import correlate2d
from sklearn.metrics import f1_score

from genjax.adversarial import dice_coefficient, gram_matrix, style_filters, style_loss, total_variation

RANDOM = np.random.default_rng(0)
drawn_filters = jax.jit(style_filters, static_argnums=(0, 1))


def test_gram_matrices_are_mean_products_and_know_no_places():
    maps = RANDOM.normal(size=(2, 3, 4, 5)).astype(np.float32)
    expected = [sum(np.outer(v, v) for v in one.reshape(-1, 5)) / 12 for one in maps]
    gram = jax.jit(gram_matrix)
    np.testing.assert_allclose(gram(maps), expected, rtol=1e-4, atol=1e-6)
    shuffled = maps.reshape(2, 12, 5)[:, RANDOM.permutation(12)].reshape(maps.shape)
    np.testing.assert_allclose(gram(shuffled), expected, rtol=1e-4, atol=1e-6)


def test_style_against_scipys_correlation():
    """One layer, one filter: stride 2 of a correlation padded at the end alone (as 'SAME' does on an even side)."""
    made, x = RANDOM.normal(size=(2, 2, 6, 6, 1)).astype(np.float32)
    (kernel,) = drawn_filters(1, (1,))
    correlated = lambda one: correlate2d(np.pad(one, ((0, 1), (0, 1))), np.asarray(kernel)[..., 0, 0], mode="valid")
    power = lambda one: np.mean(np.maximum(correlated(one[..., 0])[::2, ::2], 0) ** 2)
    expected = [(power(a) - power(b)) ** 2 for a, b in zip(made, x)]
    np.testing.assert_allclose(jax.jit(style_loss)([kernel], made, x), expected, rtol=1e-4)


def test_filters_keep_the_variance():
    """Of normal input, the mean square after a filter and rectification is 1 (He et al. 2015): 9 C taps of variance
    2 / (9 C) give variance 2, of which rectification leaves half."""
    (kernel,) = drawn_filters(64, (64,))
    np.testing.assert_allclose(np.square(np.asarray(kernel)).sum(axis=(0, 1, 2)).mean(), 2, rtol=0.05)


def test_the_total_variation_of_a_ramp():
    """Steps of 1 down and of 3 across."""
    ramp = np.add.outer(np.arange(4), 3 * np.arange(5)).astype(np.float32)
    np.testing.assert_allclose(jax.jit(total_variation)(np.stack([ramp, 0 * ramp])[..., None]), [4, 0])


def test_dice_is_the_f1_score():
    mask, truth = RANDOM.integers(0, 2, (2, 3, 4, 4)).astype(np.float32)
    expected = [f1_score(t.ravel(), m.ravel()) for m, t in zip(mask, truth)]
    dice = jax.jit(dice_coefficient)
    np.testing.assert_allclose(dice(mask, truth), expected, rtol=1e-6)
    np.testing.assert_array_equal(dice(np.zeros((1, 4), np.float32), np.zeros((1, 4), np.float32)), [1])
