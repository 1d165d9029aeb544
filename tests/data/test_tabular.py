"""Tables: whose they are, their range, their splits."""

import numpy as np
import pytest

from genjax.data import open_source
from genjax.errors import UserError


@pytest.mark.parametrize("name,rows,columns", [("iris", 150, 4), ("wine", 178, 13)])
def test_tables(name, rows, columns):
    train, test = (open_source(name, split) for split in ("train", "test"))
    assert len(train) + len(test) == rows and train.info.num_classes == 3
    one, other = (source.fetch(np.arange(len(source))) for source in (train, test))
    x = np.concatenate([one["x"], other["x"]])
    assert x.shape == (rows, columns) and x.dtype == np.float32
    np.testing.assert_array_equal([x.min(axis=0), x.max(axis=0)], [np.zeros(columns), np.ones(columns)])
    np.testing.assert_array_equal(one["index"], np.arange(len(train)))
    shares = [np.bincount(batch["label"]) / len(batch["label"]) for batch in (one, other)]
    np.testing.assert_allclose(*shares, atol=0.03)


def test_irises_are_fishers():
    """The first row of the published table is 5.1, 3.5, 1.4, 0.2 cm, within 4.3-7.9, 2.0-4.4, 1.0-6.9, 0.1-2.5."""
    source = open_source("iris", "train")
    splits = [open_source("iris", split) for split in ("train", "test")]
    x = np.concatenate([split.fetch(np.arange(len(split)))["x"] for split in splits])
    low, high = np.array([[4.3, 2.0, 1.0, 0.1], [7.9, 4.4, 6.9, 2.5]])
    wanted = (np.array([5.1, 3.5, 1.4, 0.2]) - low) / (high - low)
    assert np.abs(x - wanted).max(axis=1).min() < 1e-6
    assert source.info.label_names == ("setosa", "versicolor", "virginica")


def test_a_table_has_no_sizes():
    with pytest.raises(UserError, match="iris"):
        open_source("iris/30", "train")
