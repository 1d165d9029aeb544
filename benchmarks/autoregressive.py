"""Incremental sampling against naive, and NADE's one pass, as pictures grow.

Both samplers draw the same values from the same key (tests/autoregressive). The naive one evaluates the whole network
once a dimension; the incremental one keeps what it has computed:

    NADE     one scan of D H against D scans: the ratio should grow like D
    MADE     every hidden unit once against D times: likewise
    the models pixel by pixel: `benchmarks.raster_sampling`, whose cases are measured here too

NADE's likelihood of D dimensions by one running sum is O(D H); its definition, a sum from the start for each
dimension, is O(D^2 H). The time of one pass over D H should not grow.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp

from benchmarks import raster_sampling
from benchmarks.timing import interleaved, paired_ratio
from genjax import autoregressive
from genjax.contract import Array, GenerativeModel
from genjax.nn import ordering_degrees

SIZES = (8, 16, 28, 32)
HIDDEN, NUM, BATCH = 500, 16, 100  # hidden units; samples at a time; examples that are scored


class Case(NamedTuple):
    """A model to sample from: name, and (H, W, C) -> model with the method `sample_naive`."""

    name: str
    build: Callable[[tuple[int, int, int]], GenerativeModel]


CASES = (
    Case(f"NADE, {HIDDEN} hidden units", lambda shape: autoregressive.nade(shape, hidden=HIDDEN)),
    Case(f"MADE, 2 x {HIDDEN} hidden units", lambda shape: autoregressive.made(shape, hidden=(HIDDEN, HIDDEN))),
)


def report(rounds: int) -> Iterator[str]:
    """Yield the lines of this benchmark; with few rounds the largest pictures of the slow models are left out."""
    quick = rounds < 9
    yield f"naive / incremental sampling, {NUM} pictures of one channel; above 1 the incremental one is ahead"
    for case in CASES:
        for size in SIZES[:2] if quick else SIZES:
            yield _line(measure(case, size, rounds=rounds if size <= 16 else 3))
    yield f"the same pixel by pixel, {raster_sampling.NUM} pictures"
    for row in raster_sampling.rows(quick=quick):
        yield _line(row)
    yield f"NADE's likelihood, {BATCH} examples, {HIDDEN} hidden units"
    for size in SIZES:
        row = likelihood(size, rounds=rounds)
        yield (
            f"  {size:2d} x {size:2d}: one pass {row['ms']:8.2f} ms, {row['ps']:6.2f} ps a (example, dimension, unit); "
            f"by the definition {row['definition_ms']:9.1f} ms"
        )


def measure(case: Case, size: int, *, rounds: int) -> dict:
    """Time both samplers of a case at a size of picture; see `benchmarks.raster_sampling.measure`."""
    shape = (size, size, 1)
    model = case.build(shape)
    variables = jax.jit(model.init)(jax.random.key(0), {"x": jnp.zeros((NUM, *shape))})

    def contestant(sampler: Callable) -> Callable[[], None]:
        compiled = jax.jit(sampler, static_argnums=2)
        return lambda: jax.block_until_ready(compiled(variables, jax.random.key(1), NUM))

    contestants = {"incremental": contestant(model.sample), "naive": contestant(model.methods["sample_naive"])}
    ratio, timings = paired_ratio(contestants, "naive", "incremental", rounds=rounds)
    return {
        "what": f"{case.name}, {size} x {size}",
        "ratio": ratio,
        "incremental_s": timings["incremental"].median,
        "naive_s": timings["naive"].median,
    }


def likelihood(size: int, *, rounds: int) -> dict:
    """Time NADE's likelihood in one pass and by its definition.

    Returns:
        'ms' and 'definition_ms' of the two, 'ps': picoseconds of the one pass over examples, dimensions and units.
    """
    num_dims = size * size
    weights = autoregressive.init_weights(jax.random.key(0), num_dims=num_dims, hidden=HIDDEN, outputs=1)
    x = jax.random.bernoulli(jax.random.key(1), 0.3, (BATCH, num_dims)).astype(jnp.float32)
    ordering = jnp.arange(num_dims)
    place = jnp.asarray(ordering_degrees(range(num_dims)))

    def definition(x: Array, weights: autoregressive.ScanWeights) -> Array:
        def one(d: Array) -> Array:
            before = (place < place[d]).astype(jnp.float32)
            a = (x * before[None]) @ weights.encoder + weights.hidden_bias[None]
            logit = jax.nn.sigmoid(a) @ weights.decoder[d] + weights.output_bias[d][None]
            return autoregressive.bernoulli().log_prob(x[:, d], logit)

        return jax.lax.map(one, ordering).sum(axis=0)

    one_pass, slow = jax.jit(lambda x, w: autoregressive.nade_log_prob(x, w, ordering)), jax.jit(definition)
    contestants = {
        "one pass": lambda: jax.block_until_ready(one_pass(x, weights)),
        "definition": lambda: jax.block_until_ready(slow(x, weights)),
    }
    timings = interleaved(contestants, rounds=min(rounds, 3))
    seconds = timings["one pass"].median
    ps = 1e12 * seconds / (BATCH * num_dims * HIDDEN)
    return {"ms": 1e3 * seconds, "ps": ps, "definition_ms": 1e3 * timings["definition"].median}


def _line(row: dict) -> str:
    times = f"({1e3 * row['naive_s']:9.1f} ms / {1e3 * row['incremental_s']:8.1f} ms)"
    return f"  {row['what']:36s} {row['ratio']:8.1f}   {times}"
