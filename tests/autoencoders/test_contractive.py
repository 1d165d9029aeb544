"""The contraction against finite differences and its closed form; tangents of a known surface and of the plane."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from genjax import autoencoders as ae

SHAPE, LATENTS = (2, 3, 1), 4


@pytest.fixture(scope="module")
def layer():
    coder = ae.tied_sigmoid_coder(SHAPE, latent_dim=LATENTS)
    params = jax.jit(coder.init)(jax.random.key(0), {"x": np.zeros((3, *SHAPE), np.float32)})
    params["encoder"]["bias"] = np.float32([0.3, -1.0, 0.0, 2.0])
    return coder, params, np.random.default_rng(1).normal(size=(3, *SHAPE)).astype(np.float32)


def test_three_ways_to_the_same_norm(layer):
    coder, params, x = layer
    encode = lambda x: coder.encode(params, x)
    closed = jax.jit(lambda x: ae.sigmoid_layer_penalty(encode(x), params["encoder"]["kernel"]))(x)
    np.testing.assert_allclose(closed, jax.jit(lambda x: ae.jacobian_penalty(encode, x))(x), rtol=1e-5)
    # NumPy in float64, by central differences.
    kernel, bias = (np.asarray(params["encoder"][name], np.float64) for name in ("kernel", "bias"))
    logistic = lambda x: 1.0 / (1.0 + np.exp(-(x @ kernel + bias)))
    flat, step = x.astype(np.float64).reshape(3, -1), 1e-6
    columns = [(logistic(flat + h) - logistic(flat - h)) / (2 * step) for h in step * np.eye(6)]
    np.testing.assert_allclose(closed, (np.stack(columns) ** 2).sum((0, 2)), rtol=1e-5)


def test_loss_is_distortion_and_weighted_penalty(layer):
    coder, params, x = layer
    x = (x > 0).astype(np.float32)
    settings = dict(latent_dim=LATENTS, weight=0.7)
    results = []
    for penalty in (None, ae.tied_sigmoid_penalty):
        model = ae.contractive_autoencoder(coder, ae.bernoulli(), penalty=penalty, **settings)
        variables = jax.jit(model.init)(jax.random.key(0), {"x": x})._replace(params=params)
        loss, aux = jax.jit(model.updates[0].loss)(variables, {"x": x}, jax.random.key(0), jnp.int32(0))
        kernel, flat = np.asarray(params["encoder"]["kernel"], np.float64), x.reshape(3, -1)
        h = 1.0 / (1.0 + np.exp(-(flat @ kernel + params["encoder"]["bias"])))
        p = 1.0 / (1.0 + np.exp(-(h @ kernel.T)))
        nats = -(flat * np.log(p) + (1 - flat) * np.log1p(-p)).sum(1).mean()
        np.testing.assert_allclose(aux.metrics["distortion"], nats, rtol=1e-5)
        results.append(float(loss))
    np.testing.assert_allclose(results[0], results[1], rtol=1e-6)
    penalty = jax.jit(lambda x: ae.sigmoid_layer_penalty(coder.encode(params, x), params["encoder"]["kernel"]))(x)
    np.testing.assert_allclose(results[1], nats + 0.7 * np.asarray(penalty).mean(), rtol=1e-5)


def test_tangents_of_an_encoder_that_sees_a_plane_only():
    random = np.random.default_rng(0)
    plane = np.linalg.qr(random.normal(size=(6, 2)))[0]
    weights = (plane @ random.normal(size=(2, 3))).astype(np.float32)
    x = random.normal(size=(4, 6)).astype(np.float32)
    tangents = jax.jit(lambda x: ae.code_tangents(lambda x: jnp.tanh(x @ weights), x, 3))(x)
    tangents = jax.tree.map(np.asarray, tangents)
    for vectors, scales in zip(tangents.vectors, tangents.scales):
        assert scipy.linalg.subspace_angles(vectors[:2].T, plane).max() < 1e-3
        assert scales[2] < 1e-5 < scales[1] <= scales[0]
    captured_share = jax.jit(ae.captured_share)
    inside = (random.normal(size=(4, 2)) @ plane.T).astype(np.float32)
    np.testing.assert_allclose(captured_share(inside, tangents.vectors[:, :2]), 1.0, atol=1e-5)
    outside = (x - x @ plane @ plane.T).astype(np.float32)
    np.testing.assert_allclose(captured_share(outside, tangents.vectors[:, :2]), 0.0, atol=1e-5)


def test_geometric_tangents_of_a_quadratic_are_exact_inside():
    """Central differences make no error on I = 2 + x - 3 y + x^2 / 2 + x y - y^2, smoothed or not."""
    y, x = (coordinate.astype(np.float64) for coordinate in np.mgrid[-6:7, -6:7])
    picture = 2 + x - 3 * y + 0.5 * x**2 + x * y - y**2
    right, down = 1 + x + y, -3 + x - 2 * y
    expected = np.stack(
        [right, down, x * right + y * down, y * right - x * down, x * right - y * down, y * right + x * down]
    )
    inside = slice(5, -5)
    for smoothing in (0.0, 0.8):
        tangents = jax.jit(lambda x, smoothing=smoothing: ae.image_tangents(x, smoothing=smoothing))
        ours = np.asarray(tangents(picture[None, ..., None].astype(np.float32)))[0, ..., 0]
        np.testing.assert_allclose(ours[:6, inside, inside], expected[:, inside, inside], atol=2e-4)
        np.testing.assert_allclose(ours[6, inside, inside], (right**2 + down**2)[inside, inside], rtol=1e-3)


def test_moving_a_picture_is_moving_along_its_tangents():
    """A wide bump off the middle, turned and shifted by its formula."""
    y, x = np.mgrid[-10:11, -10:11].astype(np.float64)
    bump = lambda x, y: np.exp(-((x - 2) ** 2 + 2 * (y + 1) ** 2) / 120)
    picture = bump(x, y)[None, ..., None].astype(np.float32)
    angle = 0.2
    turned = bump(np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x)
    inside = slice(4, -4)
    ours = np.asarray(jax.jit(lambda x: ae.move_images(x, angle=angle))(picture))[0, ..., 0]
    assert np.abs(turned - bump(x, y)).max() > 0.05
    # Bilinear interpolation errs by an eighth of the curvatures, (2 + 4) / 120 where they are largest.
    np.testing.assert_allclose(ours[inside, inside], turned[inside, inside], atol=6 / 120 / 8)
    shifted = np.asarray(jax.jit(lambda x: ae.move_images(x, shift=(0.0, 1.0)))(picture))[0, ..., 0]
    np.testing.assert_allclose(shifted[:, 1:], picture[0, :, :-1, 0], atol=1e-6)
    step = 1e-3
    slope = (bump(np.cos(step) * x + np.sin(step) * y, np.cos(step) * y - np.sin(step) * x) - bump(x, y)) / step
    tangent = np.asarray(jax.jit(lambda x: ae.image_tangents(x, smoothing=0.0))(picture))[0, 3, ..., 0]
    np.testing.assert_allclose(tangent[inside, inside], slope[inside, inside], atol=0.01)


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\[B, Z\]"):
        ae.sigmoid_layer_penalty(np.zeros(3), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="event axis"):
        ae.jacobian_penalty(lambda x: x, np.zeros(3))
    with pytest.raises(ValueError, match="of pictures"):
        ae.image_tangents(np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"\[B, K, D\]"):
        ae.captured_share(np.zeros((3, 4)), np.zeros((3, 4)))
