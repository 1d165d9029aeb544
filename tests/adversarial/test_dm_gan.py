"""The memory by loops over words and pixels, its gates at their ends, and who learns in the game of two sizes."""

import functools

import jax
import numpy as np
import pytest
from scipy.special import expit, softmax

from genjax.adversarial import (
    DMGenerator,
    MemoryRefinement,
    PairDiscriminator,
    PictureEncoder,
    TextEncoder,
    TextFeatures,
    dm_gan,
    read_memory,
)

KEY = jax.random.key(0)


def test_a_pixel_reads_the_words_it_is_close_to():
    rng = np.random.default_rng(0)
    keys, values, queries = (rng.normal(size=(2, n, 3)).astype(np.float32) for n in (4, 4, 5))
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], np.float32)
    found = np.asarray(jax.jit(read_memory)(keys, values, queries, mask))
    for b, n in np.ndindex(2, 5):
        words = np.flatnonzero(mask[b])
        weight = softmax([keys[b, i] @ queries[b, n] for i in words])
        np.testing.assert_allclose(found[b, n], sum(w * values[b, i] for w, i in zip(weight, words)), atol=1e-5)


def test_the_refinement_is_the_papers_equations():
    rng = np.random.default_rng(1)
    r, words = rng.normal(size=(1, 2, 3, 4)).astype(np.float32), rng.normal(size=(1, 3, 5)).astype(np.float32)
    text = TextFeatures(words, np.array([[1, 1, 0]], np.float32), np.zeros((1, 5), np.float32))
    module = MemoryRefinement(6)
    shapes = jax.eval_shape(module.init, KEY, r, text)["params"]
    params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)
    found = np.asarray(jax.jit(module.apply)({"params": params}, r, text))

    layer = lambda name, x: x @ params[name]["kernel"] + params[name].get("bias", 0)
    mean = r[0].mean(axis=(0, 1))
    slots = []
    for w in words[0, :2]:
        gate = expit(layer("gate_word", w) + layer("gate_picture", mean))
        slots.append(layer("write_word", w) * gate + layer("write_picture", mean) * (1 - gate))
    for row, column in np.ndindex(2, 3):
        pixel = r[0, row, column]
        weight = softmax([layer("key", m) @ pixel for m in slots])
        read = sum(a * layer("value", m) for a, m in zip(weight, slots))
        answer = expit(layer("response", np.concatenate([read, pixel])))
        expected = read * answer + pixel * (1 - answer)
        np.testing.assert_allclose(found[0, row, column], expected, rtol=1e-4, atol=1e-5)


@functools.cache
def small():
    model = dm_gan(
        DMGenerator((8, 8, 3), 3, told=2, memory=3),
        PairDiscriminator((3,), told=2),
        PairDiscriminator((3, 3), told=2),
        TextEncoder(9, 4),
        PictureEncoder(4, (3,)),
        latent_dim=2,
    )
    rng = np.random.default_rng(2)
    batch = {
        "x": rng.uniform(-1, 1, (4, 8, 8, 3)).astype(np.float32),
        "text": rng.integers(1, 9, (4, 5)).astype(np.int32),
        "label": np.array([0, 1, 2, 2], np.int32),
    }
    return model, jax.jit(model.init)(KEY, batch), batch


def test_each_update_has_gradients_for_its_players_and_the_terms_add_up():
    model, variables, batch = small()
    weights = {"small": 1, "large": 1, "augmentation": 1.0, "matching": 5.0}
    for update in model.updates[1:]:
        own = {player: variables.params[player] for player in update.players}

        def loss(params, update=update):
            return update.loss(variables._replace(params={**variables.params, **params}), batch, KEY, 0)

        (value, aux), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(own)
        assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient)), update.name
        total = sum(weights[name] * float(term) for name, term in aux.metrics.items() if name in weights)
        np.testing.assert_allclose(value, total, rtol=1e-5)
        changed = jax.tree.map(lambda a, b: not np.array_equal(a, b), variables.state, aux.state)
        assert {player for player, tree in changed.items() if any(jax.tree.leaves(tree))} == set(update.players)


def test_two_pictures_one_twice_the_side_of_the_other():
    model, variables, batch = small()
    latents = np.random.default_rng(3).normal(size=(4, 2)).astype(np.float32)
    arguments = (latents, np.zeros((4, 2), np.float32), batch["text"])
    drawn = jax.jit(model.methods["draw"])(variables, KEY, *arguments)
    assert drawn.small.shape == (4, 4, 4, 3) and drawn.picture.shape == (4, 8, 8, 3)
    assert np.abs(drawn.picture).max() <= 1
    with pytest.raises(ValueError, match="give `condition`"):
        model.sample(variables, KEY, 3)
    with pytest.raises(ValueError, match="cannot be halved"):
        text = TextFeatures(*(np.zeros(shape, np.float32) for shape in ((1, 5, 4), (1, 5), (1, 4))))
        start = functools.partial(DMGenerator((6, 6, 3), 3, told=2).init, train=True)
        jax.eval_shape(start, KEY, np.zeros((1, 2), np.float32), np.zeros((1, 2), np.float32), text)
