"""How scores of steps are judged: the truth itself is perfect, a constant is chance, and kinds are told apart."""

import types

import jax.numpy as jnp
import numpy as np

from experiments import anomalies
from genjax.data import open_source


def test_the_truth_is_found_and_a_constant_finds_nothing():
    train, test = (open_source("anomalies/16", split).fetch(np.arange(300)) for split in ("train", "test"))
    context = types.SimpleNamespace(train=lambda: [train], test=lambda: [test])
    spikes = test["anomaly"] * (test["label"] == 1)[:, None]
    scores = {"truth": lambda x: test["anomaly"], "flat": lambda x: np.ones(x.shape[:2]), "spikes": lambda x: spikes}
    found = anomalies.detection(context, scores, components=3)
    assert found["auroc_truth"] == found["worst_truth"] == 1 and found["n"] == 300
    assert found["auroc_flat"] == found["worst_flat"] == 0.5
    assert found["worst_spikes"] == 0.5 < found["auroc_spikes"] < 1
    assert 0.7 < found["auroc_pca"] < 1


def test_both_channels_are_drawn_one_above_the_other():
    x = jnp.stack([jnp.full((1, 5), 2.0), jnp.full((1, 5), -2.0)], axis=-1)
    drawn = np.asarray(anomalies.draw(x))
    assert drawn.shape == (1, 64, 10, 1)
    assert drawn[0, 0].all() and drawn[0, -1].all() and not drawn[0, 20:44].any()
