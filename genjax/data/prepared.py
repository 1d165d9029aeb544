"""Image and text sets that TFDS has prepared, read without TensorFlow.

A set is opened by its folder, `<data_dir>/<name>[/<config>]/<newest version>`: opened by name, TFDS answers a wrong
folder by trying to download, and its error is then about something else.

Image sets of at most 1 GiB are decoded once, and the pixels kept in a file of the user's cache folder
($XDG_CACHE_HOME/genjax or ~/.cache/genjax), since decoding goes through Python image by image: 4 s for MNIST, 0.1 s
from the file. The file's name is a hash of everything the pixels depend on, and it appears whole or not at all. Larger
sets are read as they are asked for.
"""

import hashlib
import importlib.metadata
import io
import json
import os
import pathlib
import re
import tempfile
import zipfile
from typing import Any, NamedTuple

import numpy as np

from genjax.data import images, text
from genjax.data.source import IN_MEMORY_BYTES, Examples, Source, SourceInfo, from_arrays
from genjax.errors import UserError

_VERSION = re.compile(r"\d+\.\d+\.\d+")


class Prepared(NamedTuple):
    """A prepared set.

    name: as asked for, numbers included.
    folder: of its newest version.
    numbers: what stood after the name: a size for images; window and stride for text.
    splits: the names of its splits.
    """

    name: str
    folder: pathlib.Path
    numbers: tuple[int, ...]
    splits: tuple[str, ...]


def root(data_dir: str) -> pathlib.Path:
    """Return the folder that prepared sets lie in; for '' the one that TFDS itself uses."""
    own = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return pathlib.Path(data_dir or own).expanduser()


def names(data_dir: str) -> tuple[str, ...]:
    """Return the names of the sets that lie prepared."""
    return tuple(sorted({path.parent.parent.name for path in root(data_dir).glob("*/*/dataset_info.json")}))


def download_command(name: str, data_dir: str) -> str:
    """Return the shell command that prepares a set where this module finds it."""
    base, _ = _split_numbers(name)
    return f"tfds build {base} --data_dir={root(data_dir)} --file_format=array_record"


def find(name: str, data_dir: str) -> Prepared | None:
    """Return the newest version of a prepared set, or None where there is none.

    Raises:
        UserError: where its description cannot be read.
    """
    base, numbers = _split_numbers(name)
    parent = root(data_dir) / base
    versions = [folder for folder in parent.glob("*/") if _VERSION.fullmatch(folder.name)]
    if not versions:
        return None
    newest = max(versions, key=lambda folder: tuple(map(int, folder.name.split("."))))
    try:
        described = json.loads((newest / "dataset_info.json").read_text())
        splits = tuple(split["name"] for split in described["splits"])
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{str(newest)!r} is not a whole TFDS set (dataset_info.json: {error}): remove it and prepare it "
            f"again with `{download_command(name, data_dir)}`."
        ) from error
    return Prepared(name, newest, numbers, splits)


def _split_numbers(name: str) -> tuple[str, tuple[int, ...]]:
    """Split 'lm1b/subwords8k/256/1' into 'lm1b/subwords8k' and (256, 1)."""
    parts = name.split("/")
    while len(parts) > 1 and parts[-1].isdecimal() and int(parts[-1]) > 0:
        parts.pop()
    return "/".join(parts), tuple(int(part) for part in name.split("/")[len(parts) :])


def open_prepared(prepared: Prepared, split: str) -> Source:
    """Open a whole split of a prepared set.

    Raises:
        UserError: where it is not stored as array records, or holds neither images nor text.
    """
    import tensorflow_datasets as tfds

    info = tfds.builder_from_directory(prepared.folder).info
    if info.file_format.value != "array_record":
        raise UserError(
            f"{prepared.name!r} is stored as {info.file_format.value}, which cannot be read by index: convert it "
            f"once, where TensorFlow is installed, with `tfds convert_format --dataset_version_dir={prepared.folder} "
            f"--out_file_format=array_record`."
        )
    missing = [path for path in map(pathlib.Path, info.splits[split].filepaths) if not path.exists()]
    if missing:
        raise UserError(f"{str(missing[0])!r} is missing: remove {str(prepared.folder)!r} and prepare the set again.")
    for kind, opener in ((tfds.features.Image, _open_images), (tfds.features.Text, _open_text)):
        keys = [key for key, feature in info.features.items() if isinstance(feature, kind)]
        if keys:
            return opener(prepared, info, split, keys[0])
    raise UserError(f"{prepared.name!r} has neither images nor text; its features are {', '.join(info.features)}.")


