"""The masked multilayer perceptron of MADE (Germain et al. 2015, arXiv:1502.03509).

Each unit carries a degree. An input's degree m^0(d) in 1..D is its place in the ordering, a hidden unit's degree
m^l(k) in 0..D-1 says how many of the first inputs it may see. Kernels are multiplied by the masks

    M^l[k', k] = 1[m^l(k) >= m^(l-1)(k')]           (12), between layers
    M^V[k, d]  = 1[m^0(d) >  m^L(k)]                (13), to the outputs

so that output d is a function of the inputs before d in the ordering, and of no other. Each input may have several
outputs (`outputs`: a mean and a log scale, the logits of a category, a spline's knots); all of them are masked alike.

A condition c is seen by all outputs. The first input's outputs see only hidden units of degree 0, hence with a
condition the hidden degrees start at 0 instead of the paper's 1, and c also reaches the outputs by a linear map:
were the lowest degree 1, the first dimension would ignore c altogether.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.dtypes import promote_dtype

from genjax.contract import Array

Initializer = Callable[..., Array]


class Degrees(NamedTuple):
    """The degrees of all units of one masked network.

    inputs: int [D], place of each input in the ordering, 1..D, a permutation.
    hidden: one int [H_l] a hidden layer, in 0..D-1.
    """

    inputs: Array | np.ndarray
    hidden: tuple[Array | np.ndarray, ...]


def ordering_degrees(ordering: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return the place of each input in an ordering.

    Args:
        ordering: ints [D], a permutation of 0..D-1: ordering[t] is the dimension that comes at place t.

    Returns:
        int32 [D], in 1..D: m^0 with m^0[ordering[t]] = t + 1.

    Raises:
        ValueError: `ordering` is no permutation.
    """
    ordering = np.asarray(ordering)
    if ordering.ndim != 1 or not np.array_equal(np.sort(ordering), np.arange(len(ordering))):
        raise ValueError(f"an ordering of D dimensions is a permutation of 0..D-1, got {ordering.tolist()}.")
    return (np.argsort(ordering) + 1).astype(np.int32)


