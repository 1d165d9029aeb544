"""Ready evaluations on samples whose quality is known: data, noise, and one picture over and over."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from experiments import evaluations, stacked_modes
from genjax.contract import GenerativeModel, Variables
from genjax.data import one_pass, open_source
from genjax.errors import UserError
from genjax.evaluation import features
from genjax.training import EvalContext, System

pytestmark = pytest.mark.xdist_group("digits_classifier")


def context(name, samples, to_picture, data_split="train"):
    data = {"name": name, "dir": "", "test_split": "test"}
    config = ConfigDict({"data": data, "eval": {"num_samples": len(samples)}})
    model = GenerativeModel(init=lambda *_: Variables({}), updates=(), sample=lambda *_: samples)
    batches = lambda split: lambda: one_pass(open_source(name, split), 500)
    return EvalContext(
        system=System(model, {}, to_picture=to_picture),
        variables=Variables({}),
        key=jax.random.key(0),
        train=batches(data_split),
        test=batches("test"),
        sample=lambda num, condition=None: jnp.asarray(samples[:num]),
        config=config,
    )


def digits_context(samples):
    return context("digits", samples, lambda x: np.asarray(x, np.float32) / 16)


@pytest.fixture(scope="module", autouse=True)
def cache(classifier_cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(classifier_cache))
        yield


@pytest.fixture(scope="module")
def stored():
    return open_source("digits", "train").fetch(np.arange(1437))["x"]


def test_distances_of_features_rank_data_before_noise_and_tell_collapse(stored):
    noise = np.random.default_rng(0).permuted(stored[:400].reshape(400, 64), axis=1).reshape(400, 8, 8, 1)
    samples = {"data": stored[:400], "noise": noise, "one": np.tile(stored[:1], (400, 1, 1, 1))}
    found = {name: evaluations.classifier_fid(digits_context(x)) for name, x in samples.items()}
    data, noise, one = found["data"], found["noise"], found["one"]

    assert set(data) == {
        *("classifier_fid", "classifier_fid_floor", "classifier_accuracy"),
        *("classifier_kid", "classifier_kid_std", "classifier_kid_floor", "block_size"),
        *("features", "split", "n", "n_train", "n_test"),
        *("precision", "recall", "density", "coverage"),
        *("precision_of_train", "recall_of_train", "density_of_train", "coverage_of_train"),
    }
    assert (data["n"], data["n_train"], data["n_test"]) == (400, 400, 360)
    assert data["classifier_accuracy"] > 0.97 and data["features"].startswith("digits_classifier-")
    assert data["classifier_fid"] < 2 * data["classifier_fid_floor"]
    assert min(noise["classifier_fid"], one["classifier_fid"]) > 20 * data["classifier_fid_floor"]
    assert abs(data["classifier_kid"]) < 0.05 * min(noise["classifier_kid"], one["classifier_kid"])
    assert abs(data["classifier_kid_floor"]) < 0.05 * one["classifier_kid"] and data["block_size"] == 360
    assert data["precision"] > 0.8 and data["recall"] > 0.8 and noise["precision"] < 0.5 * data["precision"]
    assert one["recall"] < 0.05 and one["coverage"] < 0.1
    assert one["classifier_fid_floor"] == data["classifier_fid_floor"]


def test_modes_of_stacks_are_those_of_their_classes(stored):
    """True stacks are as the data are; a stack over and over is one mode, log 1000 nats away."""
    stacks = open_source("stacked/digits", "test").fetch(np.arange(3000))
    of = lambda x: stacked_modes.modes(context("stacked/digits", x, lambda x: np.asarray(x, np.float32) / 16))
    true, one = of(stacks["x"]), of(np.tile(stacks["x"][:1], (50, 1, 1, 1)))
    assert (true["modes"], true["n"], one["modes_covered"]) == (1000, 3000, 1)
    assert abs(true["modes_covered"] - len(np.unique(stacks["label"]))) < 30  # the classifier errs now and then
    assert abs(true["modes_covered"] - true["modes_covered_of_data"]) < 50
    assert abs(true["kl"] - true["kl_of_data"]) < 0.05 and true["kl"] < 0.3
    np.testing.assert_allclose(one["kl"], np.log(1000), rtol=0.15)


def test_wasserstein_of_points_is_at_its_floor_for_data_and_finds_a_shift():
    points = open_source("toy2d/two_moons", "train").fetch(np.arange(256))["x"]
    measure = lambda points: evaluations.wasserstein(
        context("toy2d/two_moons", points, lambda x: x, data_split="train[:1000]")
    )
    data, moved = measure(points), measure(points + np.float32(3.0))
    assert data["n"] == 256 and data["wasserstein2"] < 2 * data["wasserstein2_floor"]
    np.testing.assert_allclose(moved["wasserstein2"], 3.0 * np.sqrt(2.0), rtol=0.05)
    np.testing.assert_allclose(moved["sliced_wasserstein2"], 3.0, rtol=0.15)


def test_random_subset_takes_each_example_equally_often_whatever_the_order():
    stream = lambda: (np.arange(i, i + 10) for i in range(0, 50, 10))
    counts = np.zeros(50)
    for seed in range(400):
        subset = evaluations._random_subset(stream(), 7, seed)
        assert len(set(subset)) == 7
        counts[subset] += 1
    expected = 400 * 7 / 50
    assert np.all(np.abs(counts - expected) < 5 * np.sqrt(expected))
    assert len(evaluations._random_subset(stream(), 80)) == 50


def test_data_without_a_classifier_is_refused():
    with pytest.raises(UserError, match="digits, mnist"):
        evaluations.classifier_of("photos/8")


def test_recipes_fit_their_data():
    for name, recipe in evaluations.RECIPES.items():
        assert recipe.steps % 20 == 0 and recipe.name == f"{name}_classifier"
    info = open_source("digits", "train").info
    assert (info.shape, info.levels, info.num_classes) == (features.DIGITS.shape, features.DIGITS.levels, 10)
