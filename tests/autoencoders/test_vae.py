"""The builder against an enumeration: all 2^9 images of 3 x 3 binary pixels, the two latents by quadrature.

The oracle is NumPy in float64: two perceptrons written out, and a trapezoidal rule for every integral over z. The last
tests leave the small images for what they cannot show: convolutions, and training.
"""

import itertools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from scipy.special import expit, logsumexp

from genjax import autoencoders as ae
from genjax.contract import GenerativeModel, Variables

SIDE, LATENTS, IMAGES = 3, 2, 512
SCALES = {"encoder": 0.25, "decoder": 0.9}  # of the weights
X = np.array(list(itertools.product([0.0, 1.0], repeat=SIDE * SIDE)), np.float32).reshape(IMAGES, SIDE, SIDE, 1)
FLAT = X.reshape(IMAGES, -1).astype(np.float64)
KEY = jax.random.key(0)


def perceptron(params, h):
    layers = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["MLP_0"])
    hidden = np.tanh(h @ layers["Dense_0"]["kernel"] + layers["Dense_0"]["bias"])
    return hidden @ layers["Dense_1"]["kernel"] + layers["Dense_1"]["bias"]


def quadrature(step=0.25, reach=6.5):
    """Return nodes [N, Z] and weights [N] of an expectation over N(0, I): the trapezoidal rule.

    It converges geometrically in 1 / step, and faster than Gauss-Hermite nodes where tanh bends quickly.
    """
    nodes = np.arange(-reach, reach + step / 2, step)
    grid = np.stack(np.meshgrid(nodes, nodes), -1).reshape(-1, LATENTS)
    weights = scipy.stats.norm.pdf(grid).prod(-1)
    return grid, weights / weights.sum()


def log_likelihood(params, z, x):
    """Return log p(x|z) by scipy's logistic function; z [..., Z] and x [..., 9] broadcast."""
    p = expit(perceptron(params["decoder"], z))
    return (x * np.log(p) + (1 - x) * np.log1p(-p)).sum(-1)


def log_evidence(params):
    """Return log p(x) of all images, [512]."""
    z, weights = quadrature()
    return logsumexp(np.log(weights)[:, None] + log_likelihood(params, z[:, None], FLAT[None]), axis=0)


def exact_elbo(params, posterior, x=FLAT, step=0.25):
    """Return E_q [log p(x|z) + log p(z) - log q(z)] of images x [N, 9], [N], with no closed form of the divergence."""
    nodes, weights = quadrature(step)
    means, stds = np.asarray(posterior.mean, np.float64), np.exp(np.asarray(posterior.log_std, np.float64))
    bounds = []
    for image, mean, std in zip(x, means, stds, strict=True):
        z = mean + std * nodes
        densities = scipy.stats.norm.logpdf(z) - scipy.stats.norm.logpdf(z, mean, std)
        bounds.append((log_likelihood(params, z, image) + densities.sum(-1)) @ weights)
    return np.array(bounds)


class Small(NamedTuple):
    """A VAE with weights drawn at random, large enough for the latents to matter."""

    model: GenerativeModel
    variables: Variables
    log_evidence: np.ndarray
    posterior: ae.Gaussian  # q(z|x) of all images


def build(rate=ae.analytic_rate):
    encoder, decoder = ae.MLPEncoder(LATENTS, (6,)), ae.MLPDecoder((SIDE, SIDE, 1), hidden=(6,))
    return ae.vae(encoder, decoder, ae.bernoulli(), latent_dim=LATENTS, rate=rate)


@pytest.fixture(scope="module")
def small() -> Small:
    model, rng = build(), np.random.default_rng(3)
    shapes = jax.eval_shape(model.init, KEY, {"x": X})
    params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), dict(shapes.params))
    params = {player: jax.tree.map(lambda leaf, s=scale: s * leaf, params[player]) for player, scale in SCALES.items()}
    # Wide q, log standard deviations around 1/2, so that the importance weights have a finite variance.
    params["encoder"]["MLP_0"]["Dense_1"]["bias"][LATENTS:] += 0.5
    posterior = jax.jit(model.methods["encode"])(Variables(params), KEY, X)
    return Small(model, Variables(params), log_evidence(params), jax.tree.map(np.asarray, posterior))


