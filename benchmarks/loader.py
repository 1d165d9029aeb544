"""The loader's examples a second, beside plain NumPy indexing of the same arrays."""

import pathlib
import time
from statistics import median

import numpy as np

from genjax.data import Loader, open_source


def measure(name: str, data_dir: str = "", *, batch_size: int = 128, calls: int = 10, rounds: int = 15) -> dict:
    """Time the loader and plain indexing in turns.

    Returns:
        A row: examples a second of each (medians), and how much of a step of 1 ms the loader could feed.
    """
    source = open_source(name, "train", data_dir)
    loader = Loader(source, batch_size=batch_size, seed=0)
    random = np.random.default_rng(0)
    loader.next(calls, 1)
    loaded, indexed = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        loader.next(calls, 1)
        middle = time.perf_counter()
        source.fetch(random.integers(0, len(source), (calls, 1, batch_size)))
        loaded.append(middle - began)
        indexed.append(time.perf_counter() - middle)
    count = calls * batch_size
    return {
        "what": f"{name}, batches of {batch_size}, {calls} a call",
        "loader_examples_per_s": count / median(loaded),
        "indexing_examples_per_s": count / median(indexed),
    }


def sets() -> list[tuple[str, str]]:
    """Return the (name, folder) of the sets that are here: the embedded digits, and MNIST where it is prepared."""
    prepared = pathlib.Path(__file__).resolve().parents[1].parent / "shared" / "tfds"
    return [("digits", "")] + ([("mnist", str(prepared))] if (prepared / "mnist").is_dir() else [])
