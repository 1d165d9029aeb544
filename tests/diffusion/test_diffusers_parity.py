"""Samplers step for step beside the schedulers of `diffusers`, on one made-up network and the same noise."""

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
    learned_ancestral,
    ode_sampler,
    respaced,
    unipc,
)

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'bench')")
diffusers = pytest.importorskip("diffusers", reason="parity with diffusers needs the extra 'bench'")

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(3, 4, 4, 2)).astype(np.float32)
SCHEDULE = processes.linear_schedule(1000)
LINEAR = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}


def point_of(t):
    return processes.marginal(SCHEDULE, t)


def eps_network(x, t):
    """Some network: t counts from 0."""
    return 0.5 * x * t / (t + 300.0)


def denoise(x, t):
    return processes.x0_of_eps(eps_network(x, (t - 1).astype(jnp.float32)), x, point_of(t))


def theirs(scheduler, steps, network=eps_network, scale=1.0, **options):
    """Run a scheduler and return its sample; options are functions of the number of steps still to be made."""
    scheduler.set_timesteps(steps)
    x = torch.tensor(X) * scale
    for n, t in enumerate(scheduler.timesteps):
        model_input = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        given = {name: value(len(scheduler.timesteps) - n) for name, value in options.items()}
        x = scheduler.step(network(model_input, float(t)), t, x, **given).prev_sample
    return x.numpy()


def our_noise(left):
    """Return the noise of the step of which `left` are still to be made, that one included."""
    return torch.tensor(np.array(jax.random.normal(jax.random.fold_in(KEY, left), X.shape)))


