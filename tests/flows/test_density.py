"""Flows as models of data: one path for bits/dim, bounds that are bounds, conditions, temperature, inpainting."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax import flows

KEY = jax.random.key(4)


def identity(shape):
    return flows.flatten(shape)


def test_bases_are_scipys():
    z = jax.random.normal(KEY, (3, 4))
    np.testing.assert_allclose(flows.standard_normal().log_prob(z), stats.norm.logpdf(z).sum(1), rtol=1e-5)
    np.testing.assert_allclose(flows.standard_logistic().log_prob(z), stats.logistic.logpdf(z).sum(1), rtol=1e-5)
    for base, law in ((flows.standard_normal(), "norm"), (flows.standard_logistic(), "logistic")):
        assert stats.kstest(np.asarray(base.sample(KEY, (4000,))), law).pvalue > 1e-3


@pytest.mark.parametrize("path", [flows.dequantized(4), flows.dequantized_logit(4, 0.05)], ids=["unit", "logit"])
def test_dequantized_log_prob_is_a_bound(path):
    """E_u[p(x + u)] is the mass of a level; E_u[log p(x + u)], what log_prob averages to, lies below its logarithm."""
    model = flows.flow_model(identity((1,)), shape=(1,), base=flows.standard_logistic(), path=path)
    variables = model.init(KEY, {"x": jnp.zeros((2, 1), jnp.uint8)})
    levels = jnp.arange(4, dtype=jnp.uint8)[:, None]
    keys = jax.random.split(KEY, 4000)
    nats = jax.vmap(lambda key: model.log_prob.fn(variables, key, {"x": levels}))(keys)
    # The mass of (x, x + 1) / 4 under the base density, by scipy.
    edges = np.arange(5) / 4
    if path.to_model(KEY, levels)[0].max() > 1:  # logit(0.05 + 0.9 y)
        edges = np.log(0.05 + 0.9 * edges) - np.log(0.95 - 0.9 * edges)
    mass = np.diff(stats.logistic.cdf(edges))
    np.testing.assert_allclose(np.exp(nats).mean(0), mass, rtol=0.02)
    assert np.all(nats.mean(0) < np.log(mass) + 1e-3) and model.log_prob.kind == "lower_bound"


@pytest.mark.parametrize("path", [flows.dequantized(256), flows.dequantized_logit(17, 0.05)], ids=["unit", "logit"])
def test_there_and_back_is_the_stored_level(path):
    levels = 17 if path.to_model(KEY, jnp.full((1, 1), 16, jnp.uint8))[0].max() > 1 else 256
    x = jnp.arange(levels, dtype=jnp.uint8)[:, None]
    again = path.from_model(path.to_model(KEY, x)[0])
    np.testing.assert_array_equal(again, x)
    assert again.dtype == jnp.uint8


def conditional_model():
    bijection = flows.maf_bijection(2, (8,), num_layers=2, conditioned=True)
    return flows.flow_model(bijection, shape=(2,), num_classes=3)


def test_exact_on_reals_and_conditional_on_the_class():
    model = conditional_model()
    batch = {"x": jax.random.normal(KEY, (6, 2)), "label": jnp.array([0, 1, 2, 0, 1, 2])}
    variables = jax.tree.map(lambda p: p + 0.3, model.init(KEY, batch))
    nats = model.log_prob.fn(variables, KEY, batch)
    assert model.log_prob.kind == "exact"
    assert np.all(nats != model.log_prob.fn(variables, KEY, {**batch, "label": jnp.roll(batch["label"], 1)}))
    z = model.methods["encode"](variables, KEY, batch["x"], condition=batch["label"])
    np.testing.assert_allclose(
        model.methods["decode"](variables, KEY, z, condition=batch["label"]), batch["x"], atol=1e-5
    )


def test_mistakes_are_told():
    model = conditional_model()
    batch = {"x": jnp.zeros((2, 2)), "label": jnp.zeros(2, jnp.int32)}
    variables = model.init(KEY, batch)
    with pytest.raises(ValueError, match="conditional: give it labels"):
        model.sample(variables, KEY, 2)
    with pytest.raises(ValueError, match="must be integers"):
        model.sample(variables, KEY, 2, condition=jnp.zeros(3, jnp.int32))
    plain = flows.flow_model(identity((2,)), shape=(2,))
    with pytest.raises(ValueError, match="takes no condition"):
        plain.sample(plain.init(KEY, batch), KEY, 2, condition=batch["label"])
    with pytest.raises(ValueError, match="no density"):
        plain.init(KEY, {"x": jnp.zeros((2, 2), jnp.uint8)})
    with pytest.raises(ValueError, match="built for"):
        plain.init(KEY, {"x": jnp.zeros((2, 3))})
    with pytest.raises(ValueError, match="must end in"):
        flows.flow_model(flows.squeeze(), shape=(2, 2, 1)).init(KEY, {"x": jnp.zeros((2, 2, 2, 1))})
    with pytest.raises(ValueError, match="one value an example"):
        flows.change_of_variables(jnp.zeros((2, 3)), jnp.zeros((2, 3)), flows.standard_normal())


def test_temperature_is_traced_and_scales_the_latent():
    model = flows.flow_model(flows.scaling(), shape=(2,))
    variables = model.init(KEY, {"x": jnp.ones((2, 2)) * jnp.array([[1.0], [2.0]])})
    traces = []

    @jax.jit
    def draw(temperature):
        traces.append(None)
        return model.sample(variables, KEY, 5, temperature=temperature)

    np.testing.assert_allclose(draw(0.5), 0.5 * draw(1.0), rtol=1e-6)
    assert len(traces) == 1


def test_inpainting_climbs_to_the_mode_and_leaves_what_is_known():
    """On N(0, 0.1^2) the hidden entries go to zero, where the density is highest, but for the noise of the steps."""
    sharp = flows.Weights({"log_scale": jnp.full(4, jnp.log(10.0))})
    density = lambda y: flows.standard_normal().log_prob(flows.scaling().forward(sharp, y, None)[0])
    y = jnp.full((32, 4), 0.3)
    known = jnp.array([[True, True, False, False]])
    filled = flows.ascend(KEY, y, known, lambda y: 0.1 * density(y), num_steps=400)
    np.testing.assert_array_equal(filled[:, :2], y[:, :2])
    assert abs(float(jnp.mean(filled[:, 2:]))) < 0.05 and float(jnp.std(filled[:, 2:])) < 0.2
