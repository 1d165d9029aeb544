"""The DDPM U-Net beside the same architecture in diffusers on PyTorch: training step, denoising pass, sampling.

Equal layers (see `genjax.nn.unet`), equal batch, float32, the same device, Adam in both; neither is compiled by
`torch.compile`. Sampling is the whole ancestral chain, of 50 and of 1000 steps: ours one `lax.scan`, theirs the loop
over `DDPMScheduler` of its documentation.
"""

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import optax

from benchmarks.memory import peak_mib
from benchmarks.timing import paired_ratio
from genjax import diffusion, processes
from genjax.nn import UNet

CHANNELS, GROUPS, BATCH, SIZE = (32, 64), 8, 64, 8
FEW, FEW_SMALL = "sampling in 50 steps, batch 64", "sampling in 50 steps, batch 4"
MANY = "sampling in 1000 steps, batch 4"
BETAS = {50: (2e-3, 0.4), 1000: (1e-4, 0.02)}  # first and last, by the number of steps


def report(rounds: int) -> Iterator[str]:
    """Yield the lines of this benchmark."""
    yield f"DDPM U-Net / diffusers on PyTorch, channels {CHANNELS}, {SIZE}x{SIZE}; below 1 is ahead"
    for row in measure(rounds=rounds):
        yield f"  {row['what']:50s} {row['ratio']:6.3f}   ({row['ours_ms']:.1f} ms / {row['theirs_ms']:.1f} ms)"
    ours, theirs = (peak_mib("benchmarks.unet", who) for who in ("ours", "theirs"))
    yield f"  {'peak memory of a process that trains':50s} {ours / theirs:6.3f}   ({ours:.0f} MiB / {theirs:.0f} MiB)"


def peak(who: str) -> None:
    """Make ten training steps, as 'ours' or 'theirs'."""
    step = {"ours": _ours, "theirs": _theirs}[who]()["training step, batch 64"]
    for _ in range(10):
        step()


def measure(*, rounds: int) -> list[dict]:
    """Return a row for the training step, the denoising pass and each way of sampling; the long one in three rounds."""
    ours, theirs, rows = _ours(), _theirs(), []
    for what in ours:
        contestants, made = {"ours": ours[what], "theirs": theirs[what]}, min(rounds, 3) if what == MANY else rounds
        ratio, timings = paired_ratio(contestants, "ours", "theirs", rounds=made)
        ms = {f"{who}_ms": 1e3 * timing.median for who, timing in timings.items()}
        rows.append({"what": what, "ratio": ratio, **ms})
    return rows


def _ours():
    network = UNet(channels=CHANNELS, blocks=1, attention=(1,), groups=GROUPS)
    x, t = jnp.ones((BATCH, SIZE, SIZE, 1)), jnp.arange(BATCH, dtype=jnp.int32)
    # As the engine does; op by op it would compile hundreds of programs, which take memory too.
    params = jax.jit(network.init)(jax.random.key(0), x, t)
    optimizer = optax.adam(1e-3)
    held = [params, optimizer.init(params)]

    @jax.jit
    def step(params, opt, key):
        def loss(params):
            noise = jax.random.normal(key, x.shape)
            return jnp.mean((network.apply(params, x + noise, t) - noise) ** 2)

        moves, opt = optimizer.update(jax.grad(loss)(params), opt, params)
        return optax.apply_updates(params, moves), opt

    denoise = jax.jit(network.apply)

    @functools.partial(jax.jit, static_argnums=0)
    def draw(steps, params, key, like):
        schedule = processes.linear_schedule(steps, first=BETAS[steps][0], last=BETAS[steps][1])
        predict = lambda x_t, t: network.apply(params, x_t, t - 1)
        to_x0 = processes.denoiser(predict, processes.EPS, lambda t: processes.marginal(schedule, t))
        return diffusion.draw(diffusion.ancestral(to_x0, schedule, processes.upper_variance(schedule)), key, like.shape)

    def train() -> None:
        held[:] = step(*held, jax.random.key(1))
        jax.block_until_ready(held)

    return {
        "training step, batch 64": train,
        "denoising pass, batch 64": lambda: jax.block_until_ready(denoise(params, x, t)),
        FEW: lambda: jax.block_until_ready(draw(50, params, jax.random.key(2), x)),
        FEW_SMALL: lambda: jax.block_until_ready(draw(50, params, jax.random.key(2), x[:4])),
        MANY: lambda: jax.block_until_ready(draw(1000, params, jax.random.key(2), x[:4])),
    }


def _theirs():
    import torch  # here, so that they do not count in the memory of ours
    from diffusers import DDPMScheduler, UNet2DModel

    device = "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    network = UNet2DModel(
        in_channels=1,
        out_channels=1,
        block_out_channels=CHANNELS,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=None,
        norm_num_groups=GROUPS,
        downsample_padding=1,
        flip_sin_to_cos=False,
        freq_shift=1,
    ).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    of_steps = lambda steps: DDPMScheduler(steps, *BETAS[steps], variance_type="fixed_large")
    schedulers = {steps: of_steps(steps) for steps in BETAS}
    x = torch.ones(BATCH, 1, SIZE, SIZE, device=device)
    t = torch.arange(BATCH, device=device)

    def train() -> None:
        noise = torch.randn_like(x)
        optimizer.zero_grad()
        ((network(x + noise, t).sample - noise) ** 2).mean().backward()
        optimizer.step()
        wait()

    def denoise() -> None:
        with torch.no_grad():
            network(x, t)
        wait()

    def draw(steps: int, batch: int) -> None:
        scheduler = schedulers[steps]
        with torch.no_grad():
            x_t = torch.randn_like(x[:batch])
            for step in scheduler.timesteps:
                x_t = scheduler.step(network(x_t, step).sample, step, x_t).prev_sample
        wait()

    return {
        "training step, batch 64": train,
        "denoising pass, batch 64": denoise,
        FEW: lambda: draw(50, 64),
        FEW_SMALL: lambda: draw(50, 4),
        MANY: lambda: draw(1000, 4),
    }
