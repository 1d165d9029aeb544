"""Samplers step for step beside the schedulers of `diffusers`, in float64: one made-up network, the same noise."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import processes, solvers
from genjax.diffusion import (
    ancestral,
    ddim,
    dpm_solver,
    dpm_solver_singlestep,
    draw_from,
    edm_sampler,
    invert,
    learned_ancestral,
    ode_sampler,
    respaced,
    unipc,
)

torch = pytest.importorskip("torch", reason="parity with diffusers needs the extra 'parity'")
diffusers = pytest.importorskip("diffusers", reason="parity with diffusers needs the extra 'parity'")
pytestmark = pytest.mark.parity

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(3, 4, 4, 2))
SCHEDULE = processes.linear_schedule(1000)
LINEAR = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}
MODULES = (
    "ddim ddim_inverse ddpm dpmsolver_multistep dpmsolver_singlestep unipc_multistep euler_discrete heun_discrete "
    "edm_euler edm_dpmsolver_multistep flow_match_euler_discrete"
).split()


class Double:
    """A library whose float32 is float64: the schedulers round their tables, and some of them samples, to float32."""

    def __init__(self, library):
        self._library = library

    def __getattr__(self, name):
        return getattr(self._library, {"float32": "float64"}.get(name, name))


@pytest.fixture(autouse=True)
def double(monkeypatch):
    for name in MODULES:
        module = importlib.import_module(f"diffusers.schedulers.scheduling_{name}")
        for library in ("torch", "np"):
            monkeypatch.setattr(module, library, Double(getattr(module, library, None)), raising=False)
    torch.set_default_dtype(torch.float64)
    with jax.enable_x64(True):
        yield
    torch.set_default_dtype(torch.float32)


def point_of(t):
    return processes.marginal(SCHEDULE, t)


def eps_network(x, t):
    """Some network: t counts from 0."""
    return 0.5 * x * t / (t + 300.0)


def ours(x, t):
    return eps_network(x, (t - 1).astype(jnp.float64))


def denoise(x, t):
    return processes.x0_of_eps(ours(x, t), x, point_of(t))


def drawn(sampler, x=X):
    made = jax.jit(lambda x: draw_from(sampler, KEY, x))(x)
    assert made.dtype == np.float64
    return made


def theirs(scheduler, steps, network=eps_network, x=X, **options):
    """Run a scheduler and return its sample; options are functions of the number of steps still to be made."""
    scheduler.set_timesteps(steps)
    x = torch.tensor(x)
    for n, t in enumerate(scheduler.timesteps):
        model_input = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        given = {name: value(len(scheduler.timesteps) - n) for name, value in options.items()}
        x = scheduler.step(network(model_input, float(t)), t, x, **given).prev_sample
    assert x.dtype == torch.float64
    return x.numpy()


def our_noise(left):
    """Return the noise of the step of which `left` are still to be made, that one included."""
    return torch.tensor(np.array(jax.random.normal(jax.random.fold_in(KEY, left), X.shape)))


def grid(scheduler, steps):
    scheduler.set_timesteps(steps)
    return np.append(scheduler.timesteps.numpy().astype(np.int32) + 1, 0)


def assert_same(ours, theirs):
    assert np.abs(theirs).max() > 0.1
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_ddim(spacing):
    """Not 'linspace': their step takes t - 100 for the next time whatever the spacing, which their own grid does not."""
    scheduler = diffusers.DDIMScheduler(**LINEAR, clip_sample=False, timestep_spacing=spacing)
    assert_same(drawn(ddim(denoise, point_of, grid(scheduler, 10))), theirs(scheduler, 10))


PREDICTIONS = {"epsilon": processes.EPS, "sample": processes.X0, "v_prediction": processes.V}


@pytest.mark.parametrize("name", PREDICTIONS)
def test_predictions(name):
    """One network's output, taken for each of the things that a network may predict; clipped, as in Ho et al. 2020."""
    scheduler = diffusers.DDIMScheduler(**LINEAR, prediction_type=name, timestep_spacing="trailing")
    constrained = processes.denoiser(
        lambda x, t: ours(x, t[0]), PREDICTIONS[name], point_of, constrain=processes.clip_symmetric
    )
    # What is clipped makes eps anew here: theirs does so when it is told.
    made = theirs(scheduler, 10, use_clipped_model_output=lambda left: True)
    assert_same(drawn(ddim(constrained, point_of, grid(scheduler, 10))), made)