def test_probabilities_of_all_images_sum_to_one(small):
    np.testing.assert_allclose(np.exp(small.log_evidence).sum(), 1.0, atol=1e-9)
    assert small.log_evidence.max() - small.log_evidence.min() > 3  # so that the tests below say something


def test_log_prob_averages_to_the_exact_bound_below_the_exact_likelihood(small):
    draws = jax.jit(jax.vmap(small.model.log_prob.fn, (None, 0, None)))(
        small.variables, jax.random.split(KEY, 1000), {"x": X}
    )
    assert draws.shape == (1000, IMAGES) and small.model.log_prob.kind == "lower_bound"
    draws, bound = np.asarray(draws), exact_elbo(small.variables.params, small.posterior)
    z_scores = (np.mean(draws, 0) - bound) / (np.std(draws, 0) / np.sqrt(1000))
    assert np.abs(z_scores).max() < 5  # 512 of them
    gap = small.log_evidence - bound
    assert gap.min() > 0.02 and gap.mean() > 0.2
    assert np.exp(bound).sum() < 0.9  # a bound's exponentials do not sum to one


def test_importance_weighted_estimate_tends_to_the_exact_likelihood(small):
    """Off by the standard error of k weights, whose relative variance E_p(z)[p(x|z)^2 p(z) / q(z|x)] / p(x)^2 - 1."""
    k, posterior = 10_000, small.posterior
    nodes, weights = quadrature()
    mean, std = np.asarray(posterior.mean, np.float64), np.exp(np.asarray(posterior.log_std, np.float64))
    log_ratio = scipy.stats.norm.logpdf(nodes[:, None]) - scipy.stats.norm.logpdf(nodes[:, None], mean, std)
    log_square = 2 * log_likelihood(small.variables.params, nodes[:, None], FLAT) + log_ratio.sum(-1)
    relative = logsumexp(np.log(weights)[:, None] + log_square, axis=0) - 2 * small.log_evidence
    error = np.sqrt(np.expm1(relative) / k)
    assert error.max() < 0.05

    estimate = small.model.methods["importance_weighted"]
    found = jax.jit(lambda x: estimate(small.variables, KEY, x, num_samples=k, chunk=100))(X)
    found = np.asarray(found, np.float64)
    assert (np.abs(found - small.log_evidence) < 4.5 * error).all()
    np.testing.assert_allclose(np.exp(found).sum(), 1.0, atol=5e-3)

    few = np.mean(np.asarray(jax.jit(lambda x: estimate(small.variables, KEY, x, num_samples=4, chunk=2))(X)))
    bound = exact_elbo(small.variables.params, posterior).mean()
    assert bound + 0.05 < few < found.mean() - 0.02 and abs(found.mean() - small.log_evidence.mean()) < 2e-3


def test_samples_are_distributed_as_the_exact_likelihood(small):
    samples = jax.jit(small.model.sample, static_argnums=2)(small.variables, KEY, 50_000)
    assert samples.shape == (50_000, SIDE, SIDE, 1) and samples.dtype == jnp.float32
    assert set(np.unique(samples)) == {0.0, 1.0}
    counts = np.bincount(np.asarray(samples).reshape(-1, 9).astype(int) @ (2 ** np.arange(8, -1, -1)), minlength=IMAGES)
    expected = 50_000 * np.exp(small.log_evidence)
    rare = expected < 8  # pooled, as the chi-squared approximation asks
    assert 100 < (~rare).sum()
    observed, expected = (np.append(a[~rare], a[rare].sum()) for a in (counts, expected))
    assert scipy.stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-3


