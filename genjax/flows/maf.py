"""Masked and inverse autoregressive flows (Papamakarios et al. 2017, arXiv:1705.07057; Kingma et al. 2016).

One masked network (`genjax.nn.masked_dense`) gives each entry a mean and a log-scale that hang on the entries before
it. Between x and z stand

    z_d = (x_d - m_d(x_<d)) exp(-s_d(x_<d)),    log |det dz/dx| = -sum_d s_d                             (MAF, eq. 4-5)

In this direction all d are computed in one pass; in the other, x_d = z_d exp(s_d(x_<d)) + m_d(x_<d) (eq. 3) needs
x_<d first. A MAF has the fast direction from data to latent: its density costs one pass and its samples D. An inverse
autoregressive flow has the same map the other way round (section 3.3): samples cost one pass, the density of a given
point D. Layers are stacked with the order of entries reversed in between.

The slow direction makes what D passes would make, at the cost of about one: when x_d has become known, its row of the
first kernel is added to the first hidden layer's sums, the units that see no more than the first d entries are then
complete and are added to the next layer's, and so on.

A condition reaches all D entries, the first among them (see `genjax.nn.masked_dense`).
"""

from collections.abc import Sequence
from typing import Any, Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from genjax.contract import Array, PyTree
from genjax.distributions import per_example
from genjax.flows.bijection import Bijection, Condition, chain, invert, repeat, stateless
from genjax.flows.shapes import reverse
from genjax.nn.masked_dense import Degrees, MaskedMLP, even_degrees

Activation = Callable[[Array], Array]


def affine_autoregressive(x: Array, mean: Array, log_scale: Array) -> tuple[Array, Array]:
    """Return z = (x - m) exp(-s) and its log-determinant.

    Args:
        x: [B, D].
        mean: [B, D], m; entry d a function of x_<d.
        log_scale: [B, D], s; likewise.

    Returns:
        z [B, D]; log |det dz/dx| [B], nats.

    Reference: Papamakarios et al. 2017, eq. 4-5.
    """
    if x.ndim != 2 or mean.shape != x.shape or log_scale.shape != x.shape:
        shapes = ", ".join(str(array.shape) for array in (x, mean, log_scale))
        raise ValueError(f"x, mean and log_scale have shapes {shapes}; all are [B, D].")
    return (x - mean) * jnp.exp(-log_scale), -per_example(log_scale)


def autoregressive_layer(
    num_dims: int,
    hidden: Sequence[int],
    *,
    conditioned: bool = False,
    activation: Activation = jax.nn.relu,
    max_log_scale: float = 4.0,
    dtype: Any = None,
) -> Bijection:
    """Make one autoregressive layer, fast from x to z (MAF's direction).

    Args:
        num_dims: D, of x [B, D].
        hidden: widths of the masked network's hidden layers.
        conditioned: whether there is a condition.
        activation: of the hidden layers.
        max_log_scale: s = c tanh(raw / c) with this c: the inverse multiplies by exp(s), D times in a row.
        dtype: compute dtype of the masked products in the fast direction.

    Returns:
        A bijection that starts as the identity.
    """
    degrees = even_degrees(np.arange(num_dims), hidden, conditioned=conditioned)
    zeros = jax.nn.initializers.zeros
    network = MaskedMLP(tuple(hidden), 2, activation, output_kernel_init=zeros, dtype=dtype)

    def read(outputs: Array) -> tuple[Array, Array]:
        """Return mean and log-scale of outputs [..., 2]."""
        outputs = outputs.astype(jnp.float32)
        return outputs[..., 0], max_log_scale * jnp.tanh(outputs[..., 1] / max_log_scale)

    def init(key: Array, x: Array, condition: Condition) -> PyTree:
        if (condition is not None) != conditioned:
            raise ValueError(f"this layer was made with conditioned={conditioned}, and the condition is {condition}.")
        return network.init(key, x, degrees, condition)["params"]

    def forward(params: PyTree, x: Array, condition: Condition) -> tuple[Array, Array]:
        return affine_autoregressive(x, *read(network.apply({"params": params}, x, degrees, condition)))

    def inverse(params: PyTree, z: Array, condition: Condition) -> tuple[Array, Array]:
        return sequential_inverse(params, z, condition, degrees=degrees, read=read, activation=activation)

    return stateless(init, forward, inverse)


def maf_bijection(
    num_dims: int,
    hidden: Sequence[int],
    *,
    num_layers: int = 5,
    conditioned: bool = False,
    activation: Activation = jax.nn.relu,
    normalization: Callable[[], Bijection] | None = None,
    dtype: Any = None,
) -> Bijection:
    """Make a masked autoregressive flow of vectors [B, D].

    Args:
        num_dims: D.
        hidden: widths of each layer's hidden layers.
        num_layers: how many, with the order of entries reversed after each.
        conditioned: whether there is a condition.
        activation: of the hidden layers.
        normalization: makes what follows each layer, e.g. `batch_norm` as in the paper; None: nothing.
        dtype: compute dtype of the masked products.
    """
    layer = autoregressive_layer(num_dims, hidden, conditioned=conditioned, activation=activation, dtype=dtype)
    between = () if normalization is None else (normalization(),)
    return repeat(chain(layer, reverse(), *between), num_layers)


