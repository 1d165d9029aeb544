"""Incremental against naive sampling of the models pixel by pixel, as pictures grow.

    python -m benchmarks.raster_sampling [--quick]

Both draw the same pictures from the same key (tests/autoregressive). The naive sampler evaluates the whole network at
every pixel, H^2 W^2 pixels of work a picture; the incremental one makes each pixel once from what it has kept, H W. So
their ratio should grow with the number of pixels, until what a step costs apart from arithmetic no longer counts.
"""

import argparse
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.timing import paired_ratio
from genjax.autoregressive.gated_pixelcnn import GatedPixelCNN, gated_pixelcnn
from genjax.autoregressive.pixelcnn import PixelCNN, pixelcnn
from genjax.autoregressive.pixelcnnpp import PixelCNNPP, pixelcnnpp
from genjax.autoregressive.pixelrnn import DiagonalBiLSTM, PixelRNN, RowLSTM, pixelrnn
from genjax.contract import GenerativeModel

SIZES = (8, 16, 28, 32)
LEVELS, NUM = 16, 4  # grey levels; pictures at a time
CASES: dict[str, Callable[..., GenerativeModel]] = {
    "pixelcnn": functools.partial(pixelcnn, functools.partial(PixelCNN, features=16, blocks=5, readout=32)),
    "gated_pixelcnn": functools.partial(
        gated_pixelcnn, functools.partial(GatedPixelCNN, features=16, layers=6, readout=32)
    ),
    "pixelcnnpp": functools.partial(pixelcnnpp, functools.partial(PixelCNNPP, features=16, blocks=1, resolutions=3)),
    "pixelrnn, rows": functools.partial(
        pixelrnn, functools.partial(PixelRNN, layer=RowLSTM, features=16, layers=3, readout=32)
    ),
    "pixelrnn, diagonals": functools.partial(
        pixelrnn, functools.partial(PixelRNN, layer=DiagonalBiLSTM, features=16, layers=3, readout=32)
    ),
}


def measure(name: str, size: int, *, rounds: int) -> dict[str, Any]:
    """Time both samplers of a case at a size of picture.

    Returns:
        'what', 'size', 'ratio' (naive / incremental, median over rounds), 'incremental_s' and 'naive_s', of NUM
        pictures.
    """
    model = CASES[name](shape=(size, size, 1), levels=LEVELS)
    variables = jax.jit(model.init)(jax.random.key(0), {"x": jnp.zeros((NUM, size, size, 1), jnp.uint8)})
    samplers = {"incremental": model.sample, "naive": model.methods["sample_naive"]}

    def contestant(sampler: Callable) -> Callable[[], None]:
        compiled = jax.jit(sampler, static_argnums=2)
        return lambda: jax.block_until_ready(compiled(variables, jax.random.key(1), NUM))

    contestants = {which: contestant(sampler) for which, sampler in samplers.items()}
    ratio, timings = paired_ratio(contestants, "naive", "incremental", rounds=rounds)
    seconds = {f"{which}_s": timing.median for which, timing in timings.items()}
    return {"what": f"{name}, {size} x {size}", "size": size, "ratio": ratio, **seconds}


def rows(*, quick: bool = False) -> Iterator[dict[str, Any]]:
    """Measure every case at every size."""
    for name in CASES:
        for size in SIZES[:2] if quick else SIZES:
            yield measure(name, size, rounds=1 if quick else 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small pictures alone, one round")
    quick = parser.parse_args().quick
    print(f"device: {jax.devices()[0].device_kind} ({jax.devices()[0].platform}), jax {jax.__version__}; {NUM} pictures")
    for row in rows(quick=quick):
        times = f"({row['naive_s'] * 1e3:.1f} ms / {row['incremental_s'] * 1e3:.1f} ms)"
        print(f"  {row['what']:32s} naive / incremental {row['ratio']:8.1f}   {times}", flush=True)


if __name__ == "__main__":
    main()
