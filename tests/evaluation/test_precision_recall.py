"""Precision, recall, density and coverage against scikit-learn's neighbours, and where they are known."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from genjax.evaluation import precision_recall as pr


def two_sets(num_real=60, num_samples=45, dim=3):
    rng = np.random.default_rng(0)
    return 50.0 + rng.normal(size=(num_real, dim)), 50.5 + 1.3 * rng.normal(size=(num_samples, dim))


def radii(points, k):
    """Distance to the k-th other: scikit-learn counts the point itself as its first neighbour."""
    return NearestNeighbors(n_neighbors=k + 1).fit(points).kneighbors(points)[0][:, -1]


def distances(x, y):
    return np.array([[np.linalg.norm(a - b) for b in y] for a in x])


@pytest.mark.parametrize("chunk", [7, 1024])
def test_all_four_equal_brute_force(chunk):
    real, samples = two_sets()
    gap = distances(real, samples)
    found = pr.improved_precision_recall(real, samples, k=3, chunk=chunk)
    assert found.precision == np.mean((gap <= radii(real, 3)[:, None]).any(axis=0))
    assert found.recall == np.mean((gap <= radii(samples, 3)[None, :]).any(axis=1))
    found = pr.density_coverage(real, samples, k=5, chunk=chunk)
    inside = gap <= radii(real, 5)[:, None]
    np.testing.assert_allclose(found.density, inside.sum(axis=0).mean() / 5)
    assert found.coverage == inside.any(axis=1).mean()
    assert 0.1 < found.coverage < 1.0 and 0.1 < found.density  # nothing here is decided trivially


def test_radii_equal_sklearns_also_with_doubles():
    points = np.concatenate([two_sets()[0], two_sets()[0][:5]])
    np.testing.assert_allclose(pr.neighbour_radii(points, k=3, chunk=16), radii(points, 3) ** 2, atol=1e-9)


def test_extremes():
    real, _ = two_sets(200, 1)
    far = real + 1000.0
    assert pr.improved_precision_recall(real, far) == (0.0, 0.0)
    assert pr.density_coverage(real, far) == (0.0, 0.0)
    assert pr.improved_precision_recall(real, real) == (1.0, 1.0)
    one_mode = np.repeat(real[:1], 50, axis=0) + 1e-6 * np.random.default_rng(1).normal(size=(50, 3))
    collapsed = pr.improved_precision_recall(real, one_mode)
    assert collapsed.precision == 1.0 and collapsed.recall < 0.02
    assert pr.density_coverage(real, one_mode).coverage < 0.2


def test_one_distribution_gives_density_one_and_the_expected_coverage():
    rng = np.random.default_rng(3)
    found = [pr.density_coverage(*rng.normal(size=(2, 120, 4)), k=4) for _ in range(60)]
    density, coverage = zip(*found)
    for values, expected in ((density, 1.0), (coverage, pr.expected_coverage(120, 120, k=4))):
        assert abs(np.mean(values) - expected) < 4 * np.std(values) / np.sqrt(60)


def test_expected_coverage_by_shuffling_ranks():
    """Of N - 1 = 9 real and M = 6 sampled neighbours in random order, the first k = 2 are all real or not."""
    rng = np.random.default_rng(4)
    marks = np.array([1] * 9 + [0] * 6)
    covered = [not rng.permutation(marks)[:2].all() for _ in range(20_000)]
    assert abs(np.mean(covered) - pr.expected_coverage(10, 6, k=2)) < 4 * 0.5 / np.sqrt(20_000)


def test_refusals():
    real, samples = two_sets()
    with pytest.raises(ValueError, match="2 others"):
        pr.improved_precision_recall(real[:3], samples, k=3)
    with pytest.raises(ValueError, match="give"):
        pr.density_coverage(real, samples[:, :2])
