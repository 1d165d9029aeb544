"""Eight virtual CPU devices for the whole suite, and JAX in its strict modes.

Both must be set before jax initialises, hence here and first.
"""

import os

from tests.xla_flags import quick_on

os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {quick_on(8)}"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import gc
import itertools
import pathlib

import jax
import pytest
from jax._src.interpreters import mlir

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
# The cache is for the processes that tests start. Here it would gain nothing (tests that share a program share a
# worker), and a program over several CPU devices may not come out of it: see genjax.training.lifting.
jax.config.update("jax_enable_compilation_cache", False)

# Traces leave many small objects, and few cycles: looked through less often, a fifth of the time is saved.
gc.set_threshold(100_000, 50, 50)

# JAX lowers every program in an MLIR context of its own, which takes 4 ms and 1.3 MB to make: a sixth of the time of tests
# of small things, and most of their memory. One context serves many programs; it keeps their constants, hence not all.
PROGRAMS_A_CONTEXT = 500
_make_context, _contexts, _lowered = mlir.make_ir_context, [], itertools.count()


def _shared_context():
    if next(_lowered) % PROGRAMS_A_CONTEXT == 0:
        _contexts[:] = [_make_context()]
    return _contexts[0]


mlir.make_ir_context = _shared_context

# A compiled program takes some sixteen memory maps, and Linux gives a process 65,530: past that XLA dies in the act.
MAPS, MOST_MAPS, EVERY = pathlib.Path("/proc/self/maps"), 20_000, 32  # 20,000 take 25 ms to read
_count = itertools.count(1)


@pytest.fixture(autouse=True)
def programs_in_bounds():
    """Drop what has been compiled, every so often, where it has become much."""
    yield
    if next(_count) % EVERY == 0 and MAPS.exists() and MAPS.read_bytes().count(b"\n") > MOST_MAPS:
        jax.clear_caches()
        gc.collect()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Refuse a pytest under which pytest-xdist loses its groups: workers would compile each other's programs again."""
    grouped = [item for item in items if item.get_closest_marker("xdist_group")]
    if grouped and config.getoption("loadgroup", False) and not any("@" in item.nodeid for item in grouped):
        raise pytest.UsageError(
            "this pytest hides the groups of tests from pytest-xdist; install the versions that setup.cfg asks for "
            "(pip install -e '.[test]')."
        )
