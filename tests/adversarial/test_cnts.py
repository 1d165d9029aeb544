"""CNTS's losses against sorting, scikit-learn's log loss and numbers worked out by hand, and who learns from whom."""

import jax
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
    keep = jax.jit(kept_steps, static_argnums=1)
    kept = np.asarray(keep(scores, 0.6))
    assert (kept.sum(axis=1) == 5).all()  # ceil(4.2)
    for row, one in zip(scores, kept):
        assert row[one == 1].max() < row[one == 0].min()
    np.testing.assert_array_equal(keep(np.zeros((1, 4), np.float32), 0.5), [[1, 1, 0, 0]])


def test_the_error_of_kept_steps():
    kept = np.array([[1, 0, 1, 0, 0], [0, 1, 1, 1, 1]], np.float32)
    expected = [np.mean((MADE[b, rows] - X[b, rows]) ** 2) for b, rows in enumerate(([0, 2], [1, 2, 3, 4]))]
    np.testing.assert_allclose(jax.jit(kept_error)(X, MADE, kept), expected, rtol=1e-5)


def test_doubt_is_a_half_at_the_level():
    """tanh(atanh(1/2) r) is 0 at r = 0, 1/2 at 1, and 0.8 at 2, since tanh(2 u) = 2 t / (1 + t^2)."""
    made = np.array([[[0, 0], [0.5, -2], [8**0.5, 1]]], np.float32)
    np.testing.assert_allclose(jax.jit(doubt)(np.zeros_like(made), made, 4.0), [[0.0, 0.5, 0.8]], rtol=1e-5)


def test_the_detector_descends_the_cross_entropy():
    logits, doubts = RANDOM.normal(size=(2, 2, 4)).astype(np.float32)
    doubts = expit(doubts)
    weights = lambda row: np.concatenate([row, 1 - row])
    expected = [
        log_loss(np.repeat([1, 0], 4), np.tile(expit(row.astype(np.float64)), 2), sample_weight=weights(d))
        for row, d in zip(logits, doubts)
    ]
    np.testing.assert_allclose(jax.jit(detector_loss)(logits, doubts), expected, rtol=1e-5)


def test_what_the_detector_doubts_the_reconstructor_does_not_learn():
    """The gradient of the reconstructor by the data is zero at the dropped step; with everything kept it is not."""
    batch, key = {"x": X}, jax.random.key(1)
    for keep, dropped in ((0.8, 1), (1.0, 0)):
        model = cnts(SeriesReconstructor((3,), 2), SeriesDetector((3,)), keep=keep)

        def of_target(target):
            variables = model.init(jax.random.key(0), batch)
            made, logits = (model.methods[name](variables, key, X) for name in ("reconstruct", "detect"))
            error = kept_error(target, made, kept_steps(logits, keep)).sum()
            return error, model.updates[0].loss(variables, batch, jax.random.key(2), 0)[0]

        (error, loss), gradient = jax.device_get(jax.jit(jax.value_and_grad(of_target, has_aux=True))(X))
        moved = np.abs(gradient).sum(axis=2) > 0
        np.testing.assert_array_equal((~moved).sum(axis=1), dropped)
        np.testing.assert_allclose(loss, error / 2, rtol=1e-5)
