"""Training steps of DCGAN and WGAN-GP beside the same players in plain PyTorch.

Equal layers (their parameters are counted), equal batch, float32, the same device, Adam in both. A step moves the
discriminator once and the generator once, each on latents of its own; WGAN-GP's critic carries the gradient penalty,
whose gradient is a double backward. PyTorch runs as it comes, not compiled; ours makes one step a dispatch, and ten, as
runs from the command line do.
"""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.memory import peak_mib
from benchmarks.timing import paired_ratio
from genjax import adversarial
from genjax.contract import GenerativeModel
from genjax.training.state import init_state
from genjax.training.step import make_step
from genjax.training.system import System

SIDE, FEATURES, LATENT, BATCH = 28, (32, 64), 64, 64
WEIGHT, RATE, BETAS = 10.0, 2e-4, (0.5, 0.9)
INNER = 10  # steps in one dispatch


def report(rounds: int) -> Iterator[str]:
    """Yield the lines of this benchmark."""
    yield f"ours / plain PyTorch, a training step, {SIDE}x{SIDE}, features {FEATURES}, batch {BATCH}; below 1 is ahead"
    for row in measure(rounds=rounds):
        yield f"  {row['what']:50s} {row['ratio']:6.3f}   ({row['ours_ms']:.1f} ms / {row['theirs_ms']:.1f} ms)"
    ours, theirs = (peak_mib("benchmarks.adversarial", who) for who in ("ours", "theirs"))
    yield f"  {'peak memory of training WGAN-GP':50s} {ours / theirs:6.3f}   ({ours:.0f} / {theirs:.0f} MiB)"


def peak(who: str) -> None:
    """Make ten training steps of WGAN-GP, as 'ours' or 'theirs'."""
    train = {"ours": lambda: _ours(wgan_gp(), 1), "theirs": lambda: _theirs(penalised=True)}[who]()
    for _ in range(10):
        train()


def measure(*, rounds: int) -> Iterator[dict]:
    """Yield a row for each model, by one step a dispatch and by ten; milliseconds a step."""
    for what, model, penalised in (("DCGAN", dcgan(), False), ("WGAN-GP", wgan_gp(), True)):
        theirs = _theirs(penalised=penalised)
        for inner in (1, INNER):
            yield _row(f"{what}, {inner} a dispatch", _ours(model, inner), theirs, inner, rounds)


def _row(what: str, ours: Callable[[], None], theirs: Callable[[], None], inner: int, rounds: int) -> dict:
    """Time INNER steps of each in turns, so that neither profits from a warmer cache."""
    contestants = {
        "ours": lambda: [ours() for _ in range(INNER // inner)],
        "theirs": lambda: [theirs() for _ in range(INNER)],
    }
    ratio, timings = paired_ratio(contestants, "ours", "theirs", rounds=rounds)
    return {"what": what, "ratio": ratio} | {f"{who}_ms": 1e3 * t.median / INNER for who, t in timings.items()}


def dcgan() -> GenerativeModel:
    """Return DCGAN at the size of this benchmark."""
    features = {"generator_features": FEATURES, "discriminator_features": FEATURES}
    return adversarial.dcgan((SIDE, SIDE, 1), latent_dim=LATENT, **features)


def wgan_gp() -> GenerativeModel:
    """Return WGAN-GP at the size of this benchmark, with one critic move a step."""
    generator = adversarial.DCGANGenerator((SIDE, SIDE, 1), FEATURES)
    critic = adversarial.LayerNormCritic(FEATURES)
    return adversarial.wgan_gp(generator, critic, latent_dim=LATENT, critic_steps=1)


def _ours(model: GenerativeModel, inner: int) -> Callable[[], None]:
    """Return what makes `inner` steps of the engine in one dispatch."""
    adam = optax.adam(RATE, *BETAS)
    system = System(model, {"generator": adam, "discriminator": adam})
    x = jax.random.normal(jax.random.key(0), (inner, 1, BATCH, SIDE, SIDE, 1))
    seed = jax.random.key_data(jax.random.key(1))
    held = [jax.jit(lambda x: init_state(system, False, seed, {"x": x}, {}))(x[0, 0])]
    step = jax.jit(make_step(system), donate_argnums=0)

    def train() -> None:
        held[0], _ = step(held[0], {"x": x})
        jax.block_until_ready(held)

    return train


def _theirs(*, penalised: bool) -> Callable[[], None]:
    """Return what makes one step of the same in PyTorch."""
    import torch  # here, so that it does not count in the memory of ours
    from torch.nn.functional import softplus

    device = "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    generator, discriminator = (player.to(device) for player in _torch_players(penalised))
    _compare_sizes(wgan_gp() if penalised else dcgan(), generator, discriminator)
    adams = [torch.optim.Adam(player.parameters(), lr=RATE, betas=BETAS) for player in (generator, discriminator)]
    x = torch.randn(BATCH, 1, SIDE, SIDE, device=device)
    draw = lambda: torch.randn(BATCH, LATENT, 1, 1, device=device)
    score = lambda pictures: discriminator(pictures).flatten()

    def penalty(fake: torch.Tensor) -> torch.Tensor:
        eps = torch.rand(BATCH, 1, 1, 1, device=device)
        between = (x + eps * (fake - x)).requires_grad_()
        (gradient,) = torch.autograd.grad(score(between).sum(), between, create_graph=True)
        return WEIGHT * ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()

    def train() -> None:
        with torch.no_grad():
            fake = generator(draw())
        real_scores, fake_scores = score(x), score(fake)
        if penalised:
            loss = fake_scores.mean() - real_scores.mean() + penalty(fake)
        else:
            loss = softplus(-real_scores).mean() + softplus(fake_scores).mean()
        _move(adams[1], loss)
        fake_scores = score(generator(draw()))
        _move(adams[0], -fake_scores.mean() if penalised else softplus(-fake_scores).mean())
        wait()

    return train


def _move(optimizer, loss) -> None:
    optimizer.zero_grad()  # also of what the other player's loss left there
    loss.backward()
    optimizer.step()


def _torch_players(penalised: bool):
    """Return DCGAN's generator, and its discriminator or the layer-normalized critic."""
    from torch import nn

    first, inner = FEATURES
    base = SIDE // 4
    generator = nn.Sequential(
        nn.ConvTranspose2d(LATENT, inner, base, bias=False),
        nn.BatchNorm2d(inner),
        nn.ReLU(),
        nn.ConvTranspose2d(inner, first, 4, 2, 1, bias=False),
        nn.BatchNorm2d(first),
        nn.ReLU(),
        nn.ConvTranspose2d(first, 1, 4, 2, 1),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(1, first, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(first, inner, 4, 2, 1, bias=penalised),
        nn.GroupNorm(1, inner) if penalised else nn.BatchNorm2d(inner),  # one group: the whole picture
        nn.LeakyReLU(0.2),
        nn.Conv2d(inner, 1, base, bias=not penalised),
    )
    return generator, discriminator


def _compare_sizes(model: GenerativeModel, generator, discriminator) -> None:
    """Raise where the two sides do not have the same number of parameters."""
    ours = jax.eval_shape(model.init, jax.random.key(0), {"x": jnp.zeros((1, SIDE, SIDE, 1))}).params
    for name, theirs in (("generator", generator), ("discriminator", discriminator)):
        here = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(ours[name]))
        there = sum(p.numel() for p in theirs.parameters())
        if here != there:
            raise ValueError(f"the {name} has {here} parameters here and {there} in PyTorch.")
