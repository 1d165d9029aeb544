"""The classifier's parts against lax, scikit-learn and shifts by hand; the model against the contract."""

import jax
import numpy as np
import pytest
from sklearn.metrics import log_loss

from genjax.evaluation import classifier as c

TINY = c.Recipe("tiny", (5, 4, 1), 17, 3, (4, 8), 6, 1, 0.5, steps=4, batch_size=8, learning_rate=1e-3)


def batch(num=8):
    x = np.random.default_rng(0).uniform(size=(num, 5, 4, 1)).astype(np.float32)
    return {"x": x, "label": np.arange(num, dtype=np.int32) % 3}


@pytest.mark.parametrize("stride", [1, 2])
def test_dense_on_neighbourhoods_is_laxs_convolution(stride):
    random = np.random.default_rng(0)
    x, kernel = (random.normal(size=shape).astype(np.float32) for shape in ((2, 7, 6, 3), (3, 3, 3, 5)))
    expected = jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), [(1, 1), (1, 1)], dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    found = np.asarray(jax.jit(lambda x: c.neighbourhoods(x, stride=stride))(x)) @ kernel.reshape(27, 5)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_shifts_are_all_the_moves_and_no_others():
    picture = np.arange(1.0, 21.0, dtype=np.float32).reshape(5, 4, 1)
    many, shift = np.tile(picture, (200, 1, 1, 1)), jax.jit(c.random_shift, static_argnums=2)
    moved = np.asarray(shift(jax.random.key(0), many, 1))
    padded = np.pad(picture, ((1, 1), (1, 1), (0, 0)))
    moves = {padded[i : i + 5, j : j + 4].tobytes() for i in range(3) for j in range(3)}
    assert {picture.tobytes() for picture in moved} == moves and len(moves) == 9
    np.testing.assert_array_equal(shift(jax.random.key(0), picture[None], 0), picture[None])


def test_transform_scales_levels_to_one():
    stored = {"x": np.full((2, 5, 4, 1), 16, np.uint8), "label": np.zeros(2, np.int32)}
    x = jax.jit(c.classifier_transform(TINY._replace(max_shift=0)))(jax.random.key(0), stored)["x"]
    np.testing.assert_array_equal(x, np.ones((2, 5, 4, 1), np.float32))


def test_cross_entropy_is_scikit_learns_log_loss():
    logits = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    label = np.array([0, 3, 2, 1, 1, 0], np.int32)
    values = np.asarray(jax.jit(c.cross_entropy)(logits, label))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert values.shape == (6,)
    np.testing.assert_allclose(values.mean(), log_loss(label, probabilities), rtol=1e-5)


def test_model_classifies_and_draws_labels_of_given_pictures():
    model = c.build_classifier(TINY)
    shapes = jax.eval_shape(model.init, jax.random.key(0), batch())
    variables = jax.jit(model.init)(jax.random.key(0), batch())
    assert jax.tree.map(lambda a: a.shape, variables) == jax.tree.map(lambda a: a.shape, shapes)
    log_probs = jax.jit(model.methods["classify"])(variables, jax.random.key(1), batch()["x"])
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1.0, rtol=1e-5)

    many = np.tile(batch(1)["x"], (4000, 1, 1, 1))
    draw = jax.jit(model.sample, static_argnums=2)
    labels = draw(variables, jax.random.key(2), 4000, condition=many)
    share = np.bincount(labels, minlength=3) / 4000
    np.testing.assert_allclose(share, np.exp(np.asarray(log_probs)[0]), atol=4 * 0.5 / np.sqrt(4000))
    with pytest.raises(ValueError, match="condition"):
        model.sample(variables, jax.random.key(2), 4)
    with pytest.raises(TypeError, match="temperature"):
        model.sample(variables, jax.random.key(2), 4, condition=many[:4], temperature=1.0)


def test_update_moves_every_parameter():
    model = c.build_classifier(TINY)
    variables = jax.jit(model.init)(jax.random.key(0), batch())
    loss = lambda params: model.updates[0].loss(variables._replace(params=params), batch(), jax.random.key(3), 0)
    (value, aux), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(variables.params)
    assert value.shape == () and 0.0 <= float(aux.metrics["accuracy"]) <= 1.0
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(grads))
