"""The classifier of the digits as shipped: its accuracy, its file, and the features it gives."""

import jax
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from experiments.evaluations import train_by_engine
from genjax.contract import Variables
from genjax.data import SourceInfo, from_arrays, open_source
from genjax.evaluation import features

pytestmark = pytest.mark.xdist_group("digits_classifier")


@pytest.fixture(scope="module")
def digits():
    return {"train": open_source("digits", "train"), "test": open_source("digits", "test")}


@pytest.fixture(scope="module")
def classifier(digits, classifier_cache):
    folder = classifier_cache / "genjax" / "features"
    return features.load_classifier(features.DIGITS, **digits, fit=train_by_engine, folder=folder)


def pictures(source, num):
    return source.fetch(np.arange(num))["x"].astype(np.float32) / 16.0


def untrained(model, optimizers, transform, source, *, steps, batch_size, seed):
    """A FitFn that does not train."""
    stored = source.fetch(np.arange(4))
    return jax.jit(lambda key: model.init(key, transform(key, stored)))(jax.random.key(seed))


def unexpected(*args, **kwargs):
    raise AssertionError("trained although the file is there")


def test_digits_classifier_is_right_on_97_percent_of_held_out_digits(classifier, digits):
    assert classifier.accuracy > 0.97
    label = digits["test"].fetch(np.arange(len(digits["test"])))["label"]
    found = features.embed(classifier, pictures(digits["test"], len(label))).log_probs.argmax(axis=1)
    assert np.mean(found == label) == classifier.accuracy
    assert classifier.name.startswith("digits_classifier-")


def test_features_are_what_the_classes_are_read_from(classifier, digits):
    """A linear model on them, by scikit-learn, does as well as the classifier: a mere sum of pixels would not."""
    train, test = (features.embed(classifier, pictures(digits[name], 300)).features for name in ("train", "test"))
    labels = [digits[name].fetch(np.arange(300))["label"] for name in ("train", "test")]
    assert train.shape == (300, 64) and train.min() >= 0.0
    assert LogisticRegression(max_iter=1000).fit(train, labels[0]).score(test, labels[1]) > 0.97


@pytest.fixture
def first(digits, tmp_path):
    """A classifier as it was fitted, which no file has held yet."""
    return features.load_classifier(features.DIGITS, **digits, fit=untrained, folder=tmp_path)


def test_second_time_comes_from_the_file_bit_for_bit(first, digits, tmp_path):
    again = features.load_classifier(features.DIGITS, **digits, fit=unexpected, folder=tmp_path)
    assert again.name == first.name and again.accuracy == first.accuracy
    jax.tree.map(np.testing.assert_array_equal, again.variables, first.variables)


def test_damaged_file_is_made_again(first, digits, tmp_path):
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-10])
    again = features.load_classifier(features.DIGITS, **digits, fit=untrained, folder=tmp_path)
    jax.tree.map(np.testing.assert_array_equal, again.variables, first.variables)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_name_depends_on_recipe_seed_and_data(digits):
    name = lambda recipe=features.DIGITS, train=digits["train"], seed=0: features.fingerprint(
        recipe, train, digits["test"], seed
    )
    fewer = open_source("digits", "train[:1000]")
    names = {name(), name(features.DIGITS._replace(steps=1)), name(seed=1), name(train=fewer)}
    assert len(names) == 4 and name() in names


def test_files_lie_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert features.cache_folder() == tmp_path / "genjax" / "features"


def test_embedding_does_not_depend_on_the_batches(classifier, digits):
    images = pictures(digits["test"], 23)
    whole, parts = features.embed(classifier, images), features.embed(classifier, images, batch_size=10)
    for a, b in zip(whole, parts):
        assert a.shape[0] == 23
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "images, message",
    [
        (np.zeros((2, 9, 8, 1)), "shape"),
        (np.zeros((0, 8, 8, 1)), "N > 0"),
        (np.full((2, 8, 8, 1), 16.0), "0, 1"),
        (np.full((2, 8, 8, 1), np.nan), "0, 1"),
    ],
)
def test_pictures_of_another_kind_are_refused(images, message):
    classifier = features.Classifier("digits_classifier-0", features.DIGITS, Variables({}), 0.0)
    with pytest.raises(ValueError, match=message):
        features.embed(classifier, images)


def test_examples_that_cannot_be_learnt_are_refused(digits):
    x = np.zeros((4, 8, 8, 1), np.uint8)
    unlabelled = from_arrays(SourceInfo("blank", "train", x.shape[1:], x.dtype), {"x": x})
    with pytest.raises(ValueError, match="labels"):
        features.load_classifier(features.DIGITS, train=unlabelled, test=digits["test"], fit=unexpected)
    with pytest.raises(ValueError, match="takes pictures"):
        features.load_classifier(features.MNIST, **digits, fit=unexpected)
