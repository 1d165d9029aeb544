"""Training steps of a VAE and a VQ-VAE beside the same architectures in plain PyTorch.

Equal layers, equal batch, float32, the same device, Adam in both. VAE: dense tanh networks of two layers, Bernoulli
pixels, the closed-form rate. VQ-VAE: strided convolutions and residual blocks down to a grid of codes and back, squared
error, code vectors by moving averages, straight-through gradients. PyTorch runs as it comes, not compiled; ours makes
one step a dispatch, and ten, as runs from the command line do. Also the lookup alone: nearest codes of many vectors,
against `torch.cdist(...).argmin`.
"""

import math
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import optax

from benchmarks.memory import peak_mib
from benchmarks.timing import paired_ratio
from genjax import autoencoders as ae
from genjax.contract import Batch, GenerativeModel

VAE_SIZE, HIDDEN, LATENT, VAE_BATCH = 28, (200, 200), 50, 100
GRID_SIZE, WIDTHS, BLOCKS, CODES, CODE_DIM, GRID_BATCH = 16, (32, 64), 2, 128, 16, 64
LOOKED_UP, MANY_CODES, WIDE = 4096, 1024, 64  # vectors, codes, entries of one
DECAY, COMMITMENT, EPSILON = 0.99, 0.25, 1e-5
INNER = 10  # steps in one dispatch

Contestant = dict[str, Callable[[], None]]


def report(rounds: int) -> Iterator[str]:
    """Yield the lines of this benchmark."""
    yield "ours / plain PyTorch, a training step; below 1 is ahead"
    for row in measure(rounds=rounds):
        yield f"  {row['what']:50s} {row['ratio']:6.3f}   ({row['ours_ms']:.2f} ms / {row['theirs_ms']:.2f} ms)"
    ours, theirs = (peak_mib("benchmarks.autoencoders", who) for who in ("ours", "theirs"))
    yield f"  {'peak memory, training the VQ-VAE':50s} {ours / theirs:6.3f}   ({ours:.0f} MiB / {theirs:.0f} MiB)"


def peak(who: str) -> None:
    """Make ten training steps of the VQ-VAE, as 'ours' or 'theirs'."""
    step = {"ours": lambda: _ours_grid(1), "theirs": _theirs_grid}[who]()
    for _ in range(10):
        step()


def measure(*, rounds: int) -> Iterator[dict]:
    """Yield a row for each model, by one step a dispatch and by ten, and one for the lookup; milliseconds a step."""
    cases = {
        f"VAE {HIDDEN}, {VAE_SIZE}x{VAE_SIZE}, batch {VAE_BATCH}": (_ours_vae, _theirs_vae),
        f"VQ-VAE {WIDTHS}, {GRID_SIZE}x{GRID_SIZE}, batch {GRID_BATCH}": (_ours_grid, _theirs_grid),
    }
    for what, (ours_of, theirs_of) in cases.items():
        theirs = theirs_of()
        for inner in (1, INNER):
            # As many steps a round on both sides, so that neither profits from a warmer cache.
            single, repeated = ours_of(inner), lambda: [theirs() for _ in range(INNER)]
            ours = single if inner == INNER else lambda: [single() for _ in range(INNER)]
            yield _row(f"{what}, {inner} a dispatch", ours, repeated, rounds, per=INNER)
    yield _row(f"{LOOKED_UP} nearest of {MANY_CODES} codes", _ours_lookup(), _theirs_lookup(), rounds, per=1)


def _row(what: str, ours: Callable[[], object], theirs: Callable[[], object], rounds: int, *, per: int) -> dict:
    ratio, timings = paired_ratio({"ours": ours, "theirs": theirs}, "ours", "theirs", rounds=rounds)
    return {"what": what, "ratio": ratio} | {f"{who}_ms": 1e3 * t.median / per for who, t in timings.items()}


def _ours_vae(inner: int) -> Callable[[], None]:
    shape = (VAE_SIZE, VAE_SIZE, 1)
    encoder, decoder = ae.MLPEncoder(LATENT, HIDDEN), ae.MLPDecoder(shape, 1, HIDDEN)
    model = ae.vae(encoder, decoder, ae.bernoulli(), latent_dim=LATENT)
    x = jax.random.bernoulli(jax.random.key(0), 0.2, (VAE_BATCH, *shape)).astype(jnp.float32)
    return _trainer(model, {"x": x}, inner)


def _ours_grid(inner: int) -> Callable[[], None]:
    side = GRID_SIZE // 2 ** len(WIDTHS)
    model = ae.vq_vae_ema(
        ae.GridEncoder(WIDTHS, CODE_DIM, BLOCKS),
        ae.GridDecoder(WIDTHS[::-1], 1, BLOCKS),
        ae.fixed_gaussian(math.sqrt(0.5)),  # its density is the squared error, but for a constant
        num_codes=CODES,
        grid=(side, side),
        commitment=COMMITMENT,
        decay=DECAY,
    )
    x = jax.random.normal(jax.random.key(0), (GRID_BATCH, GRID_SIZE, GRID_SIZE, 1))
    return _trainer(model, {"x": x}, inner)


