"""Learned variances between their ends, terms of the bound, steps drawn by importance, respacing; and the builder."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from genjax import processes
from genjax.diffusion import (
    constrained_bound,
    draw,
    hybrid,
    iddpm,
    importance_steps,
    learned_ancestral,
    learned_log_variance,
    respaced,
    step_bound,
    total_bound,
    whole_bound,
)
from tests.diffusion import exact

KEY = jax.random.key(0)
SCHEDULE = processes.cosine_schedule(6, offset=0.1)
LEVELS, SHAPE = 5, (2, 3, 1)


def grid(*shape, seed=0):
    return (np.random.default_rng(seed).integers(0, LEVELS, shape) / 2.0 - 1.0).astype(np.float32)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


log_variance = jax.jit(lambda v, t: learned_log_variance(v, SCHEDULE, t))
bound_of_step = jax.jit(lambda x0, estimate, v, t: step_bound(x0, estimate, v, t, SCHEDULE, levels=LEVELS))


def test_the_ends_are_beta_and_btilde():
    t = np.arange(1, 7, dtype=np.int32)
    variance = lambda v: np.exp(np.asarray(log_variance(np.full((6, 2), v, np.float32), t)))[:, 0]
    abar = np.cumprod(1.0 - SCHEDULE.betas.astype(np.float64))
    tilde = SCHEDULE.betas[1:] * (1.0 - abar[:-1]) / (1.0 - abar[1:])
    tilde[0] = tilde[1]
    np.testing.assert_allclose(variance(1.0), SCHEDULE.betas[1:], rtol=1e-5)
    np.testing.assert_allclose(variance(0.0), tilde, rtol=1e-4)
    np.testing.assert_allclose(variance(0.25), SCHEDULE.betas[1:] ** 0.25 * tilde**0.75, rtol=1e-4)


def test_a_steps_term_is_an_expectation_over_its_posterior():
    """KL = E_q log q - log p, by draws of x_{t-1}; the decoder's is the log-mass of a bin, by scipy."""
    x0, estimate, v = grid(1, 2), np.float32(0.7) * grid(1, 2, seed=1), np.full((1, 2), 0.4, np.float32)
    random = np.random.default_rng(0)
    t = 4
    a, b = SCHEDULE.posterior_x0[t], SCHEDULE.posterior_xt[t]
    model_std = lambda t: np.exp(0.5 * np.asarray(log_variance(v, np.array([t], np.int32)), np.float64))
    std = np.sqrt(SCHEDULE.posterior_variance[t])
    x_t = normal(1, 2, seed=2)
    before = a * x0 + b * x_t + std * random.normal(size=(400_000, 2))
    ratio = scipy.stats.norm.logpdf(before, a * x0 + b * x_t, std)
    ratio = (ratio - scipy.stats.norm.logpdf(before, a * estimate + b * x_t, model_std(t))).sum(axis=1)
    (term,) = np.asarray(bound_of_step(x0, estimate, v, np.array([t], np.int32)))
    assert term == pytest.approx(ratio.mean(), abs=5 * ratio.std() / np.sqrt(len(ratio)))
    edges = np.stack([x0 - 0.25, x0 + 0.25])
    edges = np.where(np.abs(edges) > 1.0, np.sign(edges) * np.inf, edges)
    mass = np.diff(scipy.stats.norm.cdf(edges, estimate, model_std(1)), axis=0)
    (decoder,) = np.asarray(bound_of_step(x0, estimate, v, np.int32(1)))
    assert decoder == pytest.approx(-np.log(mass).sum(), rel=1e-3)


def test_importance_sampling_is_unbiased_and_has_less_variance():
    losses = np.array([9.0, 1.0, 0.5, 0.1])
    steps = importance_steps(4, history=3)
    state, record, draw = steps.init(), jax.jit(steps.record), jax.jit(lambda state: steps.draw(KEY, state, 20_000))
    t, weight = draw(state)
    np.testing.assert_allclose(weight, 1.0)
    assert set(np.asarray(t)) == {1, 2, 3, 4}
    seen = np.tile(np.arange(1, 5, dtype=np.int32), 3)
    state = record(state, seen[:-1], losses[seen[:-1] - 1].astype(np.float32))
    np.testing.assert_allclose(draw(state)[1], 1.0)  # step 4 was seen but twice
    state = record(state, seen, losses[seen - 1].astype(np.float32))
    t, weight = (np.asarray(a) for a in draw(state))
    share = np.bincount(t - 1, minlength=4) / 20_000
    np.testing.assert_allclose(share, 0.999 * losses / losses.sum() + 0.001 / 4, atol=0.015)
    estimates = weight * losses[t - 1]
    assert estimates.mean() == pytest.approx(losses.mean(), abs=5 * estimates.std() / np.sqrt(20_000))
    assert estimates.std() < 0.2 * losses.std()


