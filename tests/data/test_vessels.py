"""Made retinas: vessels are darker than what is beside them, hang together, and are not all that is dark."""

import numpy as np
from scipy.ndimage import binary_dilation, label

from genjax.data import open_source


def test_vessels_are_darker_than_their_surroundings():
    batch = open_source("vessels", "test").fetch(np.arange(200))
    x, vessel = batch["x"][..., 0].astype(float), batch["y"][..., 0] == 255
    assert set(np.unique(batch["y"])) == {0, 255} and x.shape == (200, 24, 24)
    beside = binary_dilation(vessel, np.ones((1, 5, 5))) & ~vessel
    darker = np.array([x[i][beside[i]].mean() - x[i][vessel[i]].mean() for i in range(200)])
    assert darker.min() > 5 and 20 < darker.mean() < 80
    assert 0.08 < vessel.mean() < 0.4


def test_a_threshold_does_not_find_them():
    """The best threshold of all pictures, by the truth itself, reaches a Dice coefficient below 0.8."""
    batch = open_source("vessels", "test").fetch(np.arange(200))
    x, vessel = batch["x"].astype(float), batch["y"] == 255
    dice = [2 * (vessel & (x < t)).sum() / (vessel.sum() + (x < t).sum()) for t in range(20, 240, 5)]
    assert max(dice) < 0.8


def test_vessels_hang_together():
    """No more pieces than trunks, but for what the border cuts off."""
    masks = open_source("vessels", "test").fetch(np.arange(100))["y"][..., 0] == 255
    pieces = [label(mask, np.ones((3, 3)))[1] for mask in masks]
    assert np.mean(pieces) < 3.5


def test_the_number_of_training_pictures_is_asked_for():
    assert len(open_source("vessels/10", "train")) == 10
    first, whole = open_source("vessels/10", "test").fetch([0]), open_source("vessels", "test").fetch([0])
    np.testing.assert_array_equal(first["x"], whole["x"])
