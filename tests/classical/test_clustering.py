"""Clustering against scikit-learn and scipy, and the seeding against its own probabilities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.cluster.hierarchy
import scipy.stats
from scipy.spatial.distance import squareform
from sklearn import cluster, metrics

from genjax import classical

LINKAGES = {
    "single": classical.single_linkage,
    "complete": classical.complete_linkage,
    "average": classical.average_linkage,
}
cut = jax.jit(classical.cut, static_argnums=1)


def points(num=60, seed=0):
    random = np.random.default_rng(seed)
    middles = random.normal(0.0, 3.0, (4, 3))
    return (middles[random.integers(0, 4, num)] + random.normal(size=(num, 3))).astype(np.float32)


def test_lloyd_is_scikit_learns():
    x = points()
    start = x[:5]
    ours = jax.tree.map(np.asarray, jax.jit(lambda x, start: classical.lloyd(x, start, num_steps=50))(x, start))
    theirs = cluster.KMeans(5, init=start, n_init=1, max_iter=50, tol=0.0, algorithm="lloyd").fit(x)
    np.testing.assert_allclose(ours.centers, theirs.cluster_centers_, atol=1e-4)
    np.testing.assert_array_equal(ours.labels, theirs.labels_)
    np.testing.assert_allclose(ours.inertias[-1], theirs.inertia_, rtol=1e-4)
    assert (np.diff(ours.inertias) <= 1e-3).all() and ours.inertias[0] > 1.1 * ours.inertias[-1]


def test_an_empty_cluster_keeps_its_center():
    x, start = np.float32([[0.0], [1.0], [2.0]]), np.float32([[1.0], [100.0]])
    found = jax.jit(lambda x, start: classical.lloyd(x, start, num_steps=3))(x, start)
    np.testing.assert_allclose(found.centers, [[1.0], [100.0]])


def test_seeds_are_drawn_by_squared_distance():
    x = np.array([[0.0], [1.0], [3.0], [7.0]])
    keys = jax.random.split(jax.random.key(0), 6000)
    draw = jax.jit(jax.vmap(lambda key: classical.kmeans_plus_plus(key, jnp.asarray(x, jnp.float32), 2)))
    drawn = np.asarray(draw(keys))[..., 0]
    expected = (x - x.T) ** 2 / ((x - x.T) ** 2).sum(1, keepdims=True) / 4.0  # of (first, second)
    places = {float(value): index for index, value in enumerate(x[:, 0])}
    counts = np.zeros((4, 4))
    for first, second in drawn:
        counts[places[float(first)], places[float(second)]] += 1
    assert (np.diag(counts) == 0).all()
    off = ~np.eye(4, dtype=bool)
    assert scipy.stats.chisquare(counts[off], 6000 * expected[off]).pvalue > 1e-3


def test_kmeans_finds_separated_groups_in_every_member_of_a_batch():
    random = np.random.default_rng(0)
    truth = np.repeat(np.arange(3), 10)
    x = np.stack([20.0 * random.normal(size=(3, 2))[truth] + 0.1 * random.normal(size=(30, 2)) for _ in range(4)])
    fit = jax.jit(jax.vmap(lambda key, x: classical.kmeans(key, x, 3, num_steps=10).labels))
    for labels in np.asarray(fit(jax.random.split(jax.random.key(0), 4), x.astype(np.float32))):
        assert metrics.adjusted_rand_score(truth, labels) == 1.0
    equal = jax.jit(lambda key: classical.kmeans(key, jnp.ones((5, 2)), 3, num_steps=2))(jax.random.key(0))
    assert np.isfinite(equal.centers).all() and np.asarray(equal.inertias)[-1] == 0.0


@pytest.mark.parametrize("name", LINKAGES)
def test_agglomeration_is_scipys_and_scikit_learns(name):
    x = points(25)
    distances = metrics.pairwise_distances(x).astype(np.float32)
    merges = jax.jit(lambda d: classical.agglomerate(d, LINKAGES[name]))(distances)
    theirs = scipy.cluster.hierarchy.linkage(squareform(distances, checks=False), name)
    np.testing.assert_allclose(merges.distances, theirs[:, 2], rtol=1e-4)
    assert (np.asarray(merges.kept) < np.asarray(merges.absorbed)).all()
    assert sorted(np.asarray(merges.absorbed)) == list(range(1, 25))
    for number in (1, 3, 7, 25):
        labels = np.asarray(cut(merges, number))
        expected = cluster.AgglomerativeClustering(number, metric="precomputed", linkage=name).fit_predict(distances)
        assert metrics.adjusted_rand_score(expected, labels) == 1.0
        assert list(dict.fromkeys(labels.tolist())) == list(range(number))


def test_wrong_shapes_are_refused_with_a_sentence():
    with pytest.raises(ValueError, match=r"\[N, D\]"):
        classical.kmeans(jax.random.key(0), np.zeros(3, np.float32), 1)
    with pytest.raises(ValueError, match="1 to 3 clusters"):
        classical.kmeans(jax.random.key(0), np.zeros((3, 2), np.float32), 4)
    with pytest.raises(ValueError, match=r"\[N, N\]"):
        classical.agglomerate(np.zeros((3, 2), np.float32), classical.single_linkage)
    merges = jax.eval_shape(lambda d: classical.agglomerate(d, classical.single_linkage), np.zeros((3, 3), np.float32))
    with pytest.raises(ValueError, match="1 to 3"):
        classical.cut(merges, 4)
