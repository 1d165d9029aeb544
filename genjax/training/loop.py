"""The one training loop: dispatches, and between them the log, the samples, the validation, the checkpoints.

The host never waits for the device but where a file needs its numbers: the metrics of a dispatch are read
when the next one is already queued, and the next batches are on the device before they are needed.
"""

import math
import pathlib
import signal
import time
from collections.abc import Iterator, Mapping
from typing import Any, Callable, NamedTuple

import jax
import numpy as np

from genjax.contract import Batch, Variables
from genjax.errors import UserError
from genjax.training import distributed
from genjax.training.checkpoint import Checkpoints
from genjax.training.lifting import Lifted, averaged_variables
from genjax.training.metrics_log import MetricsLog, progress
from genjax.training.state import TrainState


class LoopOptions(NamedTuple):
    """How long a run is and how often it does what; all in steps. 0: only at the end.

    An event falls on the first dispatch boundary at or after each multiple of its period.
    """

    steps: int
    steps_per_call: int
    log_every: int
    sample_every: int
    valid_every: int
    checkpoint_every: int
    keep: int


class Hooks(NamedTuple):
    """What a run does beside its steps.

    validate: Variables -> metrics on held-out data; 'nats' among them selects the best checkpoint.
    draw: (Variables, step) writes samples to look at.
    started: (state, batches), called once before the first step to report on the run; returns the fraction
        of the devices' peak that one step a second is, or None where it is not known.
    """

    validate: Callable[[Variables], Mapping[str, float]] | None = None
    draw: Callable[[Variables, int], None] | None = None
    started: Callable[[TrainState, Batch], float | None] | None = None


class Preempted(Exception):
    """The run was asked to stop, and has saved everything."""


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


def train(
    lifted: Lifted,
    loader: Any,
    options: LoopOptions,
    workdir: pathlib.Path,
    *,
    seed: int,
    repeat: int,
    lazy: Mapping[str, int],
    stages: dict[str, Variables],
    hooks: Hooks,
    tensorboard: bool = True,
) -> TrainState:
    """Train from the newest checkpoint in `workdir`, or from the start, to `options.steps`.

    Args:
        lifted: the step on devices.
        loader: `next(calls, repeat)`, `state()`, `restore(state)`; see `genjax.data.Loader`.
        options: see LoopOptions.
        workdir: the run's folder.
        seed: of the whole run.
        repeat: minibatches a step.
        lazy: update name -> every, of updates not made on every step.
        stages: Variables of earlier stages.
        hooks: see Hooks.
        tensorboard: also write TensorBoard event files.

    Returns:
        The state after the last step.

    Raises:
        UserError: a checkpoint that cannot be read, or a non-finite value.
        Preempted: SIGTERM came; the state is saved.
    """
    checkpoints = Checkpoints(workdir / "checkpoints", keep=options.keep)
    best = Checkpoints(workdir / "best", keep=1)
    example = first_batch(loader)
    key_data = np.asarray(jax.random.key_data(jax.random.key(seed)))
    means, done = Means(), 0
    best_nats = -math.inf
    if checkpoints.steps():
        target = lifted.restore(key_data, example, stages)
        canonical, record = checkpoints.restore(target)
        state = lifted.adopt(canonical)
        loader.restore(record["data"])
        means, done, best_nats = Means(record["sums"]), int(record["step"]), record["best_nats"]
        best_nats = -math.inf if best_nats is None else best_nats
        print(f"resuming at step {done} of {options.steps}", flush=True)
    else:
        state = lifted.init(key_data, example, stages)

    writer = distributed.is_writer()
    log = MetricsLog(workdir, tensorboard=tensorboard) if writer else None
    if log:
        log.truncate(done)
    if done >= options.steps:
        return state
    stop = _catch_sigterm()
    groups = _groups(lifted, loader, options, repeat, done)
    pending: tuple[int, Any] | None = None
    clock, announced = _Clock(done), False

    def read(pending: tuple[int, Any] | None) -> None:
        """Take in the metrics of a dispatch; waits for it."""
        if pending is None:
            return
        first, metrics = pending
        values = {name: np.asarray(local(v), np.float64).reshape(-1, options.steps_per_call)[0] for name, v in metrics.items()}
        check_finite(values, first, lazy)
        means.add(values)
        now = first + options.steps_per_call
        loss = next((v[-1] for name, v in values.items() if name.endswith("/loss") and np.isfinite(v[-1])), math.nan)
        bar.update(now, loss=float(loss))
        if _due(first, now, options.log_every) or now >= options.steps:
            line = means.take()
            if log:
                log.write(now, line | clock.lap(now))

    with progress(options.steps, done) as bar:
        for batches, position in groups:
            if hooks.started is not None and not announced:
                clock.utilization, announced = hooks.started(state, batches), True
            first = done
            state, metrics = lifted.step(state, batches)
            read(pending)
            pending, done = (first, metrics), first + options.steps_per_call
            last = done >= options.steps
            stopping = distributed.preempted(done, stop.signalled)
            drawing = hooks.draw is not None and (last or _due(first, done, options.sample_every))
            scoring = hooks.validate is not None and (last or _due(first, done, options.valid_every))
            saving = last or stopping or _due(first, done, options.checkpoint_every)
            if not (drawing or scoring or saving):
                continue
            read(pending)
            pending = None
            with clock.paused():
                canonical = lifted.canonical(state)
                if drawing:
                    hooks.draw(averaged_variables(lifted, state), done)
                record = {"step": done, "data": position, "sums": means.sums}
                if scoring:
                    scores = dict(hooks.validate(averaged_variables(lifted, state)))
                    if log:
                        log.write(done, scores, kind="valid")
                    if scores.get("nats", -math.inf) > best_nats:
                        best_nats = float(scores["nats"])
                        best.save(done, canonical, record | {"best_nats": best_nats})
                        best.wait()
                if saving:
                    finite = best_nats if math.isfinite(best_nats) else None
                    checkpoints.save(done, canonical, record | {"best_nats": finite})
            if stopping and not last:
                checkpoints.wait()
                raise Preempted(f"stopped at step {done} on SIGTERM; everything is saved: the same command goes on from there.")
    checkpoints.close()
    best.close()
    if log:
        log.close()
    return state