def test_inversion():
    """Theirs ask at the time that a step leads to; Song et al. 2021, eq. 14, at the one it starts from, as ours.

    With the first step's sigma for the data's, their first step is none.
    """
    scheduler = diffusers.DDIMInverseScheduler(**LINEAR, clip_sample=False, set_alpha_to_one=False)
    made = theirs(scheduler, 10)
    times = scheduler.timesteps.numpy().astype(np.int32) + 1
    ahead = lambda x, t: processes.x0_of_eps(ours(x, t + 100), x, point_of(t))
    assert_same(jax.jit(lambda x: invert(ahead, point_of, times, x))(X), made)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_dpm_solver(order):
    scheduler = diffusers.DPMSolverMultistepScheduler(**LINEAR, solver_order=order, final_sigmas_type="zero")
    assert_same(drawn(dpm_solver(denoise, point_of, grid(scheduler, 8), order=order)), theirs(scheduler, 8))


@pytest.mark.parametrize("b", ["bh1", "bh2"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_unipc(order, b):
    # Their bh1 is NaN in a step to sigma = 0: it is compared down to the first step's sigma instead.
    final, end = ("sigma_min", 1) if b == "bh1" else ("zero", 0)
    scheduler = diffusers.UniPCMultistepScheduler(**LINEAR, solver_order=order, solver_type=b, final_sigmas_type=final)
    times = np.append(grid(scheduler, 8)[:-1], end)
    assert_same(drawn(unipc(denoise, point_of, times, order=order, b=b)), theirs(scheduler, 8))


@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_ddim_with_noise(eta):
    scheduler = diffusers.DDIMScheduler(**LINEAR, clip_sample=False, timestep_spacing="trailing")
    made = theirs(scheduler, 10, eta=lambda left: eta, variance_noise=our_noise)
    assert_same(drawn(ddim(denoise, point_of, grid(scheduler, 10), eta=eta)), made)


SPACINGS = {
    "leading": processes.leading_sub_sequence,
    "trailing": processes.sub_sequence,
    "linspace": processes.spread_sub_sequence,
}


@pytest.mark.parametrize("spacing", SPACINGS)
def test_sub_sequences(spacing):
    """Theirs count from 0 and leave the data out."""
    scheduler = diffusers.DDIMScheduler(**LINEAR, timestep_spacing=spacing)
    for num in (7, 10, 1000):
        np.testing.assert_array_equal(SPACINGS[spacing](1000, num), grid(scheduler, num))


def test_dpm_solver_in_single_steps():
    """Theirs spread a step's two halves over two steps of the first and the second order."""
    scheduler = diffusers.DPMSolverSinglestepScheduler(**LINEAR, solver_order=2)
    assert_same(drawn(dpm_solver_singlestep(denoise, point_of, grid(scheduler, 8))), theirs(scheduler, 8))


@pytest.mark.parametrize("name, variance", [("small", processes.lower_variance), ("large", processes.upper_variance)])
def test_ancestral(name, variance, monkeypatch):
    """All of the steps, with our noise in place of what their generators draw."""
    total = 50
    left = iter(range(total, 1, -1))  # their last step draws none
    module = diffusers.schedulers.scheduling_ddpm
    monkeypatch.setattr(module, "randn_tensor", lambda *_, **__: our_noise(next(left)))
    betas = {"num_train_timesteps": total, "beta_start": 2e-3, "beta_end": 0.4, "beta_schedule": "linear"}
    scheduler = diffusers.DDPMScheduler(**betas, clip_sample=False, variance_type=f"fixed_{name}")
    schedule = processes.linear_schedule(total, first=2e-3, last=0.4)

    def estimate(x, t):
        return processes.x0_of_eps(ours(x, t), x, processes.marginal(schedule, t))

    assert_same(drawn(ancestral(estimate, schedule, variance(schedule))), theirs(scheduler, total))
    assert next(left, None) is None


def test_ancestral_with_learned_variances_in_fewer_steps(monkeypatch):
    """Theirs add noise in a last step unless it begins at their t = 0; Nichol & Dhariwal's code never does, as ours."""
    left = iter(range(10, 0, -1))
    module = diffusers.schedulers.scheduling_ddpm
    noise = lambda left: our_noise(left) if left > 1 else torch.zeros(X.shape)
    monkeypatch.setattr(module, "randn_tensor", lambda *_, **__: noise(next(left)))
    scheduler = diffusers.DDPMScheduler(
        **LINEAR, clip_sample=False, variance_type="learned_range", timestep_spacing="trailing"
    )
    place = lambda x: 0.8 * x / (1.0 + x**2)  # 2 v - 1
    both = lambda x, t: torch.cat([eps_network(x, t), place(x)], dim=1)
    reverse = lambda x, t: (denoise(x, t), 0.5 * (place(x) + 1.0))
    assert_same(drawn(learned_ancestral(reverse, *respaced(SCHEDULE, 10))), theirs(scheduler, 10, network=both))
    assert next(left, None) is None


@pytest.mark.parametrize("name, second_order", [("EulerDiscreteScheduler", False), ("HeunDiscreteScheduler", True)])
def test_schemes_in_sigma(name, second_order):
    """Theirs ask the network at x / sqrt(1 + sigma^2) and a time looked up from sigma."""
    scheduler = getattr(diffusers, name)(**LINEAR)
    scheduler.set_timesteps(8)
    sigmas = scheduler.sigmas.numpy()
    if second_order:
        sigmas = np.append(sigmas[:-1][::2], 0.0)
    times = scheduler.timesteps.numpy()[:: 2 if second_order else 1]

    def in_sigma(x, sigma):
        t = jnp.interp(sigma, jnp.asarray(sigmas[:-1][::-1]), jnp.asarray(times[::-1]))
        return x - sigma * eps_network(x / jnp.sqrt(1.0 + sigma**2), t)

    start = sigmas[0] * X
    assert_same(drawn(edm_sampler(in_sigma, sigmas, second_order=second_order), start), theirs(scheduler, 8, x=start))


EDM = {"sigma_min": 0.01, "sigma_max": 10.0, "sigma_data": 0.5, "rho": 7.0}
IN_SIGMA = {
    # Without churn: with it, theirs asks the network before the noise is raised and uses the answer after. Karras et
    # al. 2022, algorithm 2, lines 5 to 7, raises first, as we do.
    "EDMEulerScheduler": lambda d, sigmas: edm_sampler(d, sigmas, second_order=False),
    "EDMDPMSolverMultistepScheduler": lambda d, sigmas: dpm_solver(
        d, lambda t: processes.point_at(processes.edm_path(), t), sigmas
    ),
}


@pytest.mark.parametrize("name", IN_SIGMA)
def test_preconditioned(name):
    scheduler = getattr(diffusers, name)(**EDM)
    scheduler.set_timesteps(8)
    sigmas = scheduler.sigmas.numpy()
    np.testing.assert_allclose(sigmas, processes.karras_sigmas(8, sigma_min=0.01, sigma_max=10.0), rtol=1e-12)
    kind, path = processes.preconditioned(0.5), processes.edm_path()

    def network(x, label):
        return 0.3 * x * label

    def in_sigma(x, sigma):
        point = processes.point_at(path, sigma)
        f = network(processes.input_scale(point) * x, processes.noise_label(point))
        return kind.to_x0(f, x, point)

    made = theirs(scheduler, 8, network=network, x=10.0 * X)
    assert_same(drawn(IN_SIGMA[name](in_sigma, sigmas), 10.0 * X), made)


def test_flow_matching_euler():
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(8)
    times = scheduler.sigmas.numpy()
    velocity = lambda x, t: 0.4 * x * t + 0.1
    made = theirs(scheduler, 8, network=lambda x, t: velocity(x, t / 1000.0))
    assert_same(drawn(ode_sampler(velocity, times, tableau=solvers.EULER)), made)
