"""Measuring so that noise hits all contestants alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Timing(NamedTuple):
    """Seconds of one contestant: the median and the quartiles over the rounds."""

    median: float
    low: float
    high: float
    rounds: int


def interleaved(contestants: Mapping[str, Callable[[], None]], *, rounds: int, warmup: int = 1) -> dict[str, Timing]:
    """Time functions in turns: a, b, c, a, b, c, ...; each must wait for its own result.

    Args:
        contestants: name -> function to time.
        rounds: how often each is timed.
        warmup: how often each is called before (compilation).
    """
    for _ in range(warmup):
        for run in contestants.values():
            run()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for r in range(rounds):
        # Every other round backwards, so that no one always runs behind the same neighbour.
        names = list(contestants) if r % 2 == 0 else list(contestants)[::-1]
        for name in names:
            began = time.perf_counter()
            contestants[name]()
            seconds[name].append(time.perf_counter() - began)
    return {name: _summary(values) for name, values in seconds.items()}


def paired_ratio(contestants: Mapping[str, Callable[[], None]], a: str, b: str, *, rounds: int) -> tuple[float, dict[str, Timing]]:
    """Return (median over rounds of time(a) / time(b) within a round, the timings of all)."""
    ratios, seconds = [], {name: [] for name in contestants}
    for run in contestants.values():
        run()
    for r in range(rounds):
        for name in list(contestants)[:: 1 if r % 2 == 0 else -1]:
            began = time.perf_counter()
            contestants[name]()
            seconds[name].append(time.perf_counter() - began)
        ratios.append(seconds[a][-1] / seconds[b][-1])
    return statistics.median(ratios), {name: _summary(values) for name, values in seconds.items()}


def _summary(values: list[float]) -> Timing:
    quartiles = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return Timing(statistics.median(values), quartiles[0], quartiles[2], len(values))