def even_degrees(ordering: Sequence[int] | np.ndarray, hidden: Sequence[int], *, conditioned: bool = False) -> Degrees:
    """Spread the hidden degrees evenly over what they may be, in rising order (Germain et al. 2015 draw them).

    Args:
        ordering: ints [D], see `ordering_degrees`.
        hidden: widths H_l of the hidden layers.
        conditioned: whether the network has a condition; the lowest degree is then 0, otherwise 1.

    Returns:
        Degrees of numpy arrays.
    """
    inputs = ordering_degrees(ordering)
    lowest, highest = _degree_range(len(inputs), conditioned)
    span = highest - lowest + 1
    return Degrees(inputs, tuple((lowest + np.arange(width) * span // width).astype(np.int32) for width in hidden))


def random_degrees(
    random: np.random.RandomState,
    ordering: Sequence[int] | np.ndarray,
    hidden: Sequence[int],
    *,
    conditioned: bool = False,
) -> Degrees:
    """Draw the hidden degrees uniformly between the lowest of the layer before and D - 1.

    Args:
        random: draws them.
        ordering: ints [D], see `ordering_degrees`.
        hidden: widths H_l of the hidden layers.
        conditioned: whether the network has a condition; the lowest degree is then 0, otherwise 1.

    Returns:
        Degrees of numpy arrays.

    Reference: Germain et al. 2015, section 3 and algorithm 1.
    """
    inputs = ordering_degrees(ordering)
    lowest, highest = _degree_range(len(inputs), conditioned)
    drawn = []
    for width in hidden:
        drawn.append(random.randint(lowest, highest + 1, size=width).astype(np.int32))
        lowest = int(drawn[-1].min())
    return Degrees(inputs, tuple(drawn))


def layer_mask(before: Array, after: Array) -> Array:
    """Return the mask [K', K] from units of degrees [K'] to hidden units of degrees [K], boolean (eq. 12)."""
    return jnp.asarray(after)[None, :] >= jnp.asarray(before)[:, None]


def output_mask(before: Array, inputs: Array) -> Array:
    """Return the mask [K, D] from units of degrees [K] to the outputs of inputs of degrees [D], boolean (eq. 13)."""
    return jnp.asarray(inputs)[None, :] > jnp.asarray(before)[:, None]


class MaskedDense(nn.Module):
    """y = x (W * M) + b, with the mask as an argument.

    features: width K of the output.
    kernel_init: initializer of W.
    mask_bias: add (U * M) summed over the inputs, which tells a network trained under many masks which one is in
        force (Germain et al. 2015, section 4.2: U multiplies a vector of ones). Zero at initialization.
    dtype: compute dtype; None follows the input. Parameters are float32.
    """

    features: int
    kernel_init: Initializer = nn.initializers.lecun_normal()
    mask_bias: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, mask: Array) -> Array:
        """Map x [..., K'] to [..., K] under a boolean mask [K', K]."""
        shape = (x.shape[-1], self.features)
        if mask.shape != shape:
            raise ValueError(f"the mask has shape {mask.shape}; this layer's kernel has {shape}.")
        mask = mask.astype(jnp.float32)
        kernel = self.param("kernel", self.kernel_init, shape) * mask
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
        if self.mask_bias:
            bias = bias + jnp.sum(self.param("mask_kernel", nn.initializers.zeros_init(), shape) * mask, axis=0)
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        return x @ kernel + jnp.broadcast_to(bias, (*x.shape[:-1], self.features))


class MaskedMLP(nn.Module):
    """MADE's network: outputs of dimension d see the dimensions before d in the ordering, and the condition.

        h^0 = x,   h^l = act(h^(l-1) (W^l * M^l) + b^l + 1[l = 1] c C),   o_d = h^L (V * M^V) + a + c C'

    hidden: widths of the hidden layers; at least one.
    outputs: parameters n of each dimension's conditional.
    activation: applied after each hidden layer, not after the last.
    direct: add a masked linear map from x to the outputs (the paper's direct connections A).
    mask_bias: see `MaskedDense`; for training under many masks.
    output_kernel_init: initializer of V, A and C' (zeros start at a constant output).
    dtype: compute dtype; None follows the input. Parameters are float32.
    """

    hidden: Sequence[int]
    outputs: int = 1
    activation: Callable[[Array], Array] = jax.nn.relu
    direct: bool = False
    mask_bias: bool = False
    output_kernel_init: Initializer = nn.initializers.lecun_normal()
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, degrees: Degrees, condition: Array | None = None) -> Array:
        """Return the parameters of all conditionals.

        Args:
            x: [B, D], floating.
            degrees: of this network's units, see `even_degrees` and `random_degrees`; made with `conditioned=True`
                where there is a condition. Arrays may be traced, so that masks can change from step to step.
            condition: [B, C], floating, or None.

        Returns:
            [B, D, n]; entry [b, d] depends on x[b, d'] with degrees.inputs[d'] < degrees.inputs[d] alone.

        Raises:
            ValueError: x is not [B, D], or the degrees are those of another network.
        """
        _require_fit(x, degrees, self.hidden)
        h, before = x, jnp.asarray(degrees.inputs)
        for index, (width, after) in enumerate(zip(self.hidden, degrees.hidden)):
            dense = MaskedDense(width, mask_bias=self.mask_bias, dtype=self.dtype, name=f"hidden_{index}")
            h = dense(h, layer_mask(before, after))
            if condition is not None and index == 0:
                h = h + nn.Dense(width, use_bias=False, dtype=self.dtype, name="condition_hidden")(condition)
            h, before = self.activation(h), after
        return self._outputs(x, h, degrees, condition)

    def _outputs(self, x: Array, h: Array, degrees: Degrees, condition: Array | None) -> Array:
        width = x.shape[-1] * self.outputs
        inputs = jnp.repeat(jnp.asarray(degrees.inputs), self.outputs)
        settings = dict(kernel_init=self.output_kernel_init, dtype=self.dtype)
        dense = MaskedDense(width, mask_bias=self.mask_bias, **settings, name="output")
        out = dense(h, output_mask(degrees.hidden[-1], inputs))
        if self.direct:
            out = out + MaskedDense(width, **settings, name="direct")(x, output_mask(degrees.inputs, inputs))
        if condition is not None:
            out = out + nn.Dense(width, use_bias=False, **settings, name="condition_output")(condition)
        return out.reshape(*x.shape, self.outputs)


def _degree_range(num_dims: int, conditioned: bool) -> tuple[int, int]:
    """Return the lowest and the highest degree of hidden units; one dimension alone leaves only degree 0."""
    highest = num_dims - 1
    return min(0 if conditioned else 1, highest), highest


def _require_fit(x: Array, degrees: Degrees, hidden: Sequence[int]) -> None:
    if x.ndim != 2 or x.shape[1:] != degrees.inputs.shape:
        raise ValueError(f"x has shape {x.shape}; these degrees mask [B, {degrees.inputs.shape[0]}].")
    if not hidden:
        raise ValueError("a masked network has one hidden layer at least.")
    widths = tuple(layer.shape[0] for layer in degrees.hidden)
    if widths != tuple(hidden):
        raise ValueError(f"the degrees are those of hidden layers {widths}; this network has {tuple(hidden)}.")
