"""Flow matching in the plane beside torchcfm: the same sets, network, batches, optimizer and number of steps.

From eight Gaussians to two moons, both as torchcfm makes them; a perceptron of three layers of 64 with SELU, Adam at
1e-3, tubes of sigma 0.1, the last parameters, 100 Euler steps. What is compared is how near samples come to held-out
points (exact 2-Wasserstein distance, with its floor: training against held-out points) over three seeds, and the time
of training. Each initializes its network as it does by default. Ours is compiled and couples by its own assignment on
the device; theirs runs eagerly and couples by POT.
"""

import time
from collections.abc import Callable, Iterator

import jax
import numpy as np
import optax

from genjax import flow_matching, solvers
from genjax.data import open_source, toy2d
from genjax.data.loader import Loader
from genjax.evaluation import wasserstein2
from genjax.training.fit import fit
from genjax.training.system import System

BATCH, STEPS, NUM, SIGMA, RATE, EULER_STEPS = 128, 2_000, 2_048, 0.1, 1e-3, 100
DATA, SOURCE = "toy2d/two_moons_torchcfm", "eight_gaussians_torchcfm"
WAYS, SEEDS = ("CFM", "OT-CFM"), 3

Trained = tuple[np.ndarray, float]  # samples [NUM, 2], milliseconds a step


def report(rounds: int) -> Iterator[str]:
    """Yield the lines of this benchmark."""
    del rounds
    points, held_out = (open_source(DATA, split).fetch(np.arange(NUM))["x"] for split in ("train", "test"))
    floor = wasserstein2(points, held_out)
    yield f"2-Wasserstein after {STEPS} steps of {BATCH}, {NUM} points, {SEEDS} seeds; floor {floor:.3f}"
    for way in WAYS:
        trained = {"ours": _ours, "theirs": _theirs}
        runs = {who: [train(way, seed) for seed in range(SEEDS)] for who, train in trained.items()}
        distance = {who: [wasserstein2(x, held_out) for x, _ in each] for who, each in runs.items()}
        cost = {who: np.median([ms for _, ms in each]) for who, each in runs.items()}
        spread = {who: f"{np.mean(of):.3f} (deviation {np.std(of, ddof=1):.3f})" for who, of in distance.items()}
        yield f"  {way:7s} ours {spread['ours']}, torchcfm {spread['theirs']}"
        yield f"          a step {cost['ours']:.2f} ms / {cost['theirs']:.2f} ms"


def _ours(way: str, seed: int) -> Trained:
    gaussians = toy2d.SETS[SOURCE]
    field = flow_matching.Field(
        flow_matching.PointField((64, 64, 64)),
        shape=(2,),
        solve=solvers.fixed_solve(EULER_STEPS, tableau=solvers.EULER),
        source=flow_matching.mixture_source(gaussians.centers, gaussians.std),
    )
    build: Callable = flow_matching.ot_cfm if way == "OT-CFM" else _independent
    system = System(build(field, sigma=SIGMA), {"match": optax.adam(RATE)})
    loader = Loader(open_source(DATA, "train"), batch_size=BATCH, seed=seed)
    began = time.perf_counter()
    fit(system, loader, steps=100, steps_per_call=100, seed=seed)  # to take the compilation off
    compiled = time.perf_counter()
    variables, _ = fit(system, loader, steps=STEPS, steps_per_call=100, seed=seed)
    seconds = (time.perf_counter() - compiled) - (compiled - began)
    loader.close()
    drawn = jax.jit(system.model.sample, static_argnums=2)(variables, jax.random.key(seed), NUM)
    return np.asarray(drawn), 1e3 * seconds / (STEPS - 100)


def _independent(field: flow_matching.Field, *, sigma: float):
    return flow_matching.cfm(field, flow_matching.straight_interpolant(sigma))


def _theirs(way: str, seed: int) -> Trained:
    import torch
    import torchcfm
    from torchcfm.models import MLP

    torch.manual_seed(seed)
    random, moons = np.random.RandomState(seed), open_source(DATA, "train")
    points = torch.from_numpy(moons.fetch(np.arange(len(moons)))["x"])
    gaussians = toy2d.SETS[SOURCE]
    from_source = lambda num: torch.from_numpy(np.asarray(gaussians.sample(random, num)[0], np.float32))
    coupled = torchcfm.ExactOptimalTransportConditionalFlowMatcher
    matcher = (coupled if way == "OT-CFM" else torchcfm.ConditionalFlowMatcher)(sigma=SIGMA)
    network = MLP(dim=2, time_varying=True)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    began = time.perf_counter()
    for _ in range(STEPS):
        optimizer.zero_grad()
        x1 = points[torch.randint(len(points), (BATCH,))]
        t, x_t, velocity = matcher.sample_location_and_conditional_flow(from_source(BATCH), x1)
        loss = torch.mean((network(torch.cat([x_t, t[:, None]], dim=1)) - velocity) ** 2)
        loss.backward()
        optimizer.step()
    seconds = time.perf_counter() - began
    x = from_source(NUM)
    with torch.no_grad():
        for n in range(EULER_STEPS):
            time_of = torch.full((NUM, 1), n / EULER_STEPS)
            x = x + network(torch.cat([x, time_of], dim=1)) / EULER_STEPS
    return x.numpy(), 1e3 * seconds / STEPS