def iaf_bijection(num_dims: int, hidden: Sequence[int], **options: Any) -> Bijection:
    """Make an inverse autoregressive flow: `maf_bijection` turned round, fast from latent to data.

    As a variational posterior take the fast direction, z_0 to z_K: `.inverse` here, `.forward` of `maf_bijection`.
    """
    return invert(maf_bijection(num_dims, hidden, **options))


def sequential_inverse(
    params: PyTree,
    z: Array,
    condition: Condition,
    *,
    degrees: Degrees,
    read: Callable[[Array], tuple[Array, Array]],
    activation: Activation,
) -> tuple[Array, Array]:
    """Solve z_d = (x_d - m_d(x_<d)) exp(-s_d(x_<d)) for x, entry by entry, in the natural order.

    Args:
        params: of a `MaskedMLP` with two outputs an entry, without direct connections or mask biases.
        z: [B, D].
        condition: [B, K] or None.
        degrees: of its units, from `even_degrees`: rising within every layer.
        read: outputs [..., 2] -> (mean, log_scale).
        activation: of its hidden layers.

    Returns:
        x [B, D]; log |det dx/dz| [B], nats.
    """
    batch, num_dims = z.shape
    widest, starts, counts = _units(degrees, num_dims)
    kernels, sums = _masked_kernels(params, degrees, condition, batch, widest)
    first, *later = kernels

    def step(carry: tuple, d: Array) -> tuple[tuple, tuple[Array, Array]]:
        """Complete the units of degree d, draw off entry d, and hand it to the first layer."""
        sums, outputs = carry
        sums = list(sums)
        for layer, kernel in enumerate(later):
            start, size = starts[layer][d], widest[layer]
            alive = jnp.broadcast_to(jnp.arange(size) < counts[layer][d], (batch, size))
            units = jnp.where(alive, activation(lax.dynamic_slice_in_dim(sums[layer], start, size, axis=1)), 0.0)
            added = units @ lax.dynamic_slice_in_dim(kernel, start, size, axis=0)
            if layer + 1 < len(sums):
                sums[layer + 1] = sums[layer + 1] + added
            else:
                outputs = outputs + added
        mean, log_scale = read(lax.dynamic_slice_in_dim(outputs, 2 * d, 2, axis=1))
        x = lax.dynamic_index_in_dim(z, d, axis=1, keepdims=False) * jnp.exp(log_scale) + mean
        sums[0] = sums[0] + x[:, None] * lax.dynamic_slice_in_dim(first, d, 1, axis=0)
        return (tuple(sums), outputs), (x, log_scale)

    *hidden, outputs = sums
    _, (x, log_scale) = lax.scan(step, (tuple(hidden), outputs), jnp.arange(num_dims))
    return x.T, jnp.sum(log_scale, axis=0)


def _units(degrees: Degrees, num_dims: int) -> tuple[list[int], list[Array], list[Array]]:
    """Return for each hidden layer the most units of one degree, and the first unit and the number of each degree."""
    counts = [np.bincount(layer, minlength=num_dims)[:num_dims] for layer in degrees.hidden]
    starts = [jnp.asarray(np.cumsum(count) - count, jnp.int32) for count in counts]
    return [int(count.max()) for count in counts], starts, [jnp.asarray(count, jnp.int32) for count in counts]


def _masked_kernels(
    params: PyTree, degrees: Degrees, condition: Condition, batch: int, widest: list[int]
) -> tuple[list[Array], list[Array]]:
    """Return the masked kernels and the sums of all layers before any entry is known (biases and condition).

    Hidden layers are padded by `widest` dead units, so that a slice of that many never runs over the end.
    """
    before, kernels, sums = degrees.inputs, [], []
    pads = [0, *widest, 0]
    repeated = np.repeat(degrees.inputs, 2) - 1  # output d sees hidden units of degrees up to d - 1
    for index, after in enumerate((*degrees.hidden, repeated)):
        last = index == len(degrees.hidden)
        layer = params["output" if last else f"hidden_{index}"]
        mask = (after[None, :] >= before[:, None]).astype(np.float32)
        kernels.append(jnp.pad(layer["kernel"] * mask, ((0, pads[index]), (0, pads[index + 1]))))
        total = jnp.broadcast_to(layer["bias"], (batch, len(after)))
        if condition is not None and (last or index == 0):
            total = total + condition @ params["condition_output" if last else "condition_hidden"]["kernel"]
        sums.append(jnp.pad(total, ((0, 0), (0, pads[index + 1]))))
        before = after
    return kernels, sums
