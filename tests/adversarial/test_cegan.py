"""CEGAN's balance by counting, its ambiguity loss against the softmax, and when generated examples enter."""

import jax
import numpy as np
from scipy.special import softmax

from genjax.adversarial import (
    Balance,
    CGANDiscriminator,
    CGANGenerator,
    ConvClassifier,
    Widths,
    ambiguity_loss,
    balanced_weights,
    cegan,
    filling_distribution,
    filling_ratio,
)

COUNTS = np.array([40, 10, 25], np.float32)


@jax.jit
def filling(counts):
    return filling_ratio(counts), filling_distribution(counts)


def test_filling_up_gives_equal_numbers():
    """N real examples and N rho generated ones, by class: 40 each."""
    ratio, distribution = map(np.asarray, filling(COUNTS))
    np.testing.assert_allclose(COUNTS + 75 * ratio * distribution, [40, 40, 40], rtol=1e-6)


def test_nothing_to_fill():
    ratio, distribution = filling(np.array([7, 7, 7], np.float32))
    np.testing.assert_allclose(distribution, [1 / 3, 1 / 3, 1 / 3])
    assert float(ratio) == 0


def test_weighted_classes_weigh_the_same():
    label = np.repeat(np.arange(3, dtype=np.int32), [40, 10, 25])
    weights = np.asarray(jax.jit(balanced_weights)(label, COUNTS))
    np.testing.assert_allclose(np.bincount(label, weights), [25, 25, 25], rtol=1e-6)


def test_ambiguity_is_the_partners_probability():
    logits = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    found = jax.jit(ambiguity_loss)(logits, np.array([0, 1, 2]), np.array([2, 1, 0]))
    p = softmax(logits.astype(np.float64), axis=1)
    np.testing.assert_allclose(found, [-np.log(1 - p[0, 2]), 0, -np.log(1 - p[2, 0])], rtol=1e-5)


def test_generated_examples_enter_slowly():
    """At step 0 the classifier's loss is that of real examples alone; after the warm-up rho more of generated ones."""
    small = Widths(3, 3, 3)
    model = cegan(
        CGANGenerator((4, 4, 1), 3, small, dropout=0.0),
        CGANDiscriminator(3, small, Widths(2, 2, 2), 0.0),
        ConvClassifier(3, (2,), 3),
        latent_dim=2,
        balance=Balance((40, 10, 25), (0, 1, 2), warmup=10),
    )
    x = np.random.default_rng(0).normal(size=(5, 4, 4, 1)).astype(np.float32)
    batch = {"x": x, "label": np.array([0, 1, 2, 0, 0], np.int32)}
    variables = jax.jit(model.init)(jax.random.key(1), batch)
    loss = jax.jit(model.updates[2].loss)
    for step, share in ((0, 0.0), (5, 0.5), (20, 1.0)):
        value, aux = jax.device_get(loss(variables, batch, jax.random.key(2), np.int32(step)))
        expected = aux.metrics["real"] + share * 45 / 75 * aux.metrics["generated"]
        np.testing.assert_allclose(value, expected, rtol=1e-5)
