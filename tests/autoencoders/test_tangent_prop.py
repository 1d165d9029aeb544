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
    function = lambda x: jnp.tanh(x.reshape(x.shape[0], -1) @ first.astype(np.float32)) @ second.astype(np.float32)
    penalty = jax.jit(lambda x, tangents: ae.tangent_penalty(function, x, tangents))
    ours = penalty(x.astype(np.float32), tangents.astype(np.float32))
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
        batch = {"x": np.tile(label, 10).astype(np.int32), "image": x}
        batch["weight"] = np.where(np.arange(100) < 10, np.float32(10), np.float32(0))
        variables = jax.jit(model.init)(jax.random.key(0), batch)
        adapted = model._replace(
            updates=(model.updates[0]._replace(loss=lambda v, b, k, s: model.updates[0].loss(v, batch, k, s)),)
        )
        variables, metrics = train(adapted, variables, x, steps=300, rate=0.05)
        assert metrics["nats"][-1] < 0.1
        guess = np.asarray(jax.jit(lambda x: model.methods["classify"](variables, None, x))(held_out)).argmax(1)
        errors.append(float(np.mean(guess != np.tile([0, 1], 200))))
    assert errors[0] > 0.2 and errors[1] < 0.02


def test_likelihood_and_samples_are_of_labels():
    model = ae.tangent_classifier(MLP((), 3), lambda images: images[:, None], weight=1.0, shape=(4,))
    batch = {"x": np.array([0, 2], np.int32), "image": np.eye(4, dtype=np.float32)[:2]}
    variables = jax.jit(model.init)(jax.random.key(0), batch)
    classify = jax.jit(lambda x: model.methods["classify"](variables, None, x))
    probabilities = np.exp(classify(batch["image"]))
    np.testing.assert_allclose(probabilities.sum(1), 1.0, rtol=1e-5)
    nats = jax.jit(lambda batch: model.log_prob.fn(variables, None, batch))(batch)
    np.testing.assert_allclose(np.exp(nats), probabilities[[0, 1], [0, 2]], rtol=1e-5)
    draw = jax.jit(model.sample, static_argnums=2)
    drawn = draw(variables, jax.random.key(1), 6000, condition=np.tile(batch["image"][:1], (6000, 1)))
    frequency = np.bincount(drawn, minlength=3) / 6000
    np.testing.assert_allclose(frequency, probabilities[0], atol=4 * np.sqrt(0.25 / 6000))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"\[B, V, ...\]"):
        ae.tangent_penalty(lambda x: x, np.zeros((3, 4)), np.zeros((3, 4)))
    model = ae.tangent_classifier(MLP((), 3), lambda images: images[:, None], weight=1.0, shape=(4,))
    with pytest.raises(ValueError, match="as condition"):
        model.sample(None, jax.random.key(0), 2)
    with pytest.raises(ValueError, match="was built for"):
        wrong = {"x": np.zeros(2, np.int32), "image": np.zeros((2, 3), np.float32)}
        jax.eval_shape(model.init, jax.random.key(0), wrong)
