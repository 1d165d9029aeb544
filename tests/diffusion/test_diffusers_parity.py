"""Samplers step for step beside the schedulers of `diffusers`, on one made-up network and the same noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import processes, solvers
from genjax.diffusion import ancestral, ddim, dpm_solver, draw_from, edm_sampler, ode_sampler, unipc

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


def theirs(scheduler, steps, network=eps_network, scale=1.0):
    """Run a scheduler; return its sample and its timesteps."""
    scheduler.set_timesteps(steps)
    x = torch.tensor(X) * float(scale if scale is not None else scheduler.init_noise_sigma)
    for t in scheduler.timesteps:
        model_input = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        x = scheduler.step(network(model_input, float(t)), t, x).prev_sample
    return x.numpy()


def grid(scheduler, steps):
    scheduler.set_timesteps(steps)
    return np.append(scheduler.timesteps.numpy().astype(np.int32) + 1, 0)


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_ddim(spacing):
    scheduler = diffusers.DDIMScheduler(**LINEAR, clip_sample=False, timestep_spacing=spacing)
    sampler = ddim(denoise, point_of, grid(scheduler, 10))
    if spacing == "linspace":  # their step takes t - 100 for the next time, whatever the spacing
        times = grid(scheduler, 10)
        x = torch.tensor(X)
        t = scheduler.timesteps[0]
        pair = np.array([times[0], max(times[0] - 100, 0)])
        one = scheduler.step(eps_network(x, float(t)), t, x).prev_sample
        np.testing.assert_allclose(draw_from(ddim(denoise, point_of, pair), KEY, X), one, rtol=1e-4, atol=1e-5)
        return
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


def test_ancestral_without_its_noise():
    """The mean of each step; the noise is drawn by generators of their own."""
    scheduler = diffusers.DDPMScheduler(**LINEAR, clip_sample=False, variance_type="fixed_small")
    scheduler.set_timesteps(1000)
    t = 400
    x = torch.tensor(X)
    generator = torch.Generator().manual_seed(0)
    # They draw by torch.randn of the generator they are given.
    noise = torch.randn(X.shape, generator=torch.Generator().manual_seed(0))
    out = scheduler.step(eps_network(x, float(t - 1)), t - 1, x, generator=generator).prev_sample
    std = np.sqrt(SCHEDULE.posterior_variance[t])
    zero = np.zeros(1001, np.float32)
    sampler = ancestral(denoise, SCHEDULE, zero)
    ours = sampler.step(KEY, jnp.asarray(X), (), jnp.int32(1000 - t)).x
    np.testing.assert_allclose(ours, out - std * noise, rtol=1e-4, atol=1e-5)


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


def test_edm_euler():
    scheduler = diffusers.EDMEulerScheduler(sigma_min=0.01, sigma_max=10.0, sigma_data=0.5, rho=7.0)
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

    ours = draw_from(edm_sampler(in_sigma, sigmas, second_order=False), KEY, 10.0 * jnp.asarray(X))
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
