"""Every sampler against data whose denoiser is known: its order where it is deterministic, its law where it is not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import processes, solvers
from genjax.diffusion import (
    adaptive_draw,
    ancestral,
    annealed_langevin,
    corrected,
    ddim,
    dpm_solver,
    dpm_solver_singlestep,
    draw,
    draw_from,
    draw_trajectory,
    edm_sampler,
    euler_maruyama,
    flow_sampler,
    invert,
    reverse_diffusion,
    unipc,
)
from genjax.processes import point_at
from tests.diffusion import exact

KEY = jax.random.key(0)
FAST_KEY = jax.random.key(0, impl="rbg")  # for many draws: they take a third of the time
MEAN, STD = 0.3, 0.5
NORMAL = exact.Mixture([1.0], [[MEAN]], [STD])
VP, EDM = processes.cosine_path(), processes.edm_path()
START, END = 0.98, 0.02


@functools.cache
def of(path):
    return jax.jit(lambda t: point_at(path, t))  # samplers read grids off it outside of any jit


@functools.cache
def vp_grid(num):
    return processes.log_snr_times(of(VP), num, start=START, end=END)


def uneven(times):
    """Move what lies inside a step to a third of it."""
    times = times.copy()
    times[1::2] += (times[:-1:2] - times[1::2]) / 3
    return times


DETERMINISTIC = {
    "ddim": (1, lambda d, n: ddim(d, of(VP), vp_grid(n)), VP),
    "dpm-solver++ 1": (1, lambda d, n: dpm_solver(d, of(VP), vp_grid(n), order=1), VP),
    "dpm-solver++ 2": (2, lambda d, n: dpm_solver(d, of(VP), vp_grid(n), order=2), VP),
    # Its first step is of order 1, and holds it at 2; `test_multistep.py` has the order of a step.
    "dpm-solver++ 3": (2, lambda d, n: dpm_solver(d, of(VP), vp_grid(n), order=3, lower_order_final=False), VP),
    "dpm-solver++ 2s": (2, lambda d, n: dpm_solver_singlestep(d, of(VP), uneven(vp_grid(2 * n))), VP),
    "unipc 1": (2, lambda d, n: unipc(d, of(VP), vp_grid(n), order=1, lower_order_final=False), VP),
    "unipc 2": (2, lambda d, n: unipc(d, of(VP), vp_grid(n), order=2, lower_order_final=False), VP),
    "unipc 3": (3, lambda d, n: unipc(d, of(VP), vp_grid(n), order=3, b="bh1", lower_order_final=False), VP),
    "euler": (1, lambda d, n: flow_sampler(d, VP, vp_grid(n), tableau=solvers.EULER), VP),
    "midpoint": (2, lambda d, n: flow_sampler(d, VP, vp_grid(n), tableau=solvers.MIDPOINT), VP),
    "heun": (2, lambda d, n: flow_sampler(d, VP, vp_grid(n), tableau=solvers.HEUN), VP),
    "rk4": (4, lambda d, n: flow_sampler(d, VP, vp_grid(n), tableau=solvers.RK4), VP),
    "sde without noise": (1, lambda d, n: euler_maruyama(d, VP, vp_grid(n), stochasticity=0.0), VP),
    "edm euler": (1, lambda d, n: edm_sampler(d, np.geomspace(5, 0.1, n + 1), second_order=False), EDM),
    "edm heun": (2, lambda d, n: edm_sampler(d, np.geomspace(5, 0.1, n + 1)), EDM),
}


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_error_falls_with_the_order(name):
    """Twice the steps: the error of a scheme of order p falls to 2^-p. The flow of a normal is known."""
    order, build, path = DETERMINISTIC[name]
    x = np.linspace(-2.0, 2.0, 9)[:, None].astype(np.float32)
    denoise = NORMAL.denoiser(of(path))
    errors = []
    for num in (12, 24, 48):
        sampler = build(denoise, num)
        scale = 5.0 if path is EDM else 1.0
        made = np.asarray(jax.jit(lambda x: draw_from(sampler, KEY, x))(scale * x), np.float64)
        start, end = sampler.times[0], sampler.times[-1]
        errors.append(np.abs(made - exact.flow_map(path, scale * x, start, end, MEAN, STD)).max())
    assert errors[0] > errors[1] > errors[2] or errors[-1] < 3e-6
    slope = np.log2(errors[0] / errors[1]) if errors[-1] < 3e-6 else np.log2(errors[1] / errors[2])
    assert slope > order - 0.35, errors
    if order == 1:
        assert slope < 1.4, errors


MIXTURE = exact.Mixture([0.3, 0.7], [[-0.8], [0.6]], [0.2, 0.1])
SUB_VP, VE = processes.sub_vp_path(), processes.exploding_path(0.01, 10.0)
FINE = processes.uniform_times(200, start=0.995, end=1e-3)
STOCHASTIC = {
    "ddim, eta 1": lambda: ddim(MIXTURE.denoiser(of(VP)), of(VP), FINE, eta=1.0),
    "ddim, eta 1/2": lambda: ddim(MIXTURE.denoiser(of(VP)), of(VP), FINE, eta=0.5),
    "ddim": lambda: ddim(MIXTURE.denoiser(of(VP)), of(VP), FINE),
    "euler-maruyama": lambda: euler_maruyama(MIXTURE.denoiser(of(VP)), VP, FINE),
    "euler-maruyama, sub-VP": lambda: euler_maruyama(MIXTURE.denoiser(of(SUB_VP)), SUB_VP, FINE),
    "euler-maruyama, much noise": lambda: euler_maruyama(MIXTURE.denoiser(of(VP)), VP, FINE, stochasticity=1.5),
    "reverse diffusion, VE": lambda: reverse_diffusion(MIXTURE.denoiser(of(VE)), of(VE), FINE),
    "reverse diffusion, VP": lambda: reverse_diffusion(MIXTURE.denoiser(of(VP)), of(VP), FINE),
    "predictor-corrector, VE": lambda: corrected(
        reverse_diffusion(MIXTURE.denoiser(of(VE)), of(VE), FINE), MIXTURE.denoiser(of(VE)), of(VE), signal_to_noise=0.1
    ),
    "edm with churn": lambda: edm_sampler(
        MIXTURE.denoiser(of(EDM)), processes.karras_sigmas(60, sigma_min=0.01, sigma_max=20.0), churn=20.0
    ),
    "edm": lambda: edm_sampler(MIXTURE.denoiser(of(EDM)), processes.karras_sigmas(60, sigma_min=0.01, sigma_max=20.0)),
    "dpm-solver++": lambda: dpm_solver(MIXTURE.denoiser(of(VP)), of(VP), vp_grid(40)),
    "unipc": lambda: unipc(MIXTURE.denoiser(of(VP)), of(VP), vp_grid(40)),
    "annealed langevin": lambda: annealed_langevin(
        MIXTURE.denoiser(of(EDM)), np.geomspace(5.0, 0.03, 25), step_size=2e-4, steps_per_level=30
    ),
}


@pytest.mark.parametrize("name", STOCHASTIC)
def test_samples_follow_the_mixture(name):
    """The share of each mode, and the mean and spread within it."""
    num = 10_000
    sampler = STOCHASTIC[name]()
    x = np.asarray(jax.jit(lambda key: draw(sampler, key, (num, 1)))(FAST_KEY), np.float64)[:, 0]
    left = x < 0.0  # the modes are some five standard deviations from 0
    assert abs(left.mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / num) + 0.003
    for mode, mean, std in ((x[left], -0.8, 0.2), (x[~left], 0.6, 0.1)):
        assert abs(mode.mean() - mean) < 5 * std / np.sqrt(len(mode)) + 0.01
        assert abs(mode.std() - std) < 5 * std / np.sqrt(2 * len(mode)) + 0.015


LAWS = {
    "ddim, eta 1": (1, lambda d, times: ddim(d, of(VP), times, eta=1.0), VP),
    "euler-maruyama, sub-VP": (1, lambda d, times: euler_maruyama(d, SUB_VP, times), SUB_VP),
    "reverse diffusion, VE": (1, lambda d, times: reverse_diffusion(d, of(VE), times), VE),
    "edm with churn": (2, lambda d, times: edm_sampler(d, 5.0 * times, churn=8.0), EDM),
}


@pytest.mark.parametrize("name", LAWS)
def test_the_law_of_samples_tends_to_the_data_with_the_order(name):
    """For normal data a step is x <- a x + b + c z: the law of what it draws is known without a single draw.

    From the exact law at the first time to that before the last step, which adds no noise.
    """
    order, build, path = LAWS[name]
    denoise = NORMAL.denoiser(of(path))
    samplers = [build(denoise, np.geomspace(0.9, 0.1, num + 2)) for num in (40, 80)]

    @jax.jit
    def steps():
        keys = jax.random.split(KEY)
        z = jax.vmap(lambda key: jax.random.normal(key, (1, 1))[0, 0])(keys)

        def coefficients(sampler, n):
            at = lambda key, x: sampler.step(key, jnp.full((1, 1), x), (), n).x[0, 0]
            here, moved, other = at(keys[0], 0.0), at(keys[0], 1.0), at(keys[1], 0.0)
            c = (here - other) / (z[0] - z[1])
            return moved - here, here - c * z[0], c

        counts = [jnp.arange(len(sampler.times) - 2) for sampler in samplers]
        return [jax.vmap(lambda n, s=s: coefficients(s, n))(count) for s, count in zip(samplers, counts)]

    def law(t):
        alpha, sigma = processes.coefficients(of(path), t)
        return alpha * MEAN, np.hypot(alpha * STD, sigma)

    errors = []
    for sampler, each in zip(samplers, steps()):
        mean, std = law(sampler.times[0])
        for a, b, c in np.stack(each, axis=1).astype(np.float64):
            mean, std = a * mean + b, np.hypot(a * std, c)
        errors.append(np.abs(np.subtract((mean, std), law(sampler.times[-2]))).max())
    slope = np.log2(errors[0] / errors[1])
    assert slope > order - 0.25 and (order == 2 or slope < 1.3), errors


def primitives(function, *arguments):
    return [equation.primitive.name for equation in jax.make_jaxpr(function)(*arguments).eqns]


@pytest.mark.parametrize("name", [*DETERMINISTIC, *STOCHASTIC])
def test_a_sampler_is_one_scan_and_shows_its_way(name):
    """The program holds one loop, no longer for twice the steps; every state on the way can be had."""
    if name in DETERMINISTIC:
        _, build, path = DETERMINISTIC[name]
        samplers = [build(NORMAL.denoiser(of(path)), num) for num in (6, 12)]
    else:
        samplers = [STOCHASTIC[name]()]
    x = np.zeros((3, 1), np.float32)
    programs = [primitives(lambda x, s=s: draw_from(s, KEY, x), x) for s in samplers]
    assert all(program.count("scan") == 1 and "while" not in program for program in programs)
    assert len({len(program) for program in programs}) == 1
    frames = len(samplers[0].times) - 1
    way = jax.eval_shape(lambda key: draw_trajectory(samplers[0], key, x.shape, frames=frames), KEY)
    assert way.x.shape == (frames + 1, 3, 1) and way.x0.shape == (frames, 3, 1)


def test_ddim_with_eta_one_is_ancestral_with_the_lower_variance():
    schedule = processes.cosine_schedule(12)
    point_of = lambda t: processes.marginal(schedule, t)
    denoise = exact.normal_denoiser(schedule)
    x = np.random.default_rng(0).normal(size=(6, 1)).astype(np.float32)
    ancestor = ancestral(denoise, schedule, processes.lower_variance(schedule))
    ours = ddim(denoise, point_of, np.arange(12, -1, -1), eta=1.0)
    both = jax.jit(lambda x: [draw_from(sampler, KEY, x) for sampler in (ours, ancestor)])(x)
    np.testing.assert_allclose(*both, atol=2e-6)


def test_inversion_undoes_ddim_as_steps_grow():
    denoise, x = NORMAL.denoiser(of(VP)), np.linspace(-1.0, 1.5, 7, dtype=np.float32)[:, None]

    def there_and_back(x, num):
        times = vp_grid(num)
        return draw_from(ddim(denoise, of(VP), times), KEY, invert(denoise, of(VP), times[::-1], x))

    made = jax.jit(lambda x: [there_and_back(x, num) for num in (50, 100, 200)])(x)
    errors = [np.abs(np.asarray(again) - x).max() for again in made]
    np.testing.assert_allclose([errors[0] / errors[1], errors[1] / errors[2]], 2.0, rtol=0.1)
    with pytest.raises(ValueError, match="sigma > 0"):
        invert(denoise, of(VP), np.array([0.0, 0.5]), x)


def test_adaptive_steps_solve_the_flow():
    field = processes.probability_flow(NORMAL.denoiser(of(VP)), VP)
    drawn = jax.jit(lambda key: adaptive_draw(field, key, (5, 1), start=START, end=END, start_std=0.9).x)(KEY)
    x = 0.9 * np.asarray(jax.random.normal(jax.random.fold_in(KEY, 0), (5, 1)))
    np.testing.assert_allclose(drawn, exact.flow_map(VP, x, START, END, MEAN, STD), atol=1e-4)


@pytest.mark.parametrize("path", [VP, SUB_VP, processes.straight_path(0.1)], ids=["VP", "sub-VP", "straight"])
def test_a_network_of_any_kind_samples_in_any_sampler(path):
    """The exact estimate, said as eps, x_0, v, score, velocity or F, leads DPM-Solver++ to the same sample."""
    ideal, point_of = NORMAL.denoiser(of(path)), of(path)
    times = processes.uniform_times(8, start=0.95, end=0.05)
    kinds = (processes.EPS, processes.X0, processes.V, processes.SCORE, processes.VELOCITY, processes.preconditioned(STD))

    def sampler_of(kind):
        def predict(x, t):
            point = point_of(t)
            x0 = jax.vmap(lambda x, t: ideal(x[None], t)[0])(x, t)
            return kind.target(x0, processes.eps_of_x0(x0, x, point), point)

        return dpm_solver(processes.denoiser(predict, kind, point_of), point_of, times)

    made = jax.jit(lambda key: [draw(sampler_of(kind), key, (4, 1)) for kind in kinds])(KEY)
    for other in made[1:]:
        np.testing.assert_allclose(other, made[1], rtol=2e-4, atol=2e-4)


def test_trajectories_are_the_way_of_the_sample():
    sampler = unipc(NORMAL.denoiser(of(VP)), of(VP), vp_grid(6))
    path = draw_trajectory(sampler, KEY, (3, 1), frames=3)
    assert path.x.shape == (4, 3, 1) and path.x0.shape == (3, 3, 1)
    np.testing.assert_array_equal(path.times, sampler.times[::2])
    np.testing.assert_array_equal(path.x[-1], draw(sampler, KEY, (3, 1)))


def test_a_single_step_to_no_noise_returns_the_second_estimate():
    seen = []

    def denoise(x, t):
        seen.append(x)
        return 0.5 * x

    x = np.ones((2, 1), np.float32)
    made = dpm_solver_singlestep(denoise, of(VP), np.array([0.5, 0.2, 0.0])).step(KEY, x, (), np.int32(0)).x
    np.testing.assert_allclose(made, 0.5 * np.asarray(seen[1]), rtol=1e-6)
    # The first half is DDIM's step.
    np.testing.assert_allclose(seen[1], draw_from(ddim(lambda x, t: 0.5 * x, of(VP), np.array([0.5, 0.2])), KEY, x), rtol=1e-5)


@pytest.mark.parametrize("build", [ddim, dpm_solver, unipc])
def test_a_sampler_goes_on_from_where_a_wrapper_moved_it(build):
    """With x_0 = 0, x scales with sigma: what is added after the first step is found in the end, at its scale."""
    times = vp_grid(4)
    _, sigma = processes.coefficients(of(VP), times)
    sampler = build(lambda x, t: jnp.zeros_like(x), of(VP), times)

    def step(key, x, memory, n):
        made = sampler.step(key, x, memory, n)
        return made._replace(x=made.x + jnp.where(n == 0, 1.0, 0.0))

    x = np.full((1, 1), 2.0, np.float32)
    end = jax.jit(lambda x: draw_from(sampler._replace(step=step), KEY, x))(x)
    np.testing.assert_allclose(end, 2.0 * sigma[-1] / sigma[:1, None] + sigma[-1] / sigma[1], rtol=1e-5)


def test_what_cannot_be_sampled_is_refused():
    straight, denoise = processes.straight_path(), lambda x, t: x
    with pytest.raises(ValueError, match="alpha > 0"):
        ddim(denoise, of(straight), np.array([1.0, 0.5, 0.0]), eta=1.0)
    with pytest.raises(ValueError, match="must be positive along the grid"):
        dpm_solver(denoise, of(straight), np.array([1.0, 0.5, 0.0]))
    with pytest.raises(ValueError, match="4 times are no steps with a time inside each"):
        dpm_solver_singlestep(denoise, of(VP), np.array([0.9, 0.6, 0.3, 0.1]))
    with pytest.raises(ValueError, match="must be positive along the grid"):
        dpm_solver_singlestep(denoise, of(straight), np.array([1.0, 0.5, 0.0]))
    with pytest.raises(ValueError, match="the order is 1, 2 or 3, not 4"):
        unipc(denoise, of(VP), vp_grid(5), order=4)
    with pytest.raises(ValueError, match="not 'bh3'"):
        unipc(denoise, of(VP), vp_grid(5), b="bh3")
    with pytest.raises(ValueError, match="cannot be taken"):
        processes.sub_sequence(10, 11)
