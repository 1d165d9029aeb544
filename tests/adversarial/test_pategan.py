"""The accountant against exact privacy losses and the closed form; votes; who may see which row; the budget."""

from functools import cache, partial

import jax
import numpy as np
import optax
import pytest
from scipy import integrate, stats
from scipy.special import logsumexp

from genjax.adversarial import (
    Budget,
    RowDiscriminator,
    RowGenerator,
    epsilon_spent,
    moments_of_answers,
    noisy_majority,
    pategan,
    student_loss,
    teacher_losses,
    uniform_rows,
)
from genjax.adversarial.privacy import overturn_probability
from genjax.training.state import init_state
from genjax.training.step import make_step
from genjax.training.system import System

KEY = jax.random.key(0)
ORDERS = np.arange(1, 31)


moments = jax.jit(moments_of_answers, static_argnames="orders")


def votes_for(ones, k):
    """[k, N] with so many ones in each column."""
    return (np.arange(k)[:, None] < np.asarray(ones)[None]).astype(np.float32)


@cache
def answer_one(ones, k, scale):
    """P[r = 1] by integration over the noise of one count, with scipy's Laplace distribution, float64."""
    noise = stats.laplace(scale=1 / scale)
    margin = 2 * ones - k  # n_1 - n_0
    density, far = lambda y: noise.pdf(y) * noise.sf(y - margin), 60 / scale
    value, _ = integrate.quad(density, -far, far, points=[0, margin], limit=400)
    return value


def exact_log_moments(ones, k, scale):
    """max over neighbours of log E_{r ~ M} (P[M = r] / P[M' = r])^l: a record changes one teacher's vote."""
    here = np.array([1 - (p := answer_one(ones, k, scale)), p])
    worst = np.full(len(ORDERS), -np.inf)
    for other in (ones - 1, ones + 1):
        if 0 <= other <= k:
            there = np.array([1 - (p := answer_one(other, k, scale)), p])
            ratio = np.log(here) - np.log(there)
            worst = np.maximum(worst, logsumexp(np.log(here) + ORDERS[:, None] * ratio, axis=1))
    return worst


@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_the_bound_is_above_the_exact_moments(scale):
    k, ones = 7, np.arange(8)
    bound = np.asarray(moments(votes_for(ones, k), scale, orders=len(ORDERS)), np.float64)
    exact = np.stack([exact_log_moments(n, k, scale) for n in ones])
    assert np.all(bound >= exact - 1e-6)
    assert np.all(bound <= 2 * scale**2 * ORDERS * (ORDERS + 1) + 1e-4)
    if scale == 1.0:  # agreement is cheap: far below what any votes would cost
        assert bound[0, 0] < 0.1 * bound[3, 0]


