"""MIEGAN's luminance against scikit-image, its contrast by a known gain, its weights by their gradient."""

import jax
import numpy as np
from skimage.color import rgb2ycbcr

from genjax.adversarial import adaptive_loss, contrast_loss, luminance
from genjax.adversarial.miegan import by_module

X = np.random.default_rng(0).uniform(0.2, 0.8, (2, 4, 4, 3)).astype(np.float32)


def test_luminance_is_that_of_ycbcr():
    """scikit-image's Y is 16 + 219 of ours (65.481, 128.553, 24.966 over 219)."""
    expected = (rgb2ycbcr(X)[..., 0] - 16) / 219
    np.testing.assert_allclose(jax.jit(luminance)(X), expected, rtol=1e-5)


def test_a_gain_changes_the_contrast_by_itself_and_a_shift_does_not():
    """sd(3 Y + 1) - sd(Y) = 2 sd(Y)."""
    spread = np.std(X @ np.array([0.299, 0.587, 0.114]), axis=(1, 2))
    loss = jax.jit(contrast_loss)
    np.testing.assert_allclose(loss(3 * X + 1, X), 2 * spread, rtol=1e-4)
    np.testing.assert_allclose(loss(X + 1, X), [0, 0], atol=1e-6)


def test_a_flat_picture_has_a_finite_gradient():
    gradient = jax.jit(jax.grad(lambda made: contrast_loss(made, X).sum()))(np.full(X.shape, 0.5, np.float32))
    assert np.isfinite(gradient).all()


def test_the_judge_with_the_larger_loss_weighs_more():
    """Losses 1 and 3 have weights 1/4 and 3/4: the loss is 2.5, its gradient the weights."""
    losses = np.array([[1, 3], [2, 2]], np.float32)
    total = lambda each: (adaptive_loss(each).sum(), adaptive_loss(each))
    gradient, values = jax.jit(jax.grad(total, has_aux=True))(losses)
    np.testing.assert_allclose(values, [2.5, 2.0])
    np.testing.assert_allclose(gradient, [[0.25, 0.75], [0.5, 0.5]])


def test_patches_are_one_judge():
    np.testing.assert_array_equal(jax.jit(by_module)(np.array([[9, 1, 2, 6]], np.float32)), [[9.0, 3.0]])
