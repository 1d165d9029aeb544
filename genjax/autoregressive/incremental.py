"""Incremental sampling from a masked network: the work of one pass for all D dimensions.

A hidden unit of degree m is a function of the first m dimensions in the ordering, so it can be computed once these are
drawn and never changes again. Place t = 0, 1, ... of the scan therefore

    1. computes the hidden units of degree t, layer by layer: h^l_k = act(h^(l-1) W^l_k + b^l_k), k of degree t;
    2. computes the outputs of dimension o_t alone, from the units of degrees up to t;
    3. draws x_(o_t).

Units and dimensions whose turn has not come hold zero, which is what the masks do to them: no mask is needed. Every
unit and every output is computed once, where naive sampling computes all of them D times.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from genjax.autoregressive.masks import units_by_degree
from genjax.contract import Array, PyTree
from genjax.nn.masked_dense import Degrees, MaskedMLP, layer_mask, output_mask


def incremental_sample(
    network: MaskedMLP,
    params: PyTree,
    degrees: Degrees,
    uniforms: Array,
    *,
    draw: Callable[[Array, Array], Array],
    largest: tuple[int, ...],
    x: Array,
    known: Array,
    condition: Array | None = None,
) -> tuple[Array, Array]:
    """Draw every unknown dimension in one scan.

    Args:
        network: gives the layout of `params`, the activation and the compute dtype.
        params: its parameters.
        degrees: of its units.
        uniforms: [B, D, m] in (0, 1), by dimension.
        draw: (uniforms [B, m], outputs [B, n]) -> values [B].
        largest: for each hidden layer, at least the number of units of the commonest degree; static.
        x: [B, D], read where known.
        known: boolean [B, D].
        condition: [B, C] or None.

    Returns:
        Samples [B, D] of the dtype of x, and outputs float32 [B, D, n], the parameters that each was drawn under.
    """
    batch, num_dims = x.shape
    dtype = network.dtype or x.dtype
    ordering = jnp.argsort(degrees.inputs)
    biases = _biases(network, params, degrees, condition, batch)
    columns = [
        _hidden_columns(params[f"hidden_{index}"]["kernel"], units_by_degree(layer, num_dims, most), dtype)
        for index, (layer, most) in enumerate(zip(degrees.hidden, largest))
    ]
    outputs_of = _output_columns(network, params, ordering, num_dims, dtype)
    last = biases[-1].reshape(batch, num_dims, network.outputs).swapaxes(0, 1)[ordering]

    def place(carry: tuple, inputs: tuple) -> tuple[tuple, Array]:
        filled, hidden = carry
        u, given, is_known, d, layers, (kernel, direct), bias = inputs
        before, updated = filled.astype(dtype), []
        for (units, column), h, b in zip(layers, hidden, biases):
            fresh = before @ column + b.at[:, units].get(mode="fill", fill_value=0)
            updated.append(h.at[:, units].set(network.activation(fresh), mode="drop"))
            before = updated[-1]
        outputs = (before @ kernel + bias).astype(jnp.float32)
        if network.direct:
            outputs = outputs + (filled.astype(dtype) @ direct).astype(jnp.float32)
        value = jnp.where(is_known, given, draw(u, outputs))
        return (filled.at[:, d].set(value), tuple(updated)), outputs

    hidden = tuple(jnp.zeros((batch, layer.shape[0]), dtype) for layer in degrees.hidden)
    drawn_or_given = uniforms.swapaxes(0, 1)[ordering], x.T[ordering], known.T[ordering], ordering
    by_place = (*drawn_or_given, columns, outputs_of, last)
    (samples, _), outputs = jax.lax.scan(place, (jnp.zeros_like(x), hidden), by_place)
    return samples, jnp.zeros(outputs.shape).at[ordering].set(outputs).swapaxes(0, 1)


def _biases(network: MaskedMLP, params: PyTree, degrees: Degrees, condition: Array | None, batch: int) -> list[Array]:
    """Return what every layer adds that does not depend on x: [B, H_l] for each, [B, D n] for the outputs."""
    inputs = jnp.repeat(degrees.inputs, network.outputs)
    sides = [degrees.inputs, *degrees.hidden]
    masks = [layer_mask(before, after) for before, after in zip(sides, sides[1:])]
    masks.append(output_mask(sides[-1], inputs))
    names = [f"hidden_{index}" for index in range(len(degrees.hidden))] + ["output"]
    biases = []
    for name, mask in zip(names, masks):
        bias = params[name]["bias"]
        if network.mask_bias:
            bias = bias + jnp.sum(params[name]["mask_kernel"] * mask.astype(jnp.float32), axis=0)
        biases.append(jnp.broadcast_to(bias, (batch, bias.shape[0])))
    if network.direct:
        biases[-1] = biases[-1] + params["direct"]["bias"][None]
    if condition is not None:
        biases[0] = biases[0] + condition @ params["condition_hidden"]["kernel"]
        biases[-1] = biases[-1] + condition @ params["condition_output"]["kernel"]
    return [bias.astype(network.dtype or bias.dtype) for bias in biases]


def _hidden_columns(kernel: Array, units: Array, dtype: jnp.dtype) -> tuple[Array, Array]:
    """Return the units of each degree [D, n] and the columns of the kernel that feed them [D, K', n]."""
    rows = kernel.T.astype(dtype).at[units].get(mode="fill", fill_value=0)
    return units, rows.swapaxes(1, 2)


def _output_columns(
    network: MaskedMLP, params: PyTree, ordering: Array, num_dims: int, dtype: jnp.dtype
) -> tuple[Array, Array | None]:
    """Return, by place, the columns of the output kernel [D, H, n] and of the direct one [D, D, n]."""

    def columns(kernel: Array) -> Array:
        split = kernel.astype(dtype).reshape(kernel.shape[0], num_dims, network.outputs)
        return split.swapaxes(0, 1)[ordering]

    return columns(params["output"]["kernel"]), columns(params["direct"]["kernel"]) if network.direct else None
