"""The DDPM U-Net beside the same architecture in diffusers on PyTorch: training step, denoising pass, sampling.

Equal layers (see `genjax.nn.unet`), equal batch, float32, the same device, Adam in both; neither is compiled by
`torch.compile`. Sampling is the whole ancestral chain: ours one `lax.scan`, theirs the loop over `DDPMScheduler` of
its documentation.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import optax

from benchmarks.memory import peak_mib
from benchmarks.timing import paired_ratio
from genjax import diffusion, processes
from genjax.nn import UNet

CHANNELS, GROUPS, BATCH, SIZE, STEPS = (32, 64), 8, 64, 8, 50


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
    """Return a row for the training step, the denoising pass, and sampling at two batch sizes."""
    ours, theirs, rows = _ours(), _theirs(), []
    for what in ours:
        ratio, timings = paired_ratio({"ours": ours[what], "theirs": theirs[what]}, "ours", "theirs", rounds=rounds)
        ms = {f"{who}_ms": 1e3 * timing.median for who, timing in timings.items()}
        rows.append({"what": what, "ratio": ratio, **ms})
    return rows


def _ours():
    network = UNet(channels=CHANNELS, blocks=1, attention=(1,), groups=GROUPS)
    x, t = jnp.ones((BATCH, SIZE, SIZE, 1)), jnp.arange(BATCH, dtype=jnp.int32)
    params = network.init(jax.random.key(0), x, t)
    optimizer = optax.adam(1e-3)
    held = [params, optimizer.init(params)]
    schedule = processes.linear_schedule(STEPS, first=2e-3, last=0.4)

    @jax.jit
    def step(params, opt, key):
        def loss(params):
            noise = jax.random.normal(key, x.shape)
            return jnp.mean((network.apply(params, x + noise, t) - noise) ** 2)

        moves, opt = optimizer.update(jax.grad(loss)(params), opt, params)
        return optax.apply_updates(params, moves), opt

    denoise = jax.jit(network.apply)

    @jax.jit
    def draw(params, key, like):
        predict = lambda x_t, t: network.apply(params, x_t, t - 1)
        to_x0 = processes.denoiser(predict, processes.EPS, lambda t: processes.marginal(schedule, t))
        return diffusion.draw(diffusion.ancestral(to_x0, schedule, processes.upper_variance(schedule)), key, like.shape)

    def train() -> None:
        held[:] = step(*held, jax.random.key(1))
        jax.block_until_ready(held)

    return {
        "training step, batch 64": train,
        "denoising pass, batch 64": lambda: jax.block_until_ready(denoise(params, x, t)),
        f"sampling in {STEPS} steps, batch 64": lambda: jax.block_until_ready(draw(params, jax.random.key(2), x)),
        f"sampling in {STEPS} steps, batch 4": lambda: jax.block_until_ready(draw(params, jax.random.key(2), x[:4])),
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
    scheduler = DDPMScheduler(num_train_timesteps=STEPS, beta_start=2e-3, beta_end=0.4, variance_type="fixed_large")
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

    def draw(batch: int) -> None:
        with torch.no_grad():
            x_t = torch.randn_like(x[:batch])
            for step in scheduler.timesteps:
                x_t = scheduler.step(network(x_t, step).sample, step, x_t).prev_sample
        wait()

    return {
        "training step, batch 64": train,
        "denoising pass, batch 64": denoise,
        f"sampling in {STEPS} steps, batch 64": lambda: draw(64),
        f"sampling in {STEPS} steps, batch 4": lambda: draw(4),
    }
