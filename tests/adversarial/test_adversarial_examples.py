"""Attacks against the exact worst case of a linear loss, and a classifier trained under attack."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from genjax.adversarial import adversarial_training, fgsm, l_2, l_inf, pgd, unchanged
from genjax.training.state import init_state, variables_of
from genjax.training.step import make_step
from genjax.training.system import System

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(5, 3, 2)).astype(np.float32)
W = RANDOM.normal(size=(3, 2)).astype(np.float32)
linear = lambda x: (x * W[None]).sum(axis=(1, 2))  # of numpy's and of JAX's arrays
bent = lambda x: jnp.einsum("bij,ij->b", jnp.sin(3 * x), W)


def test_fgsm_is_the_worst_case_of_a_linear_loss():
    """The gain is eps |w|_1, which no corner of the box exceeds (all 2^6 enumerated)."""
    eps = 0.3
    attacked = np.asarray(jax.jit(partial(fgsm, linear))(X, eps))
    np.testing.assert_allclose(linear(attacked) - linear(X), np.full(5, eps * np.abs(W).sum()), rtol=1e-5)
    corners = np.array(np.meshgrid(*[[-eps, eps]] * 6)).reshape(6, -1).T.reshape(-1, 3, 2)
    best = max(float(np.sum(corner * W)) for corner in corners)
    np.testing.assert_allclose(eps * np.abs(W).sum(), best, rtol=1e-6)
    np.testing.assert_allclose(np.abs(attacked - X), np.full_like(X, eps), rtol=1e-5)


@pytest.mark.parametrize("ball,dual", [(l_inf(), 1), (l_2(), 2)])
def test_pgd_is_the_worst_case_of_a_linear_loss(ball, dual):
    """The gain is eps times the dual norm of w, from every start, once the steps reach across the ball."""
    eps = 0.5
    attack = partial(pgd, loss=linear, ball=ball, step_size=0.2, steps=40)
    attacked = np.asarray(jax.jit(lambda x: attack(KEY, x=x, eps=eps))(X))
    gain = eps * np.linalg.norm(W.ravel(), ord=dual)
    np.testing.assert_allclose(linear(attacked) - linear(X), np.full(5, gain), rtol=1e-4)


@pytest.mark.parametrize("ball,order", [(l_inf(), np.inf), (l_2(), 2)])
def test_pgd_stays_in_the_ball_and_in_the_range(ball, order):
    inside = np.clip(X, -1, 1)
    attack = partial(pgd, loss=bent, ball=ball, step_size=0.3, steps=7, low=-1.0, high=1.0)

    @jax.jit
    def run(x):
        attacked = attack(KEY, x=x, eps=0.4)
        return attacked, bent(attacked), bent(x)

    attacked, after, before = map(np.asarray, run(inside))
    moved = np.linalg.norm((attacked - inside).reshape(5, -1), ord=order, axis=1)
    assert np.all(moved <= 0.4 * (1 + 1e-5)) and moved.min() > 0.05 and np.abs(attacked).max() <= 1
    assert np.all(after > before)


def test_the_euclidean_start_is_uniform_in_the_ball():
    """|delta|^D / eps^D is uniform in D dimensions, and directions have no preference."""
    delta = np.asarray(jax.jit(lambda key: l_2().draw(key, (4000, 3), 2.0))(KEY), np.float64)
    radius = np.linalg.norm(delta, axis=1)
    assert stats.kstest((radius / 2.0) ** 3, "uniform").pvalue > 1e-3
    assert stats.kstest(delta[:, 1] / radius, "uniform", args=(-1, 2)).pvalue > 1e-3  # Archimedes, on the sphere in 3-D


def test_projection_is_the_nearest_point():
    delta = np.array([[3.0, -4.0], [0.3, 0.4], [0.0, 0.0]], np.float32)
    project = jax.jit(lambda delta: (l_2().project(delta, 1.0), l_inf().project(delta, 1.0), l_2().dual(0 * delta)))
    round_, square, unit = map(np.asarray, project(delta))
    np.testing.assert_allclose(round_, [[0.6, -0.8], [0.3, 0.4], [0.0, 0.0]], rtol=1e-6)
    np.testing.assert_allclose(square, [[1.0, -1.0], [0.3, 0.4], [0.0, 0.0]], rtol=1e-6)
    assert np.all(np.isfinite(unit))


def test_nothing_flows_through_an_attack():
    """d/dw of the loss at the attacked point is that at a constant point: Danskin's, not the chain rule's."""

    def worst(w, x):
        loss = lambda x: jnp.sum(w[None] * x**2, axis=1)
        attacked = fgsm(loss, x, 0.1), pgd(KEY, loss, x, 0.1, ball=l_2(), step_size=0.1, steps=2)
        return sum(loss(a).sum() for a in attacked), attacked

    w, x = np.array([1, 2], np.float32), np.array([[0.5, -1]], np.float32)
    (by_w, by_x), attacked = jax.device_get(jax.jit(jax.grad(worst, (0, 1), has_aux=True))(w, x))
    np.testing.assert_allclose(by_w, sum(a[0] ** 2 for a in attacked), rtol=1e-5)
    assert np.all(by_x == 0)


def test_a_loss_that_is_not_one_value_an_example_is_refused():
    with pytest.raises(ValueError, match="one loss an example"):
        fgsm(lambda x: jnp.sum(x), X, 0.1)


class Linear(nn.Module):
    """Logits 0 and w . x, so that -log p is the logistic loss."""

    @nn.compact
    def __call__(self, x):
        w = self.param("w", nn.initializers.constant(0.1), (x.shape[-1],))
        return jnp.stack([jnp.zeros(x.shape[0]), x @ w], axis=1)


def test_training_under_attack_is_the_closed_form_of_a_linear_classifier():
    """The worst logistic loss within eps is the loss at margin - eps |w|_1 (Goodfellow et al. 2015, section 5)."""
    x = RANDOM.normal(size=(16, 2)).astype(np.float32)
    label = (x[:, 0] > 0).astype(np.int32)
    eps = 0.25
    model = adversarial_training(Linear(), lambda key, loss, x: fgsm(loss, x, eps))
    batch = {"x": x, "label": label}
    w = np.array([0.7, -0.4])
    params = {"classifier": {"w": w.astype(np.float32)}}
    of = lambda params: model.updates[0].loss(model.init(KEY, batch)._replace(params=params), batch, KEY, 0)
    loss, aux = jax.jit(of)(params)
    margin = (2 * label - 1) * (x @ w) - eps * np.abs(w).sum()
    np.testing.assert_allclose(loss, np.log1p(np.exp(-margin)).mean(), rtol=1e-5)
    np.testing.assert_allclose(aux.metrics["accuracy"], np.mean(margin > 0), rtol=1e-6)


def test_the_trained_classifier_drops_what_an_attack_can_turn():
    """Labels follow a weak coordinate always, a strong one mostly: under attack the strong one alone is of use."""
    sign = RANDOM.choice([-1.0, 1.0], size=(1, 1, 512))
    strong = np.where(RANDOM.random(sign.shape) < 0.9, sign, -sign)
    x = np.stack([2.0 * strong, 0.2 * sign], axis=-1).astype(np.float32)
    stored = {"x": np.repeat(x, 200, axis=0), "label": np.repeat((sign > 0).astype(np.int32), 200, axis=0)}
    share = {}
    for name, attack in (("plain", unchanged), ("robust", lambda key, loss, x: fgsm(loss, x, 0.5))):
        system = System(adversarial_training(Linear(), attack), {"classifier": optax.adam(0.05)})
        seed = np.asarray(jax.random.key_data(KEY))
        first = {name: value[0, 0] for name, value in stored.items()}
        state = jax.jit(partial(init_state, system, False))(seed, first, {})
        state, _ = jax.jit(make_step(system))(state, stored)
        w = np.abs(variables_of(state).params["classifier"]["w"])
        share[name] = w[1] / w.sum()
    assert share["plain"] > 0.6 and share["robust"] < 0.1, share


def test_samples_are_attacks_on_the_condition():
    model = adversarial_training(Linear(), unchanged, show=lambda key, loss, x: fgsm(loss, x, 0.1))
    x, label = X.reshape(5, 6), np.arange(5, dtype=np.int32) % 2
    variables = jax.jit(model.init)(KEY, {"x": x, "label": label})
    drawn = np.asarray(jax.jit(model.sample, static_argnums=2)(variables, KEY, 5, condition={"x": x, "label": label}))
    np.testing.assert_allclose(drawn - x, np.where(label[:, None] == 0, 0.1, -0.1) * np.ones((5, 6)), atol=1e-6)
    attack = partial(pgd, ball=l_2(), eps=0.2, step_size=0.1, steps=3)
    moved = np.asarray(jax.jit(model.methods["attack"], static_argnums=4)(variables, KEY, x, label, attack))
    assert np.all(np.linalg.norm(moved - x, axis=1) <= 0.2 + 1e-5)
    with pytest.raises(ValueError, match="made of pictures"):
        model.sample(variables, KEY, 5)