@pytest.mark.parametrize("rate", [ae.analytic_rate, ae.sampled_rate], ids=lambda rate: rate.__name__)
def test_gradient_of_the_loss_is_unbiased(small, rate):
    """Its mean over keys is the slope of the exact bound, by differences of the quadrature, in random directions."""
    model, n = build(rate), 4000
    params, batch = small.variables.params, {"x": X[::31]}
    rng = np.random.default_rng(0)

    def loss(params, key):
        return model.updates[0].loss(Variables(params), batch, key, jnp.int32(0))[0]

    def exact_loss(shift, direction):
        moved = jax.tree.map(lambda p, d: p.astype(np.float64) + shift * d, params, direction)
        code = perceptron(moved["encoder"], FLAT[::31])
        return -exact_elbo(moved, ae.Gaussian(code[:, :LATENTS], code[:, LATENTS:]), FLAT[::31]).mean()

    gradients = jax.jit(jax.vmap(jax.grad(loss), (None, 0)))(params, jax.random.split(jax.random.key(1), n))
    for player in ("encoder", "decoder"):
        direction = jax.tree.map(lambda p: np.zeros(p.shape), params)
        direction[player] = jax.tree.map(lambda p: rng.normal(size=p.shape), params[player])
        along = lambda g, d: np.asarray(g, np.float64).reshape(n, -1) @ d.reshape(-1)
        products = jax.tree.map(along, gradients, direction)
        slopes = sum(jax.tree.leaves(products))
        expected = (exact_loss(1e-4, direction) - exact_loss(-1e-4, direction)) / 2e-4
        error = slopes.std() / np.sqrt(n)
        assert abs(slopes.mean() - expected) < 4 * error
        assert error < 0.1 * abs(expected)


def test_loss_is_the_mean_of_its_terms_and_moves_both_players(small):
    update = small.model.updates[0]
    loss, aux = jax.tree.map(np.asarray, jax.jit(update.loss)(small.variables, {"x": X}, KEY, jnp.int32(0)))
    assert update.players == ("encoder", "decoder") and set(aux.metrics) == {"elbo", "rate", "distortion"}
    nodes, weights = quadrature()
    mean, std = small.posterior.mean.astype(np.float64), np.exp(small.posterior.log_std.astype(np.float64))
    z = mean[:, None] + std[:, None] * nodes[None]
    log_ratio = scipy.stats.norm.logpdf(z, mean[:, None], std[:, None]) - scipy.stats.norm.logpdf(z)
    np.testing.assert_allclose(aux.metrics["rate"], (log_ratio.sum(-1) @ weights).mean(), rtol=1e-5)
    np.testing.assert_allclose(aux.metrics["rate"] + aux.metrics["distortion"], loss, rtol=1e-6)
    np.testing.assert_allclose(aux.metrics["elbo"], -loss, rtol=1e-6)


def test_codes_and_pictures_are_those_of_the_networks(small):
    methods, variables = small.model.methods, small.variables
    code = perceptron(variables.params["encoder"], FLAT)
    np.testing.assert_allclose(small.posterior.mean, code[:, :LATENTS], atol=1e-5)
    np.testing.assert_allclose(small.posterior.log_std, code[:, LATENTS:], atol=1e-5)

    picture = lambda z: expit(perceptron(variables.params["decoder"], z)).reshape(*np.shape(z)[:-1], SIDE, SIDE, 1)
    z = np.random.default_rng(0).normal(size=(7, LATENTS)).astype(np.float32)
    np.testing.assert_allclose(jax.jit(methods["decode"])(variables, KEY, z), picture(z), atol=1e-5)

    walk = jax.jit(lambda start, end: methods["interpolate"](variables, KEY, start, end, num=5))(X[:3], X[10:13])
    start, end = code[:3, None, :LATENTS], code[10:13, None, :LATENTS]
    share = np.array([0.0, 0.25, 0.5, 0.75, 1.0])[None, :, None]
    np.testing.assert_allclose(walk, picture(start + share * (end - start)), atol=1e-5)


def test_reconstructions_and_means_average_over_their_codes(small):
    """E[x|z] at z ~ q(z|x), and at z ~ p(z): over many keys, the integrals by quadrature."""
    methods, variables, n = small.model.methods, small.variables, 4000
    keys = jax.random.split(jax.random.key(2), n)
    found = np.asarray(jax.jit(jax.vmap(lambda key: methods["reconstruct"](variables, key, X[:4])))(keys))
    assert found.shape == (n, 4, SIDE, SIDE, 1) and 0 <= np.min(found) and np.max(found) <= 1
    nodes, weights = quadrature()
    code = perceptron(variables.params["encoder"], FLAT[:4])
    z = code[:, None, :LATENTS] + np.exp(code[:, None, LATENTS:]) * nodes[None]
    expected = np.einsum("n,bnd->bd", weights, expit(perceptron(variables.params["decoder"], z)))
    error = np.std(found, 0).reshape(4, 9) / np.sqrt(n)
    assert error.max() < 0.01 and (np.abs(np.mean(found, 0).reshape(4, 9) - expected) < 4.5 * error).all()

    means = np.asarray(jax.jit(methods["sample_mean"], static_argnums=2)(variables, KEY, n)).reshape(n, 9)
    expected = weights @ expit(perceptron(variables.params["decoder"], nodes))
    assert (np.abs(means.mean(0) - expected) < 4.5 * means.std(0) / np.sqrt(n)).all()


