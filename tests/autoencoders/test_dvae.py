"""Gumbel-softmax: its law and its limits; the discrete VAE's terms by hand and its bound by enumeration."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from scipy.special import log_softmax, logsumexp, softmax

from genjax import autoencoders as ae

KEY = jax.random.key(0)
LOGITS = np.float32([1.0, -0.5, 0.3, 2.0])
gumbel_softmax = jax.jit(ae.gumbel_softmax)


@pytest.mark.parametrize("temperature", [2.0, 0.1])
def test_the_largest_coordinate_has_the_categorical_law(temperature):
    """P(argmax y = k) = softmax(l)_k at every temperature (the Gumbel-max theorem)."""
    num = 20_000
    y = np.asarray(gumbel_softmax(KEY, np.tile(LOGITS, (num, 1)), temperature))
    np.testing.assert_allclose(y.sum(axis=-1), 1.0, rtol=1e-5)
    found = np.bincount(y.argmax(axis=-1), minlength=4)
    assert scipy.stats.chisquare(found, num * softmax(LOGITS.astype(np.float64))).pvalue > 1e-3


def test_two_classes_are_a_logistic():
    """With K = 2, y_0 = sigmoid((l_0 - l_1 + L) / tau), L logistic: its distribution function is known."""
    tau = 0.7
    y = np.asarray(gumbel_softmax(KEY, np.tile(LOGITS[:2], (4000, 1)), tau), np.float64)[:, 0]
    cdf = lambda value: scipy.stats.logistic.cdf(tau * np.log(value / (1 - value)) - 1.5)
    assert scipy.stats.kstest(np.clip(y, 1e-9, 1 - 1e-7), cdf).pvalue > 1e-3


def test_as_the_temperature_goes_to_zero_it_becomes_the_argmax():
    logits = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    hard = np.asarray(gumbel_softmax(KEY, logits, 0.0))
    assert set(np.unique(hard)) == {0.0, 1.0}
    far = [np.abs(np.asarray(gumbel_softmax(KEY, logits, tau)) - hard).max() for tau in (1.0, 0.1, 0.01, 1e-4)]
    assert far == sorted(far, reverse=True) and far[0] > 0.3 and far[-1] < 1e-6
    gradient = jax.jit(jax.grad(lambda tau: jnp.sum(ae.gumbel_softmax(KEY, logits, tau)[:, 0])))(0.0)
    assert np.isfinite(gradient)
    assert np.isfinite(jax.jit(jax.grad(lambda l: jnp.sum(ae.gumbel_softmax(KEY, l, 0.0) ** 2)))(logits)).all()


def test_rate_is_the_divergence_from_uniform():
    logits = np.random.default_rng(0).normal(size=(3, 2, 2, 5))
    q = softmax(logits, axis=-1).reshape(3, 4, 5)
    wanted = [sum(scipy.stats.entropy(place, np.full(5, 0.2)) for place in example) for example in q]
    np.testing.assert_allclose(jax.jit(ae.uniform_kl)(logits.astype(np.float32)), wanted, rtol=1e-5)
    certain = np.full((1, 3, 5), -100.0, np.float32)
    certain[..., 2] = 100.0
    np.testing.assert_allclose(jax.jit(ae.uniform_kl)(certain), 3 * np.log(5), rtol=1e-6)
    with pytest.raises(ValueError, match="places"):
        ae.uniform_kl(np.zeros((3, 5), np.float32))


def test_schedules_start_end_and_stay():
    ramp = jax.jit(ae.cosine_ramp(1.0, 0.25, steps=8))
    values = [float(ramp(step)) for step in (0, 2, 4, 8, 100)]
    quarter = 0.25 + 0.75 * (2 + np.sqrt(2)) / 4
    np.testing.assert_allclose(values, [1.0, quarter, 0.625, 0.25, 0.25], rtol=1e-6)


class Logits(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(2 * 3)(x.reshape(x.shape[0], -1)).reshape(-1, 1, 2, 3)


class Pixels(nn.Module):
    @nn.compact
    def __call__(self, h):
        return nn.Dense(4)(h.reshape(h.shape[0], -1)).reshape(-1, 2, 2, 1)


def test_objective_and_bound():
    """Two places of three codes: every expectation over q is a sum of nine terms."""
    x = np.random.default_rng(0).normal(size=(4, 2, 2, 1)).astype(np.float32)
    settings = {"num_codes": 3, "grid": (1, 2), "temperature": jnp.zeros_like, "rate_weight": lambda step: 0.3}
    model = ae.dvae(Logits(), ae.CodeVectors(Pixels(), 2), ae.fixed_gaussian(0.5), **settings)
    variables = jax.jit(model.init)(KEY, {"x": x})
    dense = lambda tree: [np.asarray(tree[leaf], np.float64) for leaf in ("kernel", "bias") if leaf in tree]
    w, b = dense(variables.params["encoder"]["Dense_0"])
    (vectors,) = dense(variables.params["decoder"]["vectors"])
    v, c = dense(variables.params["decoder"]["decoder"]["Dense_0"])
    flat = x.astype(np.float64).reshape(4, 4)
    log_q = log_softmax((flat @ w + b).reshape(4, 2, 3), axis=-1)
    pairs = list(itertools.product(range(3), repeat=2))
    log_p = np.stack(
        [scipy.stats.norm.logpdf(flat, vectors[list(p)].reshape(-1) @ v + c, 0.5).sum(-1) for p in pairs], axis=1
    )
    weight = np.exp(np.stack([log_q[:, 0, i] + log_q[:, 1, j] for i, j in pairs], axis=1))
    rate = (np.exp(log_q) * log_q).sum(axis=(1, 2)) + 2 * np.log(3)
    elbo = (weight * log_p).sum(axis=1) - rate
    evidence = logsumexp(log_p, axis=1) - 2 * np.log(3)

    keys = jax.random.split(KEY, 4000)
    bounds = np.asarray(jax.jit(jax.vmap(lambda k: model.log_prob.fn(variables, k, {"x": x})))(keys), np.float64)
    np.testing.assert_array_less(np.abs(bounds.mean(0) - elbo), 5 * bounds.std(0) / np.sqrt(4000) + 1e-4)
    assert np.all(elbo < evidence)

    # At temperature 0 the objective is the same expectation, with its weight on the rate.
    losses = jax.jit(jax.vmap(lambda k: model.updates[0].loss(variables, {"x": x}, k, jnp.float32(7))[0]))(keys)
    losses = np.asarray(losses)
    wanted = np.mean(-(weight * log_p).sum(axis=1) + 0.3 * rate)
    assert abs(np.mean(losses) - wanted) < 5 * np.std(losses) / np.sqrt(4000)
    (codes,) = jax.jit(model.methods["codes"])(variables, KEY, x)
    np.testing.assert_array_equal(np.asarray(codes)[:, 0], log_q.argmax(axis=-1))
