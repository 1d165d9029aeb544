"""The troubles of two-player games, reproduced and cured: python -m experiments.troubles TROUBLE --folder DIR

    spiral    min_x max_y x y: simultaneous steps fly apart, alternating ones circle; extragradient steps and the
              average of the circle arrive.
    collapse  the ring of eight narrow Gaussians: how many a plain GAN covers over time, and what unrolling, a gradient
              penalty with a Wasserstein loss, and statistics of the minibatch do about it, all at the same rates.
    strong    a generator held still while its discriminator is trained: what is left of its gradient under the minimax,
              the non-saturating and the Wasserstein loss.

Each prints what it has measured and writes DIR/trouble_<name>.png and DIR/trouble_<name>.json.
"""

import argparse
import json
import pathlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from genjax import adversarial
from genjax.adversarial import Players, alternating, averaged, bilinear, extragradient, play_game, simultaneous
from genjax.contract import Array, GenerativeModel, Variables
from genjax.data import Loader, open_source, toy2d
from genjax.evaluation import mode_coverage
from genjax.nn import MLP
from genjax.training import lifting
from genjax.training.loop import first_batch
from genjax.training.state import variables_of
from genjax.training.step import largest_repeat
from genjax.training.system import System

RING = "toy2d/ring_of_8"
HIDDEN, LATENT, BATCH = (64, 64), 64, 256
# Of 'collapse': with this much momentum a plain GAN chases its modes. Two latents, or narrow modes come out blurred.
RATES, MOMENTUM, FEW_LATENTS = {"generator": 2e-3, "discriminator": 1e-3}, 0.9, 2
WASSERSTEIN = {
    "generator_loss": adversarial.wasserstein_generator_loss,
    "discriminator_loss": adversarial.wasserstein_discriminator_loss,
}
NEAR = 15.0  # standard deviations of the ring's modes, a quarter of the way to the next: samples on their way to a mode


