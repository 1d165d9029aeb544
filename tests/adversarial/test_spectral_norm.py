"""Spectral normalization against numpy's singular values, finite differences, and convolutions as whole matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.adversarial import SpectralConv, SpectralDense, SpectralEmbed, kernel_matrix, power_iteration

KEY = jax.random.key(0)


def paper_matrix(kernel):
    """W as the paper has it: out rows; in, then height, then width along the columns."""
    return np.transpose(np.asarray(kernel, np.float64), (3, 2, 0, 1)).reshape(kernel.shape[3], -1)


@pytest.mark.parametrize("shape", [(3, 3, 4, 6), (2, 2, 5, 3), (7, 4)])
def test_sigma_comes_to_the_largest_singular_value(shape):
    kernel = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    matrix = paper_matrix(kernel) if len(shape) == 4 else kernel.T.astype(np.float64)
    largest = np.linalg.svd(matrix, compute_uv=False)[0]
    of_kernel = lambda kernel, u, rounds: power_iteration(kernel_matrix(kernel), u, rounds=rounds)
    iterate = jax.jit(of_kernel, static_argnums=2)
    start = np.random.default_rng(1).normal(size=shape[-1:]).astype(np.float32)
    found = [iterate(kernel, start, 1), iterate(kernel, start, 3), iterate(kernel, start, 3)]
    for _ in range(19):  # 60 rounds in all, each call from the u of the one before
        found[2] = iterate(kernel, found[2].u, 3)
    sigmas = [float(f.sigma) for f in found]
    assert sigmas[0] < sigmas[1] < sigmas[2] < largest * (1 + 1e-6)
    np.testing.assert_allclose(sigmas[2], largest, rtol=1e-5)
    np.testing.assert_allclose([np.linalg.norm(found[2].u), np.linalg.norm(found[2].v)], 1, rtol=1e-6)


def test_a_round_is_algorithm_1_and_u_is_state_of_training_passes_alone():
    module = lambda train: SpectralConv(3, kernel_size=2, train=train)
    x = np.random.default_rng(1).normal(size=(2, 4, 4, 2)).astype(np.float32)
    variables = jax.device_get(jax.jit(module(True).init)(KEY, x))

    @jax.jit
    def passes(variables):
        trained, moved = module(True).apply(variables, x, mutable=["spectral"])
        _, still = module(False).apply(variables, x, mutable=["spectral"])
        return trained, moved, module(False).apply(variables, x), still

    w = paper_matrix(variables["params"]["kernel"])
    u = np.asarray(variables["spectral"]["u"], np.float64)
    for _ in range(3):
        y, moved, evaluated, still = jax.device_get(passes(variables))
        v = w.T @ u
        v /= np.linalg.norm(v)
        u = w @ v
        sigma = np.linalg.norm(u)
        u /= sigma
        np.testing.assert_allclose(moved["spectral"]["u"], u, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(y, evaluated, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(still["spectral"]["u"], variables["spectral"]["u"])
        # The output is a convolution with the kernel over this sigma: one neighbourhood by hand.
        patch = np.transpose(np.asarray(x, np.float64)[0, 1:3, 1:3], (2, 0, 1)).reshape(-1)
        np.testing.assert_allclose(y[0, 1, 1], w @ patch / sigma, rtol=1e-4, atol=1e-6)
        variables = {**variables, **moved}


def test_gradient_is_that_of_w_over_its_norm():
    """Finite differences of numpy's W / sigma(W), where the iteration has converged (eq. 12)."""
    rng = np.random.default_rng(2)
    w, weights = rng.normal(size=(2, 4, 6))

    def normalized(w):
        return np.sum(weights * w) / np.linalg.svd(w, compute_uv=False)[0]

    expected, h = np.zeros_like(w), 1e-6
    for index in np.ndindex(*w.shape):
        bump = np.zeros_like(w)
        bump[index] = h
        expected[index] = (normalized(w + bump) - normalized(w - bump)) / (2 * h)
    u = np.linalg.svd(w)[0][:, 0].astype(np.float32)
    loss = lambda w: jnp.sum(weights.astype(np.float32) * w) / power_iteration(w, u).sigma
    np.testing.assert_allclose(jax.jit(jax.grad(loss))(w.astype(np.float32)), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("size, stride, padding", [(2, 2, "VALID"), (3, 3, "VALID"), (3, 1, "SAME"), (4, 2, "SAME")])
def test_norm_of_the_whole_convolution(size, stride, padding):
    """sigma(W) <= norm of the linear map of pictures <= ceil(k / s) sigma(W); equal without overlap."""
    side, channels = 6, 2
    module = SpectralConv(3, size, stride, padding, train=False, use_bias=False)
    flat = np.zeros(side * side * channels, np.float32)
    variables = jax.jit(module.init)(KEY, flat.reshape(1, side, side, channels))
    left = np.linalg.svd(paper_matrix(variables["params"]["kernel"]))[0][:, 0]
    variables = {**variables, "spectral": {"u": left.astype(np.float32)}}
    of_flat = lambda flat: module.apply(variables, flat.reshape(1, side, side, channels)).reshape(-1)
    whole = jax.jit(jax.jacfwd(of_flat))(flat)
    norm = np.linalg.svd(np.asarray(whole, np.float64), compute_uv=False)[0]
    overlap = -(-size // stride)
    if overlap == 1:
        np.testing.assert_allclose(norm, 1, rtol=1e-4)
    else:
        assert 1.01 < norm < overlap * (1 + 1e-5)


def test_dense_and_embedding_have_norm_one():
    """After many training passes what is applied is the kernel over its largest singular value."""
    dense, x = SpectralDense(5, True, use_bias=False), np.eye(4, dtype=np.float32)
    embed, labels = SpectralEmbed(4, 5, True), np.arange(4, dtype=np.int32)
    for module, inputs in ((dense, x), (embed, labels)):
        variables = jax.jit(module.init)(KEY, inputs)
        run = jax.jit(lambda v: module.apply(v, inputs, mutable=["spectral"]))
        for _ in range(40):
            y, moved = run(variables)
            variables = {**variables, **moved}
        kernel = np.asarray(variables["params"]["kernel"])
        np.testing.assert_allclose(y, kernel / np.linalg.svd(kernel, compute_uv=False)[0], rtol=1e-4, atol=1e-6)


def test_zeros_stay_zeros_and_no_round_is_refused():
    found = jax.jit(power_iteration)(np.zeros((3, 4), np.float32), np.ones(3, np.float32))
    assert all(np.isfinite(leaf).all() for leaf in found)
    layer, x = SpectralDense(3, True, kernel_init=jax.nn.initializers.zeros), np.ones((2, 4), np.float32)
    run = jax.jit(lambda x: layer.apply(layer.init(KEY, x), x, mutable=["spectral"])[0])
    np.testing.assert_array_equal(run(x), 0)
    with pytest.raises(ValueError, match="1 round or more"):
        power_iteration(np.ones((3, 4), np.float32), np.ones(3, np.float32), rounds=0)
