"""Captioned digits: one coloured digit in one cell of a black canvas, and a sentence that says which, how and where.

Every one of scikit-learn's digits (see `genjax.data.embedded`) stands once in each colour and in each cell, so that
example i of a split is known from i alone:

    i = (picture * 6 + colour) * places + place

A canvas of 16 x 16 has 2 x 2 places, one of 24 x 24 has 3 x 3, each as large as a digit. The digits behind 'train' and
'test' are those of the splits of `digits`: none stands in both.

    x      uint8 [S, S, 3], the digit's level times 255 / 16 in the channels of its colour
    text   int32 [10], the words of a sentence as numbers into WORDS, 0 behind its end
    label  int32, (digit * 6 + colour) * places + place; `attributes_of` takes it apart

The sentence has one of four forms, drawn once for each example. What text-to-image makes of a sentence is scored by
reading the picture back: `read_back` finds the brightest cell, the colour nearest to its light, and in that cell the
nearest of the training digits.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from genjax.data.source import Examples, Source, SourceInfo
from genjax.errors import UserError

CELL = 8  # side of a digit
SIDES = (16, 24)
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COLOURS = {
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
    "yellow": (1, 1, 0),
    "magenta": (1, 0, 1),
    "cyan": (0, 1, 1),
}
ROWS = {2: ("top", "bottom"), 3: ("top", "middle", "bottom")}
COLUMNS = {2: ("left", "right"), 3: ("left", "centre", "right")}
FORMS = (
    "a {colour} {digit} at the {place}",
    "the {place} holds a {colour} {digit}",
    "there is a {colour} {digit} at the {place}",
    "at the {place} is a {digit} in {colour}",
)
LENGTH = 10  # tokens of a text; the longest sentence has nine words
PAD = 0
WORDS = ("", "a", "the", "at", "is", "in", "there", "holds", *COLOURS, *DIGITS, *ROWS[3], *COLUMNS[3])
_NUMBER = {word: number for number, word in enumerate(WORDS)}
_SEEDS = {"train": 0, "test": 1}


class Attributes(NamedTuple):
    """What a picture shows, integers [N] each.

    digit: 0..9. colour: index into COLOURS. place: cell, row by row.
    """

    digit: np.ndarray
    colour: np.ndarray
    place: np.ndarray


class Reading(NamedTuple):
    """What was read in pictures.

    attributes: of each picture.
    share: float [N], which share of the picture's light (sum of squares) lies in the cell that was read; 1 in every
        true picture, less where there are two digits or none that is whole.
    """

    attributes: Attributes
    share: np.ndarray


def places(side: int) -> tuple[str, ...]:
    """Return the names of a canvas's cells, row by row: 'top left', 'top right', ...

    Raises:
        UserError: there is no canvas of this side.
    """
    if side not in SIDES:
        raise UserError(f"captioned_digits/{side} is not a data set: a canvas has a side of 16 or 24.")
    cells = side // CELL
    return tuple(f"{row} {column}" for row, column in itertools.product(ROWS[cells], COLUMNS[cells]))


def label_of(attributes: Attributes, side: int) -> np.ndarray:
    """Return the labels int32 [N] of attributes on a canvas."""
    digit, colour, place = (np.asarray(part, np.int32) for part in attributes)
    return (digit * len(COLOURS) + colour) * np.int32(len(places(side))) + place


def attributes_of(label: np.ndarray, side: int) -> Attributes:
    """Return the attributes behind labels [N] on a canvas; undoes `label_of`."""
    rest, place = np.divmod(np.asarray(label), len(places(side)))
    return Attributes(*np.divmod(rest, len(COLOURS)), place)


def tokenize(sentence: str) -> np.ndarray:
    """Return the words of a sentence as numbers, int32 [LENGTH].

    Raises:
        UserError: a word is not in WORDS, or there are too many.
    """
    words = sentence.lower().split()
    unknown = [word for word in words if word not in _NUMBER]
    if unknown or len(words) > LENGTH:
        what = f"does not know {unknown[0]!r}" if unknown else f"has room for {LENGTH} words, not for {len(words)}"
        raise UserError(f"captioned_digits {what}; its words are {', '.join(WORDS[1:])}.")
    return np.array([_NUMBER[word] for word in words] + [PAD] * (LENGTH - len(words)), np.int32)


def detokenize(tokens: Sequence[int]) -> str:
    """Return the sentence of tokens [L]; undoes `tokenize`."""
    return " ".join(WORDS[token] for token in np.asarray(tokens) if token != PAD)


def attributes_of_sentence(sentence: str, side: int) -> tuple[int, int, int]:
    """Return (digit, colour, place) that a sentence about a canvas names.

    Raises:
        UserError: it does not name one of each.
    """
    words = sentence.lower().split()
    found = [[names.index(word) for word in words if word in names] for names in (DIGITS, tuple(COLOURS))]
    found.append([number for number, place in enumerate(places(side)) if place in sentence.lower()])
    if [len(part) for part in found] != [1, 1, 1]:
        raise UserError(f"{sentence!r} does not name one digit, one colour and one place of a canvas of {side} x {side}.")
    return tuple(part[0] for part in found)


@functools.cache
def sentences(side: int) -> np.ndarray:
    """Return every sentence about a canvas, int32 [labels, forms, LENGTH]."""
    shown = itertools.product(DIGITS, COLOURS, places(side))
    return np.array([[tokenize(form.format(digit=d, colour=c, place=p)) for form in FORMS] for d, c, p in shown])


def compose(levels: np.ndarray, colour: np.ndarray, place: np.ndarray, side: int) -> np.ndarray:
    """Draw digits on canvases.

    Args:
        levels: digits [N, 8, 8] in 0..16.
        colour: [N], index into COLOURS.
        place: [N], cell.
        side: of the canvas.

    Returns:
        uint8 [N, side, side, 3].
    """
    cells = side // CELL
    light = np.rint(levels * (255 / 16)).astype(np.uint8)
    ink = np.array(list(COLOURS.values()), np.uint8)[colour]
    canvas = np.zeros((len(levels), cells, CELL, cells, CELL, 3), np.uint8)
    row, column = np.divmod(place, cells)
    canvas[np.arange(len(levels)), row, :, column] = light[..., None] * ink[:, None, None]
    return canvas.reshape(-1, side, side, 3)


def read_back(pictures: np.ndarray) -> Reading:
    """Read which digit, in which colour, stands where.

    Args:
        pictures: [N, side, side, 3], levels 0..255 where they are integers, else light in [0, 1].

    Returns:
        Reading. A black picture is read as something, with a share of 0.

    Raises:
        ValueError: for another shape.
    """
    pictures = np.asarray(pictures)
    if pictures.ndim != 4 or pictures.shape[1:] not in {(side, side, 3) for side in SIDES}:
        raise ValueError(f"Pictures of captioned digits are [N, 16, 16, 3] or [N, 24, 24, 3], got {pictures.shape}.")
    scale = 255.0 if np.issubdtype(pictures.dtype, np.integer) else 1.0
    number, cells = len(pictures), pictures.shape[1] // CELL
    cut = (pictures / scale).reshape(number, cells, CELL, cells, CELL, 3).swapaxes(2, 3)
    cut = cut.reshape(number, cells**2, CELL, CELL, 3)
    light = (cut**2).sum(axis=(2, 3, 4))
    place = light.argmax(axis=1)
    cell = cut[np.arange(number), place]
    ink = np.array(list(COLOURS.values()), np.float64)
    colour = (cell.sum(axis=(1, 2)) @ (ink / np.linalg.norm(ink, axis=1, keepdims=True)).T).argmax(axis=1)
    # The least-squares level of each pixel under its ink.
    levels = np.einsum("nhwc,nc->nhw", cell, ink[colour]) / (ink[colour] ** 2).sum(axis=1)[:, None, None]
    share = light.max(axis=1) / np.maximum(light.sum(axis=1), 1e-12)
    return Reading(Attributes(_nearest_digit(levels), colour, place), share)


def open_captioned_digits(name: str, side: int, split: str) -> Source:
    """Open the captioned digits on canvases of one side; split 'train' or 'test'."""
    from genjax.data.embedded import open_digits

    named = places(side)
    digits = open_digits(split)
    stored = digits.fetch(np.arange(len(digits)))
    each = len(COLOURS) * len(named)
    size = len(digits) * each
    form = np.random.RandomState(_SEEDS[split]).randint(len(FORMS), size=size)
    texts = sentences(side)

    def read(indices: np.ndarray) -> Examples:
        picture, rest = np.divmod(indices, each)
        colour, place = np.divmod(rest, len(named))
        label = label_of(Attributes(stored["label"][picture], colour, place), side)
        x = compose(stored["x"][picture, :, :, 0], colour, place, side)
        return {"x": x, "text": texts[label, form[indices]], "label": label}

    labels = tuple(f"{colour} {digit}, {place}" for digit, colour, place in itertools.product(DIGITS, COLOURS, named))
    info = SourceInfo(name, split, (side, side, 3), np.dtype(np.uint8), 256, len(labels), labels)
    return Source(info, size, read)


@functools.cache
def _templates() -> tuple[np.ndarray, np.ndarray]:
    """Return the training digits [K, 64] in [0, 1] and their classes [K]."""
    from genjax.data.embedded import open_digits

    digits = open_digits("train")
    stored = digits.fetch(np.arange(len(digits)))
    return stored["x"].reshape(len(digits), -1) / 16, stored["label"]


def _nearest_digit(levels: np.ndarray) -> np.ndarray:
    """Return the class of the training digit nearest to each of `levels` [N, 8, 8] in [0, 1]."""
    known, label = _templates()
    seen = levels.reshape(len(levels), -1)
    # |a - b|^2 without |a|^2, which is the same for all b.
    distances = (known**2).sum(axis=1) - 2 * seen @ known.T
    return label[distances.argmin(axis=1)].astype(np.int64)
