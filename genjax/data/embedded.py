"""Image sets that a fresh machine has: digits, and patches of photographs.

digits: the 1,797 real 8x8 digits inside scikit-learn (Alpaydin and Kaynak, 1998), 17 levels, 0..16. 80 % train
and 20 % test (1,437 and 360), stratified by class, with the fixed seed 0, so that figures can be compared.

photos: patches of the colour photographs that lie inside the wheels of scikit-learn and scikit-image. Each
photograph is cut into blocks of (at least) 64x64 pixels; every fifth block, along a diagonal pattern, is test. Patches
tile the blocks without overlap, so that no pixel is in both splits. The label says which photograph.
"""

import functools
import pathlib

import numpy as np

from genjax.data.source import Source, SourceInfo, from_arrays
from genjax.errors import UserError

# Files inside the wheels, read from there; those functions of scikit-image that would download are not called.
# motorcycle_right is left out: it shows what motorcycle_left shows, and would put test pixels into train.
PHOTOS = (
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
    ("skimage", "data/astronaut.png"),
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/coffee.png"),
    ("skimage", "data/rocket.jpg"),
    ("skimage", "data/motorcycle_left.png"),
    ("skimage", "data/hubble_deep_field.jpg"),
)
BLOCK = 64


def open_digits(split: str) -> Source:
    """Open scikit-learn's digits, uint8 [8, 8, 1] in 0..16 with labels 0..9; split 'train' or 'test'."""
    x, label = _digits()[split]
    names = tuple(str(digit) for digit in range(10))
    info = SourceInfo("digits", split, x.shape[1:], x.dtype, levels=17, num_classes=10, label_names=names)
    return from_arrays(info, {"x": x, "label": label})


@functools.cache
def _digits() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, label = load_digits(return_X_y=True)
    x = x.reshape(-1, 8, 8, 1).astype(np.uint8)
    train, test = train_test_split(np.arange(len(x)), test_size=0.2, random_state=0, stratify=label)
    return {name: (x[rows], label[rows].astype(np.int32)) for name, rows in (("train", train), ("test", test))}


def open_photos(size: int, split: str) -> Source:
    """Open the photographs as uint8 patches [size, size, 3]; split 'train' or 'test'."""
    patches, labels = [], []
    for index, (package, file) in enumerate(PHOTOS):
        found = cut_patches(_read_photo(package, file), size, test=split == "test")
        patches.append(found)
        labels.append(np.full(len(found), index, np.int32))
    x = np.concatenate(patches)
    if not len(x):
        raise UserError(f"'photos/{size}' has no {split} patches: the photographs are smaller; take a smaller size.")
    names = tuple(pathlib.PurePath(file).stem for _, file in PHOTOS)
    info = SourceInfo(f"photos/{size}", split, x.shape[1:], x.dtype, 256, len(PHOTOS), names)
    return from_arrays(info, {"x": x, "label": np.concatenate(labels)})


def cut_patches(image: np.ndarray, size: int, *, test: bool) -> np.ndarray:
    """Tile the train or the test blocks of an image [H, W, C] by patches.

    Returns:
        [N, size, size, C]; rows and columns beyond the last whole block are left out.
    """
    side = size * max(1, BLOCK // size)
    rows, columns = image.shape[0] // side, image.shape[1] // side
    blocks = image[: rows * side, : columns * side].reshape(rows, side, columns, side, image.shape[2]).swapaxes(1, 2)
    # Rows are shifted by two, so that test blocks touch no other test block by an edge and no column is without.
    is_test = (2 * np.arange(rows)[:, None] + np.arange(columns)) % 5 == 4
    chosen = blocks[is_test == test]
    tiles = side // size
    cut = chosen.reshape(-1, tiles, size, tiles, size, image.shape[2]).swapaxes(2, 3)
    return np.ascontiguousarray(cut.reshape(-1, size, size, image.shape[2]))


@functools.cache
def _read_photo(package: str, file: str) -> np.ndarray:
    import importlib.util

    from PIL import Image

    spec = importlib.util.find_spec(package)
    if spec is None:
        raise UserError(f"'photos' needs {package}: install scikit-learn, scikit-image and pillow.")
    path = pathlib.Path(spec.origin).parent / file
    if not path.exists():
        raise UserError(f"'photos' needs {file}, which this version of {package} does not ship: install another one.")
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
