"""Eight virtual CPU devices for the whole suite, and JAX in its strict modes.

Both must be set before jax initialises, hence here and first.
"""

import os

# With its scheduler for concurrency, XLA:CPU lets devices begin independent collectives in different orders, and where
# these outnumber its threads none is ever joined by all eight: a PixelCNN++ under FSDP waited until XLA gave up.
FLAGS = "--xla_force_host_platform_device_count=8 --xla_cpu_enable_concurrency_optimized_scheduler=false"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FLAGS}"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import gc
import itertools
import pathlib

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

# A compiled program takes some sixteen memory maps, and Linux gives a process 65,530: past that XLA dies in the act.
MAPS, MOST_MAPS, EVERY = pathlib.Path("/proc/self/maps"), 20_000, 8
_count = itertools.count(1)


@pytest.fixture(autouse=True)
def programs_in_bounds():
    """Drop what has been compiled, every so often, where it has become much."""
    yield
    if next(_count) % EVERY == 0 and MAPS.exists() and MAPS.read_bytes().count(b"\n") > MOST_MAPS:
        jax.clear_caches()
        gc.collect()
