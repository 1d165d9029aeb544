"""The loss in all its forms, and models whose network is exact for normal data: samples and likelihoods are known."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from genjax import data_path, processes, solvers
from genjax.diffusion import (
    FlowLikelihood,
    among,
    annealed_langevin,
    classifier_free_by_scale,
    ddim,
    denoising_loss,
    denoising_model,
    draw,
    flow_likelihood,
    importance_times,
    geometric_sigmas,
    labels,
    langevin_chain,
    log_normal_sigmas,
    on_path,
    uniform_between,
)
from genjax.processes import point_at
from tests.diffusion import exact

KEY = jax.random.key(0)
MEAN, STD = 0.3, 0.5
SCALE = 100.0


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_the_loss_is_each_papers():
    x0, eps, output = normal(4, 3), normal(4, 3, seed=1), normal(4, 3, seed=2)
    sigma = np.array([0.05, 0.4, 2.0, 9.0], np.float32)
    s = sigma[:, None].astype(np.float64)
    point = processes.Point(np.ones(4, np.float32), sigma)
    loss = lambda **options: jax.jit(lambda output: denoising_loss(output, x0, eps, point, **options))(output)
    # NCSN, eq. 5 and 6 with lambda = sigma^2 and without the half: the target is -(x~ - x) / sigma^2.
    ncsn = (s**2 * (output + s * eps / s**2) ** 2).sum(1)
    np.testing.assert_allclose(loss(prediction=processes.SCORE), ncsn, rtol=1e-4)
    # EDM, eq. 2 and 8 with table 1's lambda, c_skip and c_out.
    std = 0.7
    denoised = std**2 / (s**2 + std**2) * (x0 + s * eps) + s * std / np.sqrt(s**2 + std**2) * output
    edm = ((s**2 + std**2) / (s * std) ** 2 * (denoised - x0) ** 2).sum(1)
    weight = lambda point: processes.edm_weight(point, data_std=std)
    np.testing.assert_allclose(loss(prediction=processes.preconditioned(std), weight=weight), edm, rtol=1e-4)


@pytest.mark.parametrize("prediction", [processes.EPS, processes.X0, processes.V, processes.SCORE], ids=lambda p: p.name)
def test_the_loss_is_of_eps(prediction):

    @jax.jit
    def losses(x0, eps, output):
        point = point_at(processes.linear_path(), jnp.array([0.1, 0.4, 0.7, 0.9]))
        x_t = processes.diffuse(x0, eps, point)
        expected = jnp.sum((prediction.to_eps(output, x_t, point) - eps) ** 2, axis=1)
        loss = denoising_loss(output, x0, eps, point, prediction=prediction)
        doubled = denoising_loss(output, x0, eps, point, prediction=prediction, weight=lambda point: 2.0 * point.alpha)
        return loss, expected, doubled, 2.0 * point.alpha * expected

    loss, expected, doubled, twice = losses(*(normal(4, 3, seed=i) for i in range(3)))
    np.testing.assert_allclose(loss, expected, rtol=1e-3)
    np.testing.assert_allclose(doubled, twice, rtol=1e-3)


class Exact(nn.Module):
    """E[eps | x_t] for x_0 ~ N(MEAN + class, STD^2), read off c_in x_t and the level it is told."""

    path: str = "vp"

    @nn.compact
    def __call__(self, x, level, condition=None, *, train=False):
        one = self.param("one", nn.initializers.ones_init(), ())
        ratio = jnp.exp(4.0 * level / SCALE)[:, None]  # sigma / alpha
        alpha = 1.0 / jnp.sqrt(1.0 + ratio**2) if self.path == "vp" else jnp.ones_like(ratio)
        sigma = ratio * alpha
        x_t = x * jnp.sqrt(sigma**2 + (alpha * STD) ** 2)
        # The class K stands for none: as likely 0 as 1, which only the test of guidance looks at.
        mean = MEAN + (0.0 if condition is None else condition.astype(jnp.float32)[:, None])
        return one * sigma * (x_t - alpha * mean) / (alpha**2 * STD**2 + sigma**2)


def exact_model(name, path, **options):
    sampler_of = lambda denoise: ddim(denoise, jax.jit(lambda t: point_at(path, t)), np.linspace(1.0, 0.01, 25))
    options = {"times": uniform_between(0.01, 1.0), "sampler_of": sampler_of, "data_std": STD} | options
    return denoising_model(Exact(name), shape=(2,), data_path=data_path.continuous(), path=path, **options)


@pytest.mark.parametrize(
    "name, path, start",
    [("vp", processes.linear_path(), 1e-3), ("ve", processes.exploding_path(0.01, 300.0), 0.0)],
    ids=["VP", "VE"],
)
def test_likelihood_of_normal_data_is_known(name, path, start):
    likelihood = flow_likelihood(path, 150, start=start, trace=solvers.exact_trace())
    model = exact_model(name, path, likelihood=likelihood)
    batch = {"x": MEAN + STD * normal(6, 2)}
    variables = jax.jit(model.init)(KEY, batch)
    assert model.log_prob.kind == "exact"
    alpha, sigma = (float(f(jnp.float32(start))) for f in path)
    expected = scipy.stats.norm.logpdf(batch["x"], alpha * MEAN, np.hypot(alpha * STD, sigma)).sum(axis=1)
    np.testing.assert_allclose(jax.jit(model.log_prob.fn)(variables, KEY, batch), expected, atol=0.02)


@pytest.mark.parametrize(
    "path",
    [processes.linear_path(), processes.exploding_path(0.01, 50.0), processes.sub_vp_path()],
    ids=["VP", "VE", "sub-VP"],
)
def test_importance_times_are_those_of_the_likelihood(path):
    """Log-SNR is uniform, and a mean over them the integral of g^2 / sigma^2 over all times, by quadrature."""
    first, last, value = 0.01, 1.0, lambda t: t**2 + 0.3
    of = jax.jit(lambda t: (processes.log_snr(point_at(path, t)), processes.likelihood_weight(point_at(path, t))))
    t = np.asarray(jax.jit(importance_times(path, first, last), static_argnums=1)(KEY, (4000,)))
    bottom, top = (float(of(np.full(4000, end, np.float32))[0][0]) for end in (last, first))
    shares = (np.asarray(of(t)[0], np.float64) - bottom) / (top - bottom)
    assert scipy.stats.kstest(shares, "uniform").pvalue > 0.01
    grid = np.geomspace(first, last, 4000).astype(np.float32)
    integral = np.trapezoid(np.asarray(of(grid)[1], np.float64) * value(grid), grid)
    estimates = (top - bottom) * value(t)
    assert estimates.mean() == pytest.approx(integral, abs=5 * estimates.std() / np.sqrt(4000) + 1e-3 * integral)


def test_the_exact_network_has_the_known_error():
    """E |eps - E[eps | x_t]|^2 = Var[eps | x_t] = alpha^2 STD^2 / (alpha^2 STD^2 + sigma^2)."""
    path = processes.linear_path()
    model, x = exact_model("vp", path), MEAN + STD * normal(50_000, 2)
    variables = jax.jit(model.init)(KEY, {"x": x[:2]})
    alpha, sigma = (float(f(jnp.float32(0.3))) for f in path)
    error = np.asarray(jax.jit(model.methods["denoising_error"])(variables, KEY, x, np.full(len(x), 0.3, np.float32)))
    expected = (alpha * STD) ** 2 / ((alpha * STD) ** 2 + sigma**2)
    assert float(error.mean()) == pytest.approx(expected, abs=5 * expected * np.sqrt(1 / len(x)))


def test_a_network_of_one_kind_samples_right_in_anothers_sampler():
    """Trained at alpha = 1, drawn by DDIM on the variance-preserving arc; and the other denoiser is the mixture's own."""
    mixture = exact.Mixture([0.3, 0.7], [[-1.0, 0.5], [1.5, 0.0]], [0.3, 0.4])
    arc, exploding = processes.cosine_path(), processes.edm_path()
    on_arc = jax.jit(on_path(mixture.denoiser(lambda t: point_at(exploding, t)), arc))
    known = jax.jit(mixture.denoiser(lambda t: point_at(arc, t)))
    x = normal(50, 2)
    for t in np.float32([0.1, 0.6, 0.95]):
        np.testing.assert_allclose(on_arc(x, t), known(x, t), atol=2e-5)
    model = exact_model("ve", exploding, times=log_normal_sigmas())
    variables = jax.jit(model.init)(KEY, {"x": x})
    denoise = on_path(lambda x, sigma: model.methods["denoise"](variables, KEY, x, sigma), arc)
    sampler = ddim(denoise, jax.jit(lambda t: point_at(arc, t)), np.linspace(0.99, 0.01, 30))
    drawn = np.asarray(jax.jit(lambda key: draw(sampler, key, (4000, 2)))(KEY))
    np.testing.assert_allclose(drawn.mean(axis=0), MEAN, atol=0.04)
    np.testing.assert_allclose(drawn.std(axis=0), STD, atol=0.04)


