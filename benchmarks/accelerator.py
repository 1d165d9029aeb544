"""How much of an accelerator a DiT uses: the peak of a matrix product, training in bfloat16 as a share, small batches.

    MFU = FLOPs of a training step / (its seconds x the measured peak of a product of bfloat16 matrices)

FLOPs are the compiler's own count. It counts the body of a loop once, and the blocks are a loop: so the blocks that it
leaves out are added, each at the compiler's count of one (`training_flops`). Sampling is DDIM in 50 steps at a batch of
one: as one program; as a Python loop over one compiled step; and as a Python loop over the compiled network with the
sampler's arithmetic outside of it, operation by operation, which is how schedulers are written.

The sizes are those of DiT-L/2 on an accelerator. On a CPU they are tiny, and the figures say only that it runs.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from benchmarks.timing import interleaved
from genjax import diffusion, processes
from genjax.contract import Array, PyTree
from genjax.diffusion.sampler import Sampler
from genjax.nn import DiT
from genjax.nn.dit import DiTBlock

PATCH, CHANNELS, STEPS, PRODUCTS = 2, 4, 50, 16


class Size(NamedTuple):
    """Of the network, its pictures and batch, and the sides of the matrices among which the peak is sought."""

    width: int
    depth: int
    heads: int
    side: int
    batch: int
    matrices: tuple[int, ...]


LARGE = Size(width=1024, depth=24, heads=16, side=32, batch=64, matrices=(4096, 8192, 16384))
TINY = Size(width=64, depth=2, heads=2, side=8, batch=4, matrices=(256, 512))


def report(rounds: int) -> Iterator[str]:
    """Yield the lines of this benchmark."""
    on_cpu = jax.default_backend() == "cpu"
    size = TINY if on_cpu else LARGE
    yield f"DiT, width {size.width}, depth {size.depth}, {size.side} x {size.side} x {CHANNELS} in patches of {PATCH}"
    if on_cpu:
        yield "  on a CPU, at a tiny size: it runs, the figures say no more"
    peak = matmul_peak(size.matrices, rounds=rounds)
    yield f"  peak of a product of bfloat16 matrices     {peak / 1e12:9.3f} TFLOP/s"
    flops = training_flops(size)
    for dtype in (jnp.bfloat16, jnp.float32):
        seconds = interleaved({"step": _training(size, dtype)}, rounds=rounds, warmup=2)["step"].median
        of_peak = f"{flops / seconds / 1e12:9.3f} TFLOP/s, {100 * flops / seconds / peak:5.1f} % of the peak"
        yield f"  training step, batch {size.batch}, {jnp.dtype(dtype).name:8s}     {1e3 * seconds:9.2f} ms, {of_peak}"
    timings = interleaved(_sampling(size), rounds=rounds)
    first = timings["one program"].median
    for name, timing in timings.items():
        times = f"{1e3 * timing.median:9.2f} ms, x {timing.median / first:.2f}"
        yield f"  sampling, {STEPS} steps, batch 1, {name:32s} {times}"


def matmul_peak(sides: tuple[int, ...], *, rounds: int) -> float:
    """Return the FLOP/s of a product of square bfloat16 matrices, at the side where it is highest."""

    @jax.jit
    def products(a: Array, b: Array) -> Array:
        # One dispatch makes many, each of the one before: none can be left out.
        return jax.lax.fori_loop(0, PRODUCTS, lambda i, c: (c @ b).astype(jnp.bfloat16), a)

    def rate(side: int) -> float:
        a, b = (jax.random.normal(jax.random.key(i), (side, side), jnp.bfloat16) / side**0.5 for i in range(2))
        seconds = interleaved({"products": lambda: jax.block_until_ready(products(a, b))}, rounds=rounds)["products"]
        return 2.0 * side**3 * PRODUCTS / seconds.median

    return max(rate(side) for side in sides)


def training_flops(size: Size, dtype: jnp.dtype = jnp.bfloat16) -> float:
    """Return the FLOPs of one training step by the compiler's count, with all of its blocks."""
    step, arguments = _step(size, dtype)
    of = lambda f, *given: jax.jit(f).lower(*given).cost_analysis()["flops"]
    block = DiTBlock(size.heads, dtype=dtype)
    tokens = jax.ShapeDtypeStruct((size.batch, (size.side // PATCH) ** 2, size.width), jnp.float32)
    c = jax.ShapeDtypeStruct((size.batch, size.width), jnp.float32)
    params = jax.eval_shape(block.init, jax.random.key(0), tokens, c)
    both_ways = jax.value_and_grad(lambda params, x, c: jnp.sum(block.apply(params, x, c)), argnums=(0, 1, 2))
    return of(step, *jax.eval_shape(arguments)) + (size.depth - 1) * of(both_ways, params, tokens, c)


def _network(size: Size, dtype: jnp.dtype) -> DiT:
    return DiT(patch=PATCH, width=size.width, depth=size.depth, heads=size.heads, num_classes=10, dtype=dtype)


def _inputs(size: Size, batch: int) -> tuple[Array, Array, Array]:
    x = jnp.ones((batch, size.side, size.side, CHANNELS))
    return x, jnp.arange(batch, dtype=jnp.int32), jnp.arange(batch, dtype=jnp.int32) % 10


def _step(size: Size, dtype: jnp.dtype) -> tuple[Callable, Callable[[], tuple[PyTree, ...]]]:
    """Return a training step (params, opt, key, x, t, label) -> (params, opt), and what makes its arguments."""
    network, optimizer = _network(size, dtype), optax.adam(1e-4)

    def step(params: PyTree, opt: PyTree, key: Array, x: Array, t: Array, label: Array) -> tuple[PyTree, PyTree]:
        def loss(params: PyTree) -> Array:
            noise = jax.random.normal(key, x.shape)
            return jnp.mean((network.apply(params, x + noise, t, label) - noise) ** 2)

        moves, opt = optimizer.update(jax.grad(loss)(params), opt, params)
        return optax.apply_updates(params, moves), opt

    def arguments() -> tuple[PyTree, ...]:
        given = _inputs(size, size.batch)
        params = network.init(jax.random.key(0), *given)
        return params, optimizer.init(params), jax.random.key(1), *given

    return step, arguments


def _training(size: Size, dtype: jnp.dtype) -> Callable[[], None]:
    step, arguments = _step(size, dtype)
    params, opt, *given = jax.jit(arguments)()
    held, compiled = [params, opt], jax.jit(step, donate_argnums=(0, 1))

    def train() -> None:
        held[:] = compiled(*held, *given)
        jax.block_until_ready(held)

    return train


def _sampling(size: Size) -> dict[str, Callable[[], None]]:
    """Return three ways to make one and the same sample."""
    network, schedule = _network(size, jnp.bfloat16), processes.linear_schedule(1000)
    x, t, label = _inputs(size, 1)
    params, key = jax.jit(network.init)(jax.random.key(0), x, t, label), jax.random.key(2)
    point_of = lambda t: processes.marginal(schedule, t)

    def sampler(predict: Callable[[Array, Array], Array]) -> Sampler:
        denoise = processes.denoiser(predict, processes.EPS, point_of)
        return diffusion.ddim(denoise, point_of, processes.sub_sequence(1000, STEPS))

    inside = lambda params: sampler(lambda x_t, t: network.apply(params, x_t, t - 1, label))
    whole = jax.jit(lambda params, x: diffusion.draw_from(inside(params), key, x))
    one = jax.jit(lambda params, x, n: inside(params).step(key, x, (), n).x)
    apply = jax.jit(network.apply)
    outside = sampler(lambda x_t, t: apply(params, x_t, t - 1, label))

    def by_steps(step: Callable[[Array, Array], Array]) -> Callable[[], None]:
        def run() -> None:
            state = x
            for n in range(STEPS):
                state = step(state, jnp.int32(n))
            jax.block_until_ready(state)

        return run

    return {
        "one program": lambda: jax.block_until_ready(whole(params, x)),
        "Python over a compiled step": by_steps(lambda x, n: one(params, x, n)),
        "Python over a compiled network": by_steps(lambda x, n: outside.step(key, x, (), n).x),
    }
