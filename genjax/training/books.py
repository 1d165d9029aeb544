"""The metrics of a run on their way from the devices to the log: read one dispatch late, guarded, averaged."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from genjax.errors import UserError
from genjax.training.metrics_log import MetricsLog


def due(before: int, now: int, every: int) -> bool:
    """Return whether a multiple of `every` lies in (before, now]; never for every = 0."""
    return every > 0 and now // every > before // every


def local(x: Any) -> Any:
    """Return the part of an array that this process holds (all of it, when replicated)."""
    return x if getattr(x, "is_fully_addressable", True) else x.addressable_data(0)


class Means:
    """Sums and counts of metrics since the last log line; exact through JSON, so a resumed line is the same."""

    def __init__(self, sums: Mapping[str, list[float]] | None = None):
        self.sums = {name: list(pair) for name, pair in (sums or {}).items()}

    def add(self, metrics: Mapping[str, np.ndarray]) -> None:
        """Add values `[calls]`; NaN marks a step where a lazy update was not made."""
        for name, values in metrics.items():
            values = np.asarray(values, np.float64)
            made = values[~np.isnan(values)]
            total = self.sums.setdefault(name, [0.0, 0])
            total[0], total[1] = total[0] + float(made.sum()), total[1] + int(made.size)

    def take(self) -> dict[str, float]:
        """Return the means and start anew."""
        means = {name: total / count for name, (total, count) in self.sums.items() if count}
        self.sums = {}
        return means


def check_finite(metrics: Mapping[str, np.ndarray], first_step: int, lazy: Mapping[str, int]) -> None:
    """Raise UserError at the first non-finite value, naming its term and step.

    Args:
        metrics: name -> values `[calls]` of steps first_step, first_step + 1, ...
        first_step: the number of steps made before them.
        lazy: update name -> every; its values on other steps are not looked at.
    """
    bad = []
    for name, values in metrics.items():
        steps = first_step + np.arange(len(values))
        made = steps % lazy.get(name.split("/")[0], 1) == 0
        wrong = np.flatnonzero(made & ~np.isfinite(values))
        if wrong.size:
            bad.append((int(steps[wrong[0]]) + 1, name, float(values[wrong[0]])))
    if bad:
        step, name, value = min(bad)
        raise UserError(
            f"{name} is {value} at step {step}, so the run stopped before it could be saved; the checkpoints written "
            "before are whole: lower the learning rate or set --config.train.clip_norm, and take a new --workdir."
        )


class Books:
    """Metrics of a run, one dispatch behind the devices.

    Args:
        steps, steps_per_call, log_every: see `loop.LoopOptions`.
        lazy: update name -> every, of updates not made on every step.
        log: where lines go; None in processes that do not write.
        bar: shows the step and the losses.
        record: of the checkpoint that the run goes on from.
    """

    def __init__(self, *, steps: int, steps_per_call: int, log_every: int, lazy: Mapping[str, int], log: MetricsLog | None, bar: Any, record: dict):
        self._steps, self._calls, self._every = steps, steps_per_call, log_every
        self._lazy, self._log, self._bar = lazy, log, bar
        self._pending: tuple[int, Any] | None = None
        self.means = Means(record["sums"])
        self.utilization: float | None = None
        self._step, self._since = int(record["step"]), time.perf_counter()

    def queue(self, first: int, metrics: Any) -> None:
        """Take the metrics of the dispatch just queued; read those of the one before."""
        previous, self._pending = self._pending, (first, metrics)
        self._read(previous)

    def settle(self) -> None:
        """Read everything; waits for the device."""
        previous, self._pending = self._pending, None
        self._read(previous)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leave what happens inside out of the steps a second."""
        began = time.perf_counter()
        yield
        self._since += time.perf_counter() - began

    def _read(self, pending: tuple[int, Any] | None) -> None:
        if pending is None:
            return
        first, metrics = pending
        # Under pmap each device has its (equal) own; elsewhere the reshape changes nothing.
        values = {name: np.asarray(local(v), np.float64).reshape(-1, self._calls)[0] for name, v in metrics.items()}
        check_finite(values, first, self._lazy)
        self.means.add(values)
        now = first + self._calls
        losses = {name.removesuffix("/loss"): v[-1] for name, v in values.items() if name.endswith("/loss")}
        self._bar.update(now, **({"loss": next(iter(losses.values()))} if len(losses) == 1 else losses))
        if due(first, now, self._every) or now >= self._steps:
            line = self.means.take() | self._lap(now)
            if self._log:
                self._log.write(now, line)

    def _lap(self, step: int) -> dict[str, float]:
        now = time.perf_counter()
        rate = (step - self._step) / max(now - self._since, 1e-9)
        self._step, self._since = step, now
        lap = {"time/steps_per_second": rate, "time/unix": time.time()}
        return lap if self.utilization is None else lap | {"time/mfu": rate * self.utilization}
