"""Memory and time of a continuous flow's gradient as the steps of its solver grow, three ways.

    plain           through the steps of one `lax.scan`: memory of N steps
    checkpointed    the same, remade from sqrt(N) kept states (`integrate_checkpointed`)
    adjoint         backwards beside the state (`adjoint`): memory of one step

Memory is what the compiler sets aside for temporaries; it is exact, and the same on every run.
"""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp

from benchmarks.timing import interleaved
from genjax import flows, solvers

DIMS, WIDTHS, BATCH = 64, (256, 256), 256
STEPS = (8, 32, 128)


def report(rounds: int) -> Iterator[str]:
    """Yield the lines of this benchmark."""
    yield f"gradient of a flow of {DIMS} dimensions, widths {WIDTHS}, batch {BATCH}, RK4: MiB (ms)"
    for num in STEPS:
        programs = {name: _gradient(solve) for name, solve in _solves(num).items()}
        timings = interleaved({name: run for name, (run, _) in programs.items()}, rounds=rounds)
        cells = (f"{name} {mib:7.1f} ({1e3 * timings[name].median:6.0f})" for name, (_, mib) in programs.items())
        yield f"  {num:4d} steps: " + "   ".join(cells)


def _solves(num: int) -> dict[str, solvers.Solve]:
    def plain(velocity, weights, x, start, end):
        return solvers.integrate(lambda x, t: velocity(x, t, weights), x, _times(start, end, num), tableau=solvers.RK4)

    def forward(velocity, x, start, end):
        return solvers.integrate(velocity, x, _times(start, end, num), tableau=solvers.RK4)

    return {"plain": plain, "checkpointed": solvers.fixed_solve(num), "adjoint": solvers.adjoint(forward)}


def _times(start, end, num: int) -> jax.Array:
    return start + (end - start) * jnp.arange(num + 1, dtype=jnp.float32) / num


def _gradient(solve: solvers.Solve) -> tuple[Callable[[], None], float]:
    """Return (a function that makes one gradient, MiB of its temporaries)."""
    trace = solvers.rademacher_trace()
    model = flows.cnf(flows.ConcatSquash(WIDTHS), shape=(DIMS,), solve=solve, trace=trace)
    batch, key = {"x": jnp.ones((BATCH, DIMS))}, jax.random.key(0)
    variables = model.init(key, batch)
    loss = lambda params: model.updates[0].loss(variables._replace(params=params), batch, key, jnp.int32(0))[0]
    compiled = jax.jit(jax.grad(loss)).lower(variables.params).compile()
    mib = compiled.memory_analysis().temp_size_in_bytes / 2**20
    return lambda: jax.block_until_ready(compiled(variables.params)), mib
