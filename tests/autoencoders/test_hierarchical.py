"""A chain of codes against a linear-Gaussian one in closed form, against the VAE, and against a diffusion's bound."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from genjax import autoencoders as ae
from genjax import diffusion, processes
from genjax.pixels import to_symmetric

# z_3 ~ N(0, 1), z_2 = 0.8 z_3 + e, z_1 = 1.2 z_2 + 0.5 + e, x = 0.9 z_1 - 0.3 + e with these standard deviations.
GAINS, SHIFTS, STDS = (0.9, 1.2, 0.8), (-0.3, 0.5, 0.0), (0.7, 0.6, 0.5)


def linear(gain, shift, std):
    return lambda below: ae.Gaussian(gain * below + shift, jnp.full_like(below, np.log(std)))


def moments():
    """Return mean and variance of x, z_1, z_2, z_3."""
    mean, variance, found = 0.0, 1.0, [(0.0, 1.0)]
    for gain, shift, std in list(zip(GAINS, SHIFTS, STDS))[::-1]:
        mean, variance = gain * mean + shift, gain**2 * variance + std**2
        found.append((mean, variance))
    return found[::-1]


def test_every_draw_gives_log_evidence_at_the_exact_posterior():
    """In a Markov chain the posterior factors upwards: q(z_1|x) q(z_2|z_1) q(z_3|z_2), each by Bayes' rule."""
    stages, infer = moments(), []
    for (mean, variance), (mean_above, variance_above), gain in zip(stages[:-1], stages[1:], GAINS):
        slope = gain * variance_above / variance
        infer.append(linear(slope, mean_above - slope * mean, np.sqrt(variance_above - slope * gain * variance_above)))
    generate = [linear(*step) for step in zip(GAINS[1:], SHIFTS[1:], STDS[1:])]
    x = np.linspace(-3.0, 3.0, 7, dtype=np.float32)[:, None]
    log_likelihood = lambda z: ae.gaussian_log_likelihood(x, GAINS[0] * z + SHIFTS[0], log_std=float(np.log(STDS[0])))
    parts = dict(infer=infer, generate=generate, log_likelihood=log_likelihood, top_rate=ae.sampled_rate)
    terms = jax.jit(lambda key: ae.chain_terms(key, x, **parts))(jax.random.key(0))
    mean, variance = stages[0]
    expected = scipy.stats.norm.logpdf(np.ravel(x), mean, np.sqrt(variance))
    np.testing.assert_allclose(jax.jit(ae.chain_elbo)(terms), expected, rtol=1e-5, atol=1e-5)
    assert np.abs(terms.rates).min() > 1e-3
    # With the top divergence in closed form the same holds on average.
    analytic = jax.vmap(lambda key: ae.chain_elbo(ae.chain_terms(key, x, **parts | {"top_rate": ae.analytic_rate})))
    draws = np.asarray(jax.jit(analytic)(jax.random.split(jax.random.key(1), 20_000)))
    assert (np.abs(draws.mean(0) - expected) < 4 * draws.std(0) / np.sqrt(20_000)).all()


@pytest.mark.parametrize("choose", [processes.upper_variance, processes.lower_variance])
def test_diffusion_is_a_chain_whose_inference_is_fixed(choose):
    """The undecomposed bound of the chain and the bound of `genjax.diffusion` have one expectation."""
    levels, n = 9, 20_000
    schedule = processes.linear_schedule(4, first=0.05, last=0.6)
    variance = choose(schedule)
    denoise = lambda x_t, t: 0.8 * jnp.tanh(x_t) - 0.1 * t.astype(x_t.dtype) / 4.0

    def infer(t):
        beta = schedule.betas[t]
        return linear(float(np.sqrt(1.0 - beta)), 0.0, float(np.sqrt(beta)))

    def generate(t):
        step, std = jnp.int32(t), float(np.sqrt(variance[t]))

        def conditional(x_t):
            mean = processes.posterior_mean(schedule, denoise(x_t, step), x_t, step)
            return ae.Gaussian(mean, jnp.full_like(mean, np.log(std)))

        return conditional

    def chain(key, x):
        decoder = lambda z: diffusion.discretized_normal_log_prob(
            to_symmetric(x, levels),
            denoise(z, jnp.int32(1)),
            log_std=jnp.float32(0.5 * np.log(variance[1])),
            levels=levels,
        )
        return -ae.chain_elbo(
            ae.chain_terms(
                key,
                to_symmetric(x, levels),
                infer=[infer(t) for t in (1, 2, 3, 4)],
                generate=[generate(t) for t in (2, 3, 4)],
                log_likelihood=lambda z: jnp.sum(decoder(z), axis=1),
            )
        )

    def bound(key, x):
        return diffusion.total_bound(diffusion.bound_terms(key, x, denoise, schedule, variance, levels=levels))

    chain, bound = jax.jit(chain), jax.jit(bound)
    for level in (0, 5):
        x = np.full((n, 1), level, np.int32)
        ours, theirs = (np.asarray(f(jax.random.key(level), x), np.float64) for f in (chain, bound))
        error = np.hypot(ours.std(), theirs.std()) / np.sqrt(n)
        assert abs(ours.mean() - theirs.mean()) < 4 * error and error < 0.02 * abs(theirs.mean())


