"""Picture quality against scikit-image, picture by picture."""

import jax
import numpy as np
import pytest
import scipy.ndimage
from skimage import metrics

from genjax.evaluation import gaussian_ssim, mean_squared_error, psnr, sharpness, uniform_ssim


def pair(side, channels, seed=0):
    random = np.random.default_rng(seed)
    x = random.uniform(size=(3, side, side, channels)).astype(np.float32)
    noise = np.array([0.05, 0.3, 1.0], np.float32).reshape(3, 1, 1, 1)
    return x, np.clip(x + noise * random.normal(size=x.shape).astype(np.float32), 0.0, 1.0)


def test_psnr_is_scikit_images():
    x, y = pair(8, 3)
    expected = [metrics.peak_signal_noise_ratio(a, b, data_range=1.0) for a, b in zip(x, y)]
    ours = jax.jit(psnr)
    np.testing.assert_allclose(ours(x, y), expected, rtol=1e-5)
    np.testing.assert_allclose(ours(255 * x, 255 * y, data_range=255.0), expected, rtol=1e-5)
    np.testing.assert_allclose(
        jax.jit(mean_squared_error)(x, y), [metrics.mean_squared_error(a, b) for a, b in zip(x, y)], rtol=1e-5
    )
    assert np.isinf(ours(x, x)).all()


@pytest.mark.parametrize("side, channels, window", [(8, 1, 7), (12, 3, 5)])
def test_uniform_ssim_is_scikit_images(side, channels, window):
    x, y = pair(side, channels)
    options = dict(data_range=1.0, win_size=window, channel_axis=-1)
    expected = [metrics.structural_similarity(np.float64(a), np.float64(b), **options) for a, b in zip(x, y)]
    assert np.ptp(expected) > 0.3
    found = jax.jit(lambda x, y: uniform_ssim(x, y, window=window))(x, y)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_gaussian_ssim_is_scikit_images():
    x, y = pair(16, 1)
    options = dict(data_range=1.0, gaussian_weights=True, use_sample_covariance=False, channel_axis=-1)
    expected = [metrics.structural_similarity(np.float64(a), np.float64(b), **options) for a, b in zip(x, y)]
    ours = jax.jit(gaussian_ssim)
    np.testing.assert_allclose(ours(x, y), expected, atol=2e-5)
    np.testing.assert_allclose(ours(x, x), 1.0, atol=1e-5)


def test_what_does_not_fit_is_refused_with_a_sentence():
    x = np.zeros((2, 8, 8, 1), np.float32)
    with pytest.raises(ValueError, match="must be the same"):
        psnr(x, x[:1])
    with pytest.raises(ValueError, match="fit into pictures"):
        gaussian_ssim(x, x)
    with pytest.raises(ValueError, match="must be odd"):
        uniform_ssim(x, x, window=4)
    with pytest.raises(ValueError, match="of pictures"):
        uniform_ssim(x[0], x[0])


def test_sharpness_is_the_mean_square_of_scipys_laplacian_inside():
    x, _ = pair(9, 2)
    inside = lambda picture: scipy.ndimage.laplace(np.float64(picture))[1:-1, 1:-1]
    expected = [np.mean([inside(picture[..., c]) ** 2 for c in range(2)]) for picture in x]
    ours = jax.jit(sharpness)
    np.testing.assert_allclose(ours(x), expected, rtol=1e-5)
    blurred = scipy.ndimage.gaussian_filter(x, (0, 1, 1, 0))
    assert (np.asarray(ours(blurred)) < 0.1 * np.asarray(ours(x))).all()
    with pytest.raises(ValueError, match="at least 3"):
        sharpness(np.zeros((1, 2, 5, 1), np.float32))
