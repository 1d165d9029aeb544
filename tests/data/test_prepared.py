"""Real prepared sets against the checksums and figures that are published of them."""

import hashlib
import json

import numpy as np
import pytest

from genjax.data import open_source, prepared, text
from genjax.data import source as source_module
from genjax.errors import UserError
from tests.data_dir import TFDS_DIR, needs_tfds

pytestmark = needs_tfds


def everything(name: str, split: str) -> dict[str, np.ndarray]:
    source = open_source(name, split, str(TFDS_DIR))
    return source.fetch(np.arange(len(source)))


def digest(examples: dict[str, np.ndarray]) -> str:
    """Return the SHA-256 of the multiset of (image, label) pairs."""
    pairs = zip(examples["x"], examples["label"])
    return hashlib.sha256(b"".join(sorted(x.tobytes() + bytes([label]) for x, label in pairs))).hexdigest()


def test_mnist_is_mnist():
    # Sums of the pairs rebuilt from the original files, whose md5 were checked: shared/tfds/README.md.
    train, test = everything("mnist", "train"), everything("mnist", "test")
    assert digest(train) == "386a0fff07efe9ae3f934853780556ca1fe630371d4964508a3e3256c2063b0e"
    assert digest(test) == "292a2c8e9008782f6c6c94df46012a17c808c2666413d175e62502bbcf68dd61"
    assert train["label"][:10].tolist() == [4, 1, 0, 7, 8, 1, 2, 7, 1, 6]
    info = open_source("mnist", "test", str(TFDS_DIR)).info
    assert (info.shape, info.dtype, info.levels, info.num_classes) == ((28, 28, 1), np.uint8, 256, 10)


def test_floors_of_mnist():
    # Computed apart from this code: independent Bernoulli pixels fitted to 50,000 and scored under dynamic
    # binarization 205.82 nats (one draw; here its expectation), entropy of the binarization 45.53 nats, independent
    # 256-bin histogram with one pseudo-count 1.690 bits/dim.
    train, test = (everything("mnist", split)["x"].reshape(-1, 784) for split in ("train[:50000]", "test"))
    p, q = test / 255, (train.sum(axis=0) / 255 + 1) / (len(train) + 2)
    assert -(p * np.log(q) + (1 - p) * np.log(1 - q)).sum(axis=1).mean() == pytest.approx(205.82, abs=0.03)
    grey = p[(p > 0) & (p < 1)]
    assert -(grey * np.log(grey) + (1 - grey) * np.log(1 - grey)).sum() / len(p) == pytest.approx(45.53, abs=0.01)
    counts = np.stack([np.bincount(column, minlength=256) for column in train.T]) + 1.0
    log_p = np.log(counts / counts.sum(axis=1, keepdims=True))
    assert -log_p[np.arange(784), test].mean() / np.log(2) == pytest.approx(1.690, abs=0.001)


