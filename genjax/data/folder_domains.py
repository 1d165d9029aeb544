"""A user's own pictures of two domains: what is given in A/, what is to be made of it in B/.

    data_dir/A/1.png, data_dir/B/1.jpg          'y' is of A, 'x' is of B
    data_dir/train/A/..., data_dir/test/A/...   the splits are given

`folder_pairs[/<size>]` wants a counterpart of the same name, but for its suffix, for every picture; `folder_domains`
wants none, and gives 'y' an index of its own. Where the splits are not given, a picture is test by the hash of its
name inside its domain, as in `genjax.data.folder`, so that counterparts are on the same side.
"""

import pathlib
from typing import NamedTuple

import numpy as np

from genjax.data import folder
from genjax.data.domains import unpaired
from genjax.data.source import Examples, Source, SourceInfo
from genjax.errors import UserError


class Files(NamedTuple):
    """Pictures of the two domains, in the order of their names; the i-th are counterparts where they are paired."""

    given: list[pathlib.Path]
    made: list[pathlib.Path]


def list_splits(data_dir: str, *, paired: bool) -> dict[str, Files]:
    """Return the files of each split.

    Raises:
        UserError: where a folder is missing or without images, or a picture has no counterpart.
    """
    root = pathlib.Path(data_dir).expanduser()
    if not data_dir or not root.is_dir():
        raise UserError(f"There is no folder {data_dir!r}: data.dir is to hold the pictures of two domains in A/ and B/.")
    if (root / "train").is_dir():
        given = [name for name in ("train", "valid", "test") if (root / name).is_dir()]
        return {name: _list_two(root / name, paired) for name in given}
    files = _list_two(root, paired)
    sides = {}
    for split in ("train", "test"):
        chosen = (_of_split(paths, root / domain, split) for paths, domain in zip(files, "AB"))
        sides[split] = Files(*chosen)
    return {split: files for split, files in sides.items() if files.given and files.made}


def open_folder_pairs(name: str, splits: dict[str, Files], size: int | None, split: str) -> Source:
    """Open one split of paired folders, 'x' uint8 [H, W, C] of B beside 'y' of A; see `folder.open_folder`."""
    read_y, read_x, info = _readers(name, splits, size, split)
    read = lambda indices: {"x": read_x(indices), "y": read_y(indices)}
    return Source(info, len(splits[split].made), read, in_memory=False)


def open_folder_domains(name: str, splits: dict[str, Files], size: int | None, split: str) -> Source:
    """Open one split of unpaired folders, 'x' uint8 [H, W, C] of B and 'y' of A at an index of its own."""
    read_y, read_pictures, info = _readers(name, splits, size, split)

    def read_x(indices: np.ndarray) -> Examples:
        return {"x": read_pictures(indices)}

    files = splits[split]
    return unpaired(info, read_x, len(files.made), read_y, len(files.given), in_memory=False)


def _readers(name: str, splits: dict[str, Files], size: int | None, split: str):
    """Return readers of A and B for a split, and what x is."""
    readers, shape = [], ()
    for domain in range(2):
        first = next(iter(splits.values()))[domain][0]
        shape = folder.read_image(first, size, folder.channels_of(first)).shape
        readers.append(folder.image_reader(list(splits[split][domain]), size, shape))
    return *readers, SourceInfo(name, split, shape, np.dtype(np.uint8), 256)


def _list_two(root: pathlib.Path, paired: bool) -> Files:
    for domain in "AB":
        if not (root / domain).is_dir():
            raise UserError(f"There is no folder {domain}/ in {str(root)!r}: put the pictures of two domains in A/ and B/.")
    files = Files(*([file.path for file in folder.list_images(root / domain)] for domain in "AB"))
    if not paired:
        return files
    given, made = (_by_name(paths, root / domain) for paths, domain in zip(files, "AB"))
    for here, there, other in ((given, made, "B"), (made, given, "A")):
        alone = sorted(here.keys() - there.keys())
        if alone:
            raise UserError(
                f"{str(here[alone[0]])!r} has no counterpart {alone[0]!r} in {str(root / other)!r}: add it, or take "
                f"'folder_domains' for pictures without counterparts."
            )
    return Files([given[key] for key in sorted(given)], [made[key] for key in sorted(given)])


def _by_name(paths: list[pathlib.Path], root: pathlib.Path) -> dict[str, pathlib.Path]:
    """Return the pictures of a domain by their names without suffix."""
    found: dict[str, pathlib.Path] = {}
    for path in paths:
        key = path.relative_to(root).with_suffix("").as_posix()
        if key in found:
            raise UserError(f"{str(path)!r} and {str(found[key])!r} have the same name: rename or remove one of them.")
        found[key] = path
    return found


def _of_split(paths: list[pathlib.Path], root: pathlib.Path, split: str) -> list[pathlib.Path]:
    name = lambda path: path.relative_to(root).with_suffix("").as_posix()
    return [path for path in paths if folder.is_test_name(name(path)) == (split == "test")]
