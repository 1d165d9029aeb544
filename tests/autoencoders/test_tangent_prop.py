"""The penalty against finite differences, and what it teaches a classifier."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import autoencoders as ae
from genjax.nn import MLP
from tests.autoencoders.test_autoencoder import train


def test_penalty_is_that_of_finite_differences():
    random = np.random.default_rng(0)
    first, second = random.normal(size=(6, 5)), random.normal(size=(5, 3))
    x, tangents = random.normal(size=(4, 2, 3)), random.normal(size=(4, 7, 2, 3))
    function = lambda x: (
        jnp.tanh(x.reshape(x.shape[0], -1) @ jnp.asarray(first, jnp.float32)) @ jnp.asarray(second, jnp.float32)
    )
    ours = ae.tangent_penalty(function, jnp.asarray(x, jnp.float32), jnp.asarray(tangents, jnp.float32))
    exact = lambda x: np.tanh(x.reshape(4, 6) @ first) @ second
    step = 1e-5
    changes = [(exact(x + step * t) - exact(x - step * t)) / (2 * step) for t in tangents.transpose(1, 0, 2, 3)]
    np.testing.assert_allclose(ours, (np.stack(changes) ** 2).sum((0, 2)), rtol=1e-4)


def test_invariance_is_learned_where_examples_do_not_show_it():
    """Labels hang on the first entry; in ten examples the second tells as much, and others without label say no."""
    random = np.random.default_rng(1)
    label = np.arange(10) % 2
    side = 2.0 * label - 1.0
    scattered = lambda num: np.stack([np.tile([-1.0, 1.0], num // 2), random.normal(0.0, 3.0, num)], axis=1)
    labelled = np.stack([side + 0.3 * random.normal(size=10), side], axis=1)
    x = np.concatenate([labelled, scattered(90)]).astype(np.float32)
    held_out = scattered(400).astype(np.float32)
    irrelevant = lambda images: jnp.broadcast_to(jnp.asarray([[[0.0, 1.0]]]), (images.shape[0], 1, 2))
    errors = []
    for weight in (0.0, 10.0):
        model = ae.tangent_classifier(MLP((), 2), irrelevant, weight=weight, shape=(2,))
        batch = {"x": jnp.asarray(np.tile(label, 10), jnp.int32), "image": jnp.asarray(x)}
        batch["weight"] = jnp.where(jnp.arange(100) < 10, 10.0, 0.0)
        variables = model.init(jax.random.key(0), batch)
        adapted = model._replace(
            updates=(model.updates[0]._replace(loss=lambda v, b, k, s: model.updates[0].loss(v, batch, k, s)),)
        )
        variables, metrics = train(adapted, variables, x, steps=300, rate=0.05)
        assert metrics["nats"][-1] < 0.1
        guess = model.methods["classify"](variables, None, held_out).argmax(1)
        errors.append(float(np.mean(guess != np.tile([0, 1], 200))))
    assert errors[0] > 0.2 and errors[1] < 0.02


def test_likelihood_and_samples_are_of_labels():
    model = ae.tangent_classifier(MLP((), 3), lambda images: images[:, None], weight=1.0, shape=(4,))
    batch = {"x": jnp.asarray([0, 2], jnp.int32), "image": jnp.eye(4)[:2]}
    variables = model.init(jax.random.key(0), batch)
    probabilities = np.exp(model.methods["classify"](variables, None, batch["image"]))
    np.testing.assert_allclose(probabilities.sum(1), 1.0, rtol=1e-5)
    nats = model.log_prob.fn(variables, None, batch)
    np.testing.assert_allclose(np.exp(nats), probabilities[[0, 1], [0, 2]], rtol=1e-5)
    drawn = model.sample(variables, jax.random.key(1), 6000, condition=jnp.tile(batch["image"][:1], (6000, 1)))
    frequency = np.bincount(drawn, minlength=3) / 6000
    np.testing.assert_allclose(frequency, probabilities[0], atol=4 * np.sqrt(0.25 / 6000))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"\[B, V, ...\]"):
        ae.tangent_penalty(lambda x: x, jnp.zeros((3, 4)), jnp.zeros((3, 4)))
    model = ae.tangent_classifier(MLP((), 3), lambda images: images[:, None], weight=1.0, shape=(4,))
    with pytest.raises(ValueError, match="as condition"):
        model.sample(None, jax.random.key(0), 2)
    with pytest.raises(ValueError, match="was built for"):
        model.init(jax.random.key(0), {"x": jnp.zeros(2, jnp.int32), "image": jnp.zeros((2, 3))})
