"""A folder of images as a data set.

    data_dir/cat/1.png, data_dir/dog/2.jpg      sub-folders are labels, in the order of their names
    data_dir/1.png, data_dir/2.jpg              no labels
    data_dir/train/..., data_dir/test/...       the splits are given; inside each, one of the above

Where the splits are not given, an image is test where the SHA-256 of its path below data_dir is 0 modulo 10: about
90/10, the same on every machine, and unmoved when images are added. Images are read as they are asked for, in the
loader's threads, since pillow decodes outside Python's lock; where all of them fit into 1 GiB they are kept, and
decoded once.
"""

import hashlib
import math
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from genjax.data import images
from genjax.data.source import IN_MEMORY_BYTES, Examples, Source, SourceInfo
from genjax.errors import UserError


class ImageFile(NamedTuple):
    """An image and the sub-folder it lies in ('' where in none)."""

    path: pathlib.Path
    label: str


def list_splits(data_dir: str) -> dict[str, list[ImageFile]]:
    """Return the image files of each split that a folder has, in the order of their paths.

    Raises:
        UserError: where there is no such folder, or no image in it.
    """
    root = pathlib.Path(data_dir).expanduser()
    if not data_dir or not root.is_dir():
        raise UserError(f"There is no folder {data_dir!r} of images: data.name='folder' reads those under data.dir.")
    if (root / "train").is_dir():
        given = [name for name in ("train", "valid", "test") if (root / name).is_dir()]
        return {name: list_images(root / name) for name in given}
    files = list_images(root)
    split = {"train": [file for file in files if not _is_test(file, root)]}
    split["test"] = [file for file in files if _is_test(file, root)]
    return {name: files for name, files in split.items() if files}


def _is_test(file: ImageFile, root: pathlib.Path) -> bool:
    return is_test_name(file.path.relative_to(root).as_posix())


def is_test_name(name: str) -> bool:
    """Return whether a picture of this name is test, where the splits are not given."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % 10 == 0


def list_images(root: pathlib.Path) -> list[ImageFile]:
    """Return the images below a folder; hidden files and folders are passed over."""
    from PIL import Image

    Image.init()
    found = []
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        hidden = any(part.startswith(".") for part in parts)
        if path.suffix.lower() in Image.EXTENSION and not hidden and path.is_file():
            found.append(ImageFile(path, parts[0] if len(parts) > 1 else ""))
    if not found:
        raise UserError(f"There are no images under {str(root)!r}: put files that pillow reads (png, jpg, ...) there.")
    return found


def open_folder(name: str, splits: dict[str, list[ImageFile]], size: int | None, split: str) -> Source:
    """Open one split of a folder that `list_splits` has listed.

    Args:
        size: side of the square that every image is fitted to; None: all must have the size of the first.
    Returns:
        A source with 'x' uint8 [H, W, C], and 'label' int32 where there are sub-folders. C is 1 where the first image
        of the folder is grey, else 3.
    Raises:
        UserError: where the first image, or later any other, cannot be read or has another size.
    """
    every = [file for files in splits.values() for file in files]
    labels = tuple(sorted({file.label for file in every}))
    channels = channels_of(every[0].path)
    shape = read_image(every[0].path, size, channels).shape
    read_x = image_reader([file.path for file in splits[split]], size, shape)
    label = np.array([labels.index(file.label) for file in splits[split]], np.int32)

    def read(indices: np.ndarray) -> Examples:
        x = read_x(indices)
        return {"x": x} if labels == ("",) else {"x": x, "label": label[indices]}

    num_classes = 0 if labels == ("",) else len(labels)
    info = SourceInfo(name, split, shape, np.dtype(np.uint8), 256, num_classes, labels if num_classes else ())
    return Source(info, len(label), read, in_memory=False)


def image_reader(
    paths: list[pathlib.Path], size: int | None, shape: tuple[int, ...]
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function indices [N] -> uint8 [N, *shape] that keeps what it has decoded, where all of it fits."""
    kept: dict[int, np.ndarray] = {}  # two threads may decode the same image; both get the same pixels
    fits = len(paths) * math.prod(shape) <= IN_MEMORY_BYTES

    def read_one(index: int) -> np.ndarray:
        x = kept.get(index)
        if x is None:
            x = read_image(paths[index], size, shape[2], shape)
            if fits:
                kept[index] = x
        return x

    return lambda indices: np.stack([read_one(index) for index in indices.tolist()])


def channels_of(path: pathlib.Path) -> int:
    """Return 1 for a grey image, 3 for any other."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return 1 if image.mode in ("1", "L", "LA", "I", "I;16", "F") else 3
    except OSError as error:
        raise UserError(f"{str(path)!r} is not an image that pillow can read ({error}): mend or remove it.") from error


def read_image(path: pathlib.Path, size: int | None, channels: int, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Return one image, uint8 [H, W, C], of the wanted shape."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            x = images.to_array(image, size, channels)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # all that pillow raises here
        raise UserError(f"{str(path)!r} is not an image that pillow can read ({error}): mend or remove it.") from error
    if shape is not None and x.shape != shape:
        raise UserError(
            f"{str(path)!r} is {x.shape[0]}x{x.shape[1]} where the first image of the folder is "
            f"{shape[0]}x{shape[1]}: name the set 'folder/<size>' to have all fitted to one size."
        )
    return x