def test_per_example_inference_closes_the_gap_that_the_encoder_leaves(small):
    """The fitted q lies between the encoder's and log p(x), and moving any one of its numbers lowers the bound."""
    x, flat, evidence = X[::31], FLAT[::31], small.log_evidence[::31]
    methods, variables = small.model.methods, small.variables
    bound = lambda q: exact_elbo(variables.params, q, flat)
    fit = jax.jit(lambda x: methods["svi"](variables, KEY, x, num_steps=1000, num_particles=32))(x)
    assert fit.elbos.shape == (1000, len(x))
    before, after = bound(jax.tree.map(lambda leaf: leaf[::31], small.posterior)), bound(fit.posterior)
    assert (after - before > 0.2).all() and (after < evidence).all()
    for field, moved, dim in itertools.product(("mean", "log_std"), (-0.2, 0.2), range(LATENTS)):
        values = np.asarray(getattr(fit.posterior, field)).copy()
        values[:, dim] += moved
        assert (bound(fit.posterior._replace(**{field: values})) < after).all()

    fitted = lambda x, q: ae.elbo(methods["fitted_terms"](variables, KEY, x, q, num_samples=20_000))
    np.testing.assert_allclose(jax.jit(fitted)(x, fit.posterior), after, atol=0.05)
    amortized = lambda x: ae.elbo(methods["terms"](variables, KEY, x, num_samples=20_000))
    np.testing.assert_allclose(jax.jit(amortized)(x), before, atol=0.1)


class Normalized(nn.Module):
    """An encoder that keeps statistics."""

    @nn.compact
    def __call__(self, x):
        h = nn.BatchNorm(use_running_average=False)(x.reshape(x.shape[0], -1))
        return h[:, :LATENTS], h[:, LATENTS : 2 * LATENTS]


MLP_ENCODER, MLP_DECODER = ae.MLPEncoder(LATENTS, (4,)), ae.MLPDecoder((SIDE, SIDE, 1), hidden=(4,))


@pytest.mark.parametrize(
    "encoder, decoder, likelihood, message",
    [
        (ae.MLPEncoder(3, (4,)), MLP_DECODER, ae.bernoulli(), r"encoder returned shapes \(2, 3\)"),
        (MLP_ENCODER, ae.MLPDecoder((SIDE, SIDE, 2)), ae.bernoulli(), r"decoder returned shape \(2, 3, 3, 2\)"),
        (MLP_ENCODER, MLP_DECODER, ae.gaussian(), r"this likelihood reads \(2, 3, 3, 2\)"),
        (Normalized(), MLP_DECODER, ae.bernoulli(), r"the encoder keeps collections \['batch_stats'\]"),
        (MLP_ENCODER, ae.ConvDecoder((SIDE, SIDE, 1), widths=(4,)), ae.bernoulli(), "cannot be halved 1 times"),
    ],
)
def test_networks_that_do_not_fit_are_refused(encoder, decoder, likelihood, message):
    model = ae.vae(encoder, decoder, likelihood, latent_dim=LATENTS)
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(model.init, KEY, {"x": X[:2]})


