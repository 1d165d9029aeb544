"""The affine autoencoder against principal components, and the Gaussian that is kept of the codes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.linalg

from genjax import autoencoders as ae
from genjax.contract import Variables

DIMS, LATENTS, EXAMPLES = 6, 2, 64


def train(model, variables, x, *, steps, rate):
    """Descend the model's loss on one batch by Adam, as one scan."""
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, steps))

    def step(carry, key):
        variables, state = carry

        def objective(params):
            return model.updates[0].loss(variables._replace(params=params), {"x": x}, key, jnp.int32(0))

        grads, aux = jax.grad(objective, has_aux=True)(variables.params)
        with jax.numpy_dtype_promotion("standard"):
            moves, state = optimizer.update(grads, state)
        return (Variables(optax.apply_updates(variables.params, moves), aux.state), state), aux.metrics

    @jax.jit
    def run(variables):
        start = variables, optimizer.init(variables.params)
        return jax.lax.scan(step, start, jax.random.split(jax.random.key(1), steps))

    (variables, _), metrics = run(variables)
    return variables, jax.tree.map(np.asarray, metrics)


def affine():
    encoder, decoder = ae.MLPCoder(LATENTS, ()), ae.MLPDecoder((DIMS,), hidden=())
    return ae.autoencoder(encoder, decoder, ae.fixed_gaussian(1.0), latent_dim=LATENTS)


@pytest.fixture(scope="module")
def trained():
    random = np.random.default_rng(0)
    rotation = np.linalg.qr(random.normal(size=(DIMS, DIMS)))[0]
    x = random.normal(size=(EXAMPLES, DIMS)) * [3.0, 2.0, 0.5, 0.4, 0.3, 0.2] @ rotation + random.normal(size=DIMS)
    x = x.astype(np.float32)
    model = affine()
    variables, metrics = train(model, jax.jit(model.init)(jax.random.key(0), {"x": x}), x, steps=3000, rate=0.05)
    return model, variables, metrics, x


def test_affine_decoder_spans_the_principal_components(trained):
    _, variables, _, x = trained
    directions = np.asarray(variables.params["decoder"]["MLP_0"]["Dense_0"]["kernel"])
    components = np.linalg.svd(x - x.mean(0))[2][:LATENTS]
    angles = scipy.linalg.subspace_angles(directions.T, components.T)
    assert angles.max() < 1e-3


def test_affine_distortion_is_what_the_components_leave(trained):
    _, _, metrics, x = trained
    left = (np.linalg.svd(x - x.mean(0))[1][LATENTS:] ** 2).sum() / len(x)
    expected = 0.5 * left + 0.5 * DIMS * np.log(2 * np.pi)
    np.testing.assert_allclose(metrics["distortion"][-1], expected, rtol=1e-5)


def test_codes_are_drawn_with_their_mean_and_covariance(trained):
    model, variables, _, x = trained
    codes = np.asarray(jax.jit(lambda x: model.methods["encode"](variables, None, x))(x))
    # 3000 steps at 0.99: what the average remembers are the last few hundred, when the weights had come to rest.
    mean, covariance = jax.tree.map(np.asarray, jax.jit(ae.code_gaussian)(variables.state["codes"]))
    np.testing.assert_allclose(mean, np.mean(codes, 0), atol=0.02 * np.std(codes))
    np.testing.assert_allclose(covariance, np.cov(codes.T, bias=True), rtol=0.02, atol=0.02 * np.var(codes))

    @jax.jit
    def draw(key):
        drawn = ae.draw_codes(key, variables.state["codes"], 20_000)
        return drawn, model.sample(variables, key, 20_000), model.methods["decode"](variables, None, drawn)

    drawn, pictures, decoded = jax.tree.map(np.asarray, draw(jax.random.key(2)))
    error = np.std(drawn, axis=0) / np.sqrt(20_000)
    assert (np.abs(np.mean(drawn, 0) - mean) < 4 * error).all()
    np.testing.assert_allclose(np.cov(drawn.T), covariance, rtol=0.05, atol=0.05 * np.max(covariance))
    np.testing.assert_array_equal(pictures, decoded)


def test_moments_of_halves_average_to_those_of_the_whole():
    codes = np.random.default_rng(0).normal(1.0, 2.0, (8, 3)).astype(np.float32)
    moments = jax.jit(lambda codes: ae.add_moments(ae.no_moments(3), codes))
    whole, *halves = (jax.tree.map(np.asarray, moments(part)) for part in (codes, codes[:4], codes[4:]))
    jax.tree.map(lambda a, b, c: np.testing.assert_allclose(a, 0.5 * (b + c), rtol=1e-6), whole, *halves)
    mean, covariance = jax.jit(ae.code_gaussian)(whole)  # one batch is remembered without bias
    np.testing.assert_allclose(mean, np.mean(codes, 0), rtol=1e-5)
    np.testing.assert_allclose(covariance, np.cov(codes.T, bias=True), rtol=1e-4)


def test_interpolation_ends_at_the_reconstructions(trained):
    model, variables, _, x = trained
    interpolate = jax.jit(lambda start, end: model.methods["interpolate"](variables, None, start, end, num=5))
    between = np.asarray(interpolate(x[:3], x[3:6]))
    rebuilt = np.asarray(jax.jit(lambda x: model.methods["reconstruct"](variables, None, x))(x[:6]))
    np.testing.assert_allclose(between[:, 0], rebuilt[:3], rtol=1e-5)
    np.testing.assert_allclose(between[:, -1], rebuilt[3:], rtol=1e-5)


def test_networks_that_do_not_fit_are_refused():
    wrong = ae.autoencoder(ae.MLPCoder(3, ()), ae.MLPDecoder((DIMS,), hidden=()), ae.bernoulli(), latent_dim=LATENTS)
    with pytest.raises(ValueError, match="codes have"):
        jax.eval_shape(wrong.init, jax.random.key(0), {"x": np.zeros((4, DIMS), np.float32)})
    with pytest.raises(ValueError, match="takes no condition"):
        affine().sample(Variables({}), jax.random.key(0), 1, condition=np.zeros(1))


def test_convolutional_networks_fit():
    encoder, decoder = ae.ConvCoder(3, (4, 4)), ae.ConvDecoder((8, 8, 1), widths=(4, 4))
    model = ae.autoencoder(encoder, decoder, ae.bernoulli(), latent_dim=3)
    shapes = jax.eval_shape(model.init, jax.random.key(0), {"x": np.zeros((2, 8, 8, 1), np.float32)})
    sampled = jax.eval_shape(lambda v: model.sample(v, jax.random.key(0), 5), shapes)
    assert sampled.shape == (5, 8, 8, 1)
