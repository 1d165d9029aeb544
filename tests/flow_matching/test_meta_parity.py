"""Paths, conversions, solvers and likelihoods beside Meta's `flow_matching` library, on the same points, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import flow_matching, processes, solvers
from genjax.diffusion import ode_log_prob
from genjax.processes import EPS, VELOCITY, X0, convert, point_at

torch = pytest.importorskip("torch", reason="parity with flow_matching needs the extra 'parity'")
peer = pytest.importorskip("flow_matching.path", reason="parity with flow_matching needs the extra 'parity'")
from flow_matching import solver  # noqa: E402
from flow_matching.path import scheduler  # noqa: E402

pytestmark = pytest.mark.parity

NOISE, DATA = np.random.default_rng(0).normal(size=(2, 12, 3))
T = np.linspace(0.05, 0.95, 12)
PATHS = {
    "transport": (processes.straight_path(), scheduler.CondOTScheduler()),
    "cosine": (processes.cosine_path(), scheduler.CosineScheduler()),
    "linear": (processes.linear_path(0.1, 20.0), scheduler.VPScheduler(beta_min=0.1, beta_max=20.0)),
}
each_path = pytest.mark.parametrize("path, theirs", PATHS.values(), ids=PATHS)


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    with jax.enable_x64(True):
        yield
    torch.set_default_dtype(torch.float32)


@each_path
def test_paths_and_velocities(path, theirs):
    sample = peer.AffineProbPath(theirs).sample(*(torch.from_numpy(each) for each in (NOISE, DATA, T)))
    interpolant = flow_matching.gaussian_interpolant(path)
    place, rate = jax.jit(lambda *each: flow_matching.interpolate(interpolant, *each))(NOISE, DATA, NOISE, T)
    np.testing.assert_allclose(place, sample.x_t.numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(rate, sample.dx_t.numpy(), rtol=1e-10, atol=1e-12)


CONVERSIONS = {
    "target_to_velocity": (X0, VELOCITY),
    "epsilon_to_velocity": (EPS, VELOCITY),
    "velocity_to_target": (VELOCITY, X0),
    "epsilon_to_target": (EPS, X0),
    "velocity_to_epsilon": (VELOCITY, EPS),
    "target_to_epsilon": (X0, EPS),
}


@each_path
def test_conversions(path, theirs):
    """Of any output, which none of the three would be right for. Their time runs to the data, and so velocities."""
    given, x_t, t = (torch.from_numpy(each) for each in (NOISE, DATA, T[:, None]))
    affine = peer.AffineProbPath(theirs)
    turned = lambda kind, x: -x if kind is VELOCITY else x

    @jax.jit
    def ours(given, x_t):
        point = point_at(path, 1.0 - T)
        made = lambda source, target: convert(turned(source, given), x_t, point, source=source, target=target)
        return {name: turned(target, made(source, target)) for name, (source, target) in CONVERSIONS.items()}

    for name, made in ours(NOISE, DATA).items():
        wanted = getattr(affine, name)(given, x_t, t).numpy()
        np.testing.assert_allclose(made, wanted, rtol=1e-9, atol=1e-10, err_msg=name)


def field(x, t):
    """A velocity that both libraries can take: nothing in it is linear."""
    return 0.3 * x - (t + 0.5) * x / (1.0 + x**2)


SCHEMES = {"euler": solvers.EULER, "midpoint": solvers.MIDPOINT}


@pytest.mark.parametrize("method", SCHEMES)
def test_samples_and_likelihoods(method):
    """Ten equal steps from noise to data, and back with the divergence by derivatives."""
    ode = solver.ODESolver(velocity_model=lambda x, t: field(x, t))
    drawn = ode.sample(torch.from_numpy(NOISE), step_size=0.1, method=method, time_grid=torch.tensor([0.0, 1.0]))
    times = np.linspace(0.0, 1.0, 11)
    ours = jax.jit(lambda x: solvers.integrate(field, x, times, tableau=SCHEMES[method]))(NOISE)
    np.testing.assert_allclose(ours, drawn.detach().numpy(), rtol=1e-10)
    log_normal = lambda x: (-0.5 * x**2 - 0.5 * np.log(2 * np.pi)).sum(dim=1)
    _, nats = ode.compute_likelihood(
        torch.from_numpy(DATA), log_normal, step_size=0.1, method=method, time_grid=torch.tensor([1.0, 0.0]),
        exact_divergence=True,
    )  # fmt: skip
    options = {"trace": solvers.exact_trace(), "tableau": SCHEMES[method]}
    density = jax.jit(lambda x: ode_log_prob(jax.random.key(0), field, x, times[::-1], **options))(DATA)
    assert jnp.std(density) > 0.1
    np.testing.assert_allclose(density, nats.detach().numpy(), rtol=1e-10)
