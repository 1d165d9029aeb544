"""The loader's examples a second, beside plain NumPy indexing of the same source: python -m benchmarks.run loader

Both give blocks [calls, 1, B, ...]. The loader shuffles, keeps its position and reads ahead in threads; plain indexing
draws indices with replacement and gathers. Where decoded images fit into memory both gather from there; the folder of
PNG files is opened anew for every timing, so that each example is decoded.
"""

import contextlib
import functools
import pathlib
import tempfile
import time
from collections.abc import Iterator
from statistics import median

import numpy as np

from genjax.data import Loader, open_source


def measure(name: str, data_dir: str = "", *, batch_size: int = 128, calls: int = 10, rounds: int = 15) -> dict:
    """Time the loader and plain indexing in turns, on data held in memory.

    Returns:
        A row: examples a second of each (medians over the rounds), and batches a second of the loader.
    """
    source = open_source(name, "train", data_dir)
    loader = Loader(source, batch_size=batch_size, seed=0)
    random = np.random.default_rng(0)
    loader.next(calls, 1)
    loaded, indexed = [], []
    for _ in range(rounds):
        loaded.append(_seconds(lambda: [loader.next(calls, 1) for _ in range(20)]) / 20)  # more than is read ahead
        indexed.append(_seconds(lambda: source.fetch(random.integers(0, len(source), (calls, 1, batch_size)))))
    loader.close()
    return _row(f"{name}, batches of {batch_size}, {calls} a call", calls, batch_size, loaded, indexed)


def measure_folder(
    *, num: int = 1280, side: int = 64, batch_size: int = 128, workers: int = 2, rounds: int = 5
) -> dict:
    """Time one pass of the loader over a folder of PNG files, and reading the same files in order without it."""
    loaded, indexed = [], []
    with image_folder(num, side) as folder:
        for _ in range(rounds):
            loader = Loader(open_source("folder", "train", folder), batch_size=batch_size, seed=0, workers=workers)
            loaded.append(_seconds(functools.partial(loader.next, num // batch_size, 1)))
            loader.close()
            source = open_source("folder", "train", folder)
            indexed.append(_seconds(functools.partial(source.fetch, np.arange(num))))
    what = f"folder of {side}x{side} png, batches of {batch_size}, {workers} threads"
    return _row(what, num // batch_size, batch_size, loaded, indexed)


@contextlib.contextmanager
def image_folder(num: int, side: int) -> Iterator[str]:
    """Write a folder whose train/ holds `num` smooth colour pictures, for as long as the context lasts."""
    from PIL import Image

    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "train").mkdir()
        for index in range(num):
            coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            coarse.resize((side, side), Image.Resampling.BICUBIC).save(f"{folder}/train/{index:06}.png")
        yield folder


def sets() -> list[tuple[str, str]]:
    """Return the (name, folder) of the sets that are here: the embedded digits, and MNIST where it is prepared."""
    prepared = pathlib.Path(__file__).resolve().parents[1].parent / "shared" / "tfds"
    return [("digits", "")] + ([("mnist", str(prepared))] if (prepared / "mnist").is_dir() else [])


def measure_all() -> list[dict]:
    """Return a row for each set that is here, then one for a folder of images."""
    return [*(measure(name, folder) for name, folder in sets()), measure_folder()]


def _seconds(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _row(what: str, calls: int, batch_size: int, loaded: list[float], indexed: list[float]) -> dict:
    return {
        "what": what,
        "loader_examples_per_s": calls * batch_size / median(loaded),
        "loader_batches_per_s": calls / median(loaded),
        "indexing_examples_per_s": calls * batch_size / median(indexed),
    }


def report(rounds: int) -> Iterator[str]:
    """Yield the lines of this benchmark."""
    del rounds
    yield "loader, examples a second (batches a second), beside plain indexing"
    for row in measure_all():
        ours, batches, plain = (row[f"{key}_per_s"] for key in ("loader_examples", "loader_batches", "indexing_examples"))
        yield f"  {row['what']:50s} {ours:12,.0f} ({batches:,.0f})   plain indexing {plain:,.0f}"
