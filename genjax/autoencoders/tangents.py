"""Tangents of the data: directions in which a picture may move and stay what it is.

Two sources. From a trained encoder f: the right singular vectors of its Jacobian J_f(x) with the largest singular
values, the directions that the code still tells apart (Rifai et al. 2011b). From geometry: the derivatives of a
picture I under small changes of the plane, by the chain rule from its two partial derivatives (Simard et al. 1998,
table 1), with x to the right and y downwards from the middle:

    shift         I_x,  I_y
    scaling       x I_x + y I_y
    rotation      y I_x - x I_y
    deformations  x I_x - y I_y,   y I_x + x I_y
    thickness     I_x^2 + I_y^2

A picture is smoothed first, since pixels are no smooth function.
"""

from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates

from genjax.contract import Array


class CodeTangents(NamedTuple):
    """Tangents by a singular value decomposition of an encoder's Jacobian.

    vectors: [B, K, D], orthonormal, D = entries of one x.
    scales: [B, K], singular values, falling.
    """

    vectors: Array
    scales: Array


def code_jacobian(encode: Callable[[Array], Array], x: Array) -> Array:
    """Return df/dx of every example.

    Args:
        encode: x [B, ...] -> codes [B, Z], each example on its own.
        x: [B, ...].

    Returns:
        [B, Z, ...].

    Raises:
        ValueError: x has no event axes.
    """
    if jnp.ndim(x) < 2:
        raise ValueError(f"x has shape {jnp.shape(x)}; a Jacobian per example takes [B, ...] with an event axis.")
    return jax.vmap(jax.jacrev(lambda one: encode(one[None])[0]))(x)


def code_tangents(encode: Callable[[Array], Array], x: Array, num: int) -> CodeTangents:
    """Return the `num` directions at each x to which the code is most sensitive (num is static)."""
    jacobian = code_jacobian(encode, x)
    flat = jacobian.reshape(*jacobian.shape[:2], -1)
    _, scales, vectors = jnp.linalg.svd(flat, full_matrices=False)
    return CodeTangents(vectors[:, :num], scales[:, :num])


def captured_share(directions: Array, basis: Array) -> Array:
    """Return how much of each direction lies in the span of a basis, |P v|^2 / |v|^2.

    Args:
        directions: [B, D].
        basis: [B, K, D], orthonormal rows.

    Returns:
        [B], in [0, 1]; K / D on average for a random basis.

    Raises:
        ValueError: the shapes do not fit.
    """
    if jnp.ndim(directions) != 2 or jnp.ndim(basis) != 3 or directions.shape[1] != basis.shape[2]:
        shapes = f"{jnp.shape(directions)} and {jnp.shape(basis)}"
        raise ValueError(f"directions and basis have shapes {shapes}; they must be [B, D] and [B, K, D].")
    along = jnp.einsum("bd,bkd->bk", directions, basis)
    return jnp.sum(along**2, axis=1) / jnp.maximum(jnp.sum(directions**2, axis=1), 1e-12)


def image_tangents(x: Array, *, smoothing: float = 0.7) -> Array:
    """Return the seven geometric tangents of pictures, in the order of this module's table.

    Args:
        x: [B, H, W, C].
        smoothing: standard deviation of the Gaussian that smooths first, in pixels; 0 for none (static).

    Returns:
        [B, 7, H, W, C]; per pixel of shift, per radian of rotation, per unit of log scale.

    Raises:
        ValueError: x is no batch of pictures.

    Reference: Simard, LeCun, Denker and Victorri 1998, Transformation invariance in pattern recognition, table 1.
    """
    if jnp.ndim(x) != 4:
        raise ValueError(f"x has shape {jnp.shape(x)}; tangents are of pictures [B, H, W, C].")
    smooth = _smoothed(x, smoothing) if smoothing else x
    down, right = _derivative(smooth, axis=1), _derivative(smooth, axis=2)
    height, width = x.shape[1:3]
    y = (jnp.arange(height, dtype=x.dtype) - 0.5 * (height - 1)).reshape(1, -1, 1, 1)
    x = (jnp.arange(width, dtype=x.dtype) - 0.5 * (width - 1)).reshape(1, 1, -1, 1)
    return jnp.stack(
        [
            right,
            down,
            x * right + y * down,
            y * right - x * down,
            x * right - y * down,
            y * right + x * down,
            right**2 + down**2,
        ],
        axis=1,
    )


def move_images(x: Array, *, angle: Array | float = 0.0, shift: tuple[float, float] = (0.0, 0.0)) -> Array:
    """Turn pictures about their middle and shift them, by bilinear interpolation; what comes in is zero.

    Args:
        x: [B, H, W, C].
        angle: radians, from right to down.
        shift: pixels (down, right).

    Returns:
        [B, H, W, C].
    """
    height, width = x.shape[1:3]
    rows, columns = jnp.meshgrid(jnp.arange(height, dtype=x.dtype), jnp.arange(width, dtype=x.dtype), indexing="ij")
    down, right = rows - 0.5 * (height - 1) - shift[0], columns - 0.5 * (width - 1) - shift[1]
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    # Each pixel takes what lay where the opposite turn leads to.
    origin = [cos * down - sin * right + 0.5 * (height - 1), sin * down + cos * right + 0.5 * (width - 1)]
    one = lambda picture: map_coordinates(picture, origin, order=1, mode="constant")
    return jax.vmap(jax.vmap(one, in_axes=-1, out_axes=-1))(x)


def _smoothed(x: Array, std: float) -> Array:
    """Convolve pictures with a Gaussian, zeros outside."""
    reach = max(1, int(np.ceil(3.0 * std)))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / std) ** 2)
    weights = weights / weights.sum()
    for axis in (1, 2):
        padded = _padded(x, axis, reach)
        x = sum(float(w) * _cut(padded, axis, start, x.shape[axis]) for start, w in enumerate(weights))
    return x


def _derivative(x: Array, *, axis: int) -> Array:
    """Return central differences, zeros outside."""
    padded = _padded(x, axis, 1)
    return 0.5 * (_cut(padded, axis, 2, x.shape[axis]) - _cut(padded, axis, 0, x.shape[axis]))


def _padded(x: Array, axis: int, width: int) -> Array:
    return jnp.pad(x, [(width, width) if i == axis else (0, 0) for i in range(x.ndim)])


def _cut(x: Array, axis: int, start: int, size: int) -> Array:
    return jax.lax.slice_in_dim(x, start, start + size, axis=axis)
