"""What every bijection must satisfy, by automatic differentiation, away from where its weights start."""

import jax
import jax.numpy as jnp
import numpy as np



def at_random(bijection, key, x, condition=None, scale=0.3):
    """Return weights of the right shapes but not where they start: a flow near the identity hides every mistake.

    Drawn by numpy from the abstract `init`, whose compilation would take longer than all the rest.
    """
    random = np.random.RandomState(np.asarray(jax.random.key_data(key)))
    weights = jax.eval_shape(bijection.init, key, x, condition)

    def draw(path, leaf):
        noise = scale * random.standard_normal(leaf.shape)
        name = path[-1].key
        if name == "bound":
            noise = 1.0 + noise
        elif name == "variance":
            noise = np.exp(noise)
        elif name == "matrix":
            noise = np.eye(leaf.shape[-1]) + noise
        elif name == "sign":
            noise = np.sign(noise)
        elif name == "permutation":
            noise = np.broadcast_to(np.eye(leaf.shape[-1])[random.permutation(leaf.shape[-1])], leaf.shape)
        return noise.astype(leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, weights)


def measured(bijection, weights, x, condition=None):
    """Return (z, log_det, log|det| of the Jacobian by autodiff, x again, log_det of the inverse)."""

    def flat(x_one, condition_one):
        one = None if condition is None else condition_one[None]
        z, log_det = bijection.forward(weights, x_one[None], one)
        return z.reshape(-1), (z[0], log_det[0])

    @jax.jit
    def everything(x, condition):
        differentiated = jax.vmap(jax.jacfwd(flat, has_aux=True), in_axes=(0, None if condition is None else 0))
        jacobian, (z, log_det) = differentiated(x, condition)
        by_autodiff = jnp.linalg.slogdet(jacobian.reshape(x.shape[0], z[0].size, x[0].size))[1]
        return z, log_det, by_autodiff, *bijection.inverse(weights, z, condition)

    return [np.asarray(value) for value in everything(x, condition)]


def check(bijection, x, condition=None, *, key=jax.random.key(7), scale=0.3, weights=None):
    """Assert log_det = slogdet of jacfwd, inverse(forward(x)) = x to 1e-5, and that the two log_dets cancel."""
    weights = at_random(bijection, key, x, condition, scale) if weights is None else weights
    z, log_det, by_autodiff, again, log_det_inverse = measured(bijection, weights, x, condition)
    assert log_det.shape == x.shape[:1] and z.size == x.size
    np.testing.assert_allclose(log_det, by_autodiff, rtol=1e-5, atol=5e-5)
    np.testing.assert_allclose(again, x, atol=1e-5)
    np.testing.assert_allclose(log_det_inverse, -log_det, rtol=1e-5, atol=5e-5)
    return z, log_det


def mass(log_density, half_width=8.0, points=400):
    """Return the integral of exp(log_density) over a square, by the midpoint rule."""
    width = 2 * half_width / points
    axis = (-half_width + width * (np.arange(points) + 0.5)).astype(np.float32)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    return float(np.exp(np.asarray(log_density(grid), np.float64)).sum() * width**2)