class MinibatchDiscriminator(nn.Module):
    """A perceptron that also reads how much the minibatch spreads: the standard deviation of each coordinate.

    hidden: widths of the hidden layers.

    Reference: Karras et al. 2018, section 3, of a minibatch of points; Salimans et al. 2016, section 3.2.
    """

    hidden: tuple[int, ...]

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map points `[B, D]` to scores `[B]`."""
        del train
        spread = jnp.sqrt(jnp.var(x, axis=0, keepdims=True) + 1e-8)
        both = jnp.concatenate([x, jnp.broadcast_to(spread, x.shape)], axis=1)
        return MLP(self.hidden, 1, activation=partial(jax.nn.leaky_relu, negative_slope=0.2))(both)[:, 0]


def spiral(*, rate: float = 0.2, steps: int = 100) -> tuple[dict[str, float], Figure]:
    """Play x y from (1, 0) in four ways; the distance from the equilibrium after each."""
    start = Players(jnp.float32(1.0), jnp.float32(0.0))
    ways = (simultaneous, alternating, extragradient)
    path = {way.__name__: play_game(way, bilinear, start, rate, steps=steps) for way in ways}
    path["average of alternating"] = averaged(path["alternating"])
    radius = {name: np.hypot(p.x, p.y) for name, p in path.items()}
    figure = Figure(figsize=(8, 4), dpi=80, layout="constrained")
    plane, distance = figure.subplots(1, 2)
    for name, p in path.items():
        plane.plot(p.x, p.y, lw=1, label=name)
        distance.semilogy(radius[name], lw=1, label=name)
    plane.set(xlim=(-4, 4), ylim=(-4, 4), aspect="equal", xlabel="x", ylabel="y", title="$\\min_x \\max_y xy$")
    distance.semilogy(np.sqrt(1 + rate**2) ** np.arange(steps + 1), "k:", lw=1, label="(1 + eta$^2$)$^{t/2}$")
    distance.set(xlabel="step t", title=f"distance from the equilibrium, eta = {rate}")
    distance.legend(fontsize=7)
    return {f"radius after {steps} steps, {name}": float(r[-1]) for name, r in radius.items()}, figure


def collapse(*, steps: int = 3_000, every: int = 250, seeds: tuple[int, ...] = (0,)) -> tuple[dict[str, Any], Figure]:
    """Train four games on the ring of eight and count the modes that they cover, over time."""
    toy, found = toy2d.SETS["ring_of_8"], {}
    figure = Figure(figsize=(10, 4.4), dpi=80, layout="constrained")
    axes = figure.subplot_mosaic([["c", "c", "a", "b"], ["c", "c", "d", "e"]])
    curves, *panels = (axes[name] for name in "cabde")
    for panel, (name, system) in zip(panels, _games(steps).items()):
        covered, good = [], []
        lifted, draw = lifting.lift_jit(system), jax.jit(system.model.sample, static_argnums=2)
        for seed in seeds:
            counts = []
            for variables in watched(system, lifted, seed=seed, steps=steps, every=every):
                samples = draw(variables, jax.random.key(1), 2500)
                near, exact = (_modes(samples, toy, radius) for radius in (NEAR, 3.0))
                counts.append(int(near.covered))
            covered.append(counts)
            shares = {"high_quality": float(exact.high_quality), "near_quality": float(near.high_quality)}
            smallest = int(exact.counts.min())  # of 2,500 samples, those within 3 deviations of the rarest mode
            good.append({"covered": int(exact.covered), "near": int(near.covered), "smallest": smallest} | shares)
            if seed == seeds[0]:
                panel.scatter(*toy.centers.T, s=30, c="0.8")
                panel.scatter(*np.asarray(samples[:500]).T, s=2, c="tab:blue")
        found[name] = {"final": good, "covered_over_time": covered}
        print(name, good, flush=True)
        curves.plot(np.arange(1, len(covered[0]) + 1) * every, np.mean(covered, axis=0), label=name)
        panel.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal", xticks=[], yticks=[], title=name)
    curves.set(xlabel="steps", ylabel="modes of 8 with samples near", ylim=(-0.2, 8.4), title=f"seeds {seeds}")
    curves.legend(fontsize=8)
    return found, figure


def strong(*, steps: int = 2_000, every: int = 100, seed: int = 0) -> tuple[dict[str, Any], Figure]:
    """Train discriminators against a generator that does not move; the norm of the gradient it would get."""
    options = {"latent_dim": LATENT}
    beside = lambda x: x + jnp.array([[3.0, 0.0]])  # no generated point lies among the data, as in high dimensions
    players = adversarial.MLPGenerator((2,), HIDDEN, beside), adversarial.MLPDiscriminator(HIDDEN)
    critic = adversarial.gan(*players, **options, **WASSERSTEIN, regularizers={"penalty": adversarial.gradient_penalty})
    faced = {
        "minimax": adversarial.gan(*players, **options, generator_loss=adversarial.minimax_generator_loss),
        "non-saturating": adversarial.gan(*players, **options),
        "Wasserstein, gradient penalty": critic,
    }
    figure = Figure(figsize=(5, 4), dpi=80, layout="constrained")
    axes, found = figure.add_subplot(), {}
    for name, model in faced.items():
        system = System(model, {"discriminator": optax.adam(1e-3, b1=0.5), "generator": optax.sgd(0.0)})
        runs = watched(system, lifting.lift_jit(system), seed=seed, steps=steps, every=every)
        norms = [float(_generator_gradient(model, variables)) for variables in runs]
        found[name] = {"first": norms[0], "last": norms[-1]}
        print(name, found[name], flush=True)
        axes.semilogy(np.arange(1, len(norms) + 1) * every, norms, label=name)
    axes.set(xlabel="steps of the discriminator alone", ylabel="norm of the generator's gradient")
    axes.set_title("a discriminator ever stronger")
    axes.legend(fontsize=8)
    return found, figure


def watched(system: System, lifted: lifting.Lifted, *, seed: int, steps: int, every: int) -> Iterator[Variables]:
    """Train by the engine's step, lifted, and yield the variables every so many steps."""
    loader = Loader(open_source(RING, "train"), batch_size=BATCH, seed=seed)
    state = lifted.init(np.asarray(jax.random.key_data(jax.random.key(seed))), first_batch(loader), {})
    for _ in range(steps // every):
        state, _ = lifted.step(state, lifted.put(loader.next(every, largest_repeat(system))))
        yield variables_of(state)
    loader.close()


def _games(steps: int) -> dict[str, System]:
    """Return the games by name; all have the same generator, optimizers and rates, which end at 0."""
    generator, discriminator = adversarial.MLPGenerator((2,), HIDDEN), adversarial.MLPDiscriminator(HIDDEN)
    options = {"latent_dim": FEW_LATENTS}
    penalty = {"penalty": partial(adversarial.gradient_penalty, weight=0.1)}
    critic = {**WASSERSTEIN, "regularizers": penalty, "discriminator_steps": 5}
    # Without momentum: old gradients would hide how the discriminator is going to answer.
    answer = optax.adam(optax.cosine_decay_schedule(RATES["discriminator"], steps), b1=0.0, eps_root=1e-12)
    ahead = {"generator_loss": adversarial.non_saturating_generator_loss, "unroll_steps": 5, "inner_optimizer": answer}
    models = {
        "plain": adversarial.gan(generator, discriminator, **options),
        "unrolled, K = 5": adversarial.unrolled_gan(generator, discriminator, **options, **ahead),
        "WGAN-GP": adversarial.gan(generator, discriminator, **options, **critic),
        "minibatch spread": adversarial.gan(generator, MinibatchDiscriminator(HIDDEN), **options),
    }
    return {name: System(model, _adam(model, steps)) for name, model in models.items()}


def _adam(model: GenerativeModel, steps: int) -> dict[str, optax.GradientTransformation]:
    """Return each player's optimizer; its schedule counts the moves it makes."""
    moves = {update.name: steps * update.repeat for update in model.updates}
    rates = {name: optax.cosine_decay_schedule(RATES[name], moves[name]) for name in moves}
    return {name: optax.adam(rate, b1=MOMENTUM) for name, rate in rates.items()}


def _modes(samples: Array, toy: toy2d.Toy2D, radius: float) -> Any:
    return mode_coverage(samples, jnp.asarray(toy.centers, jnp.float32), std=toy.std, radius=radius)


def _generator_gradient(model: GenerativeModel, variables: Variables) -> Array:
    """Return the norm of the generator's gradient at these players, on a batch of its own."""
    batch = {"x": jnp.zeros((1024, 2), jnp.float32)}  # the generator's losses look at its size alone

    @jax.jit
    def norm(variables: Variables) -> Array:
        def loss(generator: Any) -> Array:
            moved = variables._replace(params={**variables.params, "generator": generator})
            return model.updates[1].loss(moved, batch, jax.random.key(2), jnp.int32(0))[0]

        return optax.tree.norm(jax.grad(loss)(variables.params["generator"]))

    return norm(variables)


Trouble = Callable[..., tuple[dict[str, Any], Figure]]
TROUBLES: dict[str, Trouble] = {"spiral": spiral, "collapse": collapse, "strong": strong}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trouble", choices=sorted(TROUBLES))
    parser.add_argument("--folder", required=True, help="Folder of the picture and the numbers.")
    parser.add_argument("--steps", type=int, default=0, help="Steps; 0 for the trouble's own number.")
    parser.add_argument("--seeds", type=int, default=1, help="Seeds, from 0, of 'collapse'.")
    given = parser.parse_args()
    options: dict[str, Any] = {"steps": given.steps} if given.steps else {}
    if given.trouble == "collapse":
        options["seeds"] = tuple(range(given.seeds))
    found, figure = TROUBLES[given.trouble](**options)
    folder = pathlib.Path(given.folder)
    folder.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(str(folder / f"trouble_{given.trouble}.png"))
    (folder / f"trouble_{given.trouble}.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
