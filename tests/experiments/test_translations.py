"""Figures of translations and of edited looks: those of a perfect one, of one that does nothing, of one in between."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from experiments import assemble, looks, translations
from experiments.configs.adversarial import cyclegan, pix2pix, stargan
from genjax.contract import GenerativeModel, Variables
from genjax.data import open_source
from genjax.data.domains import LOOKS
from genjax.errors import UserError
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


def test_without_counterparts_a_preview_goes_there_and_back():
    config = ConfigDict({"data": {"name": "domains/inverted", "test_split": "test", "split": "train", "dir": ""}})
    halve, double = (lambda v, key, x, by=by: by * x for by in (0.5, 4.0))
    shown = translations.pairs_preview(config, 17, halve, back=double)(None, None, 27)
    given, made, again = np.split(np.asarray(shown), 3)
    np.testing.assert_allclose(made, 0.5 * given, atol=1e-6)
    np.testing.assert_allclose(again, 2 * given, atol=1e-6)


def test_a_preview_of_looks_shows_each_picture_in_every_look():
    config = ConfigDict({"data": {"name": "looks/colours", "test_split": "test", "dir": ""}})
    paint = lambda v, key, x, look: jnp.broadcast_to(look.reshape(-1, 1, 1, 1).astype(jnp.float32), x.shape)
    shown = looks.preview_of(config, 17, paint, 4, across=2)(None, jax.random.key(0), 100)
    assert shown.shape == (100, 8, 8, 3)
    groups = np.asarray(shown[:, 0, 0, 0]).reshape(20, 5)
    np.testing.assert_array_equal(groups[:, 1:], np.broadcast_to(np.arange(4), (20, 4)))
    given = open_source("looks/colours", "test").fetch(np.arange(20) * 4 + np.arange(20) % 4)["x"] / 8.0 - 1
    np.testing.assert_allclose(np.asarray(shown).reshape(20, 5, 8, 8, 3)[:, 0], given, atol=1e-6)


def folders(root, modes, num=3):
    """Two folders of pictures of 12 x 10 pixels, none of which falls into the test split."""
    for domain, mode in zip("AB", modes):
        (root / domain).mkdir(parents=True)
        for i in range(num):
            pixels = np.random.default_rng(i).integers(0, 256, (12, 10, 3), dtype=np.uint8)
            Image.fromarray(pixels).convert(mode).save(root / domain / f"p{i}.png")


def of_folders(module, root, **model):
    """The config of a user's folders, its networks small enough to trace."""
    config = module.get_config("folder")
    config.data.name, config.data.dir = config.data.name.replace("64", "8"), str(root)
    config.model.update({"features": (4, 4), "patch_features": (4,), "patch_strides": (2,), **model})
    return config


SMALL_CYCLE = {"blocks": 1, "channels": (3, 1), "pool_size": 2}


@pytest.mark.parametrize("module, model", [(pix2pix, {}), (cyclegan, SMALL_CYCLE)])
def test_a_users_folders_fit_the_configs(tmp_path, module, model):
    """A is grey, B in colour: every loss can be traced, and a few pictures without a test split have a preview."""
    folders(tmp_path, ("L", "RGB"))
    config = of_folders(module, tmp_path, **model)
    system = module.build(config)
    stored = assemble.example_batch(config)
    assert (stored["x"].shape, stored["y"].shape) == ((1, 8, 8, 3), (1, 8, 8, 1))

    def run(stored):
        key = jax.random.key(0)
        batch = system.transform(key, stored)
        variables = system.model.init(key, batch)
        losses = [update.loss(variables, batch, key, 0)[0] for update in system.model.updates]
        return losses, system.model.sample(variables, key, 2), system.preview(variables, key, 27)

    losses, samples, preview = jax.eval_shape(run, stored)
    assert [loss.shape for loss in losses] == [()] * 2
    assert samples.shape == (2, 8, 8, 3) and preview.shape == (27, 8, 8, 3)
    assert set(system.evaluations) == ({"cycle"} if module is cyclegan else {"translations"})  # no counterpart, no error
    wrong = module.build(of_folders(module, tmp_path, **(model | {"channels": (1, 1) if model else 1})))
    with pytest.raises(UserError, match="does not fit data.name='folder_.*(domain has|the data are)"):
        with assemble.shapes_told(config):
            jax.eval_shape(lambda: wrong.model.init(jax.random.key(0), wrong.transform(jax.random.key(0), stored)))


def test_a_users_folders_are_domains_of_stargan(tmp_path):
    """Both losses can be traced, there is a preview, and edits are measured without a truth."""
    folders(tmp_path, ("RGB", "RGB"), num=6)
    model = {"blocks": 0, "outer_kernel": 1, "discriminator_features": (4, 4)}
    config = of_folders(stargan, tmp_path, **model)
    system = stargan.build(config)
    stored = assemble.example_batch(config)

    def run(stored):
        key = jax.random.key(0)
        batch = system.transform(key, stored)
        variables = system.model.init(key, batch)
        losses = [update.loss(variables, batch, key, 0)[0] for update in system.model.updates]
        return variables, losses, system.preview(variables, key, 81)

    shapes, losses, preview = jax.eval_shape(run, stored)
    assert [loss.shape for loss in losses] == [()] * 2 and preview.shape[1:] == (8, 8, 3)
    with pytest.raises(UserError, match="has 2 domains.*num_domains=2"):
        stargan.build(of_folders(stargan, tmp_path, num_domains=3))
    with pytest.raises(UserError, match="has no labels.*a sub-folder"):
        stargan.build(of_folders(stargan, tmp_path / "A"))


def test_edits_without_a_truth_are_judged_by_the_models_own_classifier():
    """Grey pictures of look 1 are bright; the brightest one stays as it is, whatever is asked for."""
    grey = np.array([-0.5, 0.5, 0.9], np.float32)
    batch = {"x": np.broadcast_to(grey.reshape(3, 1, 1, 1), (3, 2, 2, 3)), "label": np.array([0, 1, 1])}

    def edit(variables, key, x, look):
        sign = jnp.where(look == 1, 1.0, -1.0).reshape(-1, 1, 1, 1)
        return jnp.where(x > 0.8, x, sign * jnp.abs(x))

    classify = lambda variables, key, x: jnp.stack([-x[:, 0, 0, 0], x[:, 0, 0, 0]], axis=1)
    model = GenerativeModel(None, (), None, methods={"classify": classify})
    config = ConfigDict({"data": {"test_split": "test"}})
    batches = lambda: iter([batch])
    context = EvalContext(System(model, {}), Variables({}), jax.random.key(0), batches, batches, None, config)
    found = looks.edits_of_unknown_truth(context, edit, 2)
    assert found["look_accuracy_of_truth"] == 1 and found["n"] == 3 and found["l1"] == 0 and found["psnr"] == 100
    np.testing.assert_allclose(found["look_accuracy"], 2 / 3)


def test_only_the_librarys_own_sentences_are_told_without_a_traceback():
    config = ConfigDict({"data": {"name": "digits"}})
    with pytest.raises(ValueError, match="of this test"), assemble.shapes_told(config):
        raise ValueError("of this test")
