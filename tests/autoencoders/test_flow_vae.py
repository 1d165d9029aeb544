"""The free energy under a flow against integration, without one against the VAE, and against importance sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from genjax import autoencoders as ae
from genjax import flows

LATENTS = 2
NO_FLOW = ae.LatentFlow(lambda key, z0, context: {}, lambda weights, z0, context: (z0, jnp.zeros(z0.shape[:1])))


def build(flow, context_dim):
    encoder = ae.MLPFlowEncoder(LATENTS, context_dim, (6,))
    return ae.flow_vae(encoder, ae.MLPDecoder((2, 2, 1), hidden=(6,)), ae.bernoulli(), flow, latent_dim=LATENTS)


def planar(num):
    def forward(weights, z0, context):
        each = context.reshape(z0.shape[0], num, 2 * LATENTS + 1).transpose(1, 0, 2)
        return flows.planar_flow(z0, flows.Planar(each[..., :LATENTS], each[..., LATENTS:-1], each[..., -1]))

    return ae.LatentFlow(lambda key, z0, context: {}, forward)


def autoregressive():
    bijection = flows.maf_bijection(LATENTS, (8,), num_layers=2, conditioned=True)
    return ae.LatentFlow(
        lambda key, z0, context: bijection.init(key, z0, context).params,
        lambda weights, z0, context: bijection.forward(flows.Weights(weights), z0, context),
    )


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(3).binomial(1, 0.4, (5, 2, 2, 1)).astype(np.float32)


@pytest.mark.parametrize("flow", [NO_FLOW, planar(0)])
def test_no_steps_are_the_vae(x, flow):
    model = build(flow, 0)
    vae = ae.vae(
        ae.MLPEncoder(LATENTS, (6,)), ae.MLPDecoder((2, 2, 1), hidden=(6,)), ae.bernoulli(), latent_dim=LATENTS,
        rate=ae.sampled_rate,
    )  # fmt: skip
    variables = jax.jit(model.init)(jax.random.key(0), {"x": x})
    params = {name: variables.params[name] for name in ("encoder", "decoder")}
    of_vae = jax.eval_shape(vae.init, jax.random.key(0), {"x": x}).params
    assert jax.tree.structure(params) == jax.tree.structure(dict(of_vae))

    def gradient(model, params):
        whole = params | ({"flow": {}} if "flow" in model.updates[0].players else {})
        loss = lambda params: model.updates[0].loss(variables._replace(params=params), {"x": x}, jax.random.key(1), 0)
        (value, _), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(whole)
        return value, {name: grads[name] for name in params}

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        *(gradient(m, params) for m in (model, vae)),
    )


def test_free_energy_is_the_integral_over_the_flowed_density():
    """One code and one planar step: log q(z_K) by the change of variables on a grid, in float64."""
    mean, log_std, u, w, b = 0.3, -0.5, 1.4, 1.1, -0.6
    n = 40_000
    full = lambda shape, value: np.full(shape, value, np.float32)
    base = ae.Gaussian(full((n, 1), mean), full((n, 1), log_std))
    steps = flows.Planar(full((1, n, 1), u), full((1, n, 1), w), full((1, n), b))
    log_likelihood = lambda z: ae.gaussian_log_likelihood(jnp.full_like(z, 0.8), z, log_std=-0.3)
    terms = jax.jit(lambda key: ae.flow_terms(key, base, lambda z0: flows.planar_flow(z0, steps), log_likelihood))(
        jax.random.key(0)
    )
    terms = jax.tree.map(np.asarray, terms)

    z0 = np.linspace(mean - 8 * np.exp(log_std), mean + 8 * np.exp(log_std), 20_001)
    inner = u * w
    moved = u + (np.log1p(np.exp(inner)) - 1.0 - inner) / w
    z = z0 + moved * np.tanh(w * z0 + b)
    density = scipy.stats.norm.pdf(z0, mean, np.exp(log_std)) / np.gradient(z, z0)  # of z, by the rule itself
    expect = lambda values: np.trapezoid(density * values, z)
    np.testing.assert_allclose(expect(np.ones_like(z)), 1.0, atol=1e-6)
    rate = expect(np.log(np.maximum(density, 1e-300)) - scipy.stats.norm.logpdf(z))
    distortion = -expect(scipy.stats.norm.logpdf(0.8, z, np.exp(-0.3)))
    gaussian_rate = 0.5 * (np.expm1(2 * log_std) + mean**2) - log_std
    assert abs(rate - gaussian_rate) > 0.1  # the flow does something
    for ours, exact in ((terms.rate, rate), (terms.distortion, distortion)):
        assert abs(np.mean(ours) - exact) < 4 * np.std(ours) / np.sqrt(n)


@pytest.mark.parametrize("flow, context_dim", [(planar(3), 3 * (2 * LATENTS + 1)), (autoregressive(), 3)])
def test_importance_weights_under_a_flow_reach_the_evidence(x, flow, context_dim):
    model = build(flow, context_dim)
    variables = jax.jit(model.init)(jax.random.key(0), {"x": x})
    # Weights scatter where q is narrower than the posterior: take a q_0 wider than the prior, and a flow that moves.
    random = np.random.default_rng(0)
    start = jax.tree.map(np.asarray, dict(variables.params))
    params = jax.tree.map(lambda leaf: leaf + 0.2 * random.normal(size=leaf.shape).astype(np.float32), start)
    params["encoder"] = jax.tree.map(lambda leaf: 0.3 * leaf, start["encoder"])
    params["encoder"]["MLP_0"]["Dense_1"]["bias"][LATENTS : 2 * LATENTS] = 0.6
    variables = variables._replace(params=params)
    estimate = jax.jit(
        lambda x: model.methods["importance_weighted"](variables, jax.random.key(1), x, num_samples=20_000, chunk=500)
    )(x)
    # log p(x) by the trapezoidal rule over the two codes.
    nodes = np.stack(np.meshgrid(*2 * [np.arange(-6, 6.01, 0.2)]), -1).reshape(-1, 2)
    mass = scipy.stats.norm.pdf(nodes).prod(1)
    decode = jax.jit(lambda z: model.methods["decode"](variables, None, z))
    p = np.asarray(decode(nodes.astype(np.float32)), np.float64).reshape(-1, 4)
    flat = x.reshape(-1, 4)
    likelihood = np.exp(flat @ np.log(p).T + (1 - flat) @ np.log1p(-p).T)
    np.testing.assert_allclose(estimate, np.log(likelihood @ mass / mass.sum()), atol=0.03)
    bound = jax.jit(lambda x: ae.elbo(model.methods["terms"](variables, jax.random.key(2), x, num_samples=400)))(x)
    assert (np.asarray(bound) < np.asarray(estimate) + 0.02).all()


def test_what_does_not_fit_is_refused(x):
    base = ae.Gaussian(*np.zeros((2, 3, 2), np.float32))
    terms = lambda *parts: jax.eval_shape(lambda key: ae.flow_terms(key, base, *parts), jax.random.key(0))
    with pytest.raises(ValueError, match="the flow returned"):
        terms(lambda z: (z[:, :1], z[:, 0]), lambda z: z[:, 0])
    with pytest.raises(ValueError, match="one value an example"):
        terms(lambda z: (z, z[:, 0]), lambda z: z)
