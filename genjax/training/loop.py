"""The one training loop: dispatches, and between them the log, the samples, the validation, the checkpoints.

The host never waits for the device but where a file needs its numbers: the metrics of a dispatch are read
when the next one is already queued, and the next batches are on the device before they are needed.
"""

import contextlib
import math
import pathlib
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Callable, NamedTuple

import jax
import numpy as np

from genjax.contract import Batch, Variables
from genjax.training import distributed
from genjax.training.books import Books, due
from genjax.training.checkpoint import Checkpoints
from genjax.training.lifting import Lifted
from genjax.training.metrics_log import MetricsLog, progress
from genjax.training.state import TrainState, variables_of


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
    draw: (Variables, step) -> (samples to look at, real data beside them): images in [0, 1] or points.
    started: (state, batches), called once before the first step to report on the run; returns the fraction
        of the devices' peak that one step a second is, or None where it is not known.
    """

    validate: Callable[[Variables], Mapping[str, float]] | None = None
    draw: Callable[[Variables, int], tuple[np.ndarray, np.ndarray]] | None = None
    started: Callable[[TrainState, Batch], float | None] | None = None


class Preempted(Exception):
    """The run was asked to stop, and has saved everything."""


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
    try:
        state, record = _start(lifted, loader, checkpoints, seed, stages)
        done = int(record["step"])
        if done:
            print(f"resuming at step {done} of {options.steps}", flush=True)
        log = MetricsLog(workdir, tensorboard=tensorboard) if distributed.is_writer() else None
        if log:
            log.truncate(done)
        with progress(options.steps, done) as bar, log or contextlib.nullcontext():
            books = Books(
                steps=options.steps,
                steps_per_call=options.steps_per_call,
                log_every=options.log_every,
                lazy=lazy,
                log=log,
                bar=bar,
                record=record,
            )
            files = _Files(lifted, hooks, log, workdir, checkpoints, best, record["best_nats"])
            with _catch_sigterm() as stop:
                state = _loop(lifted, loader, options, repeat, state, done, hooks, books, files, stop)
        checkpoints.wait()
        return state
    finally:
        checkpoints.close()
        best.close()


def _start(lifted: Lifted, loader: Any, checkpoints: Checkpoints, seed: int, stages: dict) -> tuple[TrainState, dict]:
    """Return (state on the devices, record) of the newest checkpoint, or of step 0; sets the loader's position."""
    key_data = np.asarray(jax.random.key_data(jax.random.key(seed)))
    example = first_batch(loader)
    if not checkpoints.steps():
        return lifted.init(key_data, example, stages), {"step": 0, "sums": {}, "best_nats": None}
    canonical, record = checkpoints.restore(lifted.restore(key_data, example, stages))
    loader.restore(record["data"])
    return lifted.adopt(canonical), record


def _loop(lifted, loader, options: LoopOptions, repeat: int, state, done: int, hooks, books, files, stop) -> TrainState:
    """Dispatch to the end; between dispatches do what falls due."""
    groups = _groups(lifted, loader, options, repeat, done)
    for index, (batches, position) in enumerate(groups):
        if index == 0 and hooks.started is not None:
            books.utilization = hooks.started(state, batches)
        state, metrics = lifted.step(state, batches)
        books.queue(done, metrics)
        first, done = done, done + options.steps_per_call
        last, stopping = done >= options.steps, distributed.preempted(done, stop.signalled)
        drawing = last or due(first, done, options.sample_every)
        scoring = last or due(first, done, options.valid_every)
        saving = last or stopping or due(first, done, options.checkpoint_every)
        if drawing or scoring or saving:
            books.settle()  # nothing non-finite is ever drawn, scored or saved
            with books.paused():
                files.write(state, done, position, books, drawing=drawing, scoring=scoring, saving=saving)
        if stopping and not last:
            files.checkpoints.wait()
            raise Preempted(f"stopped at step {done} on SIGTERM; everything is saved: the same command goes on from there.")
    return state


class _Files:
    """What a run writes beside its log: pictures, scores, checkpoints, the best one."""

    def __init__(self, lifted, hooks: Hooks, log, workdir, checkpoints: Checkpoints, best: Checkpoints, best_nats):
        self._lifted, self._hooks, self._log, self._workdir = lifted, hooks, log, workdir
        self.checkpoints, self._best = checkpoints, best
        self._best_nats: float | None = best_nats

    def write(self, state, step: int, position, books: Books, *, drawing: bool, scoring: bool, saving: bool) -> None:
        """Do what is due at this step. A step's lines are on disk before its checkpoint is."""
        canonical = self._lifted.canonical(state)
        record = {"step": step, "data": position, "sums": books.means.sums}
        if drawing and self._hooks.draw is not None:
            self._draw(variables_of(canonical), step)
        if scoring and self._hooks.validate is not None:
            self._score(canonical, step, record)
        if saving:
            self.checkpoints.save(step, canonical, record | {"best_nats": self._best_nats})

    def _draw(self, variables: Variables, step: int) -> None:
        pictured, reference = self._hooks.draw(variables, step)
        if self._log:
            picture = self._log.picture(step, "samples", pictured, reference)
            shutil.copyfile(picture, self._workdir / "samples.png")

    def _score(self, canonical: TrainState, step: int, record: dict) -> None:
        scores = dict(self._hooks.validate(variables_of(canonical)))
        if self._log:
            self._log.write(step, scores, kind="valid")
        nats = float(scores["nats"])
        if math.isfinite(nats) and (self._best_nats is None or nats > self._best_nats):
            self._best_nats = nats
            # One at a time: among several processes two concurrent saves meet in each other's barriers.
            self.checkpoints.wait()
            self._best.save(step, canonical, record | {"best_nats": nats})
            self._best.wait()


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


class _Signal:
    signalled = False


@contextlib.contextmanager
def _catch_sigterm() -> Iterator[_Signal]:
    """Note SIGTERM inside instead of dying of it; among many processes JAX's own coordination does."""
    noted = _Signal()

    def note(signum, frame):
        noted.signalled = True

    if jax.process_count() > 1 or threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = signal.signal(signal.SIGTERM, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGTERM, before)
