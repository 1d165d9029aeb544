"""Open a data set by its name: one door for embedded sets, TFDS sets and folders of images.

| name | x | levels | from |
|---|---|---|---|
| `digits` | uint8 [8, 8, 1] | 17 | scikit-learn |
| `imbalanced_digits[/<kept>]` | uint8 [8, 8, 1] | 17 | those, with few examples of the classes 5..9 |
| `captioned_digits[/<side>]` | uint8 [side, side, 3], side 16 or 24, with 'text' int32 [10] | 256 | those, on a canvas |
| `toy2d/<set>` | float32 [2] | real | generated; `genjax.data.toy2d` has the densities |
| `sines/<T>` | float32 [T, 1] | real | generated: `genjax.data.series` |
| `melodies` | float32 [8, 8], with 'previous' | one-hot | likewise |
| `seismograms[/<num>]` | float32 [64, 3], with 'arrivals' | real | generated: `genjax.data.seismograms` |
| `anomalies[/<T>]` | float32 [T, 2], with 'anomaly' | real | generated: `genjax.data.anomalies` |
| `vessels[/<num>]` | uint8 [24, 24, 1], with the mask 'y' | 256 | generated: `genjax.data.vessels` |
| `driving` | uint8 [16, 16, 1], with the frames before, 'y' | 256 | generated: `genjax.data.driving` |
| `settlements` | uint8 [16, 16, 1], with 'y' and 'roads' | 256 | generated: `genjax.data.settlements` |
| `iris`, `wine` | float32 [4], [13], with 'index' | real | scikit-learn |
| `photos/<size>` | uint8 [size, size, 3] | 256 | photographs inside scikit-learn and scikit-image |
| `pydocs/<T>[/<stride>]` | int32 [T] | 256 | the text inside CPython's `pydoc_data.topics`, as bytes |
| `folder[/<size>]` | uint8 [H, W, C] | 256 | the images under `data_dir` |
| `pairs/<map>[/<set>]`, `domains/<map>[/<set>]`, `looks/<looks>[/<set>]` | as in `<set>`, or 3 channels | as in `<set>` |\
 `digits` or another set, and a map of each picture: `genjax.data.domains` |
| `stacked/<set>` | uint8 [H, W, 3] | as in `<set>` | three pictures of `digits` or another set: `genjax.data.stacked` |
| `folder_pairs[/<size>]`, `folder_domains[/<size>]` | uint8 [H, W, C] | 256 | the images under `data_dir`/A and /B:\
 `genjax.data.folder_domains` |
| any TFDS image set, `mnist`, `cifar10`, ...`[/<size>]` | uint8 [H, W, C] | 256 | prepared under `data_dir` |
| any TFDS text set, `tiny_shakespeare/<T>[/<stride>]` | int32 [T] | 256 | prepared under `data_dir` |

Nothing here is downloaded, and TensorFlow is never imported.
"""

import difflib
import functools
from collections.abc import Callable
from typing import NamedTuple

from genjax.data.source import Source, base_split, take_slice
from genjax.errors import UserError


class Opener(NamedTuple):
    """How a kind of source is opened.

    splits: the base splits there are.
    open: base split -> the whole of it.
    """

    splits: tuple[str, ...]
    open: Callable[[str], Source]


def open_source(name: str, split: str, data_dir: str = "") -> Source:
    """Open a split of a data set.

    Args:
        name: see the table of this module.
        split: 'train', 'test[:1000]', 'train[90%:]', ...
        data_dir: where TFDS sets lie prepared, or the folder of images; '' where the set needs none
            (for TFDS: the folder that TFDS itself uses).
    Returns:
        The source; image sets that fit are already decoded, larger ones are read as they are asked for.
    Raises:
        UserError: for an unknown name, a split there is not, or files that are not there.
    """
    opener = _find_opener(name, data_dir)
    base = base_split(split, opener.splits, name)
    return take_slice(opener.open(base), split)


def available_splits(name: str, data_dir: str = "") -> tuple[str, ...]:
    """Return the base splits that a data set has."""
    return _find_opener(name, data_dir).splits


