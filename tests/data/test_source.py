"""Slices against Python's own, and what is refused."""

import itertools
import subprocess
import sys

import numpy as np
import pytest

from genjax.data import available_splits, from_arrays, open_source
from genjax.data.source import SourceInfo, slice_bounds, take_slice
from genjax.errors import UserError

INFO = SourceInfo("numbers", "train", (), np.dtype(np.int64))


def values(split: str, size: int = 200) -> list[int]:
    source = take_slice(from_arrays(INFO, {"x": np.arange(size)}), split)
    return source.fetch(np.arange(len(source)))["x"].tolist()


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train", range(200)),
        ("train[:]", range(200)),
        ("train[:50]", range(50)),
        ("train[50:]", range(50, 200)),
        ("train[50:70]", range(50, 70)),
        ("train[-30:]", range(170, 200)),
        ("train[:-30]", range(170)),
        ("train[:25%]", range(50)),
        ("train[90%:]", range(180, 200)),
        ("train[-10%:]", range(180, 200)),
        ("train[10%:20%]", range(20, 40)),
        ("train[100:75%]", range(100, 150)),
    ],
)
def test_slices_are_those_of_tfds(split, expected):
    assert values(split) == list(expected)


@pytest.mark.parametrize("size", (7, 10, 1437))
def test_complementary_percents_share_nothing_and_lose_nothing(size):
    for percent in range(1, 100):
        halves = []
        for split in (f"train[:{percent}%]", f"train[{percent}%:]"):
            try:
                halves.append(slice_bounds(split, size, "numbers"))
            except UserError:  # an empty half of a tiny set
                continue
        covered = list(itertools.chain.from_iterable(range(*bounds) for bounds in halves))
        assert covered == list(range(size))


def test_a_slice_of_a_slice_of_indices_and_any_shape_of_indices():
    source = take_slice(from_arrays(INFO, {"x": np.arange(200)}), "train[100:150]")
    indices = np.array([[0, 49], [3, 3]])
    np.testing.assert_array_equal(source.fetch(indices)["x"], indices + 100)
    assert source.fetch([])["x"].shape == (0,)
    for outside in (-1, 50):  # neighbours of the slice are never shown
        with pytest.raises(IndexError, match=r"0\.\.49"):
            source.fetch([outside])


def test_arrays_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="leading axis"):
        from_arrays(INFO, {"x": np.arange(3), "label": np.arange(4)})


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("digits", "valid", r"no split 'valid'; it has train, test"),
        ("digits", "train[", r"no split 'train\['"),
        ("digits", "train[1:2:3]", "no split"),
        ("digits", "train[5:5]", "empty"),
        ("digits", "train[9:5]", "empty"),
        ("digits", "train[:1438]", "reaches beyond.*1437 examples"),
        ("digits", "test[-361:]", "reaches beyond.*360 examples"),
        ("digit", "train", r"did you mean 'digits'\?.*tfds build digit "),
        ("digits/8", "train", "There is no data set"),
        ("toy2d/two_moon", "train", r"did you mean 'toy2d/two_moons'\?"),
        ("toy2d", "train", "there are toy2d/eight_gaussians"),
        ("photos/big", "train", "whole numbers, as in 'photos/32'"),
        ("photos/0", "train", "whole numbers"),
        ("photos/1024", "test", "smaller size"),
        ("pydocs/64/1/2", "train", "whole numbers"),
        ("pydocs/9999999", "train", "bytes"),
        ("folder", "train", "no folder"),
    ],
)
def test_what_cannot_be_opened_is_told_in_a_sentence(name, split, message):
    with pytest.raises(UserError, match=message) as caught:
        open_source(name, split)
    assert "\n" not in str(caught.value)


def test_a_tfds_set_that_is_not_there_names_the_command_that_prepares_it(tmp_path):
    with pytest.raises(UserError, match=rf"tfds build mnist --data_dir={tmp_path} --file_format=array_record"):
        open_source("mnist", "train", str(tmp_path))
    broken = tmp_path / "mnist" / "3.0.1"
    broken.mkdir(parents=True)
    (broken / "dataset_info.json").write_text('{"splits": ')
    with pytest.raises(UserError, match="not a whole TFDS set.*tfds build mnist"):
        open_source("mnist", "train", str(tmp_path))
    with pytest.raises(UserError, match=r"did you mean 'mnist'\?"):
        open_source("mnits", "train", str(tmp_path))


def test_available_splits():
    assert available_splits("digits") == ("train", "test")


def test_importing_the_package_imports_no_heavy_library():
    heavy = "('tensorflow', 'tensorflow_datasets', 'matplotlib', 'torch', 'sklearn', 'skimage', 'grain', 'PIL')"
    code = f"import sys, genjax.data; print([name for name in {heavy} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
