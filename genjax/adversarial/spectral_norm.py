"""Spectral normalization: every layer of a discriminator divided by its largest singular value.

W_SN = W / sigma(W) (Miyato et al. 2018, eq. 8), so that a linear layer is 1-Lipschitz, and a network of such layers and
of 1-Lipschitz activations too. A kernel of a convolution, `[k, k, in, out]`, is reshaped to a matrix of out rows and
in k k columns, as in the paper. Its sigma is not the norm of the convolution as a linear map of pictures, which is

    sigma(W)  <=  norm of the convolution  <=  ceil(k / stride) sigma(W)

where one whole neighbourhood fits into the picture, since a pixel enters at most ceil(k / stride)^2 neighbourhoods
(Tsuzuku et al. 2018, appendix). The two are equal where neighbourhoods do not overlap.

sigma is followed by power iteration, one round for each pass in training (Algorithm 1), from the u that the last
round left behind:

    v <- W^T u / |W^T u|,   u <- W v / |W v|,   sigma = u^T W v.

u is state, in the collection 'spectral' of the module; a pass that is not training makes a round too and forgets it.
u and v are constants of the gradient, which is then G / sigma - <G, W_SN> u v^T / sigma for an incoming gradient G
(eq. 12), that of W / sigma(W) itself once the iteration has converged.

Reference: Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks",
https://arxiv.org/abs/1802.05957; Tsuzuku et al. 2018, "Lipschitz-Margin Training", https://arxiv.org/abs/1802.04034
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype

from genjax.contract import Array
from genjax.nn import conv2d

EPSILON = 1e-12  # as in the authors' code: a kernel of zeros stays one


class PowerIteration(NamedTuple):
    """Where power iteration has come to.

    u: left singular vector `[out]`, of norm 1.
    v: right singular vector `[rest]`, of norm 1.
    sigma: u^T W v, from below the largest singular value; scalar.
    """

    u: Array
    v: Array
    sigma: Array


def kernel_matrix(kernel: Array) -> Array:
    """Return a kernel `[..., out]` as the paper's matrix of out rows, `[out, rest]`."""
    return kernel.reshape(-1, kernel.shape[-1]).T


def power_iteration(matrix: Array, u: Array, *, rounds: int = 1) -> PowerIteration:
    """Follow the largest singular value of a matrix.

    Args:
        matrix: W `[out, rest]`.
        u: where to start, `[out]`, not orthogonal to the left singular vector.
        rounds: of the iteration, 1 or more.

    Returns:
        See PowerIteration; u and v are constants of the gradient.

    Raises:
        ValueError: if there is no round to make.

    Reference: Miyato et al. 2018, Algorithm 1 and eq. 12.
    """
    chex.assert_rank([matrix, u], [2, 1])
    if rounds < 1:
        raise ValueError(f"Power iteration makes 1 round or more, not {rounds}.")
    still = jax.lax.stop_gradient(matrix)
    for _ in range(rounds):
        v = _unit(still.T @ u)
        u = _unit(still @ v)
    u, v = jax.lax.stop_gradient((u, v))
    return PowerIteration(u, v, u @ (matrix @ v))


class SpectralDense(nn.Module):
    """A linear layer divided by its largest singular value.

    features: of the output.
    train: whether u moves on.
    use_bias: whether a bias is added, which is not normalized.
    kernel_init: initializer.
    dtype: compute dtype; None follows the input. Parameters and the iteration are float32.
    """

    features: int
    train: bool
    use_bias: bool = True
    kernel_init: Callable[..., Array] = nn.initializers.lecun_normal()
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map x `[..., D]` to `[..., features]`."""
        kernel, bias = _parameters(self, (x.shape[-1], self.features))
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        return _add(x @ kernel, bias)


class SpectralConv(nn.Module):
    """A convolution divided by the largest singular value of its kernel as a matrix.

    features: channels of the output.
    kernel_size: side of the kernel.
    stride, padding: as in `genjax.nn.Conv`.
    train, use_bias, kernel_init, dtype: as in `SpectralDense`.
    """

    features: int
    kernel_size: int = 3
    stride: int = 1
    padding: str | int = "SAME"
    train: bool = False
    use_bias: bool = True
    kernel_init: Callable[..., Array] = nn.initializers.lecun_normal()
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map x `[B, H, W, C]` to `[B, H', W', features]`; see `genjax.nn.conv2d` for H' and W'."""
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel, bias = _parameters(self, shape)
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        return _add(conv2d(x, kernel, stride=self.stride, padding=self.padding), bias)


class SpectralEmbed(nn.Module):
    """One vector a class, from a table divided by its largest singular value.

    num_classes: rows of the table.
    features: of a vector.
    train, kernel_init, dtype: as in `SpectralDense`.
    """

    num_classes: int
    features: int
    train: bool
    kernel_init: Callable[..., Array] = nn.initializers.lecun_normal()
    dtype: Any = None

    @nn.compact
    def __call__(self, label: Array) -> Array:
        """Map classes int `[B]` to vectors `[B, features]`."""
        table = self.param("kernel", self.kernel_init, (self.num_classes, self.features), jnp.float32)
        table = spectrally_normalized(self, table, train=self.train)
        return table[label].astype(table.dtype if self.dtype is None else self.dtype)


def spectrally_normalized(module: nn.Module, kernel: Array, *, train: bool) -> Array:
    """Return a kernel of a module over its largest singular value; for use in a module's compact method.

    Args:
        module: keeps u as its variable 'u' in the collection 'spectral'.
        kernel: `[..., out]`, float32.
        train: whether u moves on, where the collection is mutable.

    Returns:
        `[..., out]`.
    """
    start = lambda: _unit(jax.random.normal(module.make_rng("params"), kernel.shape[-1:]))
    u = module.variable("spectral", "u", start)
    found = power_iteration(kernel_matrix(kernel), u.value)
    if train and module.is_mutable_collection("spectral"):
        u.value = found.u
    return kernel / jnp.maximum(found.sigma, EPSILON)


def _parameters(module: SpectralDense | SpectralConv, shape: tuple[int, ...]) -> tuple[Array, Array | None]:
    """Return a layer's normalized kernel and its bias, if it has one."""
    kernel = module.param("kernel", module.kernel_init, shape, jnp.float32)
    zeros = nn.initializers.zeros_init()
    bias = module.param("bias", zeros, shape[-1:], jnp.float32) if module.use_bias else None
    return spectrally_normalized(module, kernel, train=module.train), bias


def _add(y: Array, bias: Array | None) -> Array:
    return y if bias is None else y + bias.reshape((1,) * (y.ndim - 1) + (-1,))


def _unit(vector: Array) -> Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector), EPSILON)
