"""What lectures say of noise and data, seen and measured: python -m experiments.claims CLAIM --folder DIR

    schedules   under DDPM's linear schedule pictures are noise long before the last step, under the cosine one they go
                evenly: how many steps leave a digit's class readable.       Nichol & Dhariwal 2021, section 3.2
    straight    the paths of flow matching are straighter than those of diffusion (VP), though not straight: pairs
                cross. (The cosine's are straighter yet; what makes paths straight is pairs that do not cross, see
                flow_matching/ot_cfm and rectified_flow.)                              Lipman et al. 2023, section 4
    langevin    Langevin dynamics does not cross low density, and finds modes in the wrong proportion; annealed noise
                leads it into them as they weigh.                               Song & Ermon 2019, section 3.2.2
    field       the marginal field of two Gaussians, where every pair alone has a straight path.
                                                                                      Lipman et al. 2023, eq. 8
    bounds      one model's bits/dim by the variational bound and by the probability flow, with their standard errors.
                                                              Song et al. 2021b (arXiv:2101.09258), theorem 3
    steps       few steps of DDIM, fewer of DPM-Solver++, make samples as good as all.  Song et al. 2021a, table 1
    guidance    guidance makes samples easier to recognize, and more alike.         Ho & Salimans 2022, figures 3, 4

'bounds' takes a trained run of diffusion/score_sde (--workdir), 'steps' and 'guidance' evaluated runs of diffusion/ddim
or dpm_solver and of diffusion/cfg or classifier_guidance; the others are of mixtures or training sets, whose scores and
fields are known: nothing is trained. Each prints what it has measured and writes DIR/claim_<name>.png and .json.
"""

import argparse
import functools
import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from experiments.claims_of_runs import Claim, bounds, guidance, steps
from genjax import diffusion, flow_matching, processes, solvers
from genjax import evaluation as metrics
from genjax.contract import Array
from genjax.data import open_source, toy2d
from genjax.errors import UserError
from genjax.pixels import to_symmetric

LEVELS = 17  # of digits
MEANS = np.array([[-5.0, -5.0], [5.0, 5.0]])  # means of Song & Ermon's mixture
WEIGHTS = np.array([0.2, 0.8])


def schedules(*, steps: int = 1000, num: int = 360) -> Claim:
    """Measure at how many steps the class of a noisy digit can still be read, under two schedules.

    It is read by Bayes' rule from the training set with the same noise: p(y | x_t) of a mixture with a Gaussian at
    every training picture.

    Args:
        steps: T.
        num: test pictures.

    Returns:
        For 'linear' and 'cosine': '_readable', the share of steps at which most are read, and '_noise', the share of
        steps with less than a hundredth of the data's variance left; and the figure.
    """
    train, test = open_source("digits", "train"), open_source("digits", "test")
    known, seen = train.fetch(np.arange(len(train))), test.fetch(np.arange(num))
    centers, x = (to_symmetric(jnp.asarray(each["x"]), LEVELS).reshape(-1, 64) for each in (known, seen))
    share = jax.jit(functools.partial(_read_share, centers, jnp.asarray(known["label"]), x, jnp.asarray(seen["label"])))
    tables = {"linear": processes.linear_schedule(steps), "cosine": processes.cosine_schedule(steps)}
    places = np.unique(np.linspace(0, steps, 41).astype(int))
    found: dict[str, Any] = {}
    figure = Figure(figsize=(11, 2.6), layout="constrained")
    pictures = figure.subfigures(1, 2, width_ratios=(1, 1.9))
    left, right = pictures[0].subplots(), pictures[1].subplots(2, 7)
    for row, (name, table) in enumerate(tables.items()):
        read = [float(share(jax.random.key(int(t)), table.alpha[t], table.sigma[t])) for t in places]
        found[f"{name}_readable"] = float(np.mean(np.asarray(read) > 0.5))
        found[f"{name}_noise"] = float(np.mean(table.alphas_bar[1:] < 0.01))
        left.plot(places / steps, read, label=f"{name}: class read", color=f"C{row}")
        left.plot(places / steps, table.alphas_bar[places], ":", label=f"{name}: variance left", color=f"C{row}")
        for axes, t in zip(right[row], np.linspace(0, steps, 7).astype(int)):
            noise = np.random.default_rng(0).normal(size=64)
            noisy = table.alpha[t] * np.asarray(x[0]) + table.sigma[t] * noise
            axes.imshow(noisy.reshape(8, 8), cmap="gray", vmin=-1.5, vmax=1.5)
            axes.set_xticks([]), axes.set_yticks([])
        right[row, 0].set_ylabel(name)
    left.set_xlabel("t / T"), left.legend(fontsize="x-small")
    return found | {"steps": steps, "pictures": num}, figure


