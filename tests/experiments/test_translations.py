"""Figures of translations and of edited looks: those of a perfect one, of one that does nothing, of one in between."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from experiments import looks, translations
from genjax.contract import GenerativeModel, Variables
from genjax.data import open_source
from genjax.data.domains import LOOKS
from genjax.training.system import EvalContext, System


def context_of(name, method=None):
    """A context over the first held-out pictures of a set."""
    config = ConfigDict({"data": {"name": name, "test_split": "test", "dir": ""}})
    transform = translations.symmetric_pair(17)

    def batches():
        for start in (0, 24):
            batch = open_source(name, "test").fetch(np.arange(start, start + 24))
            yield transform(jax.random.key(0), {key: jnp.asarray(x) for key, x in batch.items()})

    model = GenerativeModel(None, (), None, methods={"there": method})
    return EvalContext(System(model, {}), Variables({}), jax.random.key(0), batches, batches, None, config)


def test_translations_are_held_against_their_counterparts():
    measure = functools.partial(translations.translation_errors, way="there", given="x", wanted="y")
    name = "pairs/inverted"
    perfect = measure(context_of(name, lambda v, key, x: -x))
    assert perfect["l1"] < 1e-6 and perfect["psnr"] > 90 and perfect["n"] == 48
    digits = open_source(name, "test").fetch(np.arange(48))["x"] / 16.0
    np.testing.assert_allclose(perfect["l1_of_given"], np.abs(2 * digits - 1).mean(), rtol=1e-5)
    np.testing.assert_allclose(perfect["l1_of_mean"], np.abs(digits - digits.mean(axis=0)).mean(), rtol=1e-5)
    # Off by a tenth of the range everywhere: 20 decibels.
    off = measure(context_of(name, lambda v, key, x: -x + jnp.where(x > 0, 0.2, -0.2)))
    np.testing.assert_allclose([off["l1"], off["psnr"]], [0.1, 20], rtol=1e-4)


@pytest.mark.parametrize("kind", ["colours", "attributes"])
def test_edits_are_held_against_the_look_asked_for(kind):
    name, maps = f"looks/{kind}/digits", list(LOOKS[kind].values())  # named in full: without a classifier
    plain = open_source(name, "test").fetch(np.arange(48))["y"]
    true = np.stack([picture_map(plain, 17) for picture_map in maps]) / 8.0 - 1.0

    def perfect(variables, key, x, look):
        return jnp.asarray(true, jnp.float32)[look, jnp.arange(len(x))]

    to_even = np.arange(len(maps))[None] % 2 == np.zeros((len(maps), 1))
    groups = {"to_even": to_even & ~np.eye(len(maps), dtype=bool)}
    measure = functools.partial(looks.edits, num_looks=len(maps), plain=None, groups=groups)
    found = measure(context_of(name), perfect)
    assert found["look_accuracy"] == 1 and found["l1"] == found["l1_same"] == 0
    assert found["n"] == 48 // len(maps)
    still = measure(context_of(name), lambda v, key, x, look: x)
    assert still["look_accuracy"] == 0 and still["l1_same"] == 0 and still["l1"] > 0.02
    # Every second look that is asked for is made, and nothing is done for the others.
    made = lambda v, key, x, look: jnp.where((look % 2 == 0).reshape(-1, 1, 1, 1), perfect(v, key, x, look), x)
    found = measure(context_of(name), made)
    assert found["look_accuracy"] == 0.5 and found["look_accuracy_to_even"] == 1 and found["l1_to_even"] == 0
    np.testing.assert_allclose(found["l1"], still["l1"] - still["l1_to_even"] / 2, rtol=1e-5)


def test_a_preview_alternates_its_rows():
    first, second = (jnp.full((6, 2, 2, 1), value) for value in (0.0, 1.0))
    colour = jnp.full((6, 2, 2, 3), 2.0)
    mixed = translations.rows(first, second, colour, columns=3)
    assert mixed.shape == (18, 2, 2, 3)
    np.testing.assert_array_equal(mixed[:, 0, 0, 0], [0] * 3 + [1] * 3 + [2] * 3 + [0] * 3 + [1] * 3 + [2] * 3)


def test_a_preview_of_looks_shows_each_picture_in_every_look():
    config = ConfigDict({"data": {"name": "looks/colours", "test_split": "test", "dir": ""}})
    paint = lambda v, key, x, look: jnp.broadcast_to(look.reshape(-1, 1, 1, 1).astype(jnp.float32), x.shape)
    shown = looks.preview_of(config, 17, paint, 4, across=2)(None, jax.random.key(0), 100)
    assert shown.shape == (100, 8, 8, 3)
    groups = np.asarray(shown[:, 0, 0, 0]).reshape(20, 5)
    np.testing.assert_array_equal(groups[:, 1:], np.broadcast_to(np.arange(4), (20, 4)))
    given = open_source("looks/colours", "test").fetch(np.arange(20) * 4 + np.arange(20) % 4)["x"] / 8.0 - 1
    np.testing.assert_allclose(np.asarray(shown).reshape(20, 5, 8, 8, 3)[:, 0], given, atol=1e-6)