def test_history_keeps_the_newest():
    steps = importance_steps(2, history=2)
    state = jax.jit(steps.record)(steps.init(), np.ones(3, np.int32), np.array([5.0, 6.0, 7.0], np.float32))
    np.testing.assert_array_equal(state.losses, [[6.0, 7.0], [0.0, 0.0]])
    np.testing.assert_array_equal(state.count, [2, 0])


def test_respacing_keeps_the_marginals():
    schedule, steps = respaced(processes.linear_schedule(100, first=1e-3, last=0.2), 7)
    assert steps[0] == 0 and steps[-1] == 100 and len(schedule.betas) == 8
    whole = processes.linear_schedule(100, first=1e-3, last=0.2)
    np.testing.assert_allclose(schedule.alphas_bar, whole.alphas_bar[steps], rtol=1e-5)
    same, steps = respaced(SCHEDULE, 6)
    np.testing.assert_allclose(same.betas, SCHEDULE.betas, rtol=1e-5)


def test_samples_of_normal_data_have_its_moments_at_few_steps():
    """The reverse variance of data N(m, s^2) is known; v that gives it makes every step exact, however long."""
    whole = processes.linear_schedule(200, first=1e-3, last=0.08)
    schedule, steps = respaced(whole, 8)
    denoise = exact.normal_denoiser(whole)
    inverse = np.zeros(201, np.int32)
    inverse[steps] = np.arange(9)

    def reverse(x, t):
        k = jnp.asarray(inverse)[t]
        alpha, sigma = jnp.asarray(schedule.alpha)[k], jnp.asarray(schedule.sigma)[k]
        spread = sigma**2 * exact.STD**2 / (alpha**2 * exact.STD**2 + sigma**2)  # Var[x_0 | x_t]
        variance = jnp.asarray(schedule.posterior_variance)[k] + jnp.asarray(schedule.posterior_x0)[k] ** 2 * spread
        low, high = (learned_log_variance(jnp.full(x.shape, v), schedule, k) for v in (0.0, 1.0))
        return denoise(x, t), (jnp.log(variance) - low) / (high - low)

    x = np.asarray(jax.jit(lambda key: draw(learned_ancestral(reverse, schedule, steps), key, (20_000, 1)))(KEY))
    last = float(schedule.sigma[1] ** 2 * exact.STD**2 / (schedule.alpha[1] ** 2 * exact.STD**2 + schedule.sigma[1] ** 2))
    assert x.mean() == pytest.approx(exact.MEAN, abs=5 * exact.STD / np.sqrt(20_000))
    assert x.var() == pytest.approx(exact.STD**2 - last, rel=5 * np.sqrt(2 / 20_000))  # the last step adds no noise


class Two(nn.Module):
    """Return two numbers, parameters, as prediction and place of the variance."""

    @nn.compact
    def __call__(self, x, t, condition=None, *, train=False):
        one, other = (self.param(name, nn.initializers.constant(0.1), ()) for name in ("eps", "v"))
        return jnp.concatenate([jnp.full_like(x, one) + 0.1 * x, jnp.full_like(x, other)], axis=-1)


