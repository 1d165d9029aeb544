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
    params = coder.init(jax.random.key(0), {"x": jnp.zeros((3, *SHAPE))})
    params["encoder"]["bias"] = jnp.asarray([0.3, -1.0, 0.0, 2.0])
    return coder, params, jax.random.normal(jax.random.key(1), (3, *SHAPE))


def test_three_ways_to_the_same_norm(layer):
    coder, params, x = layer
    encode = lambda x: coder.encode(params, x)
    closed = ae.sigmoid_layer_penalty(encode(x), params["encoder"]["kernel"])
    np.testing.assert_allclose(closed, ae.jacobian_penalty(encode, x), rtol=1e-5)
    # NumPy in float64, by central differences.
    kernel, bias = (np.asarray(params["encoder"][name], np.float64) for name in ("kernel", "bias"))
    logistic = lambda x: 1.0 / (1.0 + np.exp(-(x @ kernel + bias)))
    flat, step = np.asarray(x, np.float64).reshape(3, -1), 1e-6
    columns = [(logistic(flat + h) - logistic(flat - h)) / (2 * step) for h in step * np.eye(6)]
    np.testing.assert_allclose(closed, (np.stack(columns) ** 2).sum((0, 2)), rtol=1e-5)


def test_loss_is_distortion_and_weighted_penalty(layer):
    coder, params, x = layer
    x = (x > 0).astype(jnp.float32)
    settings = dict(latent_dim=LATENTS, weight=0.7)
    results = []
    for penalty in (None, ae.tied_sigmoid_penalty):
        model = ae.contractive_autoencoder(coder, ae.bernoulli(), penalty=penalty, **settings)
        variables = model.init(jax.random.key(0), {"x": x})._replace(params=params)
        loss, aux = model.updates[0].loss(variables, {"x": x}, jax.random.key(0), jnp.int32(0))
        kernel = np.asarray(params["encoder"]["kernel"], np.float64)
        h = 1.0 / (1.0 + np.exp(-(np.asarray(x).reshape(3, -1) @ kernel + np.asarray(params["encoder"]["bias"]))))
        p = 1.0 / (1.0 + np.exp(-(h @ kernel.T)))
        flat = np.asarray(x).reshape(3, -1)
        nats = -(flat * np.log(p) + (1 - flat) * np.log1p(-p)).sum(1).mean()
        np.testing.assert_allclose(aux.metrics["distortion"], nats, rtol=1e-5)
        results.append(float(loss))
    np.testing.assert_allclose(results[0], results[1], rtol=1e-6)
    contraction = 0.7 * float(jnp.mean(ae.sigmoid_layer_penalty(coder.encode(params, x), params["encoder"]["kernel"])))
    np.testing.assert_allclose(results[1], nats + contraction, rtol=1e-5)


def test_tangents_of_an_encoder_that_sees_a_plane_only():
    random = np.random.default_rng(0)
    plane = np.linalg.qr(random.normal(size=(6, 2)))[0]
    weights = jnp.asarray(plane @ random.normal(size=(2, 3)), jnp.float32)
    x = jnp.asarray(random.normal(size=(4, 6)), jnp.float32)
    tangents = ae.code_tangents(lambda x: jnp.tanh(x @ weights), x, 3)
    for vectors, scales in zip(tangents.vectors, tangents.scales):
        assert scipy.linalg.subspace_angles(np.asarray(vectors[:2]).T, plane).max() < 1e-3
        assert scales[2] < 1e-5 < scales[1] <= scales[0]
    inside = jnp.asarray((random.normal(size=(4, 2)) @ plane.T), jnp.float32)
    np.testing.assert_allclose(ae.captured_share(inside, tangents.vectors[:, :2]), 1.0, atol=1e-5)
    outside = x - x @ plane @ plane.T
    np.testing.assert_allclose(ae.captured_share(outside.astype(jnp.float32), tangents.vectors[:, :2]), 0.0, atol=1e-5)


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
        ours = ae.image_tangents(jnp.asarray(picture, jnp.float32)[None, ..., None], smoothing=smoothing)[0, ..., 0]
        np.testing.assert_allclose(ours[:6, inside, inside], expected[:, inside, inside], atol=2e-4)
        np.testing.assert_allclose(ours[6, inside, inside], (right**2 + down**2)[inside, inside], rtol=1e-3)


def test_moving_a_picture_is_moving_along_its_tangents():
    """A wide bump off the middle, turned and shifted by its formula."""
    y, x = np.mgrid[-10:11, -10:11].astype(np.float64)
    bump = lambda x, y: np.exp(-((x - 2) ** 2 + 2 * (y + 1) ** 2) / 120)
    picture = jnp.asarray(bump(x, y), jnp.float32)[None, ..., None]
    angle = 0.2
    turned = bump(np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x)
    inside = slice(4, -4)
    ours = np.asarray(ae.move_images(picture, angle=angle))[0, ..., 0]
    assert np.abs(turned - bump(x, y)).max() > 0.05
    # Bilinear interpolation errs by an eighth of the curvatures, (2 + 4) / 120 where they are largest.
    np.testing.assert_allclose(ours[inside, inside], turned[inside, inside], atol=6 / 120 / 8)
    shifted = np.asarray(ae.move_images(picture, shift=(0.0, 1.0)))[0, ..., 0]
    np.testing.assert_allclose(shifted[:, 1:], np.asarray(picture)[0, :, :-1, 0], atol=1e-6)
    step = 1e-3
    slope = (bump(np.cos(step) * x + np.sin(step) * y, np.cos(step) * y - np.sin(step) * x) - bump(x, y)) / step
    tangent = np.asarray(ae.image_tangents(picture, smoothing=0.0))[0, 3, ..., 0]
    np.testing.assert_allclose(tangent[inside, inside], slope[inside, inside], atol=0.01)


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\[B, Z\]"):
        ae.sigmoid_layer_penalty(jnp.zeros(3), jnp.zeros((2, 3)))
    with pytest.raises(ValueError, match="event axis"):
        ae.jacobian_penalty(lambda x: x, jnp.zeros(3))
    with pytest.raises(ValueError, match="of pictures"):
        ae.image_tangents(jnp.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"\[B, K, D\]"):
        ae.captured_share(jnp.zeros((3, 4)), jnp.zeros((3, 4)))
