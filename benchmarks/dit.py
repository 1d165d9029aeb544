"""A DiT beside the same architecture in diffusers on PyTorch: training step, sampling in 50 and in 1000 steps.

Equal layers (see `genjax.nn.dit`), but that theirs embeds time and class anew in every block; equal batch, float32, the
same device, Adam in both; neither is compiled by `torch.compile`. Sampling in 50 steps is DDIM, in 1000 the ancestral
chain: ours one `lax.scan`, theirs the loop over the scheduler of its documentation.
"""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import optax

from benchmarks.memory import peak_mib
from benchmarks.timing import paired_ratio
from genjax import diffusion, processes
from genjax.nn import DiT

WIDTH, DEPTH, HEADS, PATCH, SIZE, CHANNELS, CLASSES, BATCH = 128, 4, 4, 2, 16, 4, 10, 32
TRAIN = f"training step, batch {BATCH}"
FEW, FEW_SMALL = f"sampling in 50 steps (DDIM), batch {BATCH}", "sampling in 50 steps (DDIM), batch 1"
MANY = "sampling in 1000 steps (ancestral), batch 1"

Contestant = dict[str, Callable[[], None]]


def report(rounds: int) -> Iterator[str]:
    """Yield the lines of this benchmark."""
    yield f"DiT / diffusers on PyTorch, width {WIDTH}, depth {DEPTH}, {(SIZE // PATCH) ** 2} tokens; below 1 is ahead"
    for row in measure(rounds=rounds):
        yield f"  {row['what']:50s} {row['ratio']:6.3f}   ({row['ours_ms']:.1f} ms / {row['theirs_ms']:.1f} ms)"
    ours, theirs = (peak_mib("benchmarks.dit", who) for who in ("ours", "theirs"))
    yield f"  {'peak memory of a process that trains':50s} {ours / theirs:6.3f}   ({ours:.0f} MiB / {theirs:.0f} MiB)"


def peak(who: str) -> None:
    """Make ten training steps, as 'ours' or 'theirs'."""
    step = {"ours": _ours, "theirs": _theirs}[who]()[TRAIN]
    for _ in range(10):
        step()


def measure(*, rounds: int) -> list[dict]:
    """Return a row for the training step and each way of sampling; the long one in at most three rounds."""
    ours, theirs, rows = _ours(), _theirs(), []
    for what in ours:
        contestants, made = {"ours": ours[what], "theirs": theirs[what]}, min(rounds, 3) if what == MANY else rounds
        ratio, timings = paired_ratio(contestants, "ours", "theirs", rounds=made)
        ms = {f"{who}_ms": 1e3 * timing.median for who, timing in timings.items()}
        rows.append({"what": what, "ratio": ratio, **ms})
    return rows


def _ours() -> Contestant:
    network = DiT(patch=PATCH, width=WIDTH, depth=DEPTH, heads=HEADS, num_classes=CLASSES)
    x, t = jnp.ones((BATCH, SIZE, SIZE, CHANNELS)), jnp.arange(BATCH, dtype=jnp.int32)
    label = t % CLASSES
    params = jax.jit(network.init)(jax.random.key(0), x, t, label)
    optimizer = optax.adam(1e-3)
    held = [params, optimizer.init(params)]
    schedule = processes.linear_schedule(1000)

    @jax.jit
    def step(params, opt, key):
        def loss(params):
            noise = jax.random.normal(key, x.shape)
            return jnp.mean((network.apply(params, x + noise, t, label) - noise) ** 2)

        moves, opt = optimizer.update(jax.grad(loss)(params), opt, params)
        return optax.apply_updates(params, moves), opt

    def denoiser(params, like):
        predict = lambda x_t, t: network.apply(params, x_t, t - 1, label[: len(like)])
        return processes.denoiser(predict, processes.EPS, lambda t: processes.marginal(schedule, t))

    @jax.jit
    def few(params, key, like):
        point_of, times = lambda t: processes.marginal(schedule, t), processes.sub_sequence(1000, 50)
        return diffusion.draw(diffusion.ddim(denoiser(params, like), point_of, times), key, like.shape)

    @jax.jit
    def many(params, key, like):
        sampler = diffusion.ancestral(denoiser(params, like), schedule, processes.upper_variance(schedule))
        return diffusion.draw(sampler, key, like.shape)

    def train() -> None:
        held[:] = step(*held, jax.random.key(1))
        jax.block_until_ready(held)

    key = jax.random.key(2)
    return {
        TRAIN: train,
        FEW: lambda: jax.block_until_ready(few(params, key, x)),
        FEW_SMALL: lambda: jax.block_until_ready(few(params, key, x[:1])),
        MANY: lambda: jax.block_until_ready(many(params, key, x[:1])),
    }


def _theirs() -> Contestant:
    import torch  # here, so that they do not count in the memory of ours
    from diffusers import DDIMScheduler, DDPMScheduler, DiTTransformer2DModel

    device = "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    network = DiTTransformer2DModel(
        num_attention_heads=HEADS,
        attention_head_dim=WIDTH // HEADS,
        in_channels=CHANNELS,
        num_layers=DEPTH,
        sample_size=SIZE,
        patch_size=PATCH,
        num_embeds_ada_norm=CLASSES,
        norm_eps=1e-6,
    ).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    beta = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "clip_sample": False}
    schedulers = {50: DDIMScheduler(**beta), 1000: DDPMScheduler(**beta, variance_type="fixed_large")}
    x = torch.ones(BATCH, CHANNELS, SIZE, SIZE, device=device)
    t = torch.arange(BATCH, device=device)
    label = t % CLASSES

    def train() -> None:
        noise = torch.randn_like(x)
        optimizer.zero_grad()
        ((network(x + noise, t, class_labels=label).sample - noise) ** 2).mean().backward()
        optimizer.step()
        wait()

    def draw(steps: int, batch: int) -> None:
        scheduler = schedulers[steps]
        scheduler.set_timesteps(steps)
        network.eval()
        with torch.no_grad():
            x_t = torch.randn_like(x[:batch])
            for step in scheduler.timesteps:
                times = step.to(device).expand(batch)
                eps = network(x_t, times, class_labels=label[:batch]).sample
                x_t = scheduler.step(eps, step, x_t).prev_sample
        network.train()
        wait()

    return {TRAIN: train, FEW: lambda: draw(50, BATCH), FEW_SMALL: lambda: draw(50, 1), MANY: lambda: draw(1000, 1)}
