"""Peak memory of a contestant: what a process needs that does nothing else."""

import subprocess
import sys

PROGRAM = """
import importlib, re, sys
importlib.import_module(sys.argv[1]).peak(*sys.argv[2:])
# Not getrusage: its maximum is at least the parent's at the time of the fork.
print("peak", int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024)
"""


def peak_mib(module: str, *arguments: str) -> float:
    """Return the peak resident memory (Linux), MiB, of a fresh process that calls `module.peak(*arguments)`.

    It counts the libraries and the compiler: the memory that a user's machine must have, not the arrays alone.

    Raises:
        RuntimeError: the process failed; with the end of its errors.
    """
    command = [sys.executable, "-c", PROGRAM, module, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{module}.peak{arguments} failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.split("peak")[-1])