def _open_text(prepared: Prepared, info: Any, split: str, key: str) -> Source:
    """Open the text of a split, its examples joined by line feeds, as windows."""
    del info
    if len(prepared.numbers) > 2:
        raise UserError(f"{prepared.name!r} is text: after its name stand a window and a stride, and no more numbers.")
    window, stride = text.window_and_stride(prepared.numbers)
    data = b"\n".join(_as_bytes(example[key]) for example in _records(prepared, split))
    return text.windows(prepared.name, split, data, window, stride)


def _records(prepared: Prepared, split: str, **options: Any) -> Any:
    import tensorflow_datasets as tfds

    return tfds.builder_from_directory(prepared.folder).as_data_source(split=split, **options)


def _as_bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


def _open_images(prepared: Prepared, info: Any, split: str, key: str) -> Source:
    """Open the images of a split, decoded already where they fit."""
    import tensorflow_datasets as tfds

    feature = info.features[key]
    labels = (feature for key, feature in info.features.items() if key == "label")
    label = next((feature for feature in labels if isinstance(feature, tfds.features.ClassLabel)), None)
    if feature.np_dtype != np.uint8:
        raise UserError(f"The images of {prepared.name!r} are {np.dtype(feature.np_dtype)}; only uint8 ones are read.")
    size, shape = _image_shape(prepared, feature)
    described = SourceInfo(
        prepared.name,
        split,
        shape,
        np.dtype(np.uint8),
        levels=256,
        num_classes=label.num_classes if label else 0,
        label_names=tuple(label.names) if label else (),
    )
    # Undecoded: pillow then decodes them whatever else is installed, and may shrink a JPEG while it does.
    records = _records(prepared, split, decoders={key: tfds.decode.SkipDecoding()})

    def read(indices: np.ndarray) -> Examples:
        examples = records.__getitems__(indices.tolist())
        x = np.stack([_decode(example[key], size, shape[2]) for example in examples])
        return {"x": x, "label": np.array([e["label"] for e in examples], np.int32)} if label else {"x": x}

    if len(records) * int(np.prod(shape)) > IN_MEMORY_BYTES:
        return Source(described, len(records), read, in_memory=False)
    return from_arrays(described, _decode_once(prepared, info, split, len(records), read))


def _image_shape(prepared: Prepared, feature: Any) -> tuple[int | None, tuple[int, int, int]]:
    """Return the side that images are fitted to (None: as they are) and their shape."""
    if len(prepared.numbers) > 1:
        raise UserError(f"{prepared.name!r} is a set of images: after its name stands one number, the size.")
    height, width, channels = feature.shape
    if prepared.numbers:
        (size,) = prepared.numbers
        return size, (size, size, channels or 3)
    if None in feature.shape:
        raise UserError(f"Images of {prepared.name!r} differ in size: name it '{prepared.name}/<size>' to fit them.")
    return None, (height, width, channels)


def _decode(encoded: bytes, size: int | None, channels: int) -> np.ndarray:
    from PIL import Image

    return images.to_array(Image.open(io.BytesIO(encoded)), size, channels)


def _decode_once(prepared: Prepared, info: Any, split: str, num: int, read: Any) -> dict[str, np.ndarray]:
    """Return all examples of a split, from the cache file where there is one."""
    path = _cache_folder() / f"{_fingerprint(prepared, info, split)}.npz"
    try:
        with np.load(path) as stored:
            return dict(stored)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):  # not there, not readable, not whole: decode
        pass
    parts = [read(np.arange(start, min(start + 1000, num))) for start in range(0, num, 1000)]
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    _write_atomically(path, arrays)
    return arrays


def _cache_folder() -> pathlib.Path:
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "genjax"


def _fingerprint(prepared: Prepared, info: Any, split: str) -> str:
    """Return a hash of all that the decoded pixels depend on: the records' bytes, the decoder, the size."""
    decoders = [f"{package} {importlib.metadata.version(package)}" for package in ("pillow", "tensorflow-datasets")]
    digest = hashlib.sha256(repr((1, split, prepared.numbers, decoders)).encode())
    described = [prepared.folder / "features.json", *sorted(prepared.folder.glob("*.labels.txt"))]
    for path in (*described, *map(pathlib.Path, info.splits[split].filepaths)):
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:32]


def _write_atomically(path: pathlib.Path, arrays: dict[str, np.ndarray]) -> None:
    """Write the cache file under another name and then rename it; a cache that cannot be written is done without."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            np.savez(file, **arrays)
        os.replace(file.name, path)
    except OSError:
        pass
