"""Models with the exact field in the network's place: likelihood, samples, guidance; and what training sees."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from genjax import flow_matching, processes, solvers
from genjax.data_path import dequantized_symmetric

KEY = jax.random.key(0)
PATH = processes.straight_path(0.05)
MEANS = np.array([[1.5, 0.0], [-1.0, 1.0]], np.float32)
STDS = np.array([0.4, 0.6], np.float32)
ADAPTIVE = solvers.adaptive_solve(rtol=1e-6, atol=1e-6)


class Exact(nn.Module):
    """The marginal field of two Gaussians; given a class, of one of them. Class 2 is 'none given'."""

    @nn.compact
    def __call__(self, x, t, condition=None, *, train=False):
        means = self.param("means", lambda key: jnp.asarray(MEANS))
        both = flow_matching.mixture_velocity(PATH, means, jnp.asarray(STDS), x, t)
        if condition is None:
            return both
        alone = [
            flow_matching.mixture_velocity(PATH, means[k : k + 1], jnp.asarray(STDS[k : k + 1]), x, t) for k in (0, 1)
        ]
        return jnp.take_along_axis(jnp.stack([*alone, both]), condition[None, :, None], axis=0)[0]


class Recorder(nn.Module):
    """Returns its inputs in the place of a velocity of two entries: the time and the class."""

    @nn.compact
    def __call__(self, x, t, condition=None, *, train=False):
        one = self.param("one", lambda key: jnp.ones(()))
        return one * jnp.stack([t, condition.astype(jnp.float32)], axis=1)


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def exact_model(**options):
    field = flow_matching.Field(Exact(), shape=(2,), solve=ADAPTIVE, **options)
    model = flow_matching.cfm(field, flow_matching.gaussian_interpolant(PATH))
    return model, jax.jit(model.init)(KEY, {"x": normal(4, 2), "label": np.zeros(4, np.int32)})


def true_density(x, sharpness=0.05):
    parts = [multivariate_normal(m, np.eye(2) * (s**2 + sharpness**2)).pdf(x) / 2 for m, s in zip(MEANS, STDS)]
    return np.log(sum(parts))


def test_likelihood_is_the_mixtures_and_estimates_surround_it():
    """At t = 1 the path still has its sigma_min: data and N(0, 0.05^2) convolved."""
    model, variables = exact_model()
    x = normal(5, 2)
    np.testing.assert_allclose(
        jax.jit(model.log_prob.fn)(variables, KEY, {"x": x}), true_density(x), rtol=1e-4, atol=2e-4
    )
    assert model.log_prob.kind == "exact"
    estimating, _ = exact_model(trace=solvers.rademacher_trace(), likelihood_solve=solvers.fixed_solve(30))
    many = np.broadcast_to(x[:1], (4000, 2))
    estimates = np.asarray(jax.jit(estimating.log_prob.fn)(variables, KEY, {"x": many}))
    assert estimating.log_prob.kind == "estimate" and estimates.std() > 0.01
    assert abs(estimates.mean() - true_density(x[:1])) < 5 * estimates.std() / np.sqrt(4000) + 2e-3


def test_steps_of_equal_logit_find_the_likelihood_of_narrow_cells():
    """Of two cells 0.004 wide, in 60 steps; equal steps pass over the time when the field is as narrow as these."""
    path, means, std = processes.straight_path(), np.float32([[-1.0], [0.5]]), np.float32(0.004)
    x = means[[0, 1, 1]] + std * np.float32([[0.3], [-1.0], [2.0]])
    truth = np.log(0.5) - 0.5 * ((x - means[[0, 1, 1]]) / std)[:, 0] ** 2 - np.log(std * np.sqrt(2 * np.pi))

    @functools.partial(jax.jit, static_argnums=0)
    def density(solve):
        velocity = lambda x, t, weights: flow_matching.mixture_velocity(path, means, std[None].repeat(2), x, t)
        ending = solvers.transport(
            velocity, (), x, x, trace=solvers.exact_trace(), solve=solve, reverse=True, span=(0.0, 1.0)
        )
        return ending.log_det - 0.5 * ending.z[:, 0] ** 2 - 0.5 * np.log(2 * np.pi)

    spaced = density(solvers.spaced_solve(flow_matching.logit_grid(60), tableau=solvers.MIDPOINT))
    equal = density(solvers.fixed_solve(60, tableau=solvers.MIDPOINT))
    np.testing.assert_allclose(spaced, truth, atol=0.05)
    assert np.abs(equal - truth).max() > 1.0


def test_samples_are_the_mixtures():
    model, variables = exact_model()
    x = np.asarray(jax.jit(model.sample, static_argnums=2)(variables, KEY, 4000))
    mean = MEANS.mean(axis=0)
    covariance = np.cov(MEANS.T, bias=True) + np.eye(2) * ((STDS**2).mean() + 0.05**2)
    np.testing.assert_allclose(x.mean(axis=0), mean, atol=5 * np.sqrt(covariance.max() / 4000))
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=0.12)
    nll = -true_density(x).mean()  # the entropy, if the samples are the density's
    truth = np.concatenate(
        [m + np.hypot(s, 0.05) * np.random.default_rng(0).normal(size=(20_000, 2)) for m, s in zip(MEANS, STDS)]
    )
    assert nll == pytest.approx(-true_density(truth).mean(), abs=0.06)


@pytest.mark.parametrize("name, order", [("EULER", 1), ("MIDPOINT", 2), ("HEUN", 2), ("RK4", 4)])
def test_solvers_have_their_orders_on_a_gaussian(name, order):
    """One Gaussian of deviation s: x_0 goes to m + s x_0 along x_t = t m + sqrt(v_t) x_0."""
    counts, m, s = np.array([16, 32, 64]), np.array([[1.0, -2.0]]), np.array([0.5])
    x0 = np.random.default_rng(0).normal(size=(6, 2))
    velocity = lambda x, t: flow_matching.mixture_velocity(processes.cosine_path(), m, s, x, t)
    solve = jax.jit(lambda x, times: solvers.integrate(velocity, x, times, tableau=getattr(solvers, name)))
    with jax.enable_x64(True):
        ends = np.stack([solve(x0, np.linspace(0.0, 1.0, count + 1)) for count in counts])
    errors = np.abs(ends - (m + 0.5 * x0)).max(axis=(1, 2))
    slope = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert slope == pytest.approx(order, abs=0.15)


def test_guidance():
    model, variables = exact_model(num_classes=2)
    x, t = normal(4, 2), np.array([0.1, 0.4, 0.6, 0.9], np.float32)
    label = np.array([0, 1, 1, 0], np.int32)
    velocity = lambda condition, guidance=None: model.methods["velocity"](
        variables, KEY, x, t, condition=condition, guidance=guidance
    )
    conditional, free = np.asarray(jax.jit(jax.vmap(velocity))(np.stack([label, np.full(4, 2, np.int32)])))
    scales = np.array([1.0, 0.0, 3.0], np.float32)
    one, zero, guided = np.asarray(jax.jit(jax.vmap(lambda scale: velocity(label, scale)))(scales))
    np.testing.assert_allclose(one, conditional, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(zero, free, rtol=1e-5, atol=1e-6)
    # The same as guiding the scores, score = (alpha x_1 - x) / sigma^2 of the estimate of the data.
    alpha, sigma = t[:, None], 1 - 0.95 * t[:, None]
    estimate = jax.jit(lambda u: flow_matching.velocity_denoiser(lambda x, t: u, PATH)(x, 1.0 - t))
    score = lambda u: (alpha * np.asarray(estimate(u)) - x) / sigma**2
    np.testing.assert_allclose(
        score(guided), score(free) + 3.0 * (score(conditional) - score(free)), rtol=2e-3, atol=2e-3
    )
    draw = jax.jit(functools.partial(model.sample, solve=solvers.fixed_solve(15)), static_argnums=2)
    drawn = np.asarray(draw(variables, KEY, 2000, condition=np.zeros(2000, np.int32)))
    np.testing.assert_allclose(drawn.mean(axis=0), MEANS[0], atol=0.06)
    np.testing.assert_allclose(drawn.std(axis=0), np.hypot(STDS[0], 0.05), atol=0.05)


def test_a_field_in_the_samplers_of_diffusion():
    """The denoiser made of a field has the probability flow it came from, and its reverse equation the same end."""
    velocity = lambda x, t: flow_matching.mixture_velocity(PATH, jnp.asarray(MEANS), jnp.asarray(STDS), x, t)
    denoise = flow_matching.velocity_denoiser(velocity, PATH)
    flow = processes.probability_flow(denoise, PATH)
    back = jax.jit(lambda x: (flow(x, jnp.float32(0.3)), -velocity(x, 0.7)))
    np.testing.assert_allclose(*back(normal(5, 2)), rtol=1e-4, atol=1e-4)
    drift, diffusion = processes.reverse_sde(denoise, PATH)
    times = np.concatenate([np.linspace(0.99, 0.1, 150), np.geomspace(0.1, 0.005, 50)[1:]])
    drawn = jax.jit(lambda x: solvers.integrate_sde(KEY, drift, diffusion, x, times))(normal(2000, 2))
    drawn = np.asarray(drawn)
    np.testing.assert_allclose(drawn.mean(axis=0), MEANS.mean(axis=0), atol=0.12)
    assert -true_density(drawn).mean() == pytest.approx(-true_density(np.asarray(exact_samples())).mean(), abs=0.1)


def exact_samples():
    which = np.random.default_rng(1).integers(0, 2, 20_000)
    noise = np.random.default_rng(2).normal(size=(20_000, 2))
    return MEANS[which] + np.hypot(STDS[which], 0.05)[:, None] * noise


def test_the_loss_is_least_at_the_exact_field():
    """Its gradient with respect to the means inside the exact field vanishes there, on data of that distribution."""
    model, variables = exact_model()
    loss = jax.jit(
        jax.grad(lambda params, key: model.updates[0].loss(variables._replace(params=params), batch, key, 0)[0])
    )
    batch = {"x": exact_samples()[:8192].astype(np.float32)}
    gradients = np.stack([loss(variables.params, jax.random.key(i))["field"]["means"] for i in range(8)])
    assert np.abs(gradients.mean(axis=0)).max() < 0.03
    moved = jax.tree.map(lambda m: np.asarray(m) + np.float32(0.3), variables.params)
    assert np.abs(loss(moved, KEY)["field"]["means"]).max() > 0.1


def test_labels_are_hidden_one_by_one_and_time_is_scaled():
    field = flow_matching.Field(
        Recorder(), shape=(2,), solve=ADAPTIVE, num_classes=3, label_dropout=0.25, time_scale=1000.0, span=(0.2, 0.8)
    )
    model = flow_matching.cfm(field, flow_matching.straight_interpolant(), times=flow_matching.constant_time(0.5))
    batch = {"x": np.zeros((4000, 2), np.float32), "label": np.ones(4000, np.int32)}
    variables = jax.jit(model.init)(KEY, batch)
    labels = np.asarray(jax.jit(lambda batch: flow_matching.field.training_labels(field, KEY, batch))(batch))
    assert set(np.unique(labels)) == {1, 3} and np.mean(labels == 3) == pytest.approx(0.25, abs=0.03)
    velocity = jax.jit(model.methods["velocity"])
    seen = velocity(variables, KEY, batch["x"][:2], np.float32(0.5), condition=np.array([0, 2], np.int32))
    np.testing.assert_allclose(seen, [[500.0, 0.0], [500.0, 2.0]])


def test_a_mixture_as_source():
    source = flow_matching.mixture_source(MEANS, 0.5)
    many = np.asarray(jax.jit(lambda key: source.sample(key, (4000, 2)))(KEY))
    x = many[:5]
    parts = [multivariate_normal(m, 0.25 * np.eye(2)).pdf(x) / 2 for m in MEANS]
    np.testing.assert_allclose(jax.jit(source.log_prob)(x), np.log(sum(parts)), rtol=1e-5)
    np.testing.assert_allclose(many.mean(axis=0), MEANS.mean(axis=0), atol=0.1)


def test_paths_of_a_turning_field():
    """A turn by theta in unit time: energy theta^2 |x|^2, displacement 4 sin^2(theta / 2) |x|^2."""
    theta = 1.2
    x = normal(5, 2)
    turn = lambda x, t: theta * jnp.stack([-x[:, 1], x[:, 0]], axis=1)
    times = np.linspace(0.0, 1.0, 41, dtype=np.float32)
    found = jax.jit(lambda x: flow_matching.path_measures(turn, x, times))(x)
    squares = np.sum(x**2, axis=1)
    np.testing.assert_allclose(found.energy, theta**2 * squares, rtol=1e-5)
    np.testing.assert_allclose(found.displacement, 4 * np.sin(theta / 2) ** 2 * squares, rtol=1e-5)
    # Liu et al. 2023: int |x_1 - x_0 - u|^2 dt along the circle, by the midpoint rule.
    angles = theta * (np.arange(400) + 0.5) / 400
    complex_x = x[:, 0] + 1j * x[:, 1]
    chord = complex_x[:, None] * (np.exp(1j * theta) - 1)
    along = 1j * theta * complex_x[:, None] * np.exp(1j * angles)[None]
    np.testing.assert_allclose(found.straightness, (np.abs(chord - along) ** 2).mean(axis=1), rtol=1e-3)


def test_levels_there_and_back():
    class Still(nn.Module):
        @nn.compact
        def __call__(self, x, t, condition=None, *, train=False):
            return self.param("zero", nn.initializers.zeros_init(), ()) * x

    field = flow_matching.Field(
        Still(), shape=(2, 2, 1), solve=solvers.fixed_solve(1), data_path=dequantized_symmetric(17)
    )
    model = flow_matching.cfm(field, flow_matching.straight_interpolant())
    x = np.arange(4 * 4, dtype=np.uint8).reshape(4, 2, 2, 1)
    variables = jax.jit(model.init)(KEY, {"x": x})
    z = jax.jit(model.methods["encode"])(variables, KEY, x)
    np.testing.assert_array_equal(jax.jit(model.methods["decode"])(variables, KEY, z), x)
    # The density of z under N(0, I), and of one level 2 / 17 of its interval [-1, 1].
    wanted = multivariate_normal(np.zeros(4), np.eye(4)).logpdf(np.asarray(z).reshape(4, 4)) + 4 * np.log(2 / 17)
    nats = np.asarray(jax.jit(model.log_prob.fn)(variables, KEY, {"x": x}))
    assert model.log_prob.kind == "lower_bound" and np.abs(nats - wanted).max() < 1.0  # another dequantization noise
    with pytest.raises(ValueError, match="was built for \\(2, 2, 1\\)"):
        jax.eval_shape(model.init, KEY, {"x": x[:, :1]})


def test_mistakes():
    model, variables = exact_model()
    with pytest.raises(ValueError, match="unconditional: it takes no condition"):
        model.sample(variables, KEY, 2, condition=np.zeros(2, np.int32))
    model, variables = exact_model(num_classes=2)
    with pytest.raises(ValueError, match="conditional: give it labels"):
        model.sample(variables, KEY, 2)
    with pytest.raises(ValueError, match="both must be \\[B, ...\\]"):
        flow_matching.flow_matching_loss(normal(2, 3), normal(2, 1))
