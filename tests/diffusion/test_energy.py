"""Chains on densities with known moments, the constant that scores do not see, and Z by quadrature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from genjax.diffusion import (
    Box,
    Chains,
    ConfinedEnergy,
    contrastive_loss,
    energy_model,
    log_partition,
    mala_chain,
    score_of,
)

KEY = jax.random.key(0)
MEAN, STD = np.array([1.0, -0.5]), np.array([0.7, 1.4])
NUM = 20_000
CHAINS = Chains(step_size=0.05, train_steps=3, sample_steps=5, start_std=2.0, restart=0.1)


def normal(x):
    return -0.5 * jnp.sum(((x - jnp.asarray(MEAN, jnp.float32)[None]) / jnp.asarray(STD, jnp.float32)[None]) ** 2, axis=1)


def two_wells(x):
    """A density of one coordinate that is no normal."""
    return -((x[:, 0] ** 2 - 1.0) ** 2)


def chain(log_density, step_size, num_steps):
    fast_key = jax.random.key(0, impl="rbg")  # for many draws: they take a third of the time
    return jax.jit(lambda x: mala_chain(fast_key, x, log_density, step_size=step_size, num_steps=num_steps))


def test_mala_reaches_the_moments_at_a_step_where_langevin_is_biased():
    random = np.random.default_rng(0)
    start = 3.0 * random.normal(size=(NUM, 2)).astype(np.float32)
    x, accepted = jax.device_get(chain(normal, 0.4, 60)(start))
    np.testing.assert_allclose(x.mean(axis=0), MEAN, atol=5 * STD.max() / np.sqrt(NUM))
    np.testing.assert_allclose(np.var(x, axis=0), STD**2, rtol=6 * np.sqrt(2 / NUM))
    assert 0.5 < float(accepted.mean()) < 0.99
    # Started beyond 2, where the slope is steep, chains of this step would refuse for very long.
    wells, _ = jax.device_get(chain(two_wells, 0.15, 150)(0.4 * random.normal(size=(NUM, 1)).astype(np.float32)))
    moment = lambda k: scipy.integrate.quad(lambda x: x**k * np.exp(-((x**2 - 1) ** 2)), -5, 5)[0]
    expected = [moment(k) / moment(0) for k in (1, 2, 4)]
    for k, value in zip((1, 2, 4), expected):
        powers = np.asarray(wells[:, 0], np.float64) ** k
        assert abs(powers.mean() - value) < 5 * powers.std() / np.sqrt(NUM)


def test_a_constant_changes_nothing():
    x = np.random.default_rng(0).normal(size=(16, 2)).astype(np.float32)
    raised = lambda x: normal(x) + 37.0
    np.testing.assert_array_equal(jax.jit(score_of(raised))(x), jax.jit(score_of(normal))(x))
    one, other = (chain(f, 0.4, 5)(x)[0] for f in (normal, raised))
    np.testing.assert_allclose(one, other, rtol=1e-5)
    assert partition(raised) - partition(normal) == pytest.approx(37.0, rel=1e-6)


def partition(log_density):
    return float(jax.jit(lambda: log_partition(log_density, Box(12.0, 64)))())


def test_the_partition_is_known():
    assert partition(normal) == pytest.approx(np.log(2 * np.pi * np.prod(STD)), abs=1e-5)


def test_the_gradient_is_that_of_the_likelihood():
    """With f linear in one weight, and chains drawn from the model by inversion of its grid, it is d/dw (log Z - f)."""
    random = np.random.default_rng(0)
    data = random.normal(size=(NUM, 1)) * 0.5 + 0.3
    weight = 0.8  # f = -w x^2 / 2: of p(x) = N(0, 1 / w)
    drawn = random.normal(size=(NUM, 1)) / np.sqrt(weight)

    def value(w):
        f = lambda x: -0.5 * w * jnp.asarray(x[:, 0], jnp.float32) ** 2
        return jnp.mean(contrastive_loss(f(data), f(drawn)))

    exact = 0.5 * (0.5**2 + 0.3**2) - 0.5 / weight
    assert float(jax.jit(jax.grad(value))(weight)) == pytest.approx(exact, abs=0.03)


def test_chains_live_in_memory_and_samples_do_not_touch_them():
    model = energy_model(ConfinedEnergy((8,)), CHAINS, shape=(2,), box=Box(16.0, 32))
    batch = {"x": np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)}
    variables = jax.jit(model.init)(KEY, batch)
    loss = lambda params: model.updates[0].loss(variables._replace(params=params), batch, KEY, jnp.int32(0))
    gradient, aux = jax.jit(jax.grad(loss, has_aux=True))(variables.params)
    moved = np.asarray(aux.memory["chains"])
    assert moved.shape == (6, 2)
    assert np.all(np.any(moved != np.asarray(variables.memory["chains"]), axis=1))

    @jax.jit
    def likelihoods(variables):
        methods = model.methods
        difference = methods["log_density"](variables, KEY, batch["x"]) - methods["log_partition"](variables, KEY)
        return model.log_prob.fn(variables, KEY, batch), difference

    np.testing.assert_allclose(*likelihoods(variables), rtol=1e-5)

    def given_chains(params):
        f = lambda x: ConfinedEnergy((8,)).apply({"params": params["energy"]}, x)
        return jnp.mean(f(moved) - f(batch["x"]))

    # No gradient runs back through the chains.
    expected = jax.jit(jax.grad(given_chains))(variables.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), gradient, expected)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="both must be \\[B\\]"):
        contrastive_loss(np.zeros((3, 1), np.float32), np.zeros((3, 1), np.float32))
    with pytest.raises(ValueError, match="chains are"):
        mala_chain(KEY, np.zeros(3, np.float32), normal, step_size=0.1, num_steps=1)
    with pytest.raises(ValueError, match="of reals"):
        model = energy_model(ConfinedEnergy((8,)), CHAINS, shape=(2,))
        jax.eval_shape(model.init, KEY, {"x": np.zeros((4, 3), np.float32)})
