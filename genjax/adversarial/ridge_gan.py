"""RidgeGAN: a GAN that makes maps of settlements, and kernel ridge regression that says how many roads they need.

Two steps, after the description of the paper:

1. A GAN without conditions learns maps x of what is built: a DCGAN, as in CityGAN (Albert et al. 2018).
2. Indices u(x) of the shape of a settlement are measured, and a transport index y is regressed on them over real maps,

       f(u) = mean(y) + sum_i w_i k(u_i, u),    w = (K + alpha I)^-1 (y - mean(y)),    k(u, v) = exp(-gamma |u - v|^2),

   u standardized. f then predicts the transport index of maps that the GAN made, for which nobody has counted roads.

gamma and alpha are chosen by the squared error of leaving one out, which ridge regression has in closed form: with the
hat matrix H = K (K + alpha I)^-1 the error of map i by the regression on all others is (y_i - f_i) / (1 - H_ii). (The
mean is taken over all maps, i included.)

The indices are those that landscape ecology knows, taken on the cells that are built: `SettlementIndices`.

Reference: Thottolil, Kumar & Chakraborty 2023, "Prediction of transportation index for urban patterns in small and
medium-sized Indian cities using hybrid RidgeGAN model", https://doi.org/10.1038/s41598-023-49343-3
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import chex
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve

from genjax.adversarial.dcgan import dcgan
from genjax.contract import Array, GenerativeModel


class SettlementIndices(NamedTuple):
    """The shape of what is built, each `[B]`, 0 where nothing is.

    share: built cells over all cells.
    edges: sides of built cells that face an unbuilt one or the border, over all cells.
    shape: those sides over the perimeter 4 sqrt(n) of a square of as many cells.
    patches: patches that touch by sides or corners, minus holes (the Euler number), over built cells.
    like_adjacencies: pairs of neighbouring built cells over 2 n, near 1 for a compact place.
    dispersion: root mean square distance of built cells from their centre, over the side of the map.
    """

    share: Array
    edges: Array
    shape: Array
    patches: Array
    like_adjacencies: Array
    dispersion: Array


class KernelRidge(NamedTuple):
    """A fitted regression.

    points: standardized inputs `[N, D]`. weights: `[N]`. center, scale: of the inputs `[D]`. offset, gamma: scalars.
    """

    points: Array
    weights: Array
    center: Array
    scale: Array
    offset: Array
    gamma: Array


def settlement_indices(built: Array) -> SettlementIndices:
    """Measure maps of what is built.

    Args:
        built: 1 where a cell is built and 0 elsewhere `[B, H, W]`.

    Returns:
        SettlementIndices, `[B]` each.

    Reference: Thottolil et al. 2023, the human settlement indices.
    """
    chex.assert_rank(built, 3)
    built = built.astype(jnp.float32)
    num, (height, width) = built.sum(axis=(1, 2)), built.shape[1:]
    padded = jnp.pad(built, ((0, 0), (1, 1), (1, 1)))
    right, below = padded[:, :, :-1] * padded[:, :, 1:], padded[:, :-1] * padded[:, 1:]
    joints = right.sum(axis=(1, 2)) + below.sum(axis=(1, 2))
    across, down = jnp.maximum(padded[:, :, :-1], padded[:, :, 1:]), jnp.maximum(padded[:, :-1], padded[:, 1:])
    corners = jnp.maximum(across[:, :-1], across[:, 1:])
    # Cells as closed squares: vertices - edges + faces, each counted once.
    euler = corners.sum(axis=(1, 2)) - across[:, 1:-1].sum(axis=(1, 2)) - down[:, :, 1:-1].sum(axis=(1, 2)) + num
    some, size = jnp.maximum(num, 1.0), float(height * width)
    facing = 4 * num - 2 * joints
    return SettlementIndices(
        share=num / size,
        edges=facing / size,
        shape=facing / (4 * jnp.sqrt(some)),
        patches=euler / some,
        like_adjacencies=joints / (2 * some),
        dispersion=_spread(built, some) / max(height, width),
    )


def rbf_gram(x: Array, y: Array, gamma: float | Array) -> Array:
    """Return exp(-gamma |x_i - y_j|^2) of points `[N, D]` and `[M, D]`: `[N, M]`."""
    chex.assert_rank([x, y], 2)
    return jnp.exp(-gamma * jnp.sum((x[:, None] - y[None]) ** 2, axis=-1))


def fit_kernel_ridge(x: Array, y: Array, *, gamma: float | Array, alpha: float | Array) -> KernelRidge:
    """Fit kernel ridge regression.

    Args:
        x: inputs `[N, D]`, of which no column is constant; they are standardized here.
        y: targets `[N]`.
        gamma: of the kernel exp(-gamma |u - v|^2).
        alpha: ridge, positive.

    Returns:
        KernelRidge, for `predict_kernel_ridge`.
    """
    chex.assert_rank([x, y], [2, 1])
    center, scale = x.mean(axis=0), x.std(axis=0)
    points, offset = (x - center[None]) / scale[None], y.mean()
    gram = rbf_gram(points, points, gamma) + alpha * jnp.eye(len(x), dtype=x.dtype)
    weights = cho_solve(cho_factor(gram), y - offset)
    return KernelRidge(points, weights, center, scale, offset, jnp.asarray(gamma, x.dtype))


def predict_kernel_ridge(fitted: KernelRidge, x: Array) -> Array:
    """Return f(x) `[M]` of inputs `[M, D]`."""
    chex.assert_rank(x, 2)
    standardized = (x - fitted.center[None]) / fitted.scale[None]
    return fitted.offset + rbf_gram(standardized, fitted.points, fitted.gamma) @ fitted.weights


def leave_one_out_errors(gram: Array, y: Array, alpha: float | Array) -> Array:
    """Return by how much ridge regression on all other examples misses each.

    Args:
        gram: K `[N, N]`.
        y: targets, centred `[N]`.
        alpha: ridge, positive.

    Returns:
        y_i minus its prediction by the others, `[N]`.
    """
    chex.assert_rank([gram, y], [2, 1])
    inverse = cho_solve(cho_factor(gram + alpha * jnp.eye(len(y), dtype=gram.dtype)), jnp.eye(len(y), dtype=gram.dtype))
    # 1 - H_ii = alpha (K + alpha I)^-1_ii, and y - f = alpha (K + alpha I)^-1 y.
    return (inverse @ y) / jnp.diag(inverse)


def choose_kernel_ridge(x: Array, y: Array, *, gammas: Sequence[float], alphas: Sequence[float]) -> KernelRidge:
    """Fit kernel ridge regression with the gamma and alpha of a grid that miss least when one is left out."""
    points = (x - x.mean(axis=0)[None]) / x.std(axis=0)[None]
    miss = lambda gamma, alpha: leave_one_out_errors(rbf_gram(points, points, gamma), y - y.mean(), alpha)
    tried = {(gamma, alpha): float(jnp.mean(miss(gamma, alpha) ** 2)) for gamma in gammas for alpha in alphas}
    gamma, alpha = min(tried, key=tried.get)
    return fit_kernel_ridge(x, y, gamma=gamma, alpha=alpha)


def ridge_gan(shape: Sequence[int], *, built_from: float = 0.0, **options: Any) -> GenerativeModel:
    """Bind a DCGAN on maps, with the regression of its second step as methods.

    Args:
        shape: (H, W, 1) of a map in [-1, 1].
        built_from: a cell counts as built from this value on.
        options: further arguments of `genjax.adversarial.dcgan.dcgan`.

    Returns:
        A model as `dcgan` makes it, with the further methods `indices(variables, key, maps)` -> `[N, 6]`, and
        `predict(variables, key, fitted, maps)` -> the transport index of maps by a KernelRidge on their indices, `[N]`.

    Reference: Thottolil et al. 2023.
    """
    model = dcgan(shape, **options)

    def indices(variables: Any, key: Array, maps: Array) -> Array:
        del variables, key
        return jnp.stack(settlement_indices(maps[..., 0] >= built_from), axis=1)

    def predict(variables: Any, key: Array, fitted: KernelRidge, maps: Array) -> Array:
        return predict_kernel_ridge(fitted, indices(variables, key, maps))

    return model._replace(methods={**model.methods, "indices": indices, "predict": predict})


def _spread(built: Array, num: Array) -> Array:
    """Return the root mean square distance of the built cells of each map from their centre, in cells."""
    variance = jnp.zeros_like(num)
    for axis in (1, 2):
        place = jnp.arange(built.shape[axis], dtype=built.dtype)
        along = built.sum(axis=3 - axis)
        mean = along @ place / num
        variance += jnp.sum(along * (place[None] - mean[:, None]) ** 2, axis=1) / num
    return jnp.sqrt(variance)
