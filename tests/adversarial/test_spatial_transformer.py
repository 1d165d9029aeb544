"""Spatial transformer: affine images against scipy and numpy, what is shown in training and afterwards, gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from genjax.adversarial import SpatialTransformer, affine_warp

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (4, 6, 6, 2)).astype(np.float32)
warp = jax.jit(affine_warp)


def same_for_all(matrix, num=4):
    return np.broadcast_to(np.asarray(matrix, np.float32), (num, 2, 3))


def test_quarter_turns_and_reflections_move_pixels_and_nothing_else():
    for matrix, expected in (
        ([[1, 0, 0], [0, 1, 0]], X),
        ([[0, 1, 0], [-1, 0, 0]], np.rot90(X, axes=(1, 2))),
        ([[0, -1, 0], [1, 0, 0]], np.rot90(X, 3, axes=(1, 2))),
        ([[1, 0, 0], [0, -1, 0]], X[:, :, ::-1]),
        ([[0, 1, 0], [1, 0, 0]], X.swapaxes(1, 2)),
    ):
        np.testing.assert_allclose(warp(X, same_for_all(matrix)), expected, atol=1e-5)


def test_affine_images_are_scipys():
    """In pixels from the first one scipy looks at A u + offset; here places run from -1 to 1 along each side."""
    x = RNG.uniform(-1, 1, (3, 5, 8, 1)).astype(np.float32)
    matrices = RNG.normal(0, 0.5, (3, 2, 3)).astype(np.float32)
    half = (np.array(x.shape[1:3]) - 1) / 2
    for picture, matrix, found in zip(x, matrices, np.asarray(warp(x, matrices))):
        turn = half[:, None] * matrix[:, :2] / half
        offset = half + half * matrix[:, 2] - turn @ half
        expected = ndimage.affine_transform(picture[..., 0], turn, offset, order=1, mode="mirror")
        np.testing.assert_allclose(found[..., 0], expected, atol=1e-4)


@functools.cache
def played(told=0):
    """A network of three maps, two of them shown: as it is, and a quarter turn."""
    network = SpatialTransformer(2, 3)
    given = np.concatenate([X, np.zeros((4, 6, 6, told), np.float32)], axis=-1)
    params = jax.jit(functools.partial(network.init, train=True))({"params": KEY, "dropout": KEY}, given)["params"]
    turned = jnp.array([[[1, 0], [0, 1]], [[0, 1], [-1, 0]], [[1, 1], [0, 1]]], jnp.float32)
    return network, {**params, "turned": turned}


def test_maps_start_as_rotations_and_reflections():
    network = SpatialTransformer(2, 32)
    params = jax.jit(functools.partial(network.init, train=True))({"params": KEY, "dropout": KEY}, X)["params"]
    turned = np.asarray(params["turned"])
    np.testing.assert_allclose(turned @ turned.swapaxes(1, 2), np.tile(np.eye(2), (32, 1, 1)), atol=1e-5)
    assert 8 <= np.sum(np.linalg.det(turned) > 0) <= 24


def test_training_draws_a_map_and_use_shows_the_likeliest():
    network, params = played()
    params = {**params, "table": jnp.log(jnp.array([[0.25, 0.75, 1e-9]])) / 2}
    once = jax.jit(lambda key: network.apply({"params": params}, X, train=True, rngs={"dropout": key}))
    found = np.concatenate([once(key) for key in jax.random.split(KEY, 100)])
    given, turned = (np.tile(x, (100, 1, 1, 1)) for x in (X, np.rot90(X, axes=(1, 2))))
    is_given, is_turned = (np.abs(found - x).max(axis=(1, 2, 3)) < 1e-5 for x in (given, turned))
    assert np.all(is_given | is_turned)
    assert abs(is_turned.mean() - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 400)
    np.testing.assert_allclose(network.apply({"params": params}, X, train=False), turned[:4], atol=1e-5)


def test_gradients_to_probabilities_are_those_of_the_mean():
    """Of a linear loss, whatever was drawn: d/dl_k sum_j p_j L_j = p_k (L_k - sum_j p_j L_j), here of l = 2 table."""
    network, params = played()
    weights = RNG.normal(size=X.shape)

    @jax.jit
    def gradient(logits, key):
        run = lambda logits: network.apply({"params": {**params, "table": logits[None]}}, X, train=True, rngs={"dropout": key})
        return jax.grad(lambda logits: jnp.sum(weights * run(logits)))(logits)

    logits = np.array([0.3, -0.2, 0.1], np.float32)
    p = np.exp(2 * logits) / np.exp(2 * logits).sum()
    each = [np.sum(weights * np.asarray(warp(X, same_for_all(np.c_[m, [0, 0]])))) for m in np.asarray(params["turned"])]
    expected = 2 * p * (each - p @ each)
    for key in jax.random.split(KEY, 3):
        np.testing.assert_allclose(gradient(logits, key), expected, rtol=1e-3, atol=1e-4)


def test_a_map_is_chosen_by_what_is_told_and_not_by_the_picture():
    network, params = played(told=2)
    params = {**params, "table": jnp.array([[0.0, 1.0, 0.5], [1.0, 0.0, 0.5]])}
    told = np.array([[1, 0], [0, 1], [0, 1], [1, 0]], np.float32)
    given = np.concatenate([X, np.broadcast_to(told[:, None, None], (4, 6, 6, 2))], axis=-1)
    made = network.apply({"params": params}, given, train=False)
    turned = told[:, 0].reshape(-1, 1, 1, 1) == 1
    np.testing.assert_allclose(made, np.where(turned, np.rot90(X, axes=(1, 2)), X), atol=1e-5)
