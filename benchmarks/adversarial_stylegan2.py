"""StyleGAN2's training steps and sampling beside the same networks in plain PyTorch.

Equal architecture, weights and batch, float32, the same device, Adam in both; neither is compiled by `torch.compile`.
PyTorch has the paper's form of modulation, one convolution in as many groups as there are examples. Before anything is
timed both must make the same pictures of the same styles, and give them the same scores, to 1e-3.
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.memory import peak_mib
from benchmarks.timing import paired_ratio
from genjax import adversarial
from genjax.contract import Variables

FEATURES, LATENT, STYLE, LAYERS, GROUP, BATCH, GAMMA = (64, 64, 32), 64, 64, 4, 4, 16, 1.0
SIDE = adversarial.picture_side(FEATURES)
STEPS = ("generator step", "discriminator step", "R1 step (double backward)")


def report(rounds: int) -> Iterator[str]:
    """Yield the lines of this benchmark."""
    yield f"StyleGAN2 / plain PyTorch, features {FEATURES}, {SIDE}x{SIDE}, batch {BATCH}; below 1 is ahead"
    for row in measure(rounds=rounds):
        yield f"  {row['what']:50s} {row['ratio']:6.3f}   ({row['ours_ms']:.1f} ms / {row['theirs_ms']:.1f} ms)"
    ours, theirs = (peak_mib("benchmarks.adversarial_stylegan2", who) for who in ("ours", "theirs"))
    yield f"  {'peak memory of a process that trains':50s} {ours / theirs:6.3f}   ({ours:.0f} MiB / {theirs:.0f} MiB)"


def peak(who: str) -> None:
    """Make ten steps of each kind, as 'ours' or 'theirs'."""
    variables = _start()
    steps = {"ours": _ours, "theirs": _theirs}[who](variables)
    for _ in range(10):
        for name in STEPS:
            steps[name]()


def measure(*, rounds: int) -> list[dict]:
    """Return a row for each kind of step and for sampling."""
    variables = _start()
    _check_parity(variables)
    ours, theirs, rows = _ours(variables), _theirs(variables), []
    for what in ours:
        ratio, timings = paired_ratio({"ours": ours[what], "theirs": theirs[what]}, "ours", "theirs", rounds=rounds)
        ms = {f"{who}_ms": 1e3 * timing.median for who, timing in timings.items()}
        rows.append({"what": what, "ratio": ratio, **ms})
    return rows


def _model():
    return adversarial.stylegan2(
        adversarial.MappingNetwork(STYLE, LAYERS),
        adversarial.SkipSynthesis(FEATURES, 3),
        adversarial.ResidualDiscriminator(FEATURES, GROUP),
        latent_dim=LATENT,
        mixing=0.0,
        gamma=GAMMA,
        path_weight=0.0,
    )


def _start() -> Variables:
    """Return the variables that both start from, strengths of noise and biases drawn so that none is zero."""
    variables = jax.jit(_model().init)(jax.random.key(0), {"x": jnp.zeros((1, SIDE, SIDE, 3))})
    random = np.random.default_rng(0)
    params = jax.tree.map(lambda p: np.asarray(p + 0.1 * random.normal(size=p.shape), np.float32), variables.params)
    return variables._replace(params=params)


def _ours(variables: Variables) -> dict:
    model, batch = _model(), {"x": jnp.zeros((BATCH, SIDE, SIDE, 3))}
    updates = {update.name: update for update in model.updates}
    optimizer = optax.adam(1e-3, b1=0.0, b2=0.99)
    params = jax.tree.map(jnp.array, variables.params)
    groups = {"discriminate": ("discriminator",), "r1": ("discriminator",), "generate": ("mapping", "synthesis")}
    opt = {name: optimizer.init({player: params[player] for player in players}) for name, players in groups.items()}
    held = {"variables": variables._replace(params=params), "opt": opt}

    def step_of(name: str):
        @jax.jit
        def step(variables, opt, key):
            moving = {player: variables.params[player] for player in groups[name]}
            at = lambda moving: variables._replace(params={**variables.params, **moving})
            loss = lambda moving: updates[name].loss(at(moving), batch, key, jnp.zeros((), jnp.int32))
            grads, aux = jax.grad(loss, has_aux=True)(moving)
            moves, opt = optimizer.update(grads, opt, moving)
            return at(optax.apply_updates(moving, moves))._replace(state=aux.state), opt

        def run() -> None:
            held["variables"], held["opt"][name] = step(held["variables"], held["opt"][name], jax.random.key(1))
            jax.block_until_ready((held["variables"], held["opt"][name]))

        return run

    drawn = jax.jit(model.sample, static_argnums=2)
    steps = dict(zip(STEPS, (step_of("generate"), step_of("discriminate"), step_of("r1"))))
    sample = lambda: jax.block_until_ready(drawn(held["variables"], jax.random.key(2), 64))
    return steps | {"sampling, batch 64": sample}


def _theirs(variables: Variables) -> dict:
    import torch  # here, so that it does not count in the memory of ours
    from torch.nn import functional

    from benchmarks import stylegan2_torch as nets

    device = "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    params = {player: nets.as_torch(tree, device) for player, tree in variables.params.items()}
    leaves = lambda *players: [leaf for player in players for leaf in nets.leaves_of(params[player])]
    adam = lambda *players: torch.optim.Adam(leaves(*players), lr=1e-3, betas=(0.0, 0.99))
    makers, critic = adam("mapping", "synthesis"), adam("discriminator")
    x = torch.zeros(BATCH, 3, SIDE, SIDE, device=device)

    def made(num: int) -> Any:
        w = nets.mapping(params["mapping"], torch.randn(num, LATENT, device=device))
        sides = [4] + [4 * 2**i for i in range(1, len(FEATURES)) for _ in range(2)]
        noise = [torch.randn(num, 1, side, side, device=device) for side in sides]
        return nets.synthesis(params["synthesis"], [w] * (2 * len(FEATURES)), noise)

    score = lambda pictures: nets.discriminator(params["discriminator"], pictures, GROUP)

    def move(optimizer: Any, loss: Any) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        wait()

    def generator() -> None:
        for leaf in leaves("discriminator"):
            leaf.requires_grad_(False)
        move(makers, functional.softplus(-score(made(BATCH))).mean())
        for leaf in leaves("discriminator"):
            leaf.requires_grad_(True)

    def discriminator() -> None:
        with torch.no_grad():
            fake = made(BATCH)
        move(critic, functional.softplus(-score(x)).mean() + functional.softplus(score(fake)).mean())

    def r1() -> None:
        real = x.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(score(real).sum(), real, create_graph=True)
        move(critic, 16 * GAMMA / 2 * gradient.square().sum(dim=(1, 2, 3)).mean())

    def sample() -> None:
        with torch.no_grad():
            made(64)
        wait()

    return dict(zip(STEPS, (generator, discriminator, r1))) | {"sampling, batch 64": sample}


def _check_parity(variables: Variables) -> None:
    """Raise unless both make the same pictures, and score them alike."""
    import torch

    from benchmarks import stylegan2_torch as nets

    random = np.random.default_rng(1)
    z = random.normal(size=(4, LATENT)).astype(np.float32)
    noise = [
        np.asarray(n)
        for n in adversarial.draw_noise(jax.random.key(0), 4, adversarial.SkipSynthesis(FEATURES).noise_sides)
    ]
    w = adversarial.MappingNetwork(STYLE, LAYERS).apply({"params": variables.params["mapping"]}, z)
    styles = jnp.repeat(w[:, None], 2 * len(FEATURES), axis=1)
    ours = adversarial.SkipSynthesis(FEATURES, 3).apply({"params": variables.params["synthesis"]}, styles, noise)
    scorer = adversarial.ResidualDiscriminator(FEATURES, GROUP)
    ours_score = scorer.apply({"params": variables.params["discriminator"]}, ours, train=False)
    params = {player: nets.as_torch(tree, "cpu") for player, tree in variables.params.items()}
    with torch.no_grad():
        w = nets.mapping(params["mapping"], torch.from_numpy(z))
        channels_first = [torch.from_numpy(n.transpose(0, 3, 1, 2).copy()) for n in noise]
        theirs = nets.synthesis(params["synthesis"], [w] * (2 * len(FEATURES)), channels_first)
        theirs_score = nets.discriminator(params["discriminator"], theirs, GROUP)
    np.testing.assert_allclose(ours, theirs.permute(0, 2, 3, 1), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(ours_score, theirs_score, rtol=1e-3, atol=1e-3)
