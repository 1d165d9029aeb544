"""Many machines: joining them, and what only one of them does."""

import os

import jax

from genjax.errors import UserError

# Set by hand or by a launch script; where none is, JAX itself recognizes SLURM, Cloud TPU and Kubernetes.
ENVIRONMENT = ("COORDINATOR_ADDRESS", "NUM_PROCESSES", "PROCESS_ID")


def initialize(*, detect: bool, coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    """Join the processes of a run, before any JAX computation; does nothing where neither asks for it.

    Args:
        detect: let JAX find the coordinator in the cluster's environment.
        coordinator: 'host:port' of process 0, else the environment's COORDINATOR_ADDRESS.
        num_processes: how many there are, else NUM_PROCESSES.
        process_id: which this is, else PROCESS_ID.

    Raises:
        UserError: only some of the three are given, or the processes did not find each other.
    """
    values = [coordinator, num_processes, process_id]
    values = [os.environ.get(name) if value is None else value for name, value in zip(ENVIRONMENT, values)]
    if not detect and all(value is None for value in values):
        return
    if not detect and any(value is None for value in values):
        missing = [name for name, value in zip(ENVIRONMENT, values) if value is None]
        raise UserError(
            f"{', '.join(missing)} missing; give --coordinator, --num_processes and --process_id together (or set all "
            "three in the environment), or --distributed to let JAX find them."
        )
    arguments = {}
    if values[0] is not None:
        arguments = {"coordinator_address": values[0], "num_processes": int(values[1]), "process_id": int(values[2])}
    try:
        jax.distributed.initialize(**arguments)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"the processes of the run did not find each other ({reason}); check that the coordinator's address is "
            "reachable from every machine, or drop --distributed to run on this machine alone."
        ) from error


def is_writer() -> bool:
    """Return whether this process writes the run's files; exactly one does."""
    return jax.process_index() == 0


def preempted(step: int, signalled: bool) -> bool:
    """Return whether the run must save and stop at this step; the same answer in every process.

    Args:
        step: steps made so far, equal in all processes.
        signalled: whether this process has caught SIGTERM itself; counts when it is the only one.
    """
    if jax.process_count() == 1:
        return signalled
    from jax.experimental import multihost_utils

    return multihost_utils.reached_preemption_sync_point(step)
