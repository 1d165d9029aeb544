"""MADE, MAF and Real NVP beside zuko and nflows (PyTorch) and distrax (JAX): density, gradient, sampling.

Equal architecture and batch, float32, the same device: masked networks of equal widths, couplings of halves with
equal networks. The torch peers run eagerly, as their documentation shows them; distrax, which has no autoregressive
flow, is compiled by `jax.jit` as ours is. nflows' masked network has no activation after its first layer.

    log_prob    log p(x) of a batch
    gradient    of the mean of log p(x) with respect to all parameters
    sample      a batch of samples; for MADE and MAF the slow direction, entry by entry

Also here: how long it takes to compile the gradient of a MAF of 4, 16 and 64 layers, ours by one scan and unrolled.
"""

import importlib.util
import time
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp

from benchmarks.timing import paired_ratio
from genjax import flows

DIMS, HIDDEN, BATCH = 64, (128, 128), 256
MODELS = {"MADE": 1, "MAF(5)": 5, "Real NVP(8)": 8}  # layers
PEERS = {"zuko": ("zuko", "torch"), "nflows": ("nflows", "torch"), "distrax": ("distrax",)}

Contestant = dict[str, Callable[[], None]]


def report(rounds: int) -> Iterator[str]:
    """Yield the lines of this benchmark."""
    yield f"ours / peer, {DIMS} dimensions, hidden {HIDDEN}, batch {BATCH}; below 1 is ahead"
    for peer, packages in PEERS.items():
        absent = [package for package in packages if importlib.util.find_spec(package) is None]
        if absent:
            yield f"  {peer}: not measured, {', '.join(absent)} absent; install the extra 'bench'"
            continue
        for row in measure(peer, rounds=rounds):
            yield f"  {row['what']:38s} {row['ratio']:6.3f}   ({row['ours_ms']:.2f} ms / {row['theirs_ms']:.2f} ms)"
    yield "seconds to trace and compile the gradient of a MAF, by depth"
    for depth in (4, 16, 64):
        scanned, unrolled = compile_seconds(depth), compile_seconds(depth, unrolled=True)
        yield f"  {depth:3d} layers: {scanned:6.2f} by one scan, {unrolled:6.2f} unrolled"


def measure(peer: str, *, rounds: int) -> list[dict]:
    """Return a row for each model and each of log_prob, gradient and sample."""
    theirs_of = {"zuko": _zuko, "nflows": _nflows, "distrax": _distrax}[peer]
    rows = []
    for name, layers in MODELS.items():
        if peer == "distrax" and name != "Real NVP(8)":
            continue
        ours, theirs = _ours(name, layers), theirs_of(name, layers)
        for what in ours:
            ratio, timings = paired_ratio({"ours": ours[what], "theirs": theirs[what]}, "ours", "theirs", rounds=rounds)
            ms = {f"{who}_ms": 1e3 * timing.median for who, timing in timings.items()}
            rows.append({"what": f"{name} {what} / {peer}", "ratio": ratio, **ms})
    return rows


def compile_seconds(depth: int, *, unrolled: bool = False) -> float:
    """Return the seconds until the gradient of a MAF of `depth` layers is compiled, without a compilation cache."""
    layer = flows.chain(flows.autoregressive_layer(DIMS, HIDDEN), flows.reverse())
    bijection = flows.chain(*[layer] * depth) if unrolled else flows.repeat(layer, depth)
    x = jnp.zeros((BATCH, DIMS))
    weights = jax.eval_shape(bijection.init, jax.random.key(0), x, None)
    gradient = jax.jit(jax.grad(lambda weights, x: -jnp.mean(_log_prob(bijection, weights, x))))
    enabled = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        began = time.perf_counter()
        gradient.lower(weights, x).compile()
        return time.perf_counter() - began
    finally:
        jax.config.update("jax_enable_compilation_cache", enabled)


def _log_prob(bijection: flows.Bijection, weights: flows.Weights, x: jax.Array) -> jax.Array:
    return flows.change_of_variables(*bijection.forward(weights, x, None), flows.standard_normal())


