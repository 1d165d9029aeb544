"""Mode counts against points placed by hand and against the chi-squared law of true samples."""

import jax
import numpy as np
import pytest
from scipy import stats

from genjax.evaluation import mode_coverage

CENTRES = np.float32([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
coverage = jax.jit(mode_coverage)


def test_points_by_hand():
    samples = np.float32([[0.0, 0.0], [1.4, 0.0], [1.6, 0.0], [10.0, 1.49], [10.0, -1.51], [5.0, 5.0], [-0.9, 0.9]])
    found = coverage(samples, CENTRES, std=0.5)  # within 1.5
    np.testing.assert_array_equal(found.counts, [3, 1, 0])
    assert int(found.covered) == 2
    np.testing.assert_allclose(found.high_quality, 4 / 7, rtol=1e-6)


@pytest.mark.parametrize("dim", [2, 5])
def test_true_samples(dim):
    """|x - c|^2 / std^2 is chi-squared with as many degrees of freedom as dimensions."""
    num, std, random = 20_000, 0.1, np.random.default_rng(0)
    centres = 3 * random.normal(size=(4, dim))
    samples = centres[random.integers(0, 4, num)] + std * random.normal(size=(num, dim))
    found = coverage(samples.astype(np.float32), centres.astype(np.float32), std=std)
    expected = stats.chi2(dim).cdf(9.0)
    error = np.sqrt(expected * (1 - expected) / num)
    assert abs(float(found.high_quality) - expected) < 4 * error
    assert int(found.covered) == 4
    near = stats.binom(num, expected / 4)
    assert (np.abs(np.asarray(found.counts) - near.mean()) < 4 * near.std()).all()


def test_a_collapsed_generator_is_seen():
    found = coverage(np.tile(CENTRES[1:2], (100, 1)), CENTRES, std=0.5)
    assert int(found.covered) == 1 and float(found.high_quality) == 1.0
    nothing = coverage(np.full((10, 2), 5, np.float32), CENTRES, std=0.5)
    assert int(nothing.covered) == 0 and float(nothing.high_quality) == 0.0


def test_wrong_ranks_are_refused():
    with pytest.raises(AssertionError, match="rank"):
        mode_coverage(np.zeros(2, np.float32), CENTRES, std=0.5)
