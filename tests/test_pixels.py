"""Oracles: enumeration of levels, autodiff, scipy in float64, closed forms, and the Gaussian of the MAF protocol."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from genjax import pixels
from genjax.data import open_source
from genjax.data_path import dequantized_logit
from tests.data_dir import TFDS_DIR, needs_tfds

LEVELS = (2, 17, 256, 1000)


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize(
    ("there", "back", "low"),
    [(pixels.to_symmetric, pixels.from_symmetric, -1.0), (pixels.to_unit, pixels.from_unit, 0.0)],
)
def test_every_level_comes_back(levels, there, back, low):
    x = np.arange(levels, dtype=np.int32)
    s = there(x, levels)
    assert s.dtype == jnp.float32
    np.testing.assert_allclose(s, np.linspace(low, 1.0, levels), atol=1e-6)
    # Half a level of disturbance, less a little, still comes back; what lies outside goes to the ends.
    half = 0.49 * (1.0 - low) / (levels - 1)
    for moved in (s, s - half, s + half):
        returned = back(moved, levels)
        np.testing.assert_array_equal(returned, x)
        assert returned.dtype == (jnp.uint8 if levels <= 256 else jnp.int32)
    np.testing.assert_array_equal(back(jnp.array([-7.0, 7.0]), levels), [0, levels - 1])


def test_bfloat16_samples_keep_their_nearest_level():
    s = pixels.to_symmetric(np.arange(256), 256).astype(jnp.bfloat16)
    nearest = np.abs(np.asarray(s, np.float64)[:, None] - np.linspace(-1, 1, 256)).argmin(axis=1)
    np.testing.assert_array_equal(pixels.from_symmetric(s, 256), nearest)


@pytest.mark.parametrize("levels", (*LEVELS, 65536))
def test_dequantized_stays_inside_its_level(levels):
    x = np.repeat(np.array([0, 1, levels // 2, levels - 1]), 50_000).reshape(4, -1)
    y, _ = pixels.dequantize_uniform(jax.random.key(0), x, levels)
    assert y.dtype == jnp.float32 and y.min() > 0.0 and y.max() < 1.0
    np.testing.assert_array_equal(jnp.floor(y * levels), x)
    u = np.asarray(y, np.float64) * levels - x
    if levels <= 1000:  # uniform: at 50,000 draws the Kolmogorov distance exceeds 0.0087 once in 1000
        assert scipy.stats.kstest(u[1], "uniform").statistic < 0.0087


def test_dequantization_bound_is_tight_for_a_density_flat_on_each_level():
    # p(y) = L^D P(floor(L y)) makes the bound an equality: log P(x) = log p(y) + log_det for whatever u.
    levels, table = 4, np.array([0.1, 0.2, 0.3, 0.4])
    x = np.array(np.meshgrid(*[range(levels)] * 2)).reshape(2, -1).T  # every state of two pixels
    y, log_det = pixels.dequantize_uniform(jax.random.key(1), x, levels)
    log_p = np.log(levels * table[np.floor(np.asarray(y) * levels).astype(int)]).sum(axis=1)
    np.testing.assert_allclose(np.exp(log_p + log_det).sum(), 1.0, rtol=1e-6)
    np.testing.assert_allclose(log_p + log_det, np.log(table[x]).sum(axis=1), rtol=1e-5)


@pytest.mark.parametrize("alpha", (0.0, 1e-6, 0.05))
def test_logit_log_det_is_that_of_the_jacobian(alpha):
    y = jax.random.uniform(jax.random.key(2), (3, 2, 2, 1), minval=0.05, maxval=0.95)
    z, log_det = pixels.logit_transform(y, alpha)
    back, inverse_log_det = pixels.logit_inverse(z, alpha)

    def flat(function, point):
        jacobian = jax.jacfwd(lambda value: function(value[None], alpha)[0][0])(point).reshape(4, 4)
        return jnp.linalg.slogdet(jacobian)[1]

    np.testing.assert_allclose(log_det, [flat(pixels.logit_transform, point) for point in y], rtol=1e-5)
    np.testing.assert_allclose(inverse_log_det, [flat(pixels.logit_inverse, point) for point in z], rtol=1e-5)
    np.testing.assert_allclose(back, y, atol=1e-6)


def test_logit_is_accurate_at_both_ends():
    # Around y = 1 a float32 s = alpha + (1 - 2 alpha) y would be wrong by 6 % of alpha, and log(1 - s) by 0.06.
    alpha = 1e-6
    y = np.array([0.0, 1e-7, 1e-3, 0.5, 1 - 1e-3, 1 - 2.0**-24, 1.0], np.float32)
    s = alpha + (1 - 2 * alpha) * y.astype(np.float64)
    z, log_det = pixels.logit_transform(y[:, None], alpha)
    np.testing.assert_allclose(z[:, 0], scipy.special.logit(s), rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(log_det, np.log((1 - 2 * alpha) / (s * (1 - s))), rtol=2e-6)
    np.testing.assert_allclose(pixels.logit_inverse(z, alpha)[0][:, 0], y, atol=2e-7)


def test_bits_per_dim_of_the_uniform_distribution_is_the_number_of_bits():
    nats = jnp.full((5,), -12 * jnp.log(256.0))
    np.testing.assert_allclose(pixels.bits_per_dim(nats, 12), np.full(5, 8.0), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pixels.to_symmetric(jnp.zeros((2, 3)), 256), "integer levels"),
        (lambda: pixels.to_unit(jnp.zeros((2, 3), jnp.int32), 1), "at least 2"),
        (lambda: pixels.from_symmetric(jnp.zeros((2,), jnp.int32), 256), "must hold reals"),
        (lambda: pixels.dequantize_uniform(jax.random.key(0), jnp.zeros((2, 3)), 256), "integer levels"),
        (lambda: pixels.dequantize_uniform(jax.random.key(0), jnp.int32(3), 256), "leading batch axis"),
        (lambda: pixels.logit_transform(jnp.zeros((2, 3)), 0.5), "alpha"),
        (lambda: pixels.logit_inverse(jnp.zeros(()), 0.1), "leading batch axis"),
    ],
)
def test_wrong_input_is_refused_with_a_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@needs_tfds
def test_gaussian_of_the_maf_protocol_on_mnist():
    """Full-covariance Gaussian in logit space, alpha 1e-6, fitted to the first 50,000 and scored on test.

    Papamakarios et al., MAF (2017), table 2: -1366.9 +- 1.4 nats; on these files, computed apart from this code,
    -1366.79 nats or 2.013 bits/dim. The draw of the noise moves it by some 0.25 nats; another alpha, a lost
    log-determinant or division by 255 moves it by far more than the tolerance. The path is that of every flow.
    """
    to_line = jax.jit(dequantized_logit(256, 1e-6).to_model)

    def read(split, num):
        return open_source("mnist", split, str(TFDS_DIR)).fetch(np.arange(num))["x"]

    z = np.asarray(to_line(jax.random.key(0), read("train[:50000]", 50_000))[0]).reshape(50_000, -1)
    mean = z.mean(axis=0)
    centred = z - mean
    covariance = (centred.T @ centred).astype(np.float64) / (len(z) - 1)
    z, log_det = to_line(jax.random.key(1), read("test", 10_000))
    factor = scipy.stats.Covariance.from_cholesky(np.linalg.cholesky(covariance))
    nats = scipy.stats.multivariate_normal(mean, factor).logpdf(np.asarray(z).reshape(10_000, -1))
    assert nats.mean() == pytest.approx(-1366.79, abs=1.0)
    assert float(pixels.bits_per_dim(jnp.asarray(nats + log_det), 784).mean()) == pytest.approx(2.013, abs=0.002)
