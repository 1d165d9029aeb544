"""CEGAN's balance by counting, its ambiguity loss against the softmax, and when generated examples enter."""

import jax
import jax.numpy as jnp
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

COUNTS = jnp.array([40.0, 10.0, 25.0])


def test_filling_up_gives_equal_numbers():
    """N real examples and N rho generated ones, by class: 40 each."""
    total = np.asarray(COUNTS) + 75 * np.asarray(filling_ratio(COUNTS) * filling_distribution(COUNTS))
    np.testing.assert_allclose(total, [40, 40, 40], rtol=1e-6)


def test_nothing_to_fill():
    np.testing.assert_allclose(filling_distribution(jnp.array([7.0, 7.0])), [0.5, 0.5])
    assert filling_ratio(jnp.array([7.0, 7.0])) == 0


def test_weighted_classes_weigh_the_same():
    label = jnp.asarray(np.repeat(np.arange(3), [40, 10, 25]))
    weights = np.asarray(balanced_weights(label, COUNTS))
    np.testing.assert_allclose(np.bincount(label, weights), [25, 25, 25], rtol=1e-6)


def test_ambiguity_is_the_partners_probability():
    logits = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    found = ambiguity_loss(jnp.asarray(logits), jnp.array([0, 1, 2]), jnp.array([2, 1, 0]))
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
    batch = {"x": jax.random.normal(jax.random.key(0), (5, 4, 4, 1)), "label": jnp.array([0, 1, 2, 0, 0])}
    variables = model.init(jax.random.key(1), batch)
    loss = jax.jit(model.updates[2].loss)
    for step, share in ((0, 0.0), (5, 0.5), (20, 1.0)):
        value, aux = loss(variables, batch, jax.random.key(2), jnp.int32(step))
        expected = aux.metrics["real"] + share * 45 / 75 * aux.metrics["generated"]
        np.testing.assert_allclose(value, expected, rtol=1e-5)