def _trainer(model: GenerativeModel, batch: Batch, inner: int) -> Callable[[], None]:
    """Return what makes `inner` steps of a model with one update in one dispatch."""
    (update,), adam = model.updates, optax.adam(1e-3)
    variables = jax.jit(model.init)(jax.random.key(1), batch)
    held = [variables, adam.init({name: variables.params[name] for name in update.players})]

    def one(carry, key):
        variables, opt = carry
        players = {name: variables.params[name] for name in update.players}
        loss = lambda players: update.loss(variables._replace(params=players), batch, key, jnp.int32(0))
        gradient, aux = jax.grad(loss, has_aux=True)(players)
        moves, opt = adam.update(gradient, opt, players)
        return (variables._replace(params=optax.apply_updates(players, moves), state=aux.state), opt), None

    @jax.jit
    def steps(variables, opt, key):
        return jax.lax.scan(one, (variables, opt), jax.random.split(key, inner))[0]

    def train() -> None:
        held[:] = steps(*held, jax.random.key(2))
        jax.block_until_ready(held)

    return train


def _ours_lookup() -> Callable[[], None]:
    z, vectors = (jax.random.normal(jax.random.key(i), (n, WIDE)) for i, n in enumerate((LOOKED_UP, MANY_CODES)))
    nearest = jax.jit(ae.nearest_codes)
    return lambda: jax.block_until_ready(nearest(z, vectors))


def _device():
    import torch  # here and below, so that it does not count in the memory of ours

    device = "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"
    return device, torch.cuda.synchronize if device == "cuda" else lambda: None


def _theirs_vae() -> Callable[[], None]:
    import torch
    from torch import nn

    device, wait = _device()

    def mlp(inputs: int, outputs: int) -> nn.Sequential:
        a, b = HIDDEN
        return nn.Sequential(nn.Linear(inputs, a), nn.Tanh(), nn.Linear(a, b), nn.Tanh(), nn.Linear(b, outputs))

    pixels = VAE_SIZE**2
    encoder, decoder = mlp(pixels, 2 * LATENT).to(device), mlp(LATENT, pixels).to(device)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    x = (torch.rand(VAE_BATCH, pixels, device=device) < 0.2).float()

    def train() -> None:
        mean, log_std = encoder(x).chunk(2, dim=1)
        z = mean + log_std.exp() * torch.randn_like(mean)
        rate = 0.5 * (mean**2 + (2 * log_std).exp() - 1 - 2 * log_std).sum(1)
        distortion = nn.functional.binary_cross_entropy_with_logits(decoder(z), x, reduction="none").sum(1)
        optimizer.zero_grad()
        (rate + distortion).mean().backward()
        optimizer.step()
        wait()

    return train


def _theirs_grid() -> Callable[[], None]:
    import torch
    from torch import nn

    device, wait = _device()

    class Residual(nn.Module):
        def __init__(self, width: int):
            super().__init__()
            self.wide, self.narrow = nn.Conv2d(width, width // 2, 3, padding=1), nn.Conv2d(width // 2, width, 1)

        def forward(self, x):
            return x + self.narrow(torch.relu(self.wide(torch.relu(x))))

    (a, b), blocks = WIDTHS, lambda width: [Residual(width) for _ in range(BLOCKS)]
    down = [nn.Conv2d(1, a, 4, 2, 1), nn.ReLU(), nn.Conv2d(a, b, 4, 2, 1), nn.ReLU(), nn.Conv2d(b, b, 3, padding=1)]
    encoder = nn.Sequential(*down, *blocks(b), nn.ReLU(), nn.Conv2d(b, CODE_DIM, 1)).to(device)
    up = [nn.ConvTranspose2d(b, a, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(a, a, 4, 2, 1), nn.ReLU()]
    start = nn.Conv2d(CODE_DIM, b, 3, padding=1)
    decoder = nn.Sequential(start, *blocks(b), nn.ReLU(), *up, nn.Conv2d(a, 1, 3, padding=1)).to(device)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    vectors, counts = torch.randn(CODES, CODE_DIM, device=device), torch.ones(CODES, device=device)
    sums, x = vectors.clone(), torch.randn(GRID_BATCH, 1, GRID_SIZE, GRID_SIZE, device=device)

    def train() -> None:
        z = encoder(x)
        flat = z.permute(0, 2, 3, 1).reshape(-1, CODE_DIM)
        with torch.no_grad():
            codes = (0.5 * (vectors**2).sum(1) - flat @ vectors.T).argmin(1)
            taken = nn.functional.one_hot(codes, CODES).float()
        e = vectors[codes].reshape(*z.permute(0, 2, 3, 1).shape).permute(0, 3, 1, 2)
        with torch.no_grad():
            counts.mul_(DECAY).add_(taken.sum(0), alpha=1 - DECAY)
            sums.mul_(DECAY).add_(taken.T @ flat, alpha=1 - DECAY)
            vectors.copy_(sums / (counts + EPSILON)[:, None])
        committed = ((z - e) ** 2).sum(1).mean()
        again = decoder(z + (e - z).detach())
        optimizer.zero_grad()
        (((x - again) ** 2).sum((1, 2, 3)).mean() + COMMITMENT * committed).backward()
        optimizer.step()
        wait()

    return train


def _theirs_lookup() -> Callable[[], None]:
    import torch

    device, wait = _device()
    z, vectors = torch.randn(LOOKED_UP, WIDE, device=device), torch.randn(MANY_CODES, WIDE, device=device)

    def look_up() -> None:
        torch.cdist(z, vectors).argmin(1)
        wait()

    return look_up
