"""Sine waves and melodies: what they claim to be, by least squares and by the rule."""

import numpy as np
import pytest

from genjax.data import open_source
from genjax.data.series import follows
from genjax.errors import UserError


def test_sines_are_sines():
    """Each series is a combination of sin and cos of one frequency in its label's band: no residual there."""
    source = open_source("sines/30", "train")
    batch = source.fetch(np.arange(20))
    assert batch["x"].shape == (20, 30, 1) and batch["x"].dtype == np.float32
    time = np.arange(1, 31) / 30
    for x, band in zip(batch["x"][..., 0].astype(np.float64), batch["label"]):
        best, found = np.inf, None
        for frequency in np.linspace(band + 1, band + 2, 400):
            waves = np.stack([np.sin(2 * np.pi * frequency * time), np.cos(2 * np.pi * frequency * time)], axis=1)
            coefficients, residual, *_ = np.linalg.lstsq(waves, x, rcond=None)
            if residual[0] < best:
                best, found = residual[0], coefficients
        assert best < 1e-3 and 0.09 < np.linalg.norm(found) < 0.91


def test_sines_have_their_moments():
    """E x^2 = E A^2 / 2 with E A^2 = (0.9^3 - 0.1^3) / (3 x 0.8), at every step; the bands are equally likely."""
    batch = open_source("sines/12", "train").fetch(np.arange(10_000))
    expected = (0.9**3 - 0.1**3) / 2.4 / 2
    np.testing.assert_allclose((batch["x"] ** 2).mean(axis=0), expected, rtol=0.05)
    np.testing.assert_allclose(np.bincount(batch["label"]) / 10_000, 0.25, atol=0.02)
    assert abs(batch["x"].mean()) < 0.01


def test_melodies_follow_their_rule():
    source = open_source("melodies", "train")
    batch = source.fetch(np.arange(400))
    np.testing.assert_array_equal(batch["x"].sum(-1), np.ones((400, 8)))
    first = batch["label"] == 0
    assert not batch["previous"][first].any()
    shift = follows(batch["previous"][~first], batch["x"][~first])
    assert set(shift) == {1, 2} and abs(np.mean(shift == 1) - 0.5) < 0.1
    np.testing.assert_array_equal(batch["previous"][1:4], batch["x"][0:3])
    for before, after in zip(batch["previous"][~first], batch["x"][~first]):
        assert any(np.array_equal(np.roll(before, d, axis=1), after) for d in (1, 2))


def test_a_wrong_bar_does_not_follow():
    batch = open_source("melodies", "test").fetch(np.arange(1, 4))
    broken = batch["x"].copy()
    broken[:, 5] = np.roll(broken[:, 5], 1, axis=-1)
    np.testing.assert_array_equal(follows(batch["previous"], broken), [0, 0, 0])
    np.testing.assert_array_equal(follows(batch["previous"], np.roll(batch["previous"], 3, axis=-1)), [0, 0, 0])


def test_splits_differ_and_repeat():
    for name in ("sines/30", "melodies"):
        train, test, again = (open_source(name, split).fetch(np.arange(50))["x"] for split in ("train", "test", "test"))
        assert np.any(train != test)
        np.testing.assert_array_equal(test, again)
    with pytest.raises(UserError, match="whole numbers"):
        open_source("sines/long", "train")
