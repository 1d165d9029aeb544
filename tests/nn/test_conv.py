"""Convolutions as matrix products against those of jax.lax and flax.linen."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from genjax.nn import Conv, ConvTranspose, conv2d, conv2d_transpose


def arrays(kernel, shape=(2, 5, 6, 3), features=4):
    rng = np.random.default_rng(0)
    return normal(rng, shape), normal(rng, (kernel, kernel, shape[-1], features))


def normal(rng, shape):
    return rng.normal(size=shape).astype(np.float32)


def same_with_gradients(ours, theirs, *arguments):
    """Compare values and, under a weighting that no symmetry hides, gradients by every argument."""
    shape = jax.eval_shape(theirs, *arguments).shape
    weights = normal(np.random.default_rng(2), shape)
    graded = lambda f: jax.value_and_grad(lambda a: (jnp.sum(f(*a) * weights), f(*a)), has_aux=True)
    both = jax.jit(lambda a: (graded(ours)(a), graded(theirs)(a)))(arguments)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5), *both)


@pytest.mark.parametrize(
    "kernel, stride, padding",
    [(3, 1, "SAME"), (3, 2, "SAME"), (4, 2, "SAME"), (2, 3, "SAME"), (3, 2, "VALID"), (3, 1, 1), (3, 2, 1), (4, 2, 3)],
)
def test_convolution_is_that_of_lax(kernel, stride, padding):
    layout = ("NHWC", "HWIO", "NHWC")
    pads = [(padding, padding)] * 2 if isinstance(padding, int) else padding
    theirs = lambda x, k: lax.conv_general_dilated(x, k, (stride, stride), pads, dimension_numbers=layout)
    same_with_gradients(lambda x, k: conv2d(x, k, stride=stride, padding=padding), theirs, *arrays(kernel))


@pytest.mark.parametrize("kernel, stride", [(3, 1), (2, 2), (3, 2), (4, 2), (5, 2), (7, 4)])
def test_transposed_convolution_is_that_of_lax(kernel, stride):
    theirs = lambda x, k: lax.conv_transpose(x, k, (stride, stride), "SAME")
    same_with_gradients(lambda x, k: conv2d_transpose(x, k, stride=stride), theirs, *arrays(kernel))


@pytest.mark.parametrize("bias", [True, False])
def test_modules_are_those_of_linen(bias):
    x, _ = arrays(4)
    pairs = [
        (Conv(4, 4, 2, use_bias=bias), nn.Conv(4, (4, 4), (2, 2), use_bias=bias)),
        (ConvTranspose(4, 4, 2, use_bias=bias), nn.ConvTranspose(4, (4, 4), (2, 2), use_bias=bias)),
    ]
    for ours, theirs in pairs:
        shapes = lambda module: jax.eval_shape(module.init, jax.random.key(3), x)
        assert jax.tree.map(jnp.shape, shapes(ours)) == jax.tree.map(jnp.shape, shapes(theirs))
        rng = np.random.default_rng(0)
        variables = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes(theirs))
        both = jax.jit(lambda variables, x: (ours.apply(variables, x), theirs.apply(variables, x)))(variables, x)
        np.testing.assert_allclose(*both, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("platform, convolutions", [("cpu", 0), ("cuda", 3), ("tpu", 3)])
@pytest.mark.parametrize("convolve", [lambda x, k: conv2d(x, k, stride=2), lambda x, k: conv2d_transpose(x, k, stride=2)])
def test_accelerators_convolve_and_cpus_multiply(convolve, platform, convolutions):
    """The forward pass and both gradients, and nothing of the other way is left over."""
    gradient = jax.jit(jax.grad(lambda x, k: jnp.sum(jnp.sin(convolve(x, k))), argnums=(0, 1)))
    lowered = gradient.trace(*arrays(4)).lower(lowering_platforms=(platform,)).as_text()
    assert lowered.count("stablehlo.convolution") == convolutions
    assert lowered.count("stablehlo.dot_general") == 3 - convolutions


def test_derivatives_inside_a_loop_and_forwards():
    x, kernel = arrays(3, features=3)
    reference = lambda x, k: lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def looped(convolve):
        body = lambda h, _: (jnp.tanh(convolve(h, kernel)), None)
        return lambda x: jnp.sum(lax.scan(body, x, None, length=2)[0] ** 2)

    gradient = lambda convolve: jax.jit(jax.grad(looped(convolve)))(x)
    np.testing.assert_allclose(gradient(conv2d), gradient(reference), atol=1e-4)
    tangents = lambda convolve: jax.jit(lambda k: jax.jvp(lambda k: convolve(x, k), (k,), (k**2,))[1])(kernel)
    np.testing.assert_allclose(tangents(conv2d), tangents(reference), atol=1e-4)


def test_compute_dtype():
    x, _ = arrays(4)
    for module in (Conv(4, 4, 2, dtype=jnp.bfloat16), ConvTranspose(4, 4, 2, dtype=jnp.bfloat16)):
        y, variables = jax.eval_shape(module.init_with_output, jax.random.key(0), x)
        assert y.dtype == jnp.bfloat16
        assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


def test_what_cannot_be_is_refused():
    x, kernel = arrays(2)
    with pytest.raises(ValueError, match="at least as large as the stride 3"):
        conv2d_transpose(x, kernel, stride=3)
    with pytest.raises(ValueError, match="does not fit"):
        conv2d(x, arrays(6)[1], padding="VALID")
    with pytest.raises(ValueError, match="takes 3 channels; x .* has 2"):
        conv2d(x[..., :2], kernel)
    for function in (conv2d, conv2d_transpose):
        with pytest.raises(AssertionError, match="rank"):
            function(x[0], kernel, stride=1)