def grid(scheduler, steps):
    scheduler.set_timesteps(steps)
    return np.append(scheduler.timesteps.numpy().astype(np.int32) + 1, 0)


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_ddim(spacing):
    """Not 'linspace': their step takes t - 100 for the next time whatever the spacing, which is not their own grid's."""
    scheduler = diffusers.DDIMScheduler(**LINEAR, clip_sample=False, timestep_spacing=spacing)
    sampler = ddim(denoise, point_of, grid(scheduler, 10))
    np.testing.assert_allclose(draw_from(sampler, KEY, jnp.asarray(X)), theirs(scheduler, 10), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_dpm_solver(order):
    scheduler = diffusers.DPMSolverMultistepScheduler(**LINEAR, solver_order=order, final_sigmas_type="zero")
    sampler = dpm_solver(denoise, point_of, grid(scheduler, 8), order=order)
    np.testing.assert_allclose(draw_from(sampler, KEY, jnp.asarray(X)), theirs(scheduler, 8), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("b", ["bh1", "bh2"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_unipc(order, b):
    # Their bh1 is NaN in a step to sigma = 0: it is compared down to the first step's sigma instead.
    final, end = ("sigma_min", 1) if b == "bh1" else ("zero", 0)
    scheduler = diffusers.UniPCMultistepScheduler(**LINEAR, solver_order=order, solver_type=b, final_sigmas_type=final)
    times = np.append(grid(scheduler, 8)[:-1], end)
    sampler = unipc(denoise, point_of, times, order=order, b=b)
    np.testing.assert_allclose(draw_from(sampler, KEY, jnp.asarray(X)), theirs(scheduler, 8), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_ddim_with_noise(eta):
    scheduler = diffusers.DDIMScheduler(**LINEAR, clip_sample=False, timestep_spacing="trailing")
    made = theirs(scheduler, 10, eta=lambda left: eta, variance_noise=our_noise)
    ours = draw_from(ddim(denoise, point_of, grid(scheduler, 10), eta=eta), KEY, jnp.asarray(X))
    np.testing.assert_allclose(ours, made, rtol=1e-3, atol=1e-4)


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
    sampler = dpm_solver_singlestep(denoise, point_of, grid(scheduler, 8))
    np.testing.assert_allclose(draw_from(sampler, KEY, jnp.asarray(X)), theirs(scheduler, 8), rtol=1e-3, atol=1e-4)


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
        return processes.x0_of_eps(eps_network(x, (t - 1).astype(jnp.float32)), x, processes.marginal(schedule, t))

    ours = draw_from(ancestral(estimate, schedule, variance(schedule)), KEY, jnp.asarray(X))
    np.testing.assert_allclose(ours, theirs(scheduler, total), rtol=2e-3, atol=2e-4)
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
    ours = draw_from(learned_ancestral(reverse, *respaced(SCHEDULE, 10)), KEY, jnp.asarray(X))
    np.testing.assert_allclose(ours, theirs(scheduler, 10, network=both), rtol=2e-3, atol=2e-4)
    assert next(left, None) is None


@pytest.mark.parametrize("name, second_order", [("EulerDiscreteScheduler", False), ("HeunDiscreteScheduler", True)])
def test_schemes_in_sigma(name, second_order):
    """Theirs ask the network at x / sqrt(1 + sigma^2) and a time looked up from sigma."""
    scheduler = getattr(diffusers, name)(**LINEAR)
    scheduler.set_timesteps(8)
    sigmas = scheduler.sigmas.numpy().astype(np.float64)
    if second_order:
        sigmas = np.append(sigmas[:-1][::2], 0.0)
    times = scheduler.timesteps.numpy()[:: 2 if second_order else 1]

    def in_sigma(x, sigma):
        t = jnp.interp(sigma, jnp.asarray(sigmas[:-1][::-1], jnp.float32), jnp.asarray(times[::-1], jnp.float32))
        return x - sigma * eps_network(x / jnp.sqrt(1.0 + sigma**2), t)

    start = sigmas[0]
    ours = draw_from(edm_sampler(in_sigma, sigmas, second_order=second_order), KEY, start * jnp.asarray(X))
    np.testing.assert_allclose(ours, theirs(scheduler, 8, scale=start), rtol=2e-3, atol=2e-4)


EDM = {"sigma_min": 0.01, "sigma_max": 10.0, "sigma_data": 0.5, "rho": 7.0}
IN_SIGMA = {
    # Without churn: with it, theirs asks the network before the noise is raised and uses the answer after. Karras et al.
    # 2022, algorithm 2, lines 5 to 7, raises first, as we do.
    "EDMEulerScheduler": lambda d, sigmas: edm_sampler(d, sigmas, second_order=False),
    "EDMDPMSolverMultistepScheduler": lambda d, sigmas: dpm_solver(
        d, lambda t: processes.point_at(processes.edm_path(), t), sigmas
    ),
}


@pytest.mark.parametrize("name", IN_SIGMA)
def test_preconditioned(name):
    scheduler = getattr(diffusers, name)(**EDM)
    scheduler.set_timesteps(8)
    sigmas = scheduler.sigmas.numpy().astype(np.float64)
    np.testing.assert_allclose(sigmas, processes.karras_sigmas(8, sigma_min=0.01, sigma_max=10.0), rtol=1e-5)
    kind, path = processes.preconditioned(0.5), processes.edm_path()

    def network(x, label):
        return 0.3 * x * label

    def in_sigma(x, sigma):
        point = processes.point_at(path, sigma)
        f = network(processes.input_scale(point) * x, processes.noise_label(point))
        return kind.to_x0(f, x, point)

    ours = draw_from(IN_SIGMA[name](in_sigma, sigmas), KEY, 10.0 * jnp.asarray(X))
    made = theirs(scheduler, 8, network=network, scale=10.0)
    np.testing.assert_allclose(ours, made, rtol=1e-3, atol=1e-4)


def test_flow_matching_euler():
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(8)
    times = scheduler.sigmas.numpy().astype(np.float64)
    velocity = lambda x, t: 0.4 * x * t + 0.1
    ours = draw_from(ode_sampler(velocity, times, tableau=solvers.EULER), KEY, jnp.asarray(X))
    x = torch.tensor(X)
    for t in scheduler.timesteps:
        x = scheduler.step(velocity(x, float(t) / 1000.0), t, x).prev_sample
    np.testing.assert_allclose(ours, x.numpy(), rtol=1e-4, atol=1e-5)