def test_labels_are_dropped_one_by_one_and_guide():
    given = labels(2, dropout=0.25)
    batch = {"x": normal(8000, 2), "label": np.tile(np.array([0, 1], np.int32), 4000)}
    seen = np.asarray(jax.jit(given.train)(KEY, batch))
    for kind in (0, 1):
        assert (seen[kind::2] == 2).mean() == pytest.approx(0.25, abs=5 * np.sqrt(0.1875 / 4000))
        assert set(seen[kind::2]) == {kind, 2}
    np.testing.assert_array_equal(given.of_batch(batch), batch["label"])
    # Classes differ in their mean m alone, c(x_t, m) = a x_t + b m: with 'none' = class 2, m^ = (1 + w) m - w 2.
    model = exact_model("vp", processes.linear_path(), given=given)
    variables = jax.jit(model.init)(KEY, {key: value[:4] for key, value in batch.items()})
    sample = lambda model: jax.jit(lambda label, **options: model.sample(variables, KEY, 3, condition=label, **options))
    label, compiled = np.ones(3, np.int32), sample(model)
    drawn = lambda **options: np.asarray(compiled(label, **options))
    np.testing.assert_allclose(drawn(guidance=0.0), drawn(), atol=1e-5)
    alone = np.asarray(compiled(2 * label))
    np.testing.assert_allclose(drawn(guidance=1.5), 2.5 * drawn() - 1.5 * alone, atol=1e-4)
    by_scale = lambda denoise, condition, nothing, s: classifier_free_by_scale(denoise, condition, nothing, scale=s)
    scaled = exact_model("vp", processes.linear_path(), given=given, guide=by_scale)
    np.testing.assert_allclose(sample(scaled)(label, guidance=2.5), drawn(guidance=1.5), atol=1e-5)


