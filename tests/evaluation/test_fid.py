"""Frechet distance against scipy's matrix root, closed forms, and W2 between Gaussians on the line."""

import numpy as np
import pytest
import scipy.linalg

from genjax.evaluation import fid


def features(seed, num, dim):
    rng = np.random.default_rng(seed)
    return 3.0 + rng.normal(size=(num, dim)) @ rng.normal(size=(dim, dim))


def by_sqrtm(x, y):
    p, q = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    cross = scipy.linalg.sqrtm(p @ q).real
    return np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(p + q - 2 * cross)


def test_distance_equals_the_definition_by_sqrtm():
    x, y = features(0, 300, 8), features(1, 200, 8)
    value = fid.frechet_distance(fid.moments(x), fid.moments(y))
    np.testing.assert_allclose(value, by_sqrtm(x, y), rtol=1e-9)


def test_distance_of_gaussians_that_commute_is_known():
    """Diagonal covariances: |m - n|^2 + sum (sqrt p - sqrt q)^2."""
    p, q = np.array([4.0, 1.0, 0.0]), np.array([1.0, 9.0, 0.25])
    value = fid.gaussian_frechet(np.zeros(3), np.diag(p), mean_b=np.array([1.0, 0.0, 2.0]), cov_b=np.diag(q))
    np.testing.assert_allclose(value, 5.0 + 1.0 + 4.0 + 0.25, rtol=1e-12)


def test_distance_of_a_set_to_itself_is_zero_even_where_the_covariance_is_singular():
    """Fewer examples than features, where a general matrix root of P Q is unreliable."""
    x = fid.moments(features(0, 10, 30))
    assert fid.frechet_distance(x, x) <= 1e-6 * np.trace(x.scatter) / 9  # roots of rounding errors: sqrt(eps)
    shifted = x._replace(mean=x.mean + 1.0)
    np.testing.assert_allclose(fid.frechet_distance(x, shifted), 30.0, rtol=1e-4)


def test_distance_is_symmetric():
    x, y = fid.moments(features(0, 40, 6)), fid.moments(features(1, 50, 6))
    np.testing.assert_allclose(fid.frechet_distance(x, y), fid.frechet_distance(y, x), rtol=1e-9)


def test_streamed_moments_equal_numpys_in_any_batches_far_from_the_origin():
    x = 1e6 + features(2, 101, 5)
    for sizes in ([101], [1, 99, 1], [30, 30, 41]):
        total = fid.streamed_moments(np.split(x, np.cumsum(sizes)[:-1]))
        assert total.count == 101
        np.testing.assert_allclose(total.mean, x.mean(0), rtol=1e-12)
        np.testing.assert_allclose(total.scatter / 100, np.cov(x, rowvar=False), rtol=1e-6)


def test_estimate_is_biased_upwards_and_less_so_with_more_examples():
    """Two samples of N(0, I_D): the expectation of the distance falls like 1 / n (Chong & Forsyth 2020)."""
    rng = np.random.default_rng(0)
    mean = lambda n: np.mean(
        [fid.frechet_distance(*(fid.moments(rng.normal(size=(n, 10))) for _ in range(2))) for _ in range(20)]
    )
    few, many = mean(200), mean(800)
    assert 3.0 < few / many < 5.0


def test_classifier_fid_tells_the_floor_and_the_numbers():
    samples, train, test = features(0, 50, 4), features(1, 60, 4), features(1, 40, 4)
    result = fid.classifier_fid(samples, train=train, test=test)
    expected = [by_sqrtm(samples, test), by_sqrtm(train, test)]
    np.testing.assert_allclose([result.value, result.floor], expected, rtol=1e-8)
    assert (result.num_samples, result.num_train, result.num_test) == (50, 60, 40)


@pytest.mark.parametrize(
    "wrong, message",
    [
        (lambda: fid.moments(np.zeros((3, 2, 1))), "takes"),
        (lambda: fid.streamed_moments([]), "empty"),
        (lambda: fid.frechet_distance(fid.moments(np.zeros((1, 2))), fid.moments(np.zeros((5, 2)))), "two examples"),
        (lambda: fid.frechet_distance(fid.moments(np.zeros((5, 2))), fid.moments(np.zeros((5, 3)))), "2 and 3"),
    ],
)
def test_what_cannot_be_measured_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