def _read_share(centers: Array, known: Array, x: Array, label: Array, key: Array, alpha: Array, sigma: Array) -> Array:
    """Return the share of noisy x [N, D] whose class Bayes' rule finds; the centers are 0.1 wide, as levels are."""
    noisy = alpha * x + sigma * jax.random.normal(key, x.shape)
    lengths = alpha**2 * jnp.sum(centers**2, axis=1)[None]
    log_p = (alpha * noisy @ centers.T - 0.5 * lengths) / (sigma**2 + (0.1 * alpha) ** 2)  # up to what x alone makes
    classes = [jax.nn.logsumexp(jnp.where(known[None] == k, log_p, -jnp.inf), axis=1) for k in range(10)]
    return jnp.mean(jnp.argmax(jnp.stack(classes, axis=1), axis=1) == label)


def straight(*, num: int = 1024, counts: tuple[int, ...] = (1, 2, 4, 8, 16)) -> Claim:
    """Follow the exact fields of three paths from noise to eight Gaussians.

    Returns:
        For 'diffusion' (VP), 'cosine' and 'straight': '_curvature', the share of the energy of paths that is not that
        of straight lines between their ends, and '_w2_<steps>', the 2-Wasserstein distance of Euler's ends to data; and
        the figure.
    """
    toy = toy2d.SETS["eight_gaussians"]
    means, stds = jnp.asarray(toy.centers, jnp.float32), jnp.full(len(toy.centers), toy.std, jnp.float32)
    paths = {"diffusion": processes.linear_path(), "cosine": processes.cosine_path()}
    paths |= {"straight": processes.straight_path()}
    z, data = jax.random.normal(jax.random.key(0), (num, 2)), toy.sample(np.random.RandomState(0), num)[0]
    found: dict[str, Any] = {}
    figure = Figure(figsize=(12, 3.2), layout="constrained")
    *panels, last = figure.subplots(1, 4)
    for axes, (name, path) in zip(panels, paths.items()):
        velocity = functools.partial(flow_matching.mixture_velocity, path, means, stds)
        found[f"{name}_curvature"], way = _followed(velocity, z)
        axes.plot(way[:, :60, 0], way[:, :60, 1], linewidth=0.6, color=f"C{list(paths).index(name)}")
        axes.set_title(f"{name}, curvature {found[f'{name}_curvature']:.2f}", fontsize="small")
        axes.set_aspect("equal")
        for count in counts:
            ends = _arrived(velocity, z, count)
            found[f"{name}_w2_{count}"] = metrics.wasserstein2(ends, data)
        last.plot(counts, [found[f"{name}_w2_{count}"] for count in counts], "o-", label=name)
    last.set_xscale("log", base=2), last.set_yscale("log"), last.legend(fontsize="small")
    last.set_xlabel("Euler steps"), last.set_ylabel("2-Wasserstein to data")
    return found | {"samples": num}, figure


Field = Callable[[Array, Array], Array]
END = 0.999  # of paths: the noise of the diffusion path begins with infinite slope


def _followed(velocity: Field, z: Array) -> tuple[float, np.ndarray]:
    """Return the curvature of the paths from z [N, 2], and the paths [201, N, 2]."""
    times = jnp.linspace(0.0, END, 201)
    measured = jax.jit(lambda z: flow_matching.path_measures(velocity, z, times))(z)
    # Straight lines in the time END have the energy |x_1 - x_0|^2 / END.
    curvature = float(1.0 - jnp.mean(measured.displacement) / END / jnp.mean(measured.energy))
    return curvature, np.asarray(jax.jit(lambda z: solvers.trajectory(velocity, z, times, tableau=solvers.RK4))(z))


def _arrived(velocity: Field, z: Array, count: int) -> np.ndarray:
    """Return where `count` Euler steps lead z."""
    times = jnp.linspace(0.0, END, count + 1)
    return np.asarray(jax.jit(lambda z: solvers.integrate(velocity, z, times, tableau=solvers.EULER))(z))


