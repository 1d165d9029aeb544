"""A training step of SN-GAN beside the same networks in plain PyTorch with `torch.nn.utils.spectral_norm`.

Equal layers (checked by their numbers of parameters), equal batch, hinge losses, float32, the same device, Adam in both;
neither is compiled by `torch.compile`. A step is one move of the discriminator, with a round of power iteration for the
real and one for the generated batch, and one of the generator, in which PyTorch too leaves the discriminator's gradients
out.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import optax

from benchmarks.memory import peak_mib
from benchmarks.timing import paired_ratio
from genjax import adversarial
from genjax.contract import Variables

SIDE, LATENT, BATCH = 8, 64, 64
GENERATOR, DISCRIMINATOR = (32, 64), (32, 64)  # channels, from the picture inwards


def report(rounds: int) -> Iterator[str]:
    """Yield the lines of this benchmark."""
    yield f"SN-GAN / plain PyTorch, channels {GENERATOR}, {SIDE}x{SIDE}, batch {BATCH}; below 1 is ahead"
    for row in measure(rounds=rounds):
        yield f"  {row['what']:50s} {row['ratio']:6.3f}   ({row['ours_ms']:.1f} ms / {row['theirs_ms']:.1f} ms)"
    ours, theirs = (peak_mib("benchmarks.adversarial_sngan", who) for who in ("ours", "theirs"))
    yield f"  {'peak memory of a process that trains':50s} {ours / theirs:6.3f}   ({ours:.0f} MiB / {theirs:.0f} MiB)"


def peak(who: str) -> None:
    """Make ten training steps, as 'ours' or 'theirs'."""
    step = {"ours": _ours, "theirs": _theirs}[who]()[0]
    for _ in range(10):
        step()


def measure(*, rounds: int) -> list[dict]:
    """Return a row for the training step.

    Raises:
        ValueError: if the two have different numbers of parameters.
    """
    (ours, our_size), (theirs, their_size) = _ours(), _theirs()
    if our_size != their_size:
        raise ValueError(f"The networks differ: {our_size} and {their_size} parameters of generator and discriminator.")
    ratio, timings = paired_ratio({"ours": ours, "theirs": theirs}, "ours", "theirs", rounds=rounds)
    ms = {f"{who}_ms": 1e3 * timing.median for who, timing in timings.items()}
    return [{"what": "training step, both players", "ratio": ratio, **ms}]


def _ours():
    model = adversarial.sngan(
        (SIDE, SIDE, 1),
        latent_dim=LATENT,
        generator_features=GENERATOR,
        discriminator_features=DISCRIMINATOR,
        halvings=2,
    )
    batch = {"x": jnp.linspace(-1, 1, BATCH * SIDE * SIDE).reshape(BATCH, SIDE, SIDE, 1)}
    first = jax.jit(model.init)(jax.random.key(0), batch)
    adam = optax.adam(2e-4, b1=0.0, b2=0.9)
    held = [first, {player: adam.init(tree) for player, tree in first.params.items()}]

    @jax.jit
    def step(variables: Variables, opt, key):
        for index, update in enumerate(model.updates):
            (player,) = update.players

            def loss(tree, update=update, player=player, variables=variables, index=index):
                moving = variables._replace(params={**variables.params, player: tree})
                return update.loss(moving, batch, jax.random.fold_in(key, index), 0)

            grads, aux = jax.grad(loss, has_aux=True)(variables.params[player])
            moves, moved = adam.update(grads, opt[player])
            params = {**variables.params, player: optax.apply_updates(variables.params[player], moves)}
            variables, opt = Variables(params, aux.state), {**opt, player: moved}
        return variables, opt

    def train() -> None:
        held[:] = step(*held, jax.random.key(1))
        jax.block_until_ready(held)

    sizes = {player: sum(leaf.size for leaf in jax.tree.leaves(tree)) for player, tree in first.params.items()}
    return train, sizes


def _theirs():
    import torch  # here, so that it does not count in the memory of ours
    from torch import nn
    from torch.nn import functional
    from torch.nn.utils import spectral_norm

    device = "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    double = lambda x: functional.interpolate(x, scale_factor=2)
    halve = lambda x: functional.avg_pool2d(x, 2)

    class GeneratorBlock(nn.Module):
        def __init__(self, channels: int, features: int):
            super().__init__()
            self.first_norm, self.second_norm = nn.BatchNorm2d(channels), nn.BatchNorm2d(features)
            self.first = nn.Conv2d(channels, features, 3, padding=1, bias=False)
            self.second = nn.Conv2d(features, features, 3, padding=1, bias=False)
            self.beside = nn.Conv2d(channels, features, 1, bias=False)

        def forward(self, x):
            h = self.first(double(torch.relu(self.first_norm(x))))
            return self.second(torch.relu(self.second_norm(h))) + double(self.beside(x))

    class Generator(nn.Module):
        def __init__(self):
            super().__init__()
            self.base, width = SIDE // 2 ** len(GENERATOR), GENERATOR[-1]
            self.latent = nn.Linear(LATENT, self.base**2 * width)
            widths = (width, *reversed(GENERATOR))
            self.blocks = nn.Sequential(*(GeneratorBlock(a, b) for a, b in zip(widths, widths[1:])))
            self.norm, self.picture = nn.BatchNorm2d(GENERATOR[0]), nn.Conv2d(GENERATOR[0], 1, 3, padding=1)

        def forward(self, z):
            x = self.blocks(self.latent(z).view(len(z), -1, self.base, self.base))
            return torch.tanh(self.picture(torch.relu(self.norm(x))))

    class DiscriminatorBlock(nn.Module):
        def __init__(self, channels: int, features: int, first: bool):
            super().__init__()
            self.activate = (lambda x: x) if first else torch.relu
            self.first = spectral_norm(nn.Conv2d(channels, features, 3, padding=1))
            self.second = spectral_norm(nn.Conv2d(features, features, 3, padding=1))
            self.beside = spectral_norm(nn.Conv2d(channels, features, 1))

        def forward(self, x):
            h = self.second(torch.relu(self.first(self.activate(x))))
            return halve(h) + self.beside(halve(x))

    class Discriminator(nn.Module):
        def __init__(self):
            super().__init__()
            widths = (1, *DISCRIMINATOR)
            blocks = (DiscriminatorBlock(a, b, a == 1) for a, b in zip(widths, widths[1:]))
            self.blocks = nn.Sequential(*blocks)
            self.score = spectral_norm(nn.Linear(DISCRIMINATOR[-1], 1, bias=False))

        def forward(self, x):
            return self.score(torch.relu(self.blocks(x)).sum((2, 3)))[:, 0]

    generator, discriminator = Generator().to(device), Discriminator().to(device)
    players = {"generator": generator, "discriminator": discriminator}
    adam = {name: torch.optim.Adam(player.parameters(), lr=2e-4, betas=(0.0, 0.9)) for name, player in players.items()}
    x = torch.linspace(-1, 1, BATCH * SIDE * SIDE, device=device).view(BATCH, 1, SIDE, SIDE)
    latents = lambda: torch.randn(BATCH, LATENT, device=device)

    def train() -> None:
        with torch.no_grad():
            fake = generator(latents())
        adam["discriminator"].zero_grad()
        loss = torch.relu(1 - discriminator(x)).mean() + torch.relu(1 + discriminator(fake)).mean()
        loss.backward()
        adam["discriminator"].step()
        discriminator.requires_grad_(False)
        adam["generator"].zero_grad()
        (-discriminator(generator(latents())).mean()).backward()
        adam["generator"].step()
        discriminator.requires_grad_(True)
        wait()

    return train, {name: sum(p.numel() for p in player.parameters()) for name, player in players.items()}
