"""Folders of images written here, read back."""

import numpy as np
import pytest
from PIL import Image

from genjax.data import Loader, available_splits, one_pass, open_source
from genjax.errors import UserError


def write(path, colour, *, size=(6, 4), mode="RGB"):
    """Write an image of one colour; `size` is (width, height), as pillow has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


def everything(source):
    return source.fetch(np.arange(len(source)))


def test_sub_folders_are_labels_and_pixels_come_back(tmp_path):
    for index in range(20):
        write(tmp_path / "dog" / f"{index}.png", (index, 1, 2))
        write(tmp_path / "cat" / f"{index}.png", (index, 3, 4))
    write(tmp_path / ".hidden" / "0.png", (0, 0, 0))
    (tmp_path / "dog" / "notes.txt").write_text("no image")
    train, test = (open_source("folder", split, str(tmp_path)) for split in ("train", "test"))
    assert train.info.label_names == ("cat", "dog") and train.info.num_classes == 2
    assert train.info.shape == (4, 6, 3) and train.info.levels == 256
    seen = set()
    for source in (train, test):
        examples = everything(source)
        colours = examples["x"].reshape(len(source), -1, 3)
        assert (colours == colours[:, :1]).all() and examples["x"].dtype == np.uint8
        np.testing.assert_array_equal(examples["label"], colours[:, 0, 1] == 1)
        seen |= {tuple(colour) for colour in colours[:, 0].tolist()}
    assert len(train) + len(test) == 40 and len(seen) == 40


def test_the_split_is_about_90_10_and_an_image_keeps_its_side(tmp_path):
    for index in range(300):
        write(tmp_path / f"{index:03}.png", index % 256, size=(1, 1), mode="L")
    before = everything(open_source("folder", "test", str(tmp_path)))["x"].ravel()
    assert 12 <= len(before) <= 50  # binomial(300, 0.1), 3.5 standard deviations
    assert open_source("folder", "train", str(tmp_path)).info.num_classes == 0
    assert "label" not in everything(open_source("folder", "train", str(tmp_path)))
    for index in range(300, 400):
        write(tmp_path / f"{index:03}.png", index % 256, size=(1, 1), mode="L")
    after = everything(open_source("folder", "test", str(tmp_path)))["x"].ravel()
    np.testing.assert_array_equal(after[: len(before)], before)


def test_folders_named_train_and_test_are_the_splits(tmp_path):
    write(tmp_path / "train" / "a" / "0.png", (1, 0, 0))
    write(tmp_path / "train" / "b" / "0.png", (2, 0, 0))
    write(tmp_path / "test" / "b" / "0.png", (3, 0, 0))
    assert available_splits("folder", str(tmp_path)) == ("train", "test")
    test = open_source("folder", "test", str(tmp_path))
    assert test.info.num_classes == 2 and everything(test)["label"].tolist() == [1]  # labels mean the same in both
    assert everything(open_source("folder", "train", str(tmp_path)))["x"][:, 0, 0, 0].tolist() == [1, 2]


@pytest.mark.parametrize("suffix", ("png", "jpg"))
def test_images_of_any_size_are_fitted_by_their_centre(tmp_path, suffix):
    for index, (width, height) in enumerate([(64, 32), (32, 64), (32, 32), (320, 160)]):
        pixels = np.full((height, width, 3), 250, np.uint8)
        side = min(width, height)
        top, left = (height - side) // 2, (width - side) // 2
        pixels[top : top + side, left : left + side] = 20  # a dark square in the middle, bright outside
        Image.fromarray(pixels).save(tmp_path / f"{index}.{suffix}", **({"quality": 100} if suffix == "jpg" else {}))
    (tmp_path / "train").mkdir()
    for index in range(4):
        (tmp_path / f"{index}.{suffix}").rename(tmp_path / "train" / f"{index}.{suffix}")
    x = everything(open_source("folder/16", "train", str(tmp_path)))["x"]
    assert x.shape == (4, 16, 16, 3)
    assert np.abs(x[:, 1:-1, 1:-1].astype(int) - 20).max() <= 3


def test_grey_images_have_one_channel(tmp_path):
    write(tmp_path / "train" / "0.png", 77, mode="L")
    write(tmp_path / "train" / "1.png", (10, 10, 10))
    source = open_source("folder", "train", str(tmp_path))
    assert source.info.shape == (4, 6, 1) and everything(source)["x"][:, 0, 0, 0].tolist() == [77, 10]


def test_reading_through_the_loader_equals_reading_directly(tmp_path):
    for index in range(30):
        write(tmp_path / "train" / f"{index:02}.png", index, size=(2, 2), mode="L")
    source = open_source("folder", "train", str(tmp_path))
    loader = Loader(source, batch_size=5, seed=0, workers=3)
    for _ in range(2):  # the second epoch is read from what was kept
        assert sorted(loader.next(6, 1)["x"][..., 0, 0, 0].ravel().tolist()) == list(range(30))
    passed = np.concatenate([batch["x"] for batch in one_pass(source, 7)])
    np.testing.assert_array_equal(passed[:, 0, 0, 0], np.arange(30))


def test_a_broken_image_is_named_also_from_the_loaders_threads(tmp_path):
    for index in range(4):
        write(tmp_path / "train" / f"{index}.png", (index, 0, 0), size=(40, 40))
    whole = (tmp_path / "train" / "2.png").read_bytes()
    (tmp_path / "train" / "2.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"2\.png' is not an image that pillow can read.*mend or remove"):
        Loader(open_source("folder", "train", str(tmp_path)), batch_size=4, seed=0).next(1, 1)
    (tmp_path / "train" / "0.png").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match=r"0\.png' is not an image"):
        open_source("folder", "train", str(tmp_path))


def test_images_of_unequal_size_ask_for_a_size(tmp_path):
    write(tmp_path / "train" / "0.png", (0, 0, 0))
    write(tmp_path / "train" / "1.png", (0, 0, 0), size=(5, 5))
    with pytest.raises(UserError, match=r"1\.png' is 5x5 where the first.*4x6.*'folder/<size>'"):
        everything(open_source("folder", "train", str(tmp_path)))


def test_a_folder_without_images_is_told(tmp_path):
    with pytest.raises(UserError, match="no images under"):
        open_source("folder", "train", str(tmp_path))
    write(tmp_path / "0.png", (0, 0, 0))
    held = available_splits("folder", str(tmp_path))
    with pytest.raises(UserError, match=f"it has {held[0]}"):
        open_source("folder", "valid", str(tmp_path))
