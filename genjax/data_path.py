"""From what a data set stores to the reals that a density models, and back: one path for every density.

    continuous()                      y = x, the data are reals; exact
    dequantized(levels)               y = (x + u) / L,  u ~ U(0, 1)^D
    dequantized_symmetric(levels)     y = 2 (x + u) / L - 1
    dequantized_logit(levels, alpha)  y = logit(alpha + (1 - 2 alpha) (x + u) / L)
    standardized(path, mean, std)     y of another path, shifted and scaled

Those of integers are made of `genjax.pixels.dequantize_uniform` and `logit_transform`, whose log-determinants turn a density
of y into a bound on the log-probability of the stored integers (Theis et al. 2016). So a log_prob is of the raw x on
every path, and the bits/dim of all of them are one quantity.
"""

import math
from typing import Callable, Literal, NamedTuple

import jax.numpy as jnp

from genjax.contract import Array
from genjax.pixels import dequantize_uniform, logit_inverse, logit_transform


class DataPath(NamedTuple):
    """How stored data become reals.

    to_model: (key, x [B, ...]) -> (y [B, ...] float32, log_det [B]): log p(x) = log p(y) + log_det, or a bound.
    from_model: y -> x, of the dtype that is stored.
    kind: of the resulting log-probability: 'exact' or 'lower_bound'.
    """

    to_model: Callable[[Array, Array], tuple[Array, Array]]
    from_model: Callable[[Array], Array]
    kind: Literal["exact", "lower_bound"]


def continuous() -> DataPath:
    """Make the path of data that are reals already."""

    def to_model(key: Array, x: Array) -> tuple[Array, Array]:
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise ValueError(f"x holds {x.dtype}: integers have no density; take a path that dequantizes.")
        return x, jnp.zeros(x.shape[:1], jnp.float32)

    return DataPath(to_model, lambda y: y, "exact")


def dequantized(levels: int) -> DataPath:
    """Make the path onto [0, 1]; samples outside it go to the end.

    Args:
        levels: L, stored entries are integers 0..L-1.
    """
    return DataPath(lambda key, x: dequantize_uniform(key, x, levels), lambda y: _level(y, levels), "lower_bound")


def dequantized_symmetric(levels: int) -> DataPath:
    """Make the path onto [-1, 1], where diffusion models and flow matching have pixels; what lies outside goes to the end.

    Args:
        levels: L, stored entries are integers 0..L-1.
    """

    def to_model(key: Array, x: Array) -> tuple[Array, Array]:
        y, log_det = dequantize_uniform(key, x, levels)
        return 2.0 * y - 1.0, log_det + math.prod(x.shape[1:]) * math.log(2.0)

    return DataPath(to_model, lambda y: _level(0.5 * (y + 1.0), levels), "lower_bound")


def dequantized_logit(levels: int, alpha: float) -> DataPath:
    """Make the path onto the line.

    Args:
        levels: L, stored entries are integers 0..L-1.
        alpha: how far the ends are kept from 0 and 1, see `genjax.pixels.logit_transform`.
    """

    def to_model(key: Array, x: Array) -> tuple[Array, Array]:
        y, log_det = dequantize_uniform(key, x, levels)
        z, log_det_logit = logit_transform(y, alpha)
        return z, log_det + log_det_logit

    return DataPath(to_model, lambda z: _level(logit_inverse(z, alpha)[0], levels), "lower_bound")


def standardized(data_path: DataPath, *, mean: float, std: float) -> DataPath:
    """Make the path of another's reals, y -> (y - mean) / std: for models that take the data to be about N(0, I).

    Args:
        data_path: the other.
        mean: of its reals over all entries, roughly.
        std: their standard deviation, roughly; positive.

    Raises:
        ValueError: std is not positive.
    """
    if std <= 0.0:
        raise ValueError(f"std must be positive, got {std}.")

    def to_model(key: Array, x: Array) -> tuple[Array, Array]:
        y, log_det = data_path.to_model(key, x)
        return (y - mean) / std, log_det - math.prod(x.shape[1:]) * math.log(std)

    return DataPath(to_model, lambda y: data_path.from_model(mean + std * y), data_path.kind)


def _level(y: Array, levels: int) -> Array:
    index = jnp.clip(jnp.floor(y * levels), 0, levels - 1)
    return index.astype(jnp.uint8 if levels <= 256 else jnp.int32)
