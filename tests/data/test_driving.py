"""Made drives: the road where the geometry says, keys that turn the view, splits and shapes."""

import numpy as np

from genjax.data import open_source
from genjax.data.driving import ROAD, driven, seen

STILL = np.zeros(1)


def middle_of_road(frame):
    """Mean column of the cells that are nearer to road than to grass, in the lowest row."""
    return np.flatnonzero(np.abs(frame[-1].astype(float) - 90) > 25).mean()


def test_the_road_is_where_the_geometry_says():
    """At the lower edge its middle is at 7.5 - 8 u, six columns to either side; above the horizon there is sky."""
    for offset in (-0.25, 0.0, 0.25):
        frame = seen(STILL + offset, STILL, STILL, STILL + 0.6)[0]
        assert abs(middle_of_road(frame) - (7.5 - 8 * offset)) < 0.3
        assert (frame[:5] == 220).all() and np.sum(frame[-1] < ROAD + 5) >= 9


def test_keys_turn_the_car():
    """From rest: heading 0.35 k, offset 0.175 k. Right moves the car right, so the road goes left."""
    offset, heading = driven(np.zeros(3), np.zeros(3), np.arange(3))
    np.testing.assert_allclose(heading, [-0.35, 0, 0.35])
    np.testing.assert_allclose(offset, [-0.175, 0, 0.175])
    left, none, right = (middle_of_road(frame) for frame in seen(offset, heading, np.zeros(3), np.zeros(3) + 0.6))
    assert right < none < left


def test_the_split():
    train, test = open_source("driving", "train"), open_source("driving", "test")
    batch = test.fetch(np.arange(1000))
    assert len(train) == 4000 and batch["x"].shape == (1000, 16, 16, 1) and batch["y"].shape == (1000, 16, 16, 2)
    np.testing.assert_allclose(np.bincount(batch["label"]) / 1000, 1 / 3, atol=0.06)
    assert np.any(batch["x"] != train.fetch(np.arange(1000))["x"])
