"""Seismograms and series with anomalies: what they claim to be, measured on the waves."""

import numpy as np

from genjax.data import open_source


def test_events_set_in_at_their_arrivals_and_noise_has_none():
    """Before P a record is as noise; the energy after S is larger than before P, on the horizontals above all."""
    batch = open_source("seismograms", "test").fetch(np.arange(1000))
    x, label, (p, s) = batch["x"].astype(np.float64), batch["label"], batch["arrivals"].T
    assert x.shape == (1000, 64, 3) and label.mean() == 0.5
    np.testing.assert_allclose(np.abs(x).max(axis=(1, 2)), 1, rtol=1e-6)
    assert (p[label == 0] == -1).all() and (s > p)[label == 1].all()
    event, step = label == 1, np.arange(64)[None]
    p, s = p[event][:, None], s[event][:, None]
    power = lambda of, inside: (of**2 * inside[..., None]).sum(1) / inside.sum(1)[:, None]
    gain = lambda of: np.median(power(of, (step >= s) & (step < s + 8)) / power(of, step < p), axis=0)
    assert gain(x[event])[1:].min() > 2 and gain(x[event])[0] < gain(x[event])[1:].min()
    np.testing.assert_allclose(gain(x[~event]), 1, atol=0.15)


def test_noise_is_the_autoregression():
    """Correlation 0.6 at lag 1 and 0.36 at lag 2."""
    batch = open_source("seismograms", "test").fetch(np.arange(0, 1000, 2))
    x = batch["x"][..., 0] / batch["x"][..., 0].std(axis=1, keepdims=True)
    found = [np.mean(x[:, lag:] * x[:, :-lag]) for lag in (1, 2)]
    np.testing.assert_allclose(found, [0.6, 0.36], atol=0.03)


def test_the_number_of_training_records_is_asked_for():
    assert len(open_source("seismograms/30", "train")) == 30 and len(open_source("seismograms/30", "test")) == 1000


def test_series_without_anomalies_are_sines_and_others_are_not():
    """What the best common frequency leaves of both channels is the noise, 0.05; anomalies leave more."""
    batch = open_source("anomalies", "test").fetch(np.arange(300))
    x, angle = batch["x"].astype(np.float64), 2 * np.pi * np.arange(32) / 32
    waves = np.stack([[np.sin(f * angle), np.cos(f * angle)] for f in np.linspace(1, 3, 101)]).transpose(0, 2, 1)
    fitted = np.einsum("fts,fsu,nud->fntd", waves, np.linalg.pinv(waves), x)
    left = np.sqrt(((fitted - x) ** 2).mean(axis=(2, 3))).min(axis=0)
    none = batch["label"] == 0
    assert left[none].max() < 0.08 and np.mean(left[~none] > left[none].max()) > 0.9
    np.testing.assert_array_equal(none, ~batch["anomaly"].any(axis=1))


def test_a_fifth_of_the_training_series_is_anomalous():
    batch = open_source("anomalies/16", "train").fetch(np.arange(4000))
    assert batch["x"].shape == (4000, 16, 2)
    assert abs(np.mean(batch["label"] > 0) - 0.2) < 0.02
    np.testing.assert_array_equal(batch["anomaly"][batch["label"] == 1].sum(axis=1), 1)
