"""Both gradients of the importance-weighted bound, integrated over their noise, against the bound's derivative."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from genjax import autoencoders as ae

# One code, one pixel: x | z ~ N(w z + b, s^2); q = N(m, exp(2 l)), off the posterior.
WEIGHT, BIAS, STD, X = 1.3, 0.2, 0.7, 1.1
MEAN, LOG_STD = 0.9, -0.4
NODES = np.linspace(-7.0, 7.0, 141)
PAIR = np.stack(np.meshgrid(NODES, NODES, indexing="ij")).reshape(2, -1)  # noise of k = 2, as a batch
DENSITY = scipy.stats.norm.pdf(PAIR).prod(0)
DENSITY = DENSITY / DENSITY.sum()


def exact_bound(mean, log_std, weight):
    """Integrate L_2 by the trapezoidal rule, NumPy in float64."""
    z = mean + np.exp(log_std) * PAIR
    log_w = scipy.stats.norm.logpdf(X, weight * z + BIAS, STD) + scipy.stats.norm.logpdf(z)
    log_w = log_w - scipy.stats.norm.logpdf(z, mean, np.exp(log_std))
    return float(DENSITY @ (np.logaddexp(*log_w) - np.log(2.0)))


def exact_gradient(step=1e-5):
    point = np.array([MEAN, LOG_STD, WEIGHT])
    return [(exact_bound(*(point + h)) - exact_bound(*(point - h))) / (2 * step) for h in step * np.eye(3)]


def single_gradients(bound, mean=MEAN, log_std=LOG_STD, weight=WEIGHT, noise=PAIR):
    """Return d bound / d (mean, log_std, weight) at each noise, [3, N]; noise is [k, N]."""
    return np.asarray(gradients_of(bound)(np.float32([mean, log_std, weight]), noise.astype(np.float32)))


@functools.cache
def gradients_of(bound):
    def at(parameters, noise):
        posterior = ae.Gaussian(parameters[0].reshape(1, 1), parameters[1].reshape(1, 1))
        log_likelihood = lambda z: ae.gaussian_log_likelihood(
            jnp.full((1, 1), X), parameters[2] * z + BIAS, log_std=float(np.log(STD))
        )
        return bound(noise[:, None, None], posterior, log_likelihood)[0]

    return jax.jit(jax.vmap(jax.grad(at), in_axes=(None, 1), out_axes=1))


@pytest.mark.parametrize("bound", [ae.reparameterized_bound, ae.doubly_reparameterized_bound])
def test_expected_gradient_is_the_bounds_derivative(bound):
    ours = single_gradients(bound) @ DENSITY
    exact = exact_gradient()
    assert np.abs(exact).min() > 0.02
    np.testing.assert_allclose(ours, exact, rtol=2e-4, atol=2e-5)


def test_value_is_the_integrated_bound():
    posterior = ae.Gaussian(*(np.full((PAIR.shape[1], 1), value, np.float32) for value in (MEAN, LOG_STD)))
    log_likelihood = lambda z: ae.gaussian_log_likelihood(
        jnp.full_like(z, X), WEIGHT * z + BIAS, log_std=float(np.log(STD))
    )
    values = [
        jax.jit(lambda noise, bound=bound: bound(noise, posterior, log_likelihood))(PAIR[..., None].astype(np.float32))
        for bound in (ae.reparameterized_bound, ae.doubly_reparameterized_bound)
    ]
    np.testing.assert_array_equal(*values)
    np.testing.assert_allclose(
        np.asarray(values[0], np.float64) @ DENSITY, exact_bound(MEAN, LOG_STD, WEIGHT), rtol=1e-5
    )


def test_encoders_gradient_has_no_noise_at_the_posterior():
    """There every weight is p(x), whatever z: the plain gradient keeps the score of q, the other vanishes."""
    precision = 1.0 + WEIGHT**2 / STD**2
    at_posterior = dict(mean=WEIGHT * (X - BIAS) / STD**2 / precision, log_std=-0.5 * np.log(precision))
    noise = np.random.default_rng(0).normal(size=(5, 200))
    doubly = single_gradients(ae.doubly_reparameterized_bound, noise=noise, **at_posterior)
    plain = single_gradients(ae.reparameterized_bound, noise=noise, **at_posterior)
    np.testing.assert_allclose(doubly[:2], 0.0, atol=1e-5)
    assert plain[:2].std(axis=1).min() > 0.1
    np.testing.assert_allclose(doubly[2], plain[2], rtol=1e-4, atol=1e-5)  # the decoder's is the same


def test_variance_falls_off_the_posterior_too():
    noise = np.random.default_rng(0).normal(size=(16, 2000))
    spread = [
        single_gradients(b, noise=noise)[:2].std(axis=1)
        for b in (ae.doubly_reparameterized_bound, ae.reparameterized_bound)
    ]
    assert (spread[0] < 0.8 * spread[1]).all()


def test_models_bound_is_the_elbo_for_one_sample_and_rises_with_k():
    encoder, decoder = ae.MLPEncoder(2, (6,)), ae.MLPDecoder((3,), hidden=(6,))
    build = lambda k: ae.iwae(encoder, decoder, ae.bernoulli(), latent_dim=2, num_samples=k)
    x = np.float32([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    variables = jax.jit(build(1).init)(jax.random.key(0), {"x": x})
    big = jax.tree.map(lambda leaf: 3 * np.asarray(leaf), variables.params)
    variables = variables._replace(params=big)
    keys = jax.random.split(jax.random.key(1), 3000)

    def bounds(k):
        return jax.jit(jax.vmap(lambda key: build(k).log_prob.fn(variables, key, {"x": x})))(keys)

    values = [np.asarray(bounds(k)) for k in (1, 4, 16)]
    means, errors = (
        np.stack([f(v) for v in values]) for f in (lambda v: v.mean(0), lambda v: v.std(0) / np.sqrt(3000))
    )
    assert (np.diff(means, axis=0) > 2 * (errors[1:] + errors[:-1])).all()
    elbo = jax.jit(lambda key: ae.elbo(build(1).methods["terms"](variables, key, x, num_samples=20_000)))
    assert (np.abs(means[0] - np.asarray(elbo(jax.random.key(2)))) < 4 * errors[0] + 0.02).all()
    loss, aux = jax.jit(build(4).updates[0].loss)(variables, {"x": x}, keys[0], jnp.int32(0))
    np.testing.assert_allclose(-float(loss), values[1][0].mean(), rtol=1e-5)
    np.testing.assert_allclose(aux.metrics["bound"], -float(loss))


def test_wrong_shapes_are_refused():
    posterior = ae.Gaussian(*np.zeros((2, 3, 2)))
    for bound in (ae.reparameterized_bound, ae.doubly_reparameterized_bound):
        with pytest.raises(ValueError, match=r"\[k, B, Z\]"):
            bound(np.zeros((3, 2)), posterior, lambda z: z[:, 0])