def _ours(name: str, layers: int) -> Contestant:
    if name == "Real NVP(8)":
        network = lambda features: flows.TanhScale(flows.CouplingMLP(2 * features, HIDDEN))
        halves = [flows.affine_coupling(network, flows.halves(swap=swap)) for swap in (False, True)]
        bijection = flows.chain(*halves * (layers // 2))  # layer by layer, as distrax chains them
    else:
        bijection = flows.maf_bijection(DIMS, HIDDEN, num_layers=layers)
    x = jax.random.normal(jax.random.key(0), (BATCH, DIMS))
    weights = jax.jit(bijection.init)(jax.random.key(1), x, None)
    return _jitted(
        lambda weights, x: _log_prob(bijection, weights, x),
        lambda weights, key: bijection.inverse(weights, jax.random.normal(key, (BATCH, DIMS)), None)[0],
        weights,
        x,
    )


def _jitted(log_prob: Callable, sample: Callable, weights, x: jax.Array) -> Contestant:
    forward, drawn = jax.jit(log_prob), jax.jit(sample)
    gradient = jax.jit(jax.grad(lambda weights, x: -jnp.mean(log_prob(weights, x))))
    key = jax.random.key(2)
    return {
        "log_prob": lambda: jax.block_until_ready(forward(weights, x)),
        "gradient": lambda: jax.block_until_ready(gradient(weights, x)),
        "sample": lambda: jax.block_until_ready(drawn(weights, key)),
    }


def _zuko(name: str, layers: int) -> Contestant:
    import zuko

    if name == "Real NVP(8)":
        flow = zuko.flows.RealNVP(DIMS, transforms=layers, hidden_features=HIDDEN)
    else:
        flow = zuko.flows.MAF(DIMS, transforms=layers, hidden_features=HIDDEN)
    return _torch(flow, lambda x: flow().log_prob(x), lambda: flow().sample((BATCH,)))


def _nflows(name: str, layers: int) -> Contestant:
    import torch
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.nn.nets import MLP
    from nflows.transforms import (
        AffineCouplingTransform,
        CompositeTransform,
        MaskedAffineAutoregressiveTransform,
        ReversePermutation,
    )

    steps = []
    for layer in range(layers):
        if name == "Real NVP(8)":
            mask = torch.arange(DIMS) < DIMS // 2
            network = lambda inputs, outputs: _without_context(MLP((inputs,), (outputs,), list(HIDDEN)))
            steps.append(AffineCouplingTransform(mask if layer % 2 else ~mask, network))
        else:
            blocks = len(HIDDEN) - 1
            steps.append(
                MaskedAffineAutoregressiveTransform(DIMS, HIDDEN[0], num_blocks=blocks, use_residual_blocks=False)
            )
            steps.append(ReversePermutation(DIMS))
    flow = Flow(CompositeTransform(steps), StandardNormal((DIMS,)))
    return _torch(flow, flow.log_prob, lambda: flow.sample(BATCH))


def _without_context(network):
    """Wrap a network that takes no context for a peer that hands one over, None."""
    import torch

    class WithoutContext(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, x, context=None):
            return self.network(x)

    return WithoutContext()


def _torch(flow, log_prob: Callable, sample: Callable) -> Contestant:
    import torch

    device = "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    flow.to(device)
    x = torch.randn(BATCH, DIMS, device=device)

    def without_gradient(run: Callable) -> Callable[[], None]:
        def run_and_wait() -> None:
            with torch.no_grad():
                run()
            wait()

        return run_and_wait

    def gradient() -> None:
        flow.zero_grad()
        (-log_prob(x).mean()).backward()
        wait()

    return {"log_prob": without_gradient(lambda: log_prob(x)), "gradient": gradient, "sample": without_gradient(sample)}


def _distrax(name: str, layers: int) -> Contestant:
    import distrax

    half = DIMS // 2
    widths = (half, *HIDDEN, 2 * half)

    def conditioner(params):
        def network(x: jax.Array) -> jax.Array:
            for index, (kernel, bias) in enumerate(params):
                x = x @ kernel + bias
                x = jax.nn.relu(x) if index < len(HIDDEN) else x
            return x

        return network

    def affine(bound: jax.Array):
        def bijector(outputs: jax.Array):
            shift, raw = jnp.split(outputs, 2, axis=-1)
            return distrax.ScalarAffine(shift=shift, log_scale=bound * jnp.tanh(raw))

        return bijector

    def flow(weights):
        steps = [
            distrax.SplitCoupling(half, 1, conditioner(params), affine(bound), swap=bool(index % 2))
            for index, (params, bound) in enumerate(weights)
        ]
        base = distrax.MultivariateNormalDiag(jnp.zeros(DIMS), jnp.ones(DIMS))
        return distrax.Transformed(base, distrax.Inverse(distrax.Chain(steps)))

    keys = iter(jax.random.split(jax.random.key(0), layers * len(widths)))
    dense = lambda a, b: (jax.random.normal(next(keys), (a, b)) / a**0.5, jnp.zeros(b))
    weights = [([dense(a, b) for a, b in zip(widths, widths[1:])], jnp.ones(half)) for _ in range(layers)]
    x = jax.random.normal(jax.random.key(1), (BATCH, DIMS))
    return _jitted(
        lambda weights, x: flow(weights).log_prob(x),
        lambda weights, key: flow(weights).sample(seed=key, sample_shape=(BATCH,)),
        weights,
        x,
    )
