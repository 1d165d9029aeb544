"""Captioned digits: by the construction said in words, by their sentences, and by the reader on pictures it never saw."""

import itertools

import numpy as np
import pytest

from genjax.data import captioned_digits as cd
from genjax.data import open_source
from genjax.errors import UserError


@pytest.mark.parametrize(("name", "side", "places"), [("captioned_digits", 16, 4), ("captioned_digits/24", 24, 9)])
def test_every_digit_stands_once_in_each_colour_and_place(name, side, places):
    digits, source = open_source("digits", "test"), open_source(name, "test")
    assert len(source) == 360 * 6 * places
    info = source.info
    assert (info.shape, info.dtype, info.levels, info.num_classes) == ((side, side, 3), np.uint8, 256, 60 * places)
    assert info.label_names[info.num_classes - 1].startswith("cyan nine, bottom right")
    examples = source.fetch(np.arange(6 * places) + 6 * places * 7)  # the eighth digit
    digit = digits.fetch([7])
    seen = set()
    for x, label in zip(examples["x"], examples["label"]):
        colour, place = np.divmod(label % (6 * places), places)
        assert label // (6 * places) == digit["label"][0]
        top, left = 8 * (place // (side // 8)), 8 * (place % (side // 8))
        rgb = np.array(list(cd.COLOURS.values())[colour])
        expected = np.zeros((side, side, 3))
        expected[top : top + 8, left : left + 8] = np.rint(digit["x"][0] / 16 * 255) * rgb
        np.testing.assert_array_equal(x, expected)
        seen.add((colour, place))
    assert len(seen) == 6 * places


def test_sentences_say_what_the_picture_shows():
    source = open_source("captioned_digits", "test")
    examples = source.fetch(np.random.default_rng(0).integers(0, len(source), 300))
    assert examples["text"].dtype == np.int32 and examples["text"].shape == (300, cd.LENGTH)
    forms = set()
    for text, label in zip(examples["text"], examples["label"]):
        sentence = cd.detokenize(text)
        colour_and_digit, place = source.info.label_names[label].split(", ")
        colour, digit = colour_and_digit.split()
        assert place in sentence
        words = sentence.split()
        assert [word for word in words if word in cd.COLOURS] == [colour]
        assert [word for word in words if word in cd.DIGITS] == [digit]
        assert cd.label_of(cd.Attributes(*cd.attributes_of_sentence(sentence, 16)), 16) == label
        forms.add(sentence.replace(place, "P").replace(digit, "D").replace(colour, "C"))
    assert len(forms) == 4
    assert len(np.unique(cd.sentences(16).reshape(-1, cd.LENGTH), axis=0)) == 240 * 4  # no two sentences are the same


def test_labels_come_apart_and_words_come_back():
    for side, places in ((16, 4), (24, 9)):
        everything = cd.Attributes(*np.array(list(itertools.product(range(10), range(6), range(places)))).T)
        label = cd.label_of(everything, side)
        np.testing.assert_array_equal(np.sort(label), np.arange(60 * places))
        for a, b in zip(cd.attributes_of(label, side), everything):
            np.testing.assert_array_equal(a, b)
    said = "there is a red seven at the bottom right"
    assert cd.detokenize(cd.tokenize(said)) == said
    assert len(set(cd.WORDS)) == len(cd.WORDS) and cd.WORDS[cd.PAD] == ""


@pytest.mark.parametrize("name", ["captioned_digits", "captioned_digits/24"])
def test_the_reader_reads_digits_it_never_saw(name):
    source = open_source(name, "test")
    examples = source.fetch(np.random.default_rng(1).permutation(len(source))[:1500])
    truth = cd.attributes_of(examples["label"], source.info.shape[0])
    reading = cd.read_back(examples["x"])
    assert np.mean(reading.attributes.digit == truth.digit) > 0.97
    np.testing.assert_array_equal(reading.attributes.colour, truth.colour)
    np.testing.assert_array_equal(reading.attributes.place, truth.place)
    np.testing.assert_allclose(reading.share, 1)
    # The same in light [0, 1], and with noise of a tenth of it.
    light = examples["x"] / 255
    for a, b in zip(cd.read_back(light).attributes, reading.attributes):
        np.testing.assert_array_equal(a, b)
    noisy = cd.read_back(light + 0.1 * np.random.default_rng(2).normal(size=light.shape))
    assert all(np.mean(a == b) > 0.97 for a, b in zip(noisy.attributes, truth))
    assert noisy.share.max() < 1


def test_two_digits_show_in_the_share():
    source = open_source("captioned_digits", "test")
    one, two = source.fetch([0, 3])["x"]  # the same digit in red, at the top left and at the bottom right
    reading = cd.read_back(np.stack([one, one + two]))
    np.testing.assert_allclose(reading.share, [1, 0.5])


def test_the_splits_share_no_digit():
    flat = [open_source("digits", split).fetch(range(n))["x"].reshape(n, -1) for split, n in (("train", 1437), ("test", 360))]
    assert not {row.tobytes() for row in flat[0]} & {row.tobytes() for row in flat[1]}
    train = open_source("captioned_digits", "train")
    np.testing.assert_array_equal(train.fetch([24 * 5])["x"][0, :8, :8, 0], np.rint(flat[0][5].reshape(8, 8) / 16 * 255))


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: open_source("captioned_digits/20", "train"), "side of 16 or 24"),
        (lambda: open_source("captioned_digits/16/2", "train"), "whole numbers"),
        (lambda: open_source("captioned_digit", "train"), "did you mean 'captioned_digits'"),
        (lambda: cd.tokenize("a purple seven"), "does not know 'purple'"),
        (lambda: cd.attributes_of_sentence("a red seven", 16), "does not name one digit"),
        (lambda: cd.tokenize("a " * 11), "room for 10 words, not for 11"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(attempt, message):
    with pytest.raises(UserError, match=message):
        attempt()


def test_pictures_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\[N, 16, 16, 3\]"):
        cd.read_back(np.zeros((2, 8, 8, 3)))