def test_wrong_data_and_conditions_are_refused(small):
    with jax.numpy_dtype_promotion("standard"), pytest.raises(ValueError, match="scale or binarize"):
        jax.eval_shape(small.model.log_prob.fn, small.variables, KEY, {"x": X.astype(np.uint8)})
    with pytest.raises(ValueError, match="takes no condition"):
        small.model.sample(small.variables, KEY, 2, condition=np.zeros(2))
    with pytest.raises(ValueError, match="multiple"):
        jax.eval_shape(
            lambda x: small.model.methods["importance_weighted"](small.variables, KEY, x, num_samples=5, chunk=2), X[:2]
        )
    unscaled = jax.jit(small.model.log_prob.fn)(small.variables, KEY, {"x": 16 * X[1:2]})
    assert np.isneginf(unscaled).all()  # values cannot be refused under jit


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 3)])
def test_convolutions_halve_and_double_the_side(shape):
    likelihood = ae.discretized_logistic(17)
    encoder = ae.ConvEncoder(5, (3, 4))
    decoder = ae.ConvDecoder(shape, likelihood.outputs_per_entry, (4, 3))
    model = ae.vae(encoder, decoder, likelihood, latent_dim=5)
    batch = {"x": np.zeros((2, *shape), np.float32)}
    variables = jax.eval_shape(model.init, KEY, batch)
    kernels = lambda player: {n: p["kernel"].shape for n, p in variables.params[player].items()}
    side, channels = shape[0], shape[-1]
    codes = (side // 4) ** 2 * 4
    assert kernels("encoder") == {"Conv_0": (3, 3, channels, 3), "Conv_1": (3, 3, 3, 4), "Dense_0": (codes, 10)}
    assert kernels("decoder") == {
        "Dense_0": (5, codes),
        "ConvTranspose_0": (4, 4, 4, 4),
        "ConvTranspose_1": (4, 4, 4, 3),
        "Conv_0": (3, 3, 3, 2 * channels),
    }
    assert jax.eval_shape(model.log_prob.fn, variables, KEY, batch).shape == (2,)
    assert jax.eval_shape(lambda v: model.sample(v, KEY, 3), variables).shape == (3, *shape)


class FreeScaleEncoder(nn.Module):
    """q(z|x) = N(W x + b, diag(exp(2 l))), l the same for all x: what a linear-Gaussian posterior needs."""

    @nn.compact
    def __call__(self, x):
        log_std = self.param("log_std", nn.initializers.zeros, (LATENTS,))
        mean = nn.Dense(LATENTS)(x)
        return mean, jnp.broadcast_to(log_std[None], mean.shape)


def test_linear_vae_learns_the_maximum_likelihood_of_probabilistic_pca():
    """The bound reaches it; eigenvalues of the covariance give it in closed form (Tipping & Bishop 1999, eq. 8)."""
    rng, dims, n = np.random.default_rng(0), 6, 500
    x = rng.normal(size=(n, 3)) @ rng.normal(size=(3, dims)) + 0.5 * rng.normal(size=(n, dims)) + 1.0
    eigenvalues = np.sort(np.linalg.eigvalsh(np.cov(x.T, bias=True)))[::-1]
    noise = eigenvalues[LATENTS:].mean()
    log_det = np.log(eigenvalues[:LATENTS]).sum() + (dims - LATENTS) * np.log(noise)
    best = -0.5 * (dims * np.log(2 * np.pi) + log_det + dims)

    model = ae.vae(FreeScaleEncoder(), ae.SharedScale(nn.Dense(dims)), ae.gaussian(), latent_dim=LATENTS)
    batch = {"x": x.astype(np.float32)}
    optimizer = optax.adam(optax.cosine_decay_schedule(0.02, 3000))

    @jax.jit
    def train(variables):
        def step(carry, key):
            params, optimizer_state = carry
            loss = lambda params: model.updates[0].loss(Variables(params), batch, key, jnp.int32(0))[0]
            with jax.numpy_dtype_promotion("standard"):  # optax mixes int32 counts with floats
                moves, optimizer_state = optimizer.update(jax.grad(loss)(params), optimizer_state)
            return (optax.apply_updates(params, moves), optimizer_state), None

        start = (variables.params, optimizer.init(variables.params))
        (params, _), _ = jax.lax.scan(step, start, jax.random.split(KEY, 3000))
        trained = Variables(params)
        return trained, jnp.mean(ae.elbo(model.methods["terms"](trained, KEY, batch["x"], num_samples=1000)))

    trained, bound = train(jax.jit(model.init)(KEY, batch))
    np.testing.assert_allclose(bound, best, atol=0.02)
    scale = np.exp(2 * float(trained.params["decoder"]["log_scale"]))
    np.testing.assert_allclose(scale, noise, rtol=0.05)
