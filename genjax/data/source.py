"""What a source of examples is, and how a split of one is named.

A source answers one question: which examples stand at these indices? Order, epochs, batches and
shuffling belong to the loader; scaling, noise and flips to the transforms.

    source = open_source("digits", "train[:1000]")
    source.fetch(np.array([3, 1, 4]))      # {'x': uint8 [3, 8, 8, 1], 'label': int32 [3]}

Splits are written as TFDS writes them: `train`, `train[:1000]`, `train[90%:]`, `test[-500:]`. A percent
boundary is rounded to the nearest example, so that `train[:90%]` and `train[90%:]` share none and lose none.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from genjax.errors import UserError

Examples = dict[str, np.ndarray]

IN_MEMORY_BYTES = 2**30  # decoded images of at most this are held in memory

_SPLIT = re.compile(r"(?P<base>[A-Za-z_]\w*)(\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?")


class SourceInfo(NamedTuple):
    """What a source holds.

    name: the name it was opened by.
    split: the split it was opened by, slice included.
    shape: of one `x`, without the leading axis.
    dtype: of `x` as stored.
    levels: entries of `x` are integers 0..levels-1 (for text, the size of the vocabulary); 0 where real.
    num_classes: labels are integers 0..num_classes-1; 0 where there are none.
    label_names: what the labels mean, where that is known.
    """

    name: str
    split: str
    shape: tuple[int, ...]
    dtype: np.dtype
    levels: int = 0
    num_classes: int = 0
    label_names: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Source:
    """Examples by index.

    info: what they are.
    size: how many there are.
    read: int64 [N] -> dict of arrays with leading axis N; safe to call from several threads.
    start: added to every index before `read` (a slice of a split).
    in_memory: whether `read` is a mere gather, so that reading ahead batch by batch would not pay.
    """

    info: SourceInfo
    size: int
    read: Callable[[np.ndarray], Examples]
    start: int = 0
    in_memory: bool = True

    def __len__(self) -> int:
        return self.size

    def fetch(self, indices: np.ndarray | Sequence[int]) -> Examples:
        """Return the examples at `indices`.

        Args:
            indices: integers of any shape [...], each in 0..len-1.
        Returns:
            Dict of arrays [..., *shape of one example].
        Raises:
            IndexError: where an index is out of range; a slice never shows what lies beside it.
        """
        indices = np.asarray(indices, dtype=np.int64)
        flat = indices.reshape(-1)
        if flat.size and (flat.min() < 0 or flat.max() >= self.size):
            raise IndexError(f"Indices must lie in 0..{self.size - 1}, got {flat.min()}..{flat.max()}.")
        examples = self.read(flat + self.start)
        return {name: value.reshape(indices.shape + value.shape[1:]) for name, value in examples.items()}


def from_arrays(info: SourceInfo, arrays: Mapping[str, np.ndarray]) -> Source:
    """Make a source of arrays that share their leading axis.

    Args:
        info: what they are; `shape` and `dtype` are taken from `arrays['x']`.
        arrays: 'x' and whatever belongs to it, each [N, ...].
    Returns:
        The source of these N examples.
    """
    arrays = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    sizes = {name: len(value) for name, value in arrays.items()}
    if len(set(sizes.values())) != 1:
        raise ValueError(f"Arrays of one source need the same leading axis, got {sizes}.")
    x = arrays["x"]

    def read(indices: np.ndarray) -> Examples:
        return {name: np.take(value, indices, axis=0) for name, value in arrays.items()}

    return Source(info._replace(shape=x.shape[1:], dtype=x.dtype), len(x), read)


def base_split(split: str, available: Sequence[str], name: str) -> str:
    """Return the split that `split` is a slice of.

    Raises:
        UserError: where `split` is not written as a split, or not one of `available`.
    """
    match = _SPLIT.fullmatch(split)
    base = match["base"] if match else None
    if base not in available:
        raise UserError(
            f"{name!r} has no split {split!r}; it has {', '.join(available)}, "
            f"of which slices such as '{available[0]}[:1000]' or '{available[0]}[90%:]' can be taken."
        )
    return base


def slice_bounds(split: str, size: int, name: str) -> tuple[int, int]:
    """Return first and last-but-one index of a split of `size` examples that `base_split` has accepted.

    Raises:
        UserError: where the slice is empty or reaches beyond the split.
    """
    match = _SPLIT.fullmatch(split)
    start = 0 if match["start"] is None else _boundary(match["start"], size)
    stop = size if match["stop"] is None else _boundary(match["stop"], size)
    if not (0 <= start <= size and 0 <= stop <= size):
        raise UserError(f"Split {split!r} reaches beyond {name!r}: {match['base']!r} has {size} examples; shorten it.")
    if start >= stop:
        raise UserError(f"Split {split!r} of {name!r} is empty: {match['base']!r} has {size} examples; widen it.")
    return start, stop


def _boundary(text: str, size: int) -> int:
    """Return the index that `text` names: '100', '-100', '90%' or '-10%'."""
    number = int(text.rstrip("%"))
    if text.endswith("%"):
        number = int(np.sign(number)) * ((2 * abs(number) * size + 100) // 200)  # to the nearest, halves up
    return size + number if text.startswith("-") else number


def take_slice(source: Source, split: str) -> Source:
    """Narrow a source of a whole split to the slice that `split` names."""
    start, stop = slice_bounds(split, len(source), source.info.name)
    info = source.info._replace(split=split)
    return dataclasses.replace(source, info=info, size=stop - start, start=source.start + start)
