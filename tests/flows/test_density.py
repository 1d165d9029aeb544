"""Flows as models of data: one path for bits/dim, bounds that are bounds, conditions, temperature, inpainting."""

import jax
import numpy as np
import pytest
from scipy import stats

from genjax import flows
from genjax.data_path import standardized

KEY = jax.random.key(4)


def identity(shape):
    return flows.flatten(shape)


def test_bases_are_scipys():
    z = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    for base, law in ((flows.standard_normal(), stats.norm), (flows.standard_logistic(), stats.logistic)):
        np.testing.assert_allclose(jax.jit(base.log_prob)(z), law.logpdf(z).sum(1), rtol=1e-5)
        drawn = jax.jit(base.sample, static_argnums=1)(KEY, (4000,))
        assert stats.kstest(np.asarray(drawn), law.name).pvalue > 1e-3


def unit_edges(levels):
    return np.arange(levels + 1) / levels


def logit_edges(levels):
    return np.log(0.05 + 0.9 * unit_edges(levels)) - np.log(0.95 - 0.9 * unit_edges(levels))


@pytest.mark.parametrize(
    "path, edges",
    [
        (flows.dequantized(4), unit_edges(4)),
        (flows.dequantized_logit(4, 0.05), logit_edges(4)),
        (standardized(flows.dequantized_logit(4, 0.05), mean=-0.7, std=1.5), (logit_edges(4) + 0.7) / 1.5),
    ],
    ids=["unit", "logit", "standardized"],
)
def test_dequantized_log_prob_is_a_bound(path, edges):
    """E_u[p(x + u)] is the mass of a level; E_u[log p(x + u)], what log_prob averages to, lies below its logarithm."""
    model = flows.flow_model(identity((1,)), shape=(1,), base=flows.standard_logistic(), path=path)
    variables = jax.jit(model.init)(KEY, {"x": np.zeros((2, 1), np.uint8)})
    levels = np.arange(4, dtype=np.uint8)[:, None]
    keys = jax.random.split(KEY, 4000)
    nats = np.asarray(jax.jit(jax.vmap(lambda key: model.log_prob.fn(variables, key, {"x": levels})))(keys))
    mass = np.diff(stats.logistic.cdf(edges))  # of (x, x + 1) / 4 under the base density
    np.testing.assert_allclose(np.exp(nats).mean(0), mass, rtol=0.02)
    assert np.all(nats.mean(0) < np.log(mass) + 1e-3) and model.log_prob.kind == "lower_bound"


@pytest.mark.parametrize(
    "path, levels",
    [
        (flows.dequantized(256), 256),
        (flows.dequantized_logit(17, 0.05), 17),
        (standardized(flows.dequantized_logit(256, 1e-6), mean=-4.95, std=3.62), 256),
    ],
    ids=["unit", "logit", "standardized"],
)
def test_there_and_back_is_the_stored_level(path, levels):
    there_and_back = jax.jit(lambda x: path.from_model(path.to_model(KEY, x)[0]))
    x = np.arange(levels, dtype=np.uint8)[:, None]
    again = there_and_back(x)
    np.testing.assert_array_equal(again, x)
    assert again.dtype == np.uint8


def conditional_model():
    bijection = flows.maf_bijection(2, (8,), num_layers=2, conditioned=True)
    return flows.flow_model(bijection, shape=(2,), num_classes=3)


def test_exact_on_reals_and_conditional_on_the_class():
    model = conditional_model()
    x, label = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32), np.array([0, 1, 2, 0, 1, 2], np.int32)
    started = jax.jit(model.init)(KEY, {"x": x, "label": label})
    variables = jax.tree.map(lambda p: np.asarray(p) + np.float32(0.3), started)
    log_prob = jax.jit(lambda label: model.log_prob.fn(variables, KEY, {"x": x, "label": label}))
    assert model.log_prob.kind == "exact"
    assert np.all(np.asarray(log_prob(label)) != log_prob(np.roll(label, 1)))
    z = jax.jit(model.methods["encode"])(variables, KEY, x, condition=label)
    np.testing.assert_allclose(jax.jit(model.methods["decode"])(variables, KEY, z, condition=label), x, atol=1e-5)


def test_mistakes_are_told():
    model = conditional_model()
    zeros = lambda *shape: np.zeros(shape, np.float32)
    batch = {"x": zeros(2, 2), "label": np.zeros(2, np.int32)}
    started = lambda model, batch: jax.eval_shape(model.init, KEY, batch)
    variables = started(model, batch)
    with pytest.raises(ValueError, match="conditional: give it labels"):
        model.sample(variables, KEY, 2)
    with pytest.raises(ValueError, match="must be integers"):
        model.sample(variables, KEY, 2, condition=np.zeros(3, np.int32))
    plain = flows.flow_model(identity((2,)), shape=(2,))
    with pytest.raises(ValueError, match="takes no condition"):
        plain.sample(started(plain, batch), KEY, 2, condition=batch["label"])
    with pytest.raises(ValueError, match="no density"):
        started(plain, {"x": np.zeros((2, 2), np.uint8)})
    with pytest.raises(ValueError, match="built for"):
        started(plain, {"x": zeros(2, 3)})
    with pytest.raises(ValueError, match="must end in"):
        started(flows.flow_model(flows.squeeze(), shape=(2, 2, 1)), {"x": zeros(2, 2, 2, 1)})
    with pytest.raises(ValueError, match="one value an example"):
        flows.change_of_variables(zeros(2, 3), zeros(2, 3), flows.standard_normal())


def test_temperature_is_traced_and_scales_the_latent():
    model = flows.flow_model(flows.scaling(), shape=(2,))
    variables = jax.jit(model.init)(KEY, {"x": np.array([[1.0, 1.0], [2.0, 2.0]], np.float32)})
    traces = []

    @jax.jit
    def draw(temperature):
        traces.append(None)
        return model.sample(variables, KEY, 5, temperature=temperature)

    np.testing.assert_allclose(draw(0.5), 0.5 * np.asarray(draw(1.0)), rtol=1e-6)
    assert len(traces) == 1


def test_inpainting_climbs_to_the_mode_and_leaves_what_is_known():
    """On N(0, 0.1^2) the hidden entries go to zero, where the density is highest, but for the noise of the steps."""
    sharp = flows.Weights({"log_scale": np.full(4, np.log(10.0), np.float32)})
    density = lambda y: flows.standard_normal().log_prob(flows.scaling().forward(sharp, y, None)[0])
    y = np.full((32, 4), 0.3, np.float32)
    known = np.array([[True, True, False, False]])
    fill = jax.jit(lambda y: flows.ascend(KEY, y, known, lambda y: 0.1 * density(y), num_steps=400))
    filled = np.asarray(fill(y))
    np.testing.assert_array_equal(filled[:, :2], y[:, :2])
    assert abs(filled[:, 2:].mean()) < 0.05 and filled[:, 2:].std() < 0.2