def embedded_names() -> tuple[str, ...]:
    """Return the names of the sets that need no files; photos and pydocs stand for their default size."""
    from genjax.data import toy2d

    plain = ("digits", "imbalanced_digits", "captioned_digits", "photos", "pydocs", "sines", "melodies", "settlements")
    plain += ("seismograms", "anomalies", "vessels", "driving", "iris", "wine")
    return (*plain, *(f"toy2d/{name}" for name in toy2d.SETS))


def _find_opener(name: str, data_dir: str) -> Opener:
    """Return how `name` is opened; each kind imports what it needs, and only then."""
    head, _, rest = name.partition("/")
    if head == "digits" and not rest:
        from genjax.data import embedded

        return Opener(("train", "test"), embedded.open_digits)
    if head == "imbalanced_digits":
        from genjax.data import imbalanced

        kept = (*_whole_numbers(name, rest, "imbalanced_digits/8", at_most=1), 8)[0]
        return Opener(("train", "test"), functools.partial(imbalanced.open_imbalanced_digits, name, kept))
    if head == "captioned_digits":
        from genjax.data import captioned_digits

        side = (*_whole_numbers(name, rest, "captioned_digits/16", at_most=1), 16)[0]
        captioned_digits.places(side)  # refuses a side there is not
        return Opener(("train", "test"), functools.partial(captioned_digits.open_captioned_digits, name, side))
    if head == "toy2d":
        from genjax.data import toy2d

        if rest not in toy2d.SETS:
            known = ", ".join(f"toy2d/{known}" for known in toy2d.SETS)
            raise UserError(f"There is no 2-D set {name!r}{_closest(name)}; there are {known}.")
        return Opener(("train", "test"), functools.partial(toy2d.open_toy2d, rest))
    if head == "photos":
        from genjax.data import embedded

        size = _whole_numbers(name, rest, "photos/32", at_most=1)
        return Opener(("train", "test"), functools.partial(embedded.open_photos, *(size or (8,))))
    if head == "pydocs":
        from genjax.data import text

        window, stride = text.window_and_stride(_whole_numbers(name, rest, "pydocs/256", at_most=2))
        return Opener(("train", "test"), functools.partial(text.open_pydocs, name, window, stride))
    if head in ("pairs", "domains", "looks"):
        return _find_domains(name, data_dir)
    if head == "stacked":
        return _find_stacked(name, rest, data_dir)
    if head in ("folder_pairs", "folder_domains"):
        return _find_two_folders(name, data_dir)
    if head == "sines":
        from genjax.data import series

        length = (*_whole_numbers(name, rest, "sines/30", at_most=1), 30)[0]
        return Opener(("train", "test"), functools.partial(series.open_sines, name, length))
    if head == "melodies" and not rest:
        from genjax.data import series

        return Opener(("train", "test"), series.open_melodies)
    if head == "seismograms":
        from genjax.data import seismograms

        num = (*_whole_numbers(name, rest, "seismograms/400", at_most=1), 400)[0]
        return Opener(("train", "test"), functools.partial(seismograms.open_seismograms, name, num))
    if head == "anomalies":
        from genjax.data import anomalies

        length = (*_whole_numbers(name, rest, "anomalies/32", at_most=1), 32)[0]
        return Opener(("train", "test"), functools.partial(anomalies.open_anomalies, name, length))
    if head == "vessels":
        from genjax.data import vessels

        num = (*_whole_numbers(name, rest, "vessels/40", at_most=1), 40)[0]
        return Opener(("train", "test"), functools.partial(vessels.open_vessels, name, num))
    if head == "driving" and not rest:
        from genjax.data import driving

        return Opener(("train", "test"), driving.open_driving)
    if head == "settlements" and not rest:
        from genjax.data import settlements

        return Opener(("train", "test"), settlements.open_settlements)
    if head in ("iris", "wine") and not rest:
        from genjax.data import tabular

        return Opener(("train", "test"), functools.partial(tabular.open_table, head))
    if head == "folder":
        from genjax.data import folder

        size = _whole_numbers(name, rest, "folder/64", at_most=1)
        files = folder.list_splits(data_dir)
        return Opener(tuple(files), functools.partial(folder.open_folder, name, files, size[0] if size else None))
    return _find_prepared(name, data_dir)


