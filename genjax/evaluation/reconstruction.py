"""How near a picture is to the one it should be: mean squared error, PSNR and SSIM, one value a picture.

    MSE  = mean of (x - y)^2,        PSNR = 10 log10(R^2 / MSE) decibels,  R the range of the data

    SSIM = mean over windows of  (2 m_x m_y + c_1)(2 s_xy + c_2) / ((m_x^2 + m_y^2 + c_1)(s_x^2 + s_y^2 + c_2)),
    c_1 = (0.01 R)^2,  c_2 = (0.03 R)^2

with m, s^2 and s_xy mean, variance and covariance inside a window, and only windows that lie wholly in the picture.
A picture that is blurred has lost detail, whatever its PSNR:

    sharpness = mean of (Laplacian)^2,   of the five-point Laplacian, on pixels that have all four neighbours

The paper weights a window of 11 x 11 by a Gaussian of 1.5 pixels (`gaussian_ssim`); smaller pictures have no such
window, and take uniform ones, with unbiased variances (`uniform_ssim`). The two are different numbers: name which.

Reference: Wang et al. 2004, Image quality assessment, eq. 13; both agree with scikit-image. The Laplacian as a measure
of focus: Subbarao, Choi and Nikzad 1993.
"""

import jax.numpy as jnp
import numpy as np

from genjax.contract import Array


def mean_squared_error(x: Array, y: Array) -> Array:
    """Return the mean of (x - y)^2 over the entries of each example.

    Args:
        x: [B, ...].
        y: [B, ...].

    Returns:
        [B].
    """
    _require_pair(x, y)
    return jnp.mean((x - y) ** 2, axis=tuple(range(1, jnp.ndim(x))))


def psnr(x: Array, y: Array, *, data_range: float = 1.0) -> Array:
    """Return the peak signal-to-noise ratio.

    Args:
        x: [B, ...].
        y: [B, ...].
        data_range: R, highest minus lowest possible value.

    Returns:
        [B], decibels; inf where x = y.
    """
    return 10.0 * jnp.log10(data_range**2 / mean_squared_error(x, y))


def uniform_ssim(x: Array, y: Array, *, data_range: float = 1.0, window: int = 7) -> Array:
    """Return the structural similarity under uniform windows, scikit-image's default.

    Args:
        x: [B, H, W, C].
        y: [B, H, W, C].
        data_range: R, highest minus lowest possible value.
        window: side of a window, odd, at most H and W (static).

    Returns:
        [B], in [-1, 1], averaged over channels; 1 where x = y.

    Raises:
        ValueError: other shapes, or a window that is even or does not fit.
    """
    pixels = window * window
    return _ssim(x, y, np.full(window, 1.0 / window), data_range, unbiased=pixels / (pixels - 1.0))


def gaussian_ssim(x: Array, y: Array, *, data_range: float = 1.0) -> Array:
    """Return the structural similarity under the paper's Gaussian window of 11 x 11 pixels.

    Args:
        x: [B, H, W, C], H and W at least 11.
        y: [B, H, W, C].
        data_range: R, highest minus lowest possible value.

    Returns:
        [B], in [-1, 1], averaged over channels.

    Raises:
        ValueError: other shapes, or pictures smaller than the window.

    Reference: Wang et al. 2004, section III-B.
    """
    weights = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    return _ssim(x, y, weights / weights.sum(), data_range, unbiased=1.0)


def sharpness(x: Array) -> Array:
    """Return the mean squared Laplacian, which blurring lowers and noise raises.

    Args:
        x: [B, H, W, C], H and W at least 3.

    Returns:
        [B], in units of x squared; averaged over channels.

    Raises:
        ValueError: another rank, or pictures without a pixel inside.
    """
    if jnp.ndim(x) != 4 or min(x.shape[1:3]) < 3:
        raise ValueError(f"x has shape {jnp.shape(x)}; sharpness is of pictures [B, H, W, C] with sides of at least 3.")
    around = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]
    return jnp.mean((around - 4.0 * x[:, 1:-1, 1:-1]) ** 2, axis=(1, 2, 3))


def _ssim(x: Array, y: Array, weights: np.ndarray, data_range: float, *, unbiased: float) -> Array:
    _require_pair(x, y)
    _require_window(x, len(weights))
    mean = lambda values: _windowed(_windowed(values, weights, axis=1), weights, axis=2)
    mean_x, mean_y = mean(x), mean(y)
    var_x, var_y = unbiased * (mean(x * x) - mean_x**2), unbiased * (mean(y * y) - mean_y**2)
    covariance = unbiased * (mean(x * y) - mean_x * mean_y)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2.0 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2.0 * covariance + c2) / (var_x + var_y + c2)
    return jnp.mean(luminance * structure, axis=(1, 2, 3))


def _windowed(x: Array, weights: np.ndarray, *, axis: int) -> Array:
    """Return weighted means of neighbours along an axis, where all of them exist."""
    size = x.shape[axis] - len(weights) + 1
    take = lambda start: jnp.take(x, jnp.arange(start, start + size), axis=axis)
    return sum(float(weight) * take(start) for start, weight in enumerate(weights))


def _require_pair(x: Array, y: Array) -> None:
    if jnp.shape(x) != jnp.shape(y) or jnp.ndim(x) < 2:
        raise ValueError(f"x has shape {jnp.shape(x)} and y {jnp.shape(y)}; both must be the same [B, ...].")


def _require_window(x: Array, window: int) -> None:
    if jnp.ndim(x) != 4:
        raise ValueError(f"x has shape {jnp.shape(x)}; structural similarity is of pictures [B, H, W, C].")
    if window % 2 == 0 or window > min(x.shape[1:3]):
        raise ValueError(f"windows of {window} x {window} must be odd and fit into pictures of shape {x.shape[1:]}.")
