"""The DDPM U-Net beside the same architecture in diffusers on PyTorch: training step, and one denoising pass.

Equal layers (see `genjax.nn.unet`), equal batch, float32, the same device, Adam in both; neither is compiled by
`torch.compile`. A denoising pass is what a sampler repeats, so its ratio is that of sampling time as well.
"""

import jax
import jax.numpy as jnp
import optax
import torch
from diffusers import UNet2DModel

from benchmarks.timing import paired_ratio
from genjax.nn import UNet

CHANNELS, GROUPS, BATCH, SIZE = (32, 64), 8, 64, 8


def measure(*, rounds: int) -> list[dict]:
    """Return a row for the training step and one for the denoising pass."""
    device = "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    ours_step, ours_pass = _ours()
    theirs_step, theirs_pass = _theirs(device, wait)
    rows = []
    for what, ours, theirs in (("training step", ours_step, theirs_step), ("denoising pass", ours_pass, theirs_pass)):
        ratio, timings = paired_ratio({"ours": ours, "theirs": theirs}, "ours", "theirs", rounds=2 * rounds)
        shape = f"{what}, channels {CHANNELS}, batch {BATCH} of {SIZE}x{SIZE}"
        rows.append({"what": shape, "ratio": ratio, "ours_ms": 1e3 * timings["ours"].median, "theirs_ms": 1e3 * timings["theirs"].median})
    return rows


def _ours():
    network = UNet(channels=CHANNELS, blocks=1, attention=(1,), groups=GROUPS)
    x, t = jnp.ones((BATCH, SIZE, SIZE, 1)), jnp.arange(BATCH, dtype=jnp.int32)
    params = network.init(jax.random.key(0), x, t)
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

    def train() -> None:
        held[:] = step(*held, jax.random.key(1))
        jax.block_until_ready(held)

    return train, lambda: jax.block_until_ready(denoise(params, x, t))


def _theirs(device, wait):
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

    return train, denoise