def _find_domains(name: str, data_dir: str) -> Opener:
    """Return how domains that are made of a set of pictures are opened."""
    from genjax.data import domains

    head, _, rest = name.partition("/")
    kind, _, base_name = rest.partition("/")
    base_name = base_name or "digits"
    known = domains.LOOKS if head == "looks" else domains.MAPS
    if kind not in known:
        raise UserError(f"There are no domains {name!r}; there are {', '.join(f'{head}/{kind}' for kind in known)}.")
    base = _find_opener(base_name, data_dir)

    def opened(split: str) -> Source:
        source = base.open(split)
        if len(source.info.shape) != 3 or not source.info.levels:
            raise UserError(f"{name!r} is to be made of {base_name!r}, which holds no pictures: name a set of pictures.")
        if head == "looks":
            return domains.open_looks(name, kind, source, split)
        opener = domains.open_pairs if head == "pairs" else domains.open_domains
        return opener(name, domains.MAPS[kind], source, split)

    return Opener(base.splits, opened)


def _find_stacked(name: str, base_name: str, data_dir: str) -> Opener:
    """Return how stacks of three pictures of a set are opened."""
    from genjax.data import stacked

    base = _find_opener(base_name or "digits", data_dir)

    def opened(split: str) -> Source:
        source = base.open(split)
        if source.info.shape[2:] != (1,) or not source.info.num_classes:
            raise UserError(f"{name!r} is to be made of grey pictures with labels: name a set such as 'stacked/digits'.")
        return stacked.open_stacked(name, source, split)

    return Opener(base.splits, opened)


def _find_two_folders(name: str, data_dir: str) -> Opener:
    """Return how a user's pictures of two domains are opened."""
    from genjax.data import folder_domains

    head, _, rest = name.partition("/")
    paired = head == "folder_pairs"
    size = _whole_numbers(name, rest, f"{head}/64", at_most=1)
    files = folder_domains.list_splits(data_dir, paired=paired)
    opener = folder_domains.open_folder_pairs if paired else folder_domains.open_folder_domains
    return Opener(tuple(files), functools.partial(opener, name, files, size[0] if size else None))


def _find_prepared(name: str, data_dir: str) -> Opener:
    """Return how a set that TFDS has prepared is opened."""
    from genjax.data import prepared

    found = prepared.find(name, data_dir)
    if found is None:
        raise UserError(
            f"There is no data set {name!r}{_closest(name, *prepared.names(data_dir))}; embedded are digits, "
            f"imbalanced_digits/<kept>, captioned_digits/<side>, photos/<size>, pydocs/<T>, sines/<T>, melodies, "
            f"seismograms/<num>, anomalies/<T>, settlements, vessels/<num>, driving, iris, wine and "
            f"toy2d/<set>, 'folder' reads the images under data.dir, and a TFDS set must lie prepared under "
            f"{prepared.root(data_dir)}: prepare it once, where TensorFlow is installed, with "
            f"`{prepared.download_command(name, data_dir)}`."
        )
    return Opener(found.splits, functools.partial(prepared.open_prepared, found))


def _whole_numbers(name: str, rest: str, example: str, *, at_most: int) -> tuple[int, ...]:
    """Return the numbers after a name's first slash."""
    parts = rest.split("/") if rest else []
    if len(parts) > at_most or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UserError(f"{name!r} is not a data set: after the slash stand whole numbers, as in {example!r}.")
    return tuple(int(part) for part in parts)


def _closest(name: str, *more: str) -> str:
    """Return a hint at the name, embedded or one of `more`, that looks most like `name`."""
    matches = difflib.get_close_matches(name, [*embedded_names(), "folder", *more], n=1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""
