"""The running hidden layer that NADE and RNADE share.

With o_1 .. o_D the ordering and W [D, H], V [D, H, n], b [D, n] the weights, hidden layers differ from place to place
by one term:

    a_1 = c + U y,   a_(t+1) = a_t + x_(o_t) W_(o_t),   h_t = act(s_(o_t) a_t),   outputs_(o_t) = h_t V_(o_t) + b_(o_t)

(Larochelle & Murray 2011, eq. 9-10 and algorithm 1; the factor s is RNADE's, Uria et al. 2013, eq. 7, and 1 in NADE.)
Scoring and sampling are the same scan over places, O(D H n) each: where one reads x_(o_t), the other draws it.
"""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.contract import Array


class ScanWeights(NamedTuple):
    """The weights, indexed by dimension, not by place.

    encoder: W [D, H].
    hidden_bias: c [H].
    scale: s [D].
    decoder: V [D, H, n].
    output_bias: b [D, n].
    condition: U [K, H], K classes; [0, H] without.
    """

    encoder: Array
    hidden_bias: Array
    scale: Array
    decoder: Array
    output_bias: Array
    condition: Array


def init_weights(key: Array, *, num_dims: int, hidden: int, outputs: int, num_classes: int = 0) -> ScanWeights:
    """Draw float32 weights: W, V and U of variances 1/D, 1/H and 1/K, s = 1, biases zero."""
    keys = jax.random.split(key, 3)
    normal = nn.initializers.lecun_normal()
    # One D at a time: the fan-in of a decoder is H.
    decoder = normal(keys[1], (hidden, num_dims * outputs)).reshape(hidden, num_dims, outputs)
    return ScanWeights(
        encoder=normal(keys[0], (num_dims, hidden)),
        hidden_bias=jnp.zeros(hidden),
        scale=jnp.ones(num_dims),
        decoder=decoder.swapaxes(0, 1),
        output_bias=jnp.zeros((num_dims, outputs)),
        condition=normal(keys[2], (num_classes, hidden)) if num_classes else jnp.zeros((0, hidden)),
    )


def hidden_start(weights: ScanWeights, num: int, condition: Array | None) -> Array:
    """Return a_1 = c + U y for `num` examples, [num, H]; condition y is float32 [num, K] or None."""
    start = jnp.broadcast_to(weights.hidden_bias, (num, weights.hidden_bias.shape[0]))
    return start if condition is None else start + condition @ weights.condition


def scan_outputs(
    x: Array,
    start: Array,
    weights: ScanWeights,
    ordering: Array,
    *,
    activation: Callable[[Array], Array] = jax.nn.sigmoid,
    dtype: jnp.dtype = jnp.float32,
) -> Array:
    """Return the parameters of all D conditionals in one scan.

    Args:
        x: [B, D], floating.
        start: a_1 [B, H], see `hidden_start`.
        weights: of D dimensions.
        ordering: int [D], the dimension at each place.
        activation: act.
        dtype: of the products with V; the running sum keeps the dtype of `start`.

    Returns:
        [B, D, n], by dimension; entry d depends on the dimensions before d in the ordering alone.

    Raises:
        ValueError: shapes that do not fit together.
    """
    _require_fit(x, start, weights, ordering)

    def place(a: Array, inputs: tuple) -> tuple[Array, Array]:
        x_d, w = inputs
        return a + x_d[:, None] * w.encoder[None], _outputs(a, w, activation, dtype)

    # Of each place only a_t is kept for the backward pass: h_t and its derivative come from it again.
    place = jax.checkpoint(place, prevent_cse=False)
    _, outputs = jax.lax.scan(place, start, (x.T[ordering], _by_place(weights, ordering)))
    return _by_dimension(outputs, ordering)


def scan_sample(
    uniforms: Array,
    start: Array,
    weights: ScanWeights,
    ordering: Array,
    *,
    draw: Callable[[Array, Array], Array],
    x: Array,
    known: Array,
    activation: Callable[[Array], Array] = jax.nn.sigmoid,
    dtype: jnp.dtype = jnp.float32,
) -> tuple[Array, Array]:
    """Draw every unknown dimension in one scan.

    Args:
        uniforms: [B, D, m] in (0, 1), by dimension.
        start: a_1 [B, H], see `hidden_start`.
        weights: of D dimensions.
        ordering: int [D], the dimension at each place.
        draw: (uniforms [B, m], outputs [B, n]) -> values [B].
        x: [B, D], read where known.
        known: boolean [B, D].
        activation: act.
        dtype: as in `scan_outputs`.

    Returns:
        Samples [B, D], and outputs [B, D, n], the parameters that each was drawn under.
    """
    _require_fit(x, start, weights, ordering)

    def place(a: Array, inputs: tuple) -> tuple[Array, tuple[Array, Array]]:
        u, given, is_known, w = inputs
        outputs = _outputs(a, w, activation, dtype)
        value = jnp.where(is_known, given, draw(u, outputs))
        return a + value[:, None] * w.encoder[None], (value, outputs)

    by_place = (uniforms.swapaxes(0, 1)[ordering], x.T[ordering], known.T[ordering], _by_place(weights, ordering))
    _, (values, outputs) = jax.lax.scan(place, start, by_place)
    samples = jnp.zeros_like(x).at[:, ordering].set(values.T)
    return samples, _by_dimension(outputs, ordering)


class _Place(NamedTuple):
    """The weights of one dimension: W_d [H], s_d [], V_d [H, n], b_d [n]."""

    encoder: Array
    scale: Array
    decoder: Array
    output_bias: Array


def _by_place(weights: ScanWeights, ordering: Array) -> _Place:
    """Return the weights of all dimensions, in the ordering."""
    return _Place(*(getattr(weights, name)[ordering] for name in _Place._fields))


def _by_dimension(outputs: Array, ordering: Array) -> Array:
    """Bring outputs [D, B, n] from the order of places to that of dimensions, [B, D, n]."""
    return jnp.zeros_like(outputs).at[ordering].set(outputs).swapaxes(0, 1)


def _outputs(a: Array, w: _Place, activation: Callable[[Array], Array], dtype: jnp.dtype) -> Array:
    """Return act(s a) V + b [B, n], of the dtype of a."""
    h = activation(w.scale * a).astype(dtype)
    return jnp.matmul(h, w.decoder.astype(dtype), preferred_element_type=a.dtype) + w.output_bias[None]


def _require_fit(x: Array, start: Array, weights: ScanWeights, ordering: Array) -> None:
    num_dims, hidden = weights.encoder.shape
    if x.ndim != 2 or x.shape[1] != num_dims:
        raise ValueError(f"x has shape {x.shape}; these weights are of [B, {num_dims}].")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"x has dtype {x.dtype}; it must be floating: binarize or scale stored levels first.")
    if start.shape != (x.shape[0], hidden):
        raise ValueError(f"the first hidden layer has shape {start.shape}; it must be {(x.shape[0], hidden)}.")
    if ordering.shape != (num_dims,):
        raise ValueError(f"the ordering has shape {ordering.shape}; it must be [{num_dims}].")
