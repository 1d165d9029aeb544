"""Checkpoints of a run: atomic, asynchronous, the newest few and the best one.

A checkpoint holds the canonical TrainState (the same under every lifting, so a run may go on under another)
and a small JSON record: the data iterator's position and the sums of metrics not yet logged. Orbax writes
into a temporary folder and renames it, so a checkpoint that is there is whole.
"""

import copy
import pathlib
import shutil
from typing import Any

import jax
import orbax.checkpoint as ocp
from absl import logging as absl_logging

from genjax.errors import UserError
from genjax.training.state import TrainState

absl_logging.set_verbosity(absl_logging.WARNING)


class Checkpoints:
    """The checkpoints in one folder.

    Args:
        folder: where they lie; made when the first is saved.
        keep: how many of the newest are kept.
    """

    def __init__(self, folder: str | pathlib.Path, *, keep: int):
        self.folder = pathlib.Path(folder).absolute()
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=False, cleanup_tmp_directories=False)
        if jax.process_index() == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            _remove_unfinished(self.folder)
        if jax.process_count() > 1:
            from jax.experimental import multihost_utils

            multihost_utils.sync_global_devices("checkpoint folder")
        self._manager = ocp.CheckpointManager(self.folder, options=options, item_names=("state", "record"))

    def steps(self) -> list[int]:
        """Return the steps there are checkpoints of, oldest first."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: TrainState, record: dict[str, Any]) -> None:
        """Start writing a checkpoint; both may change once this returns."""
        if step in self.steps():
            return
        # Orbax copies the state before it returns, but reads the record later, from a thread of its own.
        args = ocp.args.Composite(state=ocp.args.StandardSave(state), record=ocp.args.JsonSave(copy.deepcopy(record)))
        self._manager.save(step, args=args, force=True)

    def restore(self, target: TrainState, step: int | None = None) -> tuple[TrainState, dict[str, Any]]:
        """Read a checkpoint.

        Args:
            target: abstract state with the structure, shapes, dtypes and shardings to read into.
            step: which; default the newest.

        Returns:
            (state, record).

        Raises:
            UserError: there is none, it does not fit the target, or it cannot be read.
        """
        steps = self.steps()
        if not steps:
            raise UserError(f"there is no checkpoint in {self.folder}; train first, or give the workdir of a trained run.")
        step = steps[-1] if step is None else step
        args = ocp.args.Composite(state=ocp.args.StandardRestore(target), record=ocp.args.JsonRestore())
        try:
            restored = self._manager.restore(step, args=args)
        except Exception as error:  # orbax, tensorstore and json each raise their own
            raise UserError(self._unreadable(step, steps, error)) from error
        return restored.state, restored.record

    def wait(self) -> None:
        """Return when every checkpoint started is on disk."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Wait, and free what the manager holds."""
        self._manager.close()

    def _unreadable(self, step: int, steps: list[int], error: Exception) -> str:
        earlier = [s for s in steps if s < step]
        way_out = f"go on from step {earlier[-1]}" if earlier else "start anew"
        reason = " ".join(str(error).split())[:200]
        return (
            f"the checkpoint {self.folder / str(step)} cannot be read or does not fit this model ({type(error).__name__}: "
            f"{reason}); move that folder away to {way_out}."
        )


def _remove_unfinished(folder: pathlib.Path) -> None:
    """Delete what a killed run left half-written; orbax would not read it."""
    for entry in folder.iterdir():
        if entry.is_dir() and "orbax-checkpoint-tmp" in entry.name:
            shutil.rmtree(entry, ignore_errors=True)