def first_batch(loader: Any) -> dict[str, np.ndarray]:
    """Return the first global batch `[B, ...]` a loader would give, leaving its position as it was."""
    position = loader.state()
    batch = {name: x[0, 0] for name, x in loader.next(1, 1).items()}
    loader.restore(position)
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        batch = {name: np.asarray(multihost_utils.process_allgather(x, tiled=True)) for name, x in batch.items()}
    return batch


def _groups(lifted: Lifted, loader: Any, options: LoopOptions, repeat: int, done: int) -> Iterator[tuple[Batch, Any]]:
    """Yield (device batches, loader position after them), one group ahead of its use."""
    ahead = None
    for _ in range((options.steps - done) // options.steps_per_call):
        batches = lifted.put(loader.next(options.steps_per_call, repeat))
        following = (batches, loader.state())
        if ahead is not None:
            yield ahead
        ahead = following
    if ahead is not None:
        yield ahead


def _due(before: int, now: int, every: int) -> bool:
    return every > 0 and now // every > before // every


def local(x: Any) -> Any:
    """Return the part of an array that this process holds (all of it, when replicated)."""
    return x if getattr(x, "is_fully_addressable", True) else x.addressable_data(0)


class _Signal:
    signalled = False


def _catch_sigterm() -> _Signal:
    """Note SIGTERM instead of dying of it; among many processes JAX's own coordination does."""
    noted = _Signal()
    if jax.process_count() > 1:
        return noted

    def note(signum, frame):
        noted.signalled = True

    try:
        signal.signal(signal.SIGTERM, note)
    except ValueError:  # not the main thread (a notebook, a test): no handler, no preemption
        pass
    return noted


class _Clock:
    """Steps a second of the training itself: without samples, validation and checkpoints."""

    def __init__(self, step: int):
        self.step, self.since, self.start = step, time.perf_counter(), time.perf_counter()
        self.utilization: float | None = None

    def lap(self, step: int) -> dict[str, float]:
        now = time.perf_counter()
        rate = (step - self.step) / max(now - self.since, 1e-9)
        self.step, self.since = step, now
        lap = {"time/steps_per_second": rate, "time/seconds": now - self.start}
        return lap if self.utilization is None else lap | {"time/mfu": rate * self.utilization}

    def paused(self) -> "_Pause":
        return _Pause(self)


class _Pause:
    def __init__(self, clock: _Clock):
        self.clock = clock

    def __enter__(self) -> None:
        self.began = time.perf_counter()

    def __exit__(self, *_: Any) -> None:
        self.clock.since += time.perf_counter() - self.began