def test_the_bound_moves_the_mean_only_where_it_shall():
    batch = {"x": np.random.default_rng(0).integers(0, LEVELS, (8, *SHAPE), np.uint8)}
    gradients = {}
    for name, objective in (("hybrid", hybrid()), ("simple", hybrid(0.0)), ("bound", whole_bound())):
        model = iddpm(Two(), SCHEDULE, shape=SHAPE, levels=LEVELS, objective=objective)
        variables = jax.jit(model.init)(KEY, batch)
        value = lambda params: model.updates[0].loss(variables._replace(params=params), batch, KEY, jnp.int32(0))[0]
        gradients[name] = jax.tree.map(float, jax.jit(jax.grad(value))(variables.params))["denoiser"]
    assert gradients["hybrid"]["eps"] == pytest.approx(gradients["simple"]["eps"], rel=1e-5)
    assert gradients["simple"]["v"] == 0.0
    assert gradients["hybrid"]["v"] == pytest.approx(1e-3 * gradients["bound"]["v"], rel=1e-3)
    assert gradients["bound"]["eps"] != 0.0
    assert model.log_prob.kind == "lower_bound"

    @jax.jit
    def evaluated(variables):
        terms = model.methods["bound_terms"](variables, KEY, batch)
        return terms.transitions, total_bound(terms), model.log_prob.fn(variables, KEY, batch)

    transitions, bound, nats = (np.asarray(a) for a in evaluated(variables))
    assert transitions.shape == (5, 8)
    np.testing.assert_allclose(nats, -bound, rtol=1e-6)


def test_the_constrained_bound_is_the_one_reported_where_estimates_leave_the_range():
    batch = {"x": np.random.default_rng(0).integers(0, LEVELS, (8, *SHAPE), np.uint8)}
    size = np.prod(SHAPE) * np.log(2.0)
    trained = {}
    for name, objective in (("constrained", constrained_bound(0.5)), ("whole", whole_bound())):
        model = iddpm(Two(), SCHEDULE, shape=SHAPE, levels=LEVELS, objective=objective)
        loss = lambda key, model=model: model.updates[0].loss(variables, batch, key, jnp.int32(0))
        variables = jax.tree.map(lambda leaf: -15.0 * leaf, jax.jit(model.init)(KEY, batch))  # eps far too large
        values, aux = jax.jit(jax.vmap(loss))(jax.random.split(KEY, 2000))
        trained[name] = np.asarray(values), {metric: np.asarray(value) for metric, value in aux.metrics.items()}

    def terms_of(key):
        terms = model.methods["bound_terms"](variables, key, batch)
        return jnp.mean(total_bound(terms) - terms.prior) / size

    reported = np.asarray(jax.jit(jax.vmap(terms_of))(jax.random.split(jax.random.key(1), 500)))
    values, metrics = trained["constrained"]
    error = np.hypot(metrics["bound"].std() / np.sqrt(2000), reported.std() / np.sqrt(500))
    assert metrics["bound"].mean() == pytest.approx(reported.mean(), abs=5 * error)
    assert trained["whole"][1]["bound"].mean() > reported.mean() + 10 * error
    np.testing.assert_allclose(values, metrics["bound"] + 0.5 * metrics["mse"], rtol=1e-5)


@pytest.mark.parametrize("level, gap", [(LEVELS - 1, 0.0), (0, 2.0)])
def test_the_error_of_constrained_estimates(level, gap):
    """Estimates beyond the upper end, where it is the truth, and where the lower one is.

    The error is snr gap^2; straight through the constraint, d x0^ / d eps^ = -1 / sqrt(snr), its slope -2 sqrt(snr) gap.
    """
    batch = {"x": np.full((1, *SHAPE), level, np.uint8)}
    model = iddpm(Two(), SCHEDULE, shape=SHAPE, levels=LEVELS, objective=constrained_bound(1e4))
    beyond = jax.tree.map(lambda leaf: -50.0 * leaf, jax.jit(model.init)(KEY, batch))

    def error(params, key):
        _, aux = model.updates[0].loss(beyond._replace(params=params), batch, key, jnp.int32(0))
        return aux.metrics["mse"]

    keys = jax.random.split(KEY, 3)
    errors, slopes = jax.jit(jax.vmap(jax.value_and_grad(error), in_axes=(None, 0)))(beyond.params, keys)
    assert np.all((np.asarray(errors) > 0.0) == (gap > 0.0))
    np.testing.assert_allclose(slopes["denoiser"]["eps"], -2.0 * np.sqrt(errors), rtol=1e-5)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="one shape \\[B, ...\\]"):
        bound_of_step(grid(2, 2), grid(2, 3), grid(2, 2), np.int32(2))
    with pytest.raises(ValueError, match="its network returns"):
        model = iddpm(Two(), SCHEDULE, shape=SHAPE, levels=LEVELS)
        jax.eval_shape(model.init, KEY, {"x": np.zeros((2, 4, 3, 1), np.uint8)})
