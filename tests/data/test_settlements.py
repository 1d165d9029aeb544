"""Made settlements: nothing is built on water, and roads against the same tree by another algorithm."""

import numpy as np

from genjax.data import open_source
from genjax.data.settlements import BUILT, road_density


def prim(cells):
    """Length of the minimum spanning tree, grown cell by cell."""
    inside, length = [0], 0.0
    while len(inside) < len(cells):
        outside = [i for i in range(len(cells)) if i not in inside]
        gaps = np.linalg.norm(cells[inside][:, None] - cells[outside][None], axis=-1)
        i, j = np.unravel_index(gaps.argmin(), gaps.shape)
        length += gaps[i, j]
        inside.append(outside[j])
    return length


def test_roads_are_the_shortest_tree():
    built = np.random.default_rng(0).integers(0, 2, (4, 5, 5)).astype(bool)
    expected = [prim(np.argwhere(one)) / (one.sum() - 1) for one in built]
    np.testing.assert_allclose(road_density(built), expected, rtol=1e-6)
    np.testing.assert_array_equal(road_density(np.zeros((1, 3, 3), bool)), [0])


def test_the_maps_are_what_they_claim():
    source = open_source("settlements", "test")
    batch = source.fetch(np.arange(len(source)))
    x, (height, water, light) = batch["x"][..., 0], np.moveaxis(batch["y"], -1, 0)
    assert x.shape == (300, 16, 16) and set(np.unique(water)) == {0, 255}
    assert not x[water == 255].any()
    assert (batch["roads"] >= 1).all()
    correlation = lambda a, b: np.corrcoef(a[water == 0], b[water == 0])[0, 1]
    assert correlation(x, light) > 0.5 and correlation(x, height) < -0.1
    np.testing.assert_array_equal(road_density(x >= BUILT), batch["roads"])


def test_splits_differ():
    train, test = (open_source("settlements", split).fetch(np.arange(50))["x"] for split in ("train", "test"))
    assert np.any(train != test)
