"""Digits out of balance: what is kept, and that the test split is whole."""

import numpy as np
import pytest

from genjax.data import open_source
from genjax.errors import UserError


def test_rare_classes_are_rare_and_the_others_whole():
    whole, few = open_source("digits", "train"), open_source("imbalanced_digits/6", "train")
    every, rare = whole.fetch(np.arange(len(whole))), few.fetch(np.arange(len(few)))
    np.testing.assert_array_equal(np.bincount(rare["label"])[:5], np.bincount(every["label"])[:5])
    np.testing.assert_array_equal(np.bincount(rare["label"])[5:], 6)
    np.testing.assert_array_equal(rare["x"][rare["label"] == 7], every["x"][every["label"] == 7][:6])


def test_the_test_split_is_whole():
    whole, ours = (open_source(name, "test") for name in ("digits", "imbalanced_digits"))
    np.testing.assert_array_equal(ours.fetch(np.arange(len(ours)))["x"], whole.fetch(np.arange(len(whole)))["x"])


def test_keeping_everything_is_refused():
    with pytest.raises(UserError, match="smaller number"):
        open_source("imbalanced_digits/1000", "train")
