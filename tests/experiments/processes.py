"""Starting the launchers as real processes."""

import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np

from tests.xla_flags import quick_on

ROOT = pathlib.Path(__file__).parents[2]
TOY = "tests/training/toy_config.py"


def start(module: str, *arguments: str, devices: int = 1) -> subprocess.Popen:
    """Start `python -m experiments.<module>` from the root, with so many virtual CPU devices."""
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": quick_on(devices),
        "JAX_COMPILATION_CACHE_MAX_SIZE": "-1",
    }
    command = [sys.executable, "-m", f"experiments.{module}", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def train(workdir: pathlib.Path, *arguments: str, config: str = TOY, devices: int = 1) -> subprocess.Popen:
    """Start the trainer on a config; without TensorBoard, which these tests do not look at."""
    return start("train", f"--config={config}", f"--workdir={workdir}", "--notensorboard", *arguments, devices=devices)


def finish(process: subprocess.Popen, code: int = 0, timeout: float = 240) -> tuple[str, str]:
    """Wait for a process and return what it said; its exit code must be `code`."""
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == code, f"exit code {process.returncode}\n{out}\n{err}"
    return out, err


def wait_for(condition, process: subprocess.Popen, timeout: float = 120) -> None:
    """Wait until `condition()` holds; the process must not end before."""
    end = time.monotonic() + timeout
    while not condition():
        assert process.poll() is None, f"ended too early:\n{process.communicate()}"
        assert time.monotonic() < end, "took too long"
        time.sleep(0.005)


def metrics(workdir: pathlib.Path) -> list[dict]:
    """Return the lines of metrics.jsonl without what the clock says."""
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if not k.startswith("time/")} for line in lines]


def parameters(workdir: pathlib.Path, step: int) -> dict[str, np.ndarray]:
    """Return every array of a checkpoint by its path, read with orbax alone."""
    import jax
    import orbax.checkpoint as ocp

    folder = (workdir / "checkpoints" / str(step) / "state").absolute()
    with ocp.PyTreeCheckpointer() as reader:
        # As host arrays, whatever devices the run had.
        arrays = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), reader.metadata(folder).item_metadata.tree)
        tree = reader.restore(folder, restore_args=arrays)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
