"""BEGAN: errors, balance and measure by hand, and three steps of a game whose players are one number each."""

from functools import partial

import flax.linen as nn
import jax
import numpy as np
import optax
import pytest

from genjax import adversarial
from genjax.adversarial import BEGANAutoencoder, BEGANDecoder, began
from genjax.training.state import init_state
from genjax.training.step import make_step
from genjax.training.system import System
from tests.adversarial.test_gan import SEED, Shift, ones


class Scaled(nn.Module):
    """D(x) = c x."""

    @nn.compact
    def __call__(self, x, *, train):
        return self.param("c", nn.initializers.constant(0.6), (1, 1)) * x


def test_error_is_the_mean_over_entries():
    x = np.array([[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 2.0]]], np.float32)
    back = np.zeros_like(x)
    errors = jax.jit(lambda x: [adversarial.reconstruction_error(x, back, **eta) for eta in ({}, {"eta": 2})])
    np.testing.assert_allclose(errors(x), [[2.5, 0.5], [7.5, 1.0]])
    with pytest.raises(ValueError, match="gives back the shape"):
        adversarial.reconstruction_error(x, back[:, :1])


@pytest.mark.parametrize(
    "k, real, fake, expected",
    [(0.2, 0.4, 0.1, 0.21), (0.2, 0.4, 0.5, 0.17), (0.0, 0.1, 0.5, 0.0), (0.999, 0.8, 0.1, 1.0)],
)
def test_balance_by_hand(k, real, fake, expected):
    """gamma = 1/2, lambda_k = 0.1: 0.2 + 0.1 (0.2 - 0.1) = 0.21; never outside [0, 1]."""
    found = jax.jit(adversarial.next_balance)(*map(np.float32, (k, real, fake)), gamma=0.5, rate=0.1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("fake, expected", [(0.1, 0.5), (0.2, 0.4), (0.5, 0.7)])
def test_measure_by_hand(fake, expected):
    """L(x) = 0.4, gamma = 1/2: least where L(G(z)) = 0.2."""
    found = jax.jit(adversarial.convergence_measure)(np.float32(0.4), np.float32(fake), gamma=0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_three_steps_by_hand():
    """L(v) = |1 - c| |v|, so that every gradient is a sign times a mean; k moves by the generator's own error."""
    x = np.array([[[2.0], [1.0]], [[-0.5], [3.0]], [[0.2], [0.4]]], np.float32)[:, None]
    gamma, balance_rate, rate = 0.7, 0.2, 0.05
    model = began(Shift(), Scaled(), latent_dim=1, prior=ones, gamma=gamma, rate=balance_rate)
    system = System(model, {"generator": optax.sgd(rate), "discriminator": optax.sgd(rate)})
    state = jax.jit(partial(init_state, system, False))(SEED, {"x": x[0, 0]}, {})
    step = jax.jit(make_step(system))
    theta, c, k, seen = -0.7, 0.6, 0.0, []
    for minibatch in x:
        state, metrics = step(state, {"x": minibatch[None]})
        g = 1 + theta
        real = (1 - c) * np.abs(minibatch).mean()
        c += rate * (np.abs(minibatch).mean() - k * abs(g))
        fake = (1 - c) * abs(g)  # the generator faces the autoencoder that has moved
        theta -= rate * (1 - c) * np.sign(g)
        k = np.clip(k + balance_rate * (gamma * real - fake), 0, 1)
        seen.append(k)
        found = state.state["balance"]
        np.testing.assert_allclose([found.k, found.real_error], [k, real], rtol=1e-5)
        np.testing.assert_allclose(metrics["generator/k"][0], k, rtol=1e-5)
        np.testing.assert_allclose(metrics["generator/measure"][0], real + abs(gamma * real - fake), rtol=1e-5)
        np.testing.assert_allclose(state.params["generator"]["theta"], [[theta]], rtol=1e-5)
        np.testing.assert_allclose(state.params["discriminator"]["autoencoder"]["c"], [[c]], rtol=1e-5)
    assert 0 < seen[0] < seen[1] and seen[2] < seen[1] and c < 1  # up, and down again


def test_the_autoencoder_is_a_method():
    model = began(Shift(), Scaled(), latent_dim=1, prior=ones)
    x, key = np.array([[2], [-1]], np.float32), jax.random.key(0)

    @jax.jit
    def run(x):
        variables = model.init(key, {"x": x})
        return [model.methods[name](variables, key, x) for name in ("reconstruct", "score")]

    back, scores = run(x)
    np.testing.assert_allclose(back, 0.6 * x, rtol=1e-6)
    np.testing.assert_allclose(scores, [0.8, 0.4], rtol=1e-6)


def test_architecture_is_the_papers():
    """Channels n, 2 n, 3 n inwards, n outwards, 3 x 3 throughout; the generator is the autoencoder's second half."""
    x, n = np.zeros((1, 8, 8, 1), np.float32), 4
    shapes = lambda module, x: jax.eval_shape(lambda: module.init(jax.random.key(0), x, train=True))["params"]
    whole = shapes(BEGANAutoencoder(latent_dim=6, levels=2, width=n), x)
    generator = shapes(BEGANDecoder((8, 8, 1), levels=2, width=n), np.zeros((1, 6), np.float32))
    assert jax.tree.map(np.shape, whole["BEGANDecoder_0"]) == jax.tree.map(np.shape, generator)
    kernels = [whole[f"Conv_{i}"]["kernel"].shape for i in range(9)]
    pairs = [(1, n), (n, n), (n, n), (n, 2 * n), (2 * n, 2 * n), (2 * n, 2 * n), (2 * n, 3 * n), *[(3 * n, 3 * n)] * 2]
    assert kernels == [(3, 3, *pair) for pair in pairs] and "Conv_9" not in whole
    assert whole["Dense_0"]["kernel"].shape == (2 * 2 * 3 * n, 6)
    assert [generator[f"Conv_{i}"]["kernel"].shape[-1] for i in range(7)] == [n] * 6 + [1]


@pytest.mark.parametrize("gamma", [0.0, 1.5])
def test_a_diversity_ratio_outside_its_range_is_refused(gamma):
    with pytest.raises(ValueError, match="diversity ratio"):
        began(Shift(), Scaled(), latent_dim=1, gamma=gamma)
