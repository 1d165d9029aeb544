"""Digits against scikit-learn and known baselines, photographs against their files, text against itself."""

import numpy as np
import pytest

from genjax.data import open_source, text
from genjax.data.embedded import BLOCK, PHOTOS, cut_patches


def everything(name: str, split: str) -> dict[str, np.ndarray]:
    source = open_source(name, split)
    return source.fetch(np.arange(len(source)))


def test_digits_are_those_of_scikit_learn_split_80_20_by_class():
    from sklearn.datasets import load_digits

    train, test = everything("digits", "train"), everything("digits", "test")
    assert len(train["x"]) == 1437 and len(test["x"]) == 360
    info = open_source("digits", "train").info
    assert (info.shape, info.dtype, info.levels, info.num_classes) == ((8, 8, 1), np.uint8, 17, 10)
    own = np.concatenate([np.c_[part["x"].reshape(-1, 64), part["label"]] for part in (train, test)])
    theirs = np.c_[load_digits(return_X_y=True)]
    np.testing.assert_array_equal(own[np.lexsort(own.T)], theirs[np.lexsort(theirs.T)])
    share = np.bincount(test["label"]) / np.bincount(own[:, -1].astype(int))
    assert np.abs(share - 0.2).max() < 0.005


def test_digits_baselines_are_those_of_this_split():
    # Computed apart from this code on scikit-learn's 80/20 split with seed 0: independent 17-bin histogram with one
    # pseudo-count, 2.435 bits/dim; independent Bernoulli of x / 16, 27.20 nats.
    train, test = (everything("digits", split)["x"].reshape(-1, 64).astype(int) for split in ("train", "test"))
    counts = np.stack([np.bincount(column, minlength=17) for column in train.T]) + 1.0
    log_p = np.log(counts / counts.sum(axis=1, keepdims=True))
    assert -log_p[np.arange(64), test].mean() / np.log(2) == pytest.approx(2.435, abs=5e-4)
    p, q = test / 16, (train.sum(axis=0) / 16 + 1) / (len(train) + 2)
    assert -(p * np.log(q) + (1 - p) * np.log(1 - q)).sum(axis=1).mean() == pytest.approx(27.20, abs=0.005)


@pytest.mark.parametrize("size", (8, 24, 64, 80))
def test_patches_of_the_splits_share_no_pixel_and_lie_in_the_picture(size):
    height, width = 427, 640
    place = np.stack(np.divmod(np.arange(height * width), width), axis=-1).reshape(height, width, 2)
    train, test = (cut_patches(place, size, test=part) for part in (False, True))
    both = np.concatenate([train, test])
    flat = both.reshape(-1, 2)
    assert len(np.unique(flat, axis=0)) == len(flat), "a pixel is in two patches"
    offset = np.stack(np.meshgrid(range(size), range(size), indexing="ij"), axis=-1)
    np.testing.assert_array_equal(both, both[:, :1, :1] + offset)  # contiguous squares, not scrambled
    side = size * max(1, BLOCK // size)
    assert len(flat) == (height // side) * side * (width // side) * side
    assert 0.1 < len(test) / len(both) < 0.3


def test_photos_hold_every_photograph_in_both_splits():
    info = open_source("photos/32", "test").info
    assert (info.shape, info.dtype, info.levels, info.num_classes) == ((32, 32, 3), np.uint8, 256, len(PHOTOS))
    assert info.label_names[:3] == ("china", "flower", "astronaut")
    for split in ("train", "test"):
        assert set(everything("photos/32", split)["label"]) == set(range(len(PHOTOS)))


def test_a_patch_is_a_piece_of_its_photograph():
    from sklearn.datasets import load_sample_image

    train = everything("photos/32", "train")
    china = train["x"][train["label"] == 0]
    np.testing.assert_array_equal(china[0], load_sample_image("china.jpg")[:32, :32])
    np.testing.assert_array_equal(china[1], load_sample_image("china.jpg")[:32, 32:64])


def test_photos_default_to_patches_of_eight():
    assert open_source("photos", "train").info.shape == (8, 8, 3)


def test_text_becomes_bytes_and_comes_back():
    written = "naïve, 日本\n"
    tokens = text.encode(written)
    assert tokens.dtype == np.int32 and tokens.max() < text.VOCABULARY and len(tokens) == len(written.encode())
    assert text.decode(tokens) == written
    assert text.decode(tokens[:3]) == "na\N{REPLACEMENT CHARACTER}"  # cut inside a character
    with pytest.raises(ValueError, match=r"are \[T\]"):
        text.decode(tokens[None])


@pytest.mark.parametrize(("window", "stride"), [(10, 10), (10, 1), (7, 3), (100, 5)])
def test_windows_against_python_slices(window, stride):
    data = bytes(range(100))
    source = text.windows("bytes", "train", data, window, stride)
    expected = [list(data[i : i + window]) for i in range(0, len(data) - window + 1, stride)]
    np.testing.assert_array_equal(source.fetch(np.arange(len(source)))["x"], expected)
    assert source.info.levels == 256 and source.info.shape == (window,)


def test_pydocs_is_the_language_reference_and_its_splits_do_not_quote_one_another():
    parts = text.pydocs_text()
    assert "import" in parts["train"] and "object" in parts["test"]
    assert 0.05 < len(parts["test"]) / len("".join(parts.values())) <= 0.1
    # Without leaving out what has stood before, 46 % of such pieces of the test text stand in the training text.
    pieces = [parts["test"][i : i + 60] for i in range(0, len(parts["test"]) - 60, 200)]
    assert np.mean([piece in parts["train"] for piece in pieces]) < 0.03
    read = everything("pydocs/128", "test")["x"]
    assert read.dtype == np.int32
    assert parts["test"].encode().startswith(read.astype(np.uint8).tobytes())
    assert open_source("pydocs", "train").info.shape == (256,)
    assert len(open_source("pydocs/64/1", "test")) == len(parts["test"].encode()) - 63