def test_tiny_shakespeare_is_the_whole_text():
    parts = [open_source("tiny_shakespeare/1", split, str(TFDS_DIR)) for split in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [1_003_854, 55_770, 55_770]
    whole = b"".join(part.fetch(np.arange(len(part)))["x"].astype(np.uint8).tobytes() for part in parts)
    # The SHA-256 that TFDS registers for input.txt.
    assert hashlib.sha256(whole).hexdigest() == "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
    window = open_source("tiny_shakespeare/48", "train", str(TFDS_DIR)).fetch([0])["x"]
    assert window.shape == (1, 48) and window.dtype == np.int32
    assert text.decode(window[0]).startswith("First Citizen:\nBefore we proceed any further, ")
    assert open_source("tiny_shakespeare", "test", str(TFDS_DIR)).info.shape == (256,)


def test_a_set_too_large_for_memory_is_read_as_it_is_asked_for(monkeypatch):
    decoded = open_source("mnist", "test", str(TFDS_DIR))
    monkeypatch.setattr(prepared, "IN_MEMORY_BYTES", 1000)
    streamed = open_source("mnist", "test[100:]", str(TFDS_DIR))
    assert decoded.in_memory and not streamed.in_memory and len(streamed) == 9900
    indices = np.array([[7, 0, 9899], [7, 7, 3]])
    for name, values in streamed.fetch(indices).items():
        np.testing.assert_array_equal(values, decoded.fetch(indices + 100)[name])
    assert source_module.IN_MEMORY_BYTES == 2**30


def test_colour_images_and_fitting_them_to_a_size(monkeypatch):
    monkeypatch.setattr(prepared, "IN_MEMORY_BYTES", 1000)  # a few images, not 50,000 decoded
    source = open_source("cifar10_jpeg", "train", str(TFDS_DIR))
    examples = source.fetch(np.arange(2000))
    assert examples["x"].shape == (2000, 32, 32, 3) and examples["label"][:5].tolist() == [6, 6, 4, 7, 5]
    # Means of the whole split 0.4913, 0.4821, 0.4465; of 2,000 images they differ by about 0.12 / sqrt(2000).
    np.testing.assert_allclose(examples["x"].mean(axis=(0, 1, 2)) / 255, [0.4913, 0.4821, 0.4465], atol=0.012)
    small = open_source("cifar10_jpeg/16", "train", str(TFDS_DIR)).fetch(np.arange(50))["x"]
    means = examples["x"][:50].reshape(50, 16, 2, 16, 2, 3).mean(axis=(2, 4))
    assert small.shape == means.shape and np.abs(small - means).mean() < 6


def test_decoded_pixels_are_kept_whole_or_not_at_all(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = {path: path.stat().st_mtime_ns for path in TFDS_DIR.rglob("*")}
    first = everything("mnist", "test")
    (kept,) = (tmp_path / "genjax").iterdir()
    assert kept.suffix == ".npz"
    decodes = []
    decode = prepared._decode
    monkeypatch.setattr(prepared, "_decode", lambda *arguments: decodes.append(1) or decode(*arguments))
    np.testing.assert_equal(everything("mnist", "test"), first)
    assert not decodes, "the second time nothing is decoded"
    kept.write_bytes(kept.read_bytes()[:100_000])  # a disk that was full
    np.testing.assert_equal(everything("mnist", "test"), first)
    assert len(decodes) == 10_000
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")  # a cache that cannot be written is done without
    np.testing.assert_equal(everything("mnist", "test"), first)
    assert before == {path: path.stat().st_mtime_ns for path in TFDS_DIR.rglob("*")}, "data_dir is only read"


def prepare_copy(tmp_path, **changes):
    """Copy the description of MNIST, changed, without its records."""
    folder = tmp_path / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    for file in ("dataset_info.json", "features.json"):
        described = json.loads((TFDS_DIR / "mnist" / "3.0.1" / file).read_text())
        (folder / file).write_text(json.dumps({**described, **changes} if file.startswith("dataset") else described))
    return str(tmp_path)


def test_missing_records_are_named(tmp_path):
    with pytest.raises(UserError, match="mnist-train.array_record-00000-of-00001' is missing"):
        open_source("mnist", "train", prepare_copy(tmp_path))


def test_another_file_format_names_the_command_that_converts_it(tmp_path):
    with pytest.raises(UserError, match="stored as tfrecord.*tfds convert_format.*--out_file_format=array_record"):
        open_source("mnist", "train", prepare_copy(tmp_path, fileFormat="tfrecord"))


def test_the_newest_version_is_opened(tmp_path):
    prepare_copy(tmp_path)
    for version in ("10.0.0", "9.0.0", "incomplete.3.0.2"):
        folder = tmp_path / "mnist" / version
        folder.mkdir()
        (folder / "dataset_info.json").write_text('{"splits": [{"name": "v' + version[0] + '"}]}')
    assert prepared.find("mnist", str(tmp_path)).splits == ("v1",)


@pytest.mark.parametrize(
    ("name", "message"),
    [("mnist/28/1", "one number, the size"), ("tiny_shakespeare/8/1/2", "a window and a stride")],
)
def test_numbers_that_mean_nothing_are_refused(name, message):
    with pytest.raises(UserError, match=message):
        open_source(name, "test", str(TFDS_DIR))
