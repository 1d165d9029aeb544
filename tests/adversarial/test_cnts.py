"""CNTS's losses against sorting, scikit-learn's log loss and numbers worked out by hand, and who learns from whom."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import expit
from sklearn.metrics import log_loss

from genjax.adversarial import (
    SeriesDetector,
    SeriesReconstructor,
    cnts,
    detector_loss,
    doubt,
    kept_error,
    kept_steps,
)

RANDOM = np.random.default_rng(0)
X, MADE = (RANDOM.normal(size=(2, 5, 2)).astype(np.float32) for _ in range(2))


def test_the_steps_of_lowest_score_are_kept():
    scores = RANDOM.normal(size=(3, 7)).astype(np.float32)
    kept = np.asarray(kept_steps(jnp.asarray(scores), 0.6))
    assert (kept.sum(axis=1) == 5).all()  # ceil(4.2)
    for row, one in zip(scores, kept):
        assert row[one == 1].max() < row[one == 0].min()
    np.testing.assert_array_equal(kept_steps(jnp.zeros((1, 4)), 0.5), [[1, 1, 0, 0]])


def test_the_error_of_kept_steps():
    kept = np.array([[1, 0, 1, 0, 0], [0, 1, 1, 1, 1]], np.float32)
    expected = [np.mean((MADE[b, rows] - X[b, rows]) ** 2) for b, rows in enumerate(([0, 2], [1, 2, 3, 4]))]
    np.testing.assert_allclose(kept_error(*map(jnp.asarray, (X, MADE, kept))), expected, rtol=1e-5)


def test_doubt_is_a_half_at_the_level():
    """tanh(atanh(1/2) r) is 0 at r = 0, 1/2 at 1, and 0.8 at 2, since tanh(2 u) = 2 t / (1 + t^2)."""
    x, made = jnp.zeros((1, 3, 2)), jnp.array([[[0.0, 0.0], [0.5, -2.0], [8**0.5, 1.0]]])
    np.testing.assert_allclose(doubt(x, made, 4.0), [[0.0, 0.5, 0.8]], rtol=1e-5)


def test_the_detector_descends_the_cross_entropy():
    logits, doubts = RANDOM.normal(size=(2, 2, 4)).astype(np.float32)
    doubts = expit(doubts)
    weights = lambda row: np.concatenate([row, 1 - row])
    expected = [
        log_loss(np.repeat([1, 0], 4), np.tile(expit(row.astype(np.float64)), 2), sample_weight=weights(d))
        for row, d in zip(logits, doubts)
    ]
    np.testing.assert_allclose(detector_loss(jnp.asarray(logits), jnp.asarray(doubts)), expected, rtol=1e-5)


def test_what_the_detector_doubts_the_reconstructor_does_not_learn():
    """The gradient of the reconstructor by the data is zero at the dropped step; with everything kept it is not."""
    batch = {"x": jnp.asarray(X)}
    for keep, dropped in ((0.8, 1), (1.0, 0)):
        model = cnts(SeriesReconstructor((3,), 2), SeriesDetector((3,)), keep=keep)
        variables = model.init(jax.random.key(0), batch)

        def of_target(target):
            made = model.methods["reconstruct"](variables, jax.random.key(1), batch["x"])
            logits = model.methods["detect"](variables, jax.random.key(1), batch["x"])
            return kept_error(target, made, kept_steps(logits, keep)).sum()

        moved = np.abs(np.asarray(jax.grad(of_target)(batch["x"]))).sum(axis=2) > 0
        np.testing.assert_array_equal((~moved).sum(axis=1), dropped)
        loss, _ = model.updates[0].loss(variables, batch, jax.random.key(2), jnp.int32(0))
        np.testing.assert_allclose(loss, of_target(batch["x"]) / 2, rtol=1e-5)
