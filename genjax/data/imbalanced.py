"""Digits out of balance: all training examples of the classes 0..4, a few of the classes 5..9.

imbalanced_digits/<kept>: the digits (`genjax.data.embedded`) with the first <kept> training examples, 8 unless another
number is given, of each class from 5 on; the test split is whole, so that recall can be measured class by class.
"""

import numpy as np

from genjax.data import embedded
from genjax.data.source import Source, from_arrays
from genjax.errors import UserError

FIRST_RARE = 5  # classes from this one on are rare


def open_imbalanced_digits(name: str, kept: int, split: str) -> Source:
    """Open the digits out of balance, uint8 [8, 8, 1] with labels 0..9; split 'train' or 'test'."""
    whole = embedded.open_digits(split)
    info = whole.info._replace(name=name)
    arrays = whole.fetch(np.arange(len(whole)))
    if split == "test":
        return from_arrays(info, arrays)
    rows = kept_rows(arrays["label"], kept)
    return from_arrays(info, {key: value[rows] for key, value in arrays.items()})


def kept_rows(label: np.ndarray, kept: int) -> np.ndarray:
    """Return the rows of frequent classes and of the first `kept` examples of each rare one, in order.

    Raises:
        UserError: a class has no more than that.
    """
    if kept >= np.bincount(label)[FIRST_RARE:].min():
        raise UserError(f"'imbalanced_digits/{kept}' would keep whole classes: take a smaller number.")
    place = np.zeros(len(label), int)  # how many of its class come before an example
    for each in np.unique(label):
        place[label == each] = np.arange(np.sum(label == each))
    return np.flatnonzero((label < FIRST_RARE) | (place < kept))
