"""Text as windows of byte tokens.

A text is its UTF-8 bytes, so the vocabulary is 256 and nothing is unknown. Example i of a set opened with
window T and stride S is bytes [i S, i S + T). The default S = T cuts the text once: one pass scores every byte once
(fewer than T at the end are left out), and nats per byte of one pass can be compared. S = 1 gives every window
there is, for training.

pydocs: the topics of the language reference inside CPython, in the order of their names. A topic is test where that
keeps the test split within a tenth of the text so far. Many topics quote one another: a paragraph that has stood
before is left out, or half of the test split would stand in the training split. The text differs a little from one
version of Python to the next.
"""

import functools

import numpy as np

from genjax.data.source import Examples, Source, SourceInfo
from genjax.errors import UserError

VOCABULARY = 256


def encode(text: str) -> np.ndarray:
    """Return the tokens of a text, int32 [T] in 0..255."""
    return np.frombuffer(text.encode(), np.uint8).astype(np.int32)


def decode(tokens: np.ndarray) -> str:
    """Return the text of tokens [T]; bytes that are no UTF-8 become the replacement character."""
    tokens = np.asarray(tokens)
    if tokens.ndim != 1:
        raise ValueError(f"The tokens of one text are [T], got {tokens.shape}.")
    return tokens.astype(np.uint8).tobytes().decode(errors="replace")


def windows(name: str, split: str, data: bytes, window: int, stride: int) -> Source:
    """Make a source of the windows of a text.

    Args:
        data: the text.
        window: T, tokens of one example.
        stride: S, tokens from the beginning of one example to that of the next.
    Returns:
        A source with 'x' int32 [T].
    Raises:
        UserError: where the text is shorter than one window.
    """
    tokens = np.frombuffer(data, np.uint8)
    if len(tokens) < window:
        raise UserError(f"{name!r} has {len(tokens)} bytes in {split!r}: ask for a window of at most as many.")
    table = np.lib.stride_tricks.sliding_window_view(tokens, window)[::stride]  # a view: no copy of the text

    def read(indices: np.ndarray) -> Examples:
        return {"x": table[indices].astype(np.int32)}

    return Source(SourceInfo(name, split, (window,), np.dtype(np.int32), VOCABULARY), len(table), read)


def window_and_stride(numbers: tuple[int, ...], default: int = 256) -> tuple[int, int]:
    """Return T and S of a name's numbers: none, T, or T and S."""
    window = numbers[0] if numbers else default
    return window, numbers[1] if len(numbers) > 1 else window


def open_pydocs(name: str, window: int, stride: int, split: str) -> Source:
    """Open the text inside CPython as windows; split 'train' or 'test'."""
    return windows(name, split, pydocs_text()[split].encode(), window, stride)


@functools.cache
def pydocs_text() -> dict[str, str]:
    """Return the training and the test text."""
    from pydoc_data.topics import topics

    seen: set[str] = set()
    parts: dict[str, list[str]] = {"train": [], "test": []}
    total = tested = 0
    for name in sorted(topics):
        paragraphs = {" ".join(paragraph.split()): paragraph for paragraph in topics[name].split("\n\n")}
        text = "\n\n".join(paragraph for words, paragraph in paragraphs.items() if words not in seen)
        seen.update(paragraphs)  # compared by their words: lines may be broken elsewhere
        total += len(text)
        is_test = 10 * (tested + len(text)) <= total
        tested += len(text) * is_test
        parts["test" if is_test else "train"].append(text)
    return {split: "\n\n".join(filter(None, texts)) for split, texts in parts.items()}
