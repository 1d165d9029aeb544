"""Stacks of pictures: what their channels and labels are, and that channels are independent."""

import numpy as np
import pytest
from scipy import stats

from genjax.data import open_source
from genjax.errors import UserError


def test_channels_are_pictures_and_the_label_is_their_classes():
    base = open_source("digits", "test").fetch(np.arange(360))
    source = open_source("stacked/digits", "test")
    assert len(source) == 16 * 360 and source.info.shape == (8, 8, 3) and source.info.num_classes == 1000
    stacks = source.fetch(np.arange(len(source)))
    known = {picture.tobytes(): int(label) for picture, label in zip(base["x"][..., 0], base["label"])}
    classes = [[known[np.ascontiguousarray(x[..., c]).tobytes()] for x in stacks["x"][:400]] for c in range(3)]
    np.testing.assert_array_equal(stacks["label"][:400], np.array([100, 10, 1]) @ classes)
    for c in range(3):  # every picture as often as the others, in every channel
        counts = np.bincount(stacks["label"] // 10**c % 10, minlength=10)
        np.testing.assert_array_equal(counts, 16 * np.bincount(base["label"]))


def test_channels_are_independent():
    label = open_source("stacked/digits", "train").fetch(np.arange(16 * 1437))["label"]
    assert len(np.unique(label)) == 1000
    for first, second in ((100, 10), (100, 1), (10, 1)):
        table = np.histogram2d(label // first % 10, label // second % 10, bins=10)[0]
        assert stats.chi2_contingency(table).pvalue > 1e-3


def test_what_cannot_be_stacked_is_refused():
    for name in ("stacked/photos", "stacked/toy2d/two_moons"):
        with pytest.raises(UserError, match="grey pictures with labels"):
            open_source(name, "train")
