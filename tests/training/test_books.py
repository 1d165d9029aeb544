"""The guard names what went wrong first; means are exact through JSON."""

import json

import numpy as np
import pytest

from genjax.errors import UserError
from genjax.training.books import Means, check_finite, due


def test_guard_names_the_first_term_and_step():
    metrics = {"a/loss": np.array([1.0, 2.0, np.nan]), "b/norm": np.array([1.0, np.inf, np.nan])}
    with pytest.raises(UserError, match=r"b/norm is inf at step 12\b"):
        check_finite(metrics, 10, {})


def test_guard_knows_lazy_updates():
    skipped = {"r1/loss": np.array([1.0, np.nan, np.nan, 2.0])}
    check_finite(skipped, 9, {"r1": 3})
    with pytest.raises(UserError, match=r"r1/loss is nan at step 11\b"):
        check_finite(skipped, 9, {"r1": 5})


def test_means_skip_what_was_not_made_and_survive_json():
    means = Means()
    means.add({"a": np.array([0.1, np.nan, 0.2])})
    means = Means(json.loads(json.dumps(means.sums)))
    means.add({"a": np.array([0.7]), "b": np.array([np.nan])})
    assert means.take() == {"a": (0.1 + 0.2 + 0.7) / 3}
    assert means.take() == {}


def test_due_falls_on_the_first_boundary_at_or_after_a_multiple():
    assert [now for now in range(2, 21, 2) if due(now - 2, now, 7)] == [8, 14]
    assert not any(due(now - 1, now, 0) for now in range(1, 5))