def build(latent_dims):
    conditional = lambda size: ae.MLPEncoder(size, (6,))
    return ae.hierarchical_vae(
        [conditional(size) for size in latent_dims],
        [conditional(size) for size in latent_dims[:-1]],
        ae.MLPDecoder((2, 2, 1), hidden=(6,)),
        ae.bernoulli(),
        latent_dims=latent_dims,
    )


def perturbed(model, x):
    noisy = lambda leaf: leaf + 0.3 * jax.random.normal(jax.random.key(leaf.size), leaf.shape)

    @jax.jit
    def start(key):
        variables = model.init(key, {"x": x})
        return variables._replace(params=jax.tree.map(noisy, variables.params))

    return start(jax.random.key(0))


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(3).binomial(1, 0.4, (5, 2, 2, 1)).astype(np.float32)


def test_one_layer_is_the_vae(x):
    model = build((2,))
    vae = ae.vae(ae.MLPEncoder(2, (6,)), ae.MLPDecoder((2, 2, 1), hidden=(6,)), ae.bernoulli(), latent_dim=2)
    variables = perturbed(model, x)
    flat = variables._replace(
        params={"encoder": variables.params["encoder"]["layer_1"], "decoder": variables.params["decoder"]["layer_0"]}
    )
    terms = lambda model, *given: jax.jit(lambda *of: model.methods["terms"](*of, num_samples=4000))(*given, x)
    ours, theirs = terms(model, variables, jax.random.key(1)), terms(vae, flat, jax.random.key(2))
    np.testing.assert_allclose(np.asarray(ours.rates)[0], theirs.rate, rtol=2e-4)  # a sum of 4000 equal numbers
    np.testing.assert_allclose(ours.distortion, theirs.distortion, rtol=0.01)


def test_importance_weights_of_two_layers_reach_the_evidence(x):
    """The evidence by quadrature over both codes, each on the line: p(z_1) first, then p(x)."""
    model = build((1, 1))
    variables = perturbed(model, x)
    estimate = jax.jit(
        lambda x: model.methods["importance_weighted"](variables, jax.random.key(1), x, num_samples=20_000, chunk=500)
    )(x)
    nodes = np.linspace(-9.0, 9.0, 601)
    column = nodes[:, None].astype(np.float32)
    apply = lambda module, layer: jax.jit(module.apply)({"params": variables.params["decoder"][layer]}, column)
    mean, log_std = (np.asarray(part, np.float64) for part in apply(ae.MLPEncoder(1, (6,)), "layer_1"))
    weights = scipy.stats.norm.pdf(nodes) * (nodes[1] - nodes[0])
    p_z1 = (weights[:, None] * scipy.stats.norm.pdf(nodes[None], mean, np.exp(log_std))).sum(0) * (nodes[1] - nodes[0])
    assert abs(p_z1.sum() - 1.0) < 1e-3
    logits = np.asarray(apply(ae.MLPDecoder((2, 2, 1), hidden=(6,)), "layer_0"), np.float64)
    p, flat = 1 / (1 + np.exp(-logits.reshape(-1, 4))), x.reshape(-1, 4)
    evidence = np.log(np.exp(flat @ np.log(p).T + (1 - flat) @ np.log1p(-p).T) @ p_z1)
    np.testing.assert_allclose(estimate, evidence, atol=0.03)
    samples = jax.jit(model.sample, static_argnums=2)(variables, jax.random.key(5), 20_000)
    np.testing.assert_allclose(np.asarray(samples).reshape(-1, 4).mean(0), p_z1 @ p, atol=0.02)
    terms = jax.jit(lambda x: model.methods["terms"](variables, jax.random.key(2), x, num_samples=400))(x)
    bound = np.asarray(jax.jit(ae.chain_elbo)(terms))
    assert terms.rates.shape == (2, 5) and (bound < np.asarray(estimate) + 0.05).all()


def test_what_does_not_fit_is_refused(x):
    step, wide = linear(1.0, 0.0, 1.0), lambda z: ae.Gaussian(jnp.zeros((3, 2)), jnp.zeros((3, 2)))

    def traced(infer, generate):
        terms = lambda x: ae.chain_terms(
            jax.random.key(0), x, infer=infer, generate=generate, log_likelihood=lambda z: z[:, 0]
        )
        jax.eval_shape(terms, np.zeros((3, 1), np.float32))

    with pytest.raises(ValueError, match="L - 1 generating"):
        traced([step], [step])
    with pytest.raises(ValueError, match=r"p\(z_1\|z_2\) has shape"):
        traced([step, step], [wide])
    with pytest.raises(ValueError, match=r"\[L, B\]"):
        ae.chain_elbo(ae.ChainTerms(np.zeros(3), np.zeros(3)))
    with pytest.raises(ValueError, match="need 2 encoders"):
        ae.hierarchical_vae([], [], ae.MLPDecoder((3,)), ae.bernoulli(), latent_dims=(1, 1))