def langevin(*, num: int = 1280, steps: int = 1000) -> Claim:
    """Draw from 1/5 N((-5, -5), I) + 4/5 N((5, 5), I), from a uniform start, by its exact score.

    Returns:
        'true', and the share of points that end up by the heavier mode under 'langevin' and 'annealed' dynamics of as
        many steps; and the figure.
    """
    means = jnp.asarray(MEANS, jnp.float32)
    start = jax.random.uniform(jax.random.key(0), (num, 2), minval=-8.0, maxval=8.0)

    def score(x: Array, sigma: Array) -> Array:
        away = means[None] - x[:, None]
        variance = 1.0 + sigma**2
        log_p = jnp.log(jnp.asarray(WEIGHTS, jnp.float32))[None] - 0.5 * jnp.sum(away**2, axis=2) / variance
        return jnp.sum(jax.nn.softmax(log_p, axis=1)[..., None] * away, axis=1) / variance

    def plain(x: Array, key: Array) -> tuple[Array, None]:
        noise = jax.random.normal(key, x.shape)
        return solvers.langevin_step(x, score(x, jnp.float32(0.0)), jnp.float32(0.05), noise), None

    keys = jax.random.split(jax.random.key(1), steps)
    sigmas = np.geomspace(10.0, 0.1, 10)
    denoise = lambda x, sigma: x + sigma**2 * score(x, sigma)
    options = {"step_size": 0.004, "steps_per_level": steps // len(sigmas), "denoise_last": False}
    sampler = diffusion.annealed_langevin(denoise, sigmas, **options)
    modes = jax.random.choice(jax.random.key(3), 2, (num,), p=jnp.asarray(WEIGHTS))
    drawn = {
        "data": means[modes] + jax.random.normal(jax.random.key(4), (num, 2)),
        "langevin": jax.jit(lambda x: jax.lax.scan(plain, x, keys)[0])(start),
        "annealed": jax.jit(lambda x: diffusion.draw_from(sampler, jax.random.key(2), x))(start),
    }
    found = {"true": float(WEIGHTS[1])}
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axes, (name, x) in zip(figure.subplots(1, 3), drawn.items()):
        share = float(jnp.mean(jnp.sum(x, axis=1) > 0.0))
        found |= {} if name == "data" else {name: share}
        axes.scatter(*np.asarray(x).T, s=2), axes.set_xlim(-9, 9), axes.set_ylim(-9, 9), axes.set_aspect("equal")
        axes.set_title(f"{name}: {share:.2f} in the heavier mode", fontsize="small")
    return found | {"points": num, "steps": steps}, figure


def field(*, num: int = 2000) -> Claim:
    """Draw the marginal field to two Gaussians at five times, over its density.

    Returns:
        'right', the share of N(0, I) that the field carries to the right one of two alike, and 'mean_error', the
        distance of what arrives there from that Gaussian's mean; and the figure.
    """
    means, stds, path = jnp.array([[2.0, 1.0], [-2.0, 1.0]]), jnp.array([0.4, 0.4]), processes.straight_path()
    places = np.linspace(-3.5, 3.5, 15)
    grid = jnp.asarray(np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2), jnp.float32)
    fine = np.linspace(-3.5, 3.5, 80)
    dense = jnp.asarray(np.stack(np.meshgrid(fine, fine), axis=-1).reshape(-1, 2), jnp.float32)
    figure = Figure(figsize=(13, 2.9), layout="constrained")
    for axes, t in zip(figure.subplots(1, 5), (0.0, 0.25, 0.5, 0.75, 0.95)):
        u = np.asarray(flow_matching.mixture_velocity(path, means, stds, grid, jnp.float32(t)))
        p = np.exp(np.asarray(flow_matching.mixture_log_density(path, means, stds, dense, jnp.float32(t))))
        axes.contourf(fine, fine, p.reshape(80, 80), 12, cmap="Blues")
        axes.quiver(*np.asarray(grid).T, *u.T, scale=60, width=0.006)
        axes.set_title(f"t = {t:g}", fontsize="small"), axes.set_aspect("equal")
        axes.set_xticks([]), axes.set_yticks([])
    velocity = functools.partial(flow_matching.mixture_velocity, path, means, stds)
    z = jax.random.normal(jax.random.key(0), (num, 2))
    ends = jax.jit(lambda z: solvers.integrate(velocity, z, jnp.linspace(0.0, 1.0, 101), tableau=solvers.RK4))(z)
    right = np.asarray(ends)[np.asarray(ends[:, 0]) > 0]
    error = float(np.linalg.norm(right.mean(axis=0) - np.asarray(means[0])))
    return {"right": len(right) / num, "mean_error": error, "points": num}, figure


CLAIMS: dict[str, Callable[..., Claim]] = {
    "schedules": schedules,
    "straight": straight,
    "langevin": langevin,
    "field": field,
    "bounds": bounds,
    "steps": steps,
    "guidance": guidance,
}
OF_A_RUN = {
    "bounds": "diffusion/score_sde",
    "steps": "diffusion/ddim or dpm_solver",
    "guidance": "diffusion/cfg or classifier_guidance",
}


def main() -> None:
    """Make the claim asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("claim", choices=sorted(CLAIMS))
    parser.add_argument("--folder", required=True, help="Folder of the picture and the numbers.")
    parser.add_argument("--workdir", default="", help="A trained run, for 'bounds', 'steps', 'guidance'.")
    parser.add_argument("--num", type=int, default=0, help="Samples, points or pictures; 0 for the claim's own number.")
    given = parser.parse_args()
    if (given.claim in OF_A_RUN) != bool(given.workdir):
        wanted = ", ".join(f"{claim} takes --workdir of a run of {name}" for claim, name in OF_A_RUN.items())
        parser.error(f"{wanted}; the others take none.")
    if given.num and given.claim in ("steps", "guidance"):
        parser.error(f"'{given.claim}' draws what an evaluation has measured and takes no --num.")
    try:
        options = ({"workdir": given.workdir} if given.workdir else {}) | ({"num": given.num} if given.num else {})
        found, figure = CLAIMS[given.claim](**options)
    except UserError as error:
        parser.error(str(error))
    folder = pathlib.Path(given.folder)
    folder.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(str(folder / f"claim_{given.claim}.png"))
    (folder / f"claim_{given.claim}.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