def test_annealing_finds_the_shares_of_modes_that_langevin_does_not():
    mixture = exact.Mixture([0.2, 0.8], [[-4.0, 0.0], [4.0, 0.0]], [0.3, 0.3])
    denoise = mixture.denoiser(lambda t: point_at(processes.edm_path(), t))
    sigmas = geometric_sigmas(30, first=16.0, last=0.1)
    sampler = annealed_langevin(denoise, sigmas, step_size=0.002, steps_per_level=20)
    drawn = np.asarray(jax.jit(lambda key: draw(sampler, key, (2000, 2)))(KEY))
    assert (drawn[:, 0] < 0).mean() == pytest.approx(0.2, abs=0.04)
    score = lambda x: (denoise(x, jnp.float32(0.01)) - x) / 1e-4
    chain = jax.jit(lambda start: langevin_chain(KEY, start, score, step_size=0.01, num_steps=200))
    alone = np.asarray(chain(8.0 * normal(2000, 2)))
    assert (alone[:, 0] < 0).mean() > 0.4  # it stays on the side that it started on


def test_times_and_levels():
    sigmas = geometric_sigmas(5, first=10.0, last=0.1)
    np.testing.assert_allclose(sigmas[1:] / sigmas[:-1], 0.01**0.25)
    draws = lambda times: np.asarray(jax.jit(lambda key: times(key, (20_000,)))(KEY))
    drawn = draws(among(sigmas))
    shares = [np.mean(np.isclose(drawn, sigma)) for sigma in sigmas]
    np.testing.assert_allclose(shares, 0.2, atol=5 * np.sqrt(0.16 / 20_000))
    log = np.log(draws(log_normal_sigmas(-1.2, 1.2)))
    assert log.mean() == pytest.approx(-1.2, abs=0.05) and log.std() == pytest.approx(1.2, abs=0.04)
    path = processes.linear_path()
    grid = flow_likelihood(path, 10, start=1e-3)
    assert isinstance(grid, FlowLikelihood) and grid.times[0] == 1e-3 and grid.times[-1] == 1.0
    point = jax.jit(lambda t: point_at(path, t))(grid.times.astype(np.float32))
    steps = np.diff(np.log(np.asarray(point.sigma) / np.asarray(point.alpha)))
    np.testing.assert_allclose(steps, steps.mean(), rtol=1e-2)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="do not fall"):
        geometric_sigmas(5, first=0.1, last=10.0)
    with pytest.raises(ValueError, match="must have one shape"):
        denoising_loss(normal(2, 3), normal(2, 3), normal(2, 4), processes.Point(np.ones(2), np.ones(2)))
    model = exact_model("vp", processes.linear_path())
    with pytest.raises(ValueError, match="was built for \\(2,\\)"):
        jax.eval_shape(model.init, KEY, {"x": normal(4, 3)})
    with pytest.raises(ValueError, match="takes no condition"):
        model.sample(jax.eval_shape(model.init, KEY, {"x": normal(4, 2)}), KEY, 2, condition=normal(2))