def test_the_noise_overturns_a_majority_as_often_as_it_says():
    margins = np.array([0, 2, 6])
    found = jax.jit(overturn_probability)(margins.astype(np.float32), 0.8)
    np.testing.assert_allclose(found, [answer_one((10 - m) // 2, 10, 0.8) for m in margins], rtol=1e-4)


def test_the_data_dependent_bound_is_the_formula_of_float64():
    """Theorem 3 as it is printed, in float64, where float32 would lose "1 + a little"."""
    k, scale = 40, 0.5
    bound = np.asarray(moments(votes_for([40], k), scale, orders=len(ORDERS)))[0]
    q = (2 + scale * k) / (4 * np.exp(scale * k))
    printed = np.log((1 - q) * ((1 - q) / (1 - np.exp(2 * scale) * q)) ** ORDERS + q * np.exp(2 * scale * ORDERS))
    np.testing.assert_allclose(bound, np.minimum(printed, 2 * scale**2 * ORDERS * (ORDERS + 1)), rtol=1e-3)
    assert np.all(bound > 0)


@pytest.mark.parametrize("answers,scale,delta", [(1000, 0.01, 1e-5), (100, 0.01, 1e-3)])
def test_epsilon_is_the_closed_form(answers, scale, delta):
    """Split votes cost 2 lambda^2 l (l + 1); the least epsilon over real l is known, over whole l a little more."""
    each = np.asarray(moments(votes_for([5], 10), scale, orders=400))[0]
    found = float(jax.jit(epsilon_spent)(answers * each, delta))
    closed = 2 * answers * scale**2 + 2 * scale * np.sqrt(2 * answers * np.log(1 / delta))
    assert closed <= found * (1 + 1e-5) and found <= closed * 1.002


def test_answers_follow_the_noise():
    """With margin m the answer is 1 with the probability of scipy's integral."""
    votes = np.repeat(votes_for([6], 10), 20_000, axis=1)
    answer = jax.jit(noisy_majority)
    share = float(np.asarray(answer(KEY, votes, 0.7)).mean())
    assert abs(share - answer_one(6, 10, 0.7)) < 5 * 0.5 / np.sqrt(20_000)
    np.testing.assert_array_equal(answer(KEY, votes_for([0, 3, 7, 10], 10), 50.0), [0, 0, 1, 1])


def test_a_teacher_sees_its_own_rows_alone():
    random = np.random.default_rng(0)
    real, fake = random.normal(size=(2, 3, 12)).astype(np.float32)
    owner = np.arange(12) % 3
    losses = lambda real: (found := teacher_losses(real, fake, owner), found)
    reach, found = jax.device_get(jax.jit(jax.jacobian(losses, has_aux=True))(real))
    for i in range(3):
        wanted = np.log1p(np.exp(-real[i, i::3])).mean() + np.log1p(np.exp(fake[i])).mean()
        np.testing.assert_allclose(found[i], wanted, rtol=1e-5)
    for i, row in np.ndindex(3, 12):
        assert (reach[i, i, row] != 0) == (row % 3 == i)


def test_student_loss():
    scores, answers = np.array([1.5, -0.3], np.float32), np.array([1, 0], np.float32)
    np.testing.assert_allclose(student_loss(scores, answers), np.log1p(np.exp([-1.5, -0.3])), rtol=1e-5)
    with pytest.raises(ValueError, match="both have shape"):
        student_loss(scores, answers[None])


def test_rows_have_one_class_with_equal_chances():
    player = RowGenerator(2, 3, (8,))
    z = np.random.default_rng(1).normal(size=(3000, 3)).astype(np.float32)
    drawn = jax.jit(lambda z: (player.init_with_output(KEY, z)[0], uniform_rows(2, 3)(KEY, 3000)))
    rows, public = map(np.asarray, drawn(z))
    for drawn in (rows, public):
        assert np.all((drawn[:, :2] >= 0) & (drawn[:, :2] <= 1))
        np.testing.assert_array_equal(np.sort(drawn[:, 2:], axis=1), np.tile([0, 0, 1], (3000, 1)))
        assert stats.chisquare(drawn[:, 2:].sum(axis=0)).pvalue > 1e-3
    assert stats.kstest(public[:, 1], "uniform").pvalue > 1e-3
    wanted = np.floor(3 * stats.norm.cdf(np.asarray(z[:, -1], np.float64)))
    assert np.mean(rows[:, 2:].argmax(axis=1) == wanted) > 0.999


def trained(epsilon, steps):
    budget = Budget(scale=0.2, epsilon=epsilon, delta=1e-3, orders=50)
    players = RowGenerator(2, 2, (8,)), RowDiscriminator((8,))
    model = pategan(*players, latent_dim=2, num_teachers=5, queries=8, budget=budget, public_rows=uniform_rows(2, 2))
    system = System(model, {name: optax.sgd(0.1) for name in ("teachers", "student", "generator")})
    x = np.random.default_rng(0).uniform(size=(steps, 1, 20, 4)).astype(np.float32)
    batches = {"x": x, "index": np.tile(np.arange(20, dtype=np.int32), (steps, 1, 1))}
    seed = np.asarray(jax.random.key_data(KEY))
    first = {name: value[0, 0] for name, value in batches.items()}
    start = jax.jit(partial(init_state, system, False))(seed, first, {})
    state, metrics = jax.jit(make_step(system))(start, batches)
    return start, state, jax.tree.map(np.asarray, metrics)


def test_the_budget_is_never_exceeded_and_ends_the_game():
    start, state, metrics = trained(epsilon=6.0, steps=12)
    epsilon, still_open = metrics["student/epsilon"], metrics["student/open"]
    assert np.all(epsilon <= 6.0) and np.all(np.diff(epsilon) >= 0) and still_open[0] == 1 and still_open[-1] == 0
    closed = int(np.argmin(still_open))
    assert np.all(still_open[closed:] == 0) and np.all(epsilon[closed:] == epsilon[closed - 1])
    assert np.all(metrics["student/grad_norm"][closed:] == 0) and np.all(metrics["generator/grad_norm"][closed:] == 0)
    assert np.all(metrics["student/grad_norm"][:closed] > 0)
    np.testing.assert_allclose(jax.jit(epsilon_spent)(state.state["moments"], 1e-3), epsilon[-1], rtol=1e-6)
    changed = jax.tree.map(lambda a, b: not np.array_equal(a, b), start.params, state.params)
    assert all(any(jax.tree.leaves(changed[player])) for player in ("teachers", "student", "generator"))


def test_data_reach_the_student_by_votes_alone():
    """At given teachers neither the student's nor the generator's loss reads the rows."""
    budget = Budget(scale=1.0, epsilon=np.inf, delta=1e-3)
    players = RowGenerator(2, 0, (4,)), RowDiscriminator((4,))
    model = pategan(*players, latent_dim=2, num_teachers=3, queries=4, budget=budget)
    batch = {"x": np.ones((6, 2), np.float32), "index": np.arange(6, dtype=np.int32)}
    other = {"x": np.zeros((6, 2), np.float32), "index": np.arange(6, dtype=np.int32) + 1}
    variables = jax.jit(model.init)(KEY, batch)
    losses = jax.jit(lambda batch: [update.loss(variables, batch, KEY, 0)[0] for update in model.updates])
    (teachers, *rest), (other_teachers, *other_rest) = jax.device_get([losses(batch), losses(other)])
    assert rest == other_rest and teachers != other_teachers
