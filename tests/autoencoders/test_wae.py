"""WAE: MMD against closed forms for Gaussians, the objective by hand, and who moves."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from sklearn.metrics import pairwise

from genjax import adversarial
from genjax import autoencoders as ae
from genjax.classical import divergences

KEY = jax.random.key(0)
X = np.random.default_rng(1).normal(size=(6, 2, 2, 1)).astype(np.float32)


def rbf_mean(mean_p, cov_p, mean_q, cov_q, squared_bandwidth):
    """E exp(-|x - y|^2 / (2 b)) for x ~ N(mean_p, cov_p), y ~ N(mean_q, cov_q): a Gaussian integral."""
    total = cov_p + cov_q + squared_bandwidth * np.eye(len(mean_p))
    delta = mean_p - mean_q
    factor = np.sqrt(squared_bandwidth ** len(mean_p) / np.linalg.det(total))
    return factor * np.exp(-0.5 * delta @ np.linalg.solve(total, delta))


def imq_mean(mean_p, cov_p, mean_q, cov_q, scale):
    """E C / (C + r^2) = int_0^inf e^-t E exp(-t r^2 / C) dt."""
    integrand = lambda t: np.exp(-t) * rbf_mean(mean_p, cov_p, mean_q, cov_q, scale / (2 * t))
    return scipy.integrate.quad(integrand, 0, np.inf)[0]


P = np.array([0.5, -0.3]), np.array([[1.0, 0.3], [0.3, 0.5]])
Q = np.zeros(2), np.eye(2)


@pytest.mark.parametrize("name", ["rbf", "imq"])
def test_the_estimate_is_unbiased_for_gaussians(name):
    """The mean of many estimates on few points, within five standard errors of the closed form."""
    if name == "rbf":
        kernel, mean = divergences.rbf_kernel(bandwidth=1.3), lambda *four: rbf_mean(*four, 1.3**2)
    else:
        kernel = ae.imq_kernels(2, divergences.imq_kernel, scales=(0.2, 2.0))
        mean = lambda *four: 0.5 * (imq_mean(*four, 0.8) + imq_mean(*four, 8.0))
    expected = mean(*P, *P) + mean(*Q, *Q) - 2 * mean(*P, *Q)

    @jax.jit
    @jax.vmap
    def estimate(key):
        key_x, key_y = jax.random.split(key)
        root = np.linalg.cholesky(P[1]).astype(np.float32)
        x = P[0].astype(np.float32)[None] + jax.random.normal(key_x, (7, 2)) @ root.T
        return divergences.mmd_squared(x, jax.random.normal(key_y, (5, 2)), kernel)

    values = np.asarray(estimate(jax.random.split(KEY, 20_000)), np.float64)
    error = values.std() / np.sqrt(len(values))
    assert error < 0.05 * expected
    assert abs(values.mean() - expected) < 5 * error


def test_several_scales_are_the_mean_of_sklearns_kernels():
    x, y = np.random.default_rng(0).normal(size=(2, 4, 3))
    kernel = ae.imq_kernels(3, divergences.imq_kernel, std=0.5, scales=(1.0, 4.0))
    squared = pairwise.euclidean_distances(x, y, squared=True)
    wanted = 0.5 * (1.5 / (1.5 + squared) + 6.0 / (6.0 + squared))
    np.testing.assert_allclose(jax.jit(kernel)(x.astype(np.float32), y.astype(np.float32)), wanted, rtol=1e-5)


NETWORKS = ae.MLPCoder(2, ()), ae.MLPDecoder((2, 2, 1), 1, ())


def distortion_by_hand(params, x):
    dense = lambda name: [np.asarray(params[name]["MLP_0"]["Dense_0"][leaf], np.float64) for leaf in ("kernel", "bias")]
    (w, b), (v, c) = dense("encoder"), dense("decoder")
    codes = x.reshape(len(x), -1) @ w + b
    squares = ((x.reshape(len(x), -1) - codes @ v - c) ** 2).sum(axis=1)
    return codes, squares + 2 * np.log(np.pi)  # a Gaussian of variance 1 / 2 in four dimensions


def test_mmd_objective_is_the_papers():
    """With a discrepancy that can be done by hand: the squared distance of the means."""
    apart = lambda z, drawn: jnp.sum((jnp.mean(z, 0) - jnp.mean(drawn, 0)) ** 2)
    prior = lambda key, shape: jnp.full(shape, 2.0)
    model = ae.wae_mmd(
        *NETWORKS, ae.fixed_gaussian(0.5**0.5), latent_dim=2, prior=prior, discrepancy=apart, weight=3.0
    )
    variables = jax.jit(model.init)(KEY, {"x": X})
    codes, distortion = distortion_by_hand(variables.params, X)
    loss, _ = jax.jit(model.updates[0].loss)(variables, {"x": X}, KEY, jnp.int32(0))
    wanted = distortion.mean() + 3.0 * np.sum((codes.mean(axis=0) - 2.0) ** 2)
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(model.methods["encode"])(variables, KEY, X), codes, rtol=1e-4, atol=1e-5)


class Known(nn.Module):
    """A discriminator whose score is w times the first coordinate."""

    @nn.compact
    def __call__(self, z, *, train):
        return z[:, 0] * self.param("w", nn.initializers.constant(0.7), ())


def test_gan_objectives_are_the_papers_and_move_their_players():
    prior = lambda key, shape: jnp.full(shape, 0.4)
    model = ae.wae_gan(
        *NETWORKS,
        Known(),
        ae.fixed_gaussian(0.5**0.5),
        latent_dim=2,
        prior=prior,
        discriminator_loss=adversarial.gan_discriminator_loss,
        encoder_loss=adversarial.non_saturating_generator_loss,
        weight=3.0,
    )
    variables = jax.jit(model.init)(KEY, {"x": X})
    codes, distortion = distortion_by_hand(variables.params, X)
    real, fake = scipy.stats.logistic.cdf(0.7 * 0.4), scipy.stats.logistic.cdf(0.7 * codes[:, 0])
    (told, wae), batch = model.updates, {"x": X}
    loss, _ = jax.jit(told.loss)(variables, batch, KEY, jnp.int32(0))
    np.testing.assert_allclose(loss, -np.log(real) - np.mean(np.log(1 - fake)), rtol=1e-5)
    loss, _ = jax.jit(wae.loss)(variables, batch, KEY, jnp.int32(0))
    np.testing.assert_allclose(loss, np.mean(distortion - 3.0 * np.log(fake)), rtol=1e-5)
    assert told.players == ("discriminator",) and wae.players == ("encoder", "decoder")


def test_a_matched_code_is_what_the_penalty_wants():
    """Codes that are a scaled and moved Gaussian are brought to N(0, I) by the discrepancy alone."""
    kernel = ae.imq_kernels(2, divergences.imq_kernel)
    raw = np.random.default_rng(0).normal(2.0, 0.3, (2000, 2)).astype(np.float32)

    def step(params, key):
        key_x, key_z = jax.random.split(key)
        x = jnp.asarray(raw)[jax.random.randint(key_x, (128,), 0, 2000)]
        codes = lambda p: (x - p[1][None]) * jnp.exp(p[0])[None]
        loss = lambda p: divergences.mmd_squared(codes(p), jax.random.normal(key_z, (128, 2)), kernel)
        moved = jax.tree.map(lambda p, g: p - 0.3 * g, params, jax.grad(loss)(params))
        return moved, moved

    start = (jnp.zeros(2), jnp.zeros(2))
    _, path = jax.jit(lambda: jax.lax.scan(step, start, jax.random.split(KEY, 600)))()
    scale, shift = (np.asarray(values)[300:].mean(axis=0) for values in path)  # steps of one size never come to rest
    codes = (raw - shift) * np.exp(scale)
    np.testing.assert_allclose(codes.mean(axis=0), 0.0, atol=0.05)
    np.testing.assert_allclose(codes.std(axis=0), 1.0, atol=0.1)
