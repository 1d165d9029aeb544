"""Domains of pictures: maps against scipy and by hand, who meets whom, and a user's two folders."""

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image

from genjax.data import domains, open_source
from genjax.errors import UserError


def everything(source):
    return source.fetch(np.arange(len(source)))


def test_edges_are_where_sobels_filters_are_steep():
    x = np.random.default_rng(0).integers(0, 17, (4, 8, 8, 1)).astype(np.uint8)
    for picture, found in zip(x, domains.edges(x, 17)):
        values = picture[..., 0] / 16.0
        length = np.hypot(*(scipy.ndimage.sobel(values, axis=axis, mode="nearest") for axis in (0, 1)))
        clear = np.abs(length - 1.5) > 1e-9
        np.testing.assert_array_equal(found[..., 0][clear], np.where(length >= 1.5, 16, 0)[clear])


def test_pairs_are_of_one_picture():
    digits = everything(open_source("digits", "test"))["x"]
    turned = everything(open_source("pairs/rotated", "test"))
    np.testing.assert_array_equal(turned["x"], digits)
    # Turned to the left: what was the last column is the first row.
    np.testing.assert_array_equal(turned["y"][:, 0, :, 0], digits[:, :, -1, 0])
    negative = everything(open_source("pairs/inverted", "test"))
    np.testing.assert_array_equal(negative["x"].astype(int) + negative["y"], 16)
    orange = everything(open_source("pairs/coloured", "test"))["y"]
    np.testing.assert_array_equal(orange[..., 0], digits[..., 0])
    assert orange.shape[1:] == (8, 8, 3) and orange.max() <= 16


def test_unpaired_pictures_never_meet_their_counterparts_but_all_others():
    source, digits = open_source("domains/inverted", "train"), everything(open_source("digits", "train"))["x"]
    number = {picture.tobytes(): index for index, picture in enumerate(digits)}
    examples = everything(source)
    x = np.array([number[picture.tobytes()] for picture in examples["x"]])
    y = np.array([number[(16 - picture).astype(np.uint8).tobytes()] for picture in examples["y"]])
    assert set(x % 2) == {0} and set(y % 2) == {1}
    assert set(x) == set(range(0, len(digits), 2)) and set(y) == set(range(1, len(digits), 2))
    assert len(set(zip(x, y))) > 0.98 * len(x), "each meeting is another"
    assert np.bincount(y // 2).max() - np.bincount(y // 2).min() <= 1
    np.testing.assert_array_equal(everything(open_source("domains/inverted", "train"))["y"], examples["y"])
    held_out = everything(open_source("domains/inverted", "test"))
    np.testing.assert_array_equal(held_out["x"].astype(int) + held_out["y"], 16)


@pytest.mark.parametrize("looks", ["colours", "rotations"])
def test_looks_are_told_by_their_labels(looks):
    test, digits = everything(open_source(f"looks/{looks}", "test")), everything(open_source("digits", "test"))["x"]
    np.testing.assert_array_equal(test["y"], np.repeat(digits, 4, axis=0))
    np.testing.assert_array_equal(test["label"], np.tile(np.arange(4), len(digits)))
    for x, plain, label in zip(test["x"], test["y"], test["label"]):
        if looks == "rotations":
            np.testing.assert_array_equal(x, np.rot90(plain, label))
        else:
            red, green, blue = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0)][label]
            np.testing.assert_array_equal(x, plain * np.array([red, green, blue], np.uint8))


def test_attributes_are_what_was_done():
    source = open_source("looks/attributes", "test")
    examples = source.fetch(np.arange(8))  # every look of the first picture
    plain = examples["y"][0, ..., 0]
    by_bits = {tuple(bits): x for bits, x in zip(examples["attributes"].tolist(), examples["x"])}
    assert len(by_bits) == 8
    np.testing.assert_array_equal(by_bits[0, 0, 0], np.repeat(plain[..., None], 3, axis=2))
    np.testing.assert_array_equal(by_bits[0, 0, 1], 16 - by_bits[0, 0, 0])
    np.testing.assert_array_equal(by_bits[0, 1, 0][..., 2], np.zeros((8, 8)))
    wide = by_bits[1, 0, 0][..., 0]
    assert wide[2, 3] == plain[2:4, 3:5].max() and wide[7, 7] == plain[7, 7]


def test_unknown_domains_are_refused():
    with pytest.raises(UserError, match="pairs/edges"):
        open_source("pairs/nothing", "train")
    with pytest.raises(UserError, match="holds no pictures"):
        open_source("pairs/edges/toy2d/two_moons", "train")


def write(path, level):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (level, level, level)).save(path)


def test_a_users_folders_pair_by_name(tmp_path):
    for index in range(40):
        write(tmp_path / "A" / f"{index}.png", index)
        write(tmp_path / "B" / f"{index}.bmp", 100 + index)
    seen = 0
    for split in ("train", "test"):
        examples = everything(open_source("folder_pairs/4", split, str(tmp_path)))
        np.testing.assert_array_equal(examples["x"][:, 0, 0, 0] - examples["y"][:, 0, 0, 0], 100)
        seen += len(examples["x"])
    assert seen == 40
    (tmp_path / "B" / "7.bmp").unlink()
    with pytest.raises(UserError, match="has no counterpart '7'"):
        open_source("folder_pairs/4", "train", str(tmp_path))
    unpaired = open_source("folder_domains/4", "train", str(tmp_path)).fetch(np.arange(32))
    assert (unpaired["x"] >= 100).all() and (unpaired["y"] < 100).all()


def test_a_missing_domain_is_named(tmp_path):
    write(tmp_path / "A" / "1.png", 1)
    with pytest.raises(UserError, match="no folder B/"):
        open_source("folder_domains", "train", str(tmp_path))
