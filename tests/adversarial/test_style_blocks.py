"""Blocks of ProGAN and StyleGAN2 against scipy's filters, numpy's statistics and random inputs."""

import functools
import math

import jax
import numpy as np
import pytest
import scipy.signal

from genjax.adversarial import equalized, fir, modulated

TAPS = {"binomial": fir.BINOMIAL, "box": fir.BOX, "lopsided": (1.0, 2.0, 5.0), "long": (1.0, 2.0, 3.0, 3.0, 2.0, 1.0)}

SIDES = ((fir.blur, 16), (fir.upsample, 32), (fir.downsample, 8))


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


CASES = [("binomial", 1, 1), ("binomial", 2, 1), ("long", 1, 2), ("lopsided", 3, 2)]


def test_upfirdn2d_is_scipys():
    x, pads = normal(2, 6, 5, 3), [len(TAPS[name]) - 1 for name, _, _ in CASES]

    @jax.jit
    def all_cases(x):
        return [
            fir.upfirdn2d(x, TAPS[name], up=up, down=down, pad=(pad, pad - (up - 1)), gain=9.0)
            for (name, up, down), pad in zip(CASES, pads)
        ]

    for (name, up, down), found in zip(CASES, all_cases(x)):
        taps = np.asarray(TAPS[name]) / sum(TAPS[name])
        expected = x
        for axis in (1, 2):
            expected = scipy.signal.upfirdn(3.0 * taps, expected, up, down, axis=axis)
        np.testing.assert_allclose(found, expected, atol=3e-6)


def test_filters_keep_a_constant_picture_in_the_interior():
    both = jax.jit(lambda x: [(f(x, taps), s) for f, s in SIDES for taps in (fir.BINOMIAL, fir.BOX, TAPS["long"])])
    for y, side in both(np.ones((1, 16, 16, 1), np.float32)):
        y = np.asarray(y)
        assert y.shape == (1, side, side, 1)
        np.testing.assert_allclose(y[:, 4:-4, 4:-4], 1.0, atol=1e-6)


def test_two_ones_are_nearest_neighbours_and_means():
    x = normal(2, 4, 4, 3)
    up, down = jax.jit(lambda x: (fir.upsample(x, fir.BOX), fir.downsample(x, fir.BOX)))(x)
    np.testing.assert_allclose(up, x.repeat(2, 1).repeat(2, 2), rtol=1e-6)
    np.testing.assert_allclose(down, x.reshape(2, 2, 2, 2, 2, 3).mean(axis=(2, 4)), atol=1e-6)


def test_binomial_taps_stand_between_pixels():
    """On a ramp both resamplings give the value at the new pixel's centre: (i + 1/2) / 2 - 1/2 and 2 i + 1/2."""
    ramp = np.tile(np.arange(12, dtype=np.float32)[None, :, None, None], (1, 1, 12, 1))
    up, down = map(np.asarray, jax.jit(lambda x: (fir.upsample(x), fir.downsample(x)))(ramp))
    np.testing.assert_allclose(up[0, 4:-4, 12, 0], (np.arange(24)[4:-4] + 0.5) / 2 - 0.5, rtol=1e-5)
    np.testing.assert_allclose(down[0, 1:-1, 3, 0], 2 * np.arange(6)[1:-1] + 0.5, rtol=1e-5)


def whole_plane(x, kernel, taps, gain):
    """Correlate x `[H, W, C]` with a kernel and filter it, on an infinite plane of zeros: (result, place of x's 0)."""
    size = kernel.shape[0]
    taps = np.asarray(taps, np.float64) / sum(taps)
    filtered = scipy.signal.convolve2d(np.eye(1), gain * np.outer(taps, taps))
    result = 0
    for c in range(x.shape[2]):
        blurred = scipy.signal.convolve2d(x[..., c], filtered)
        result = result + np.stack(
            [scipy.signal.correlate2d(blurred, kernel[:, :, c, f]) for f in range(kernel.shape[3])], axis=-1
        )
    return result, (size - 1) // 2


@pytest.mark.parametrize("size, name", [(3, "binomial"), (5, "lopsided"), (5, "long")])
def test_upsampling_convolution_is_filter_then_kernel_on_a_plane_of_zeros(size, name):
    x, kernel = normal(1, 4, 5, 2), normal(size, size, 2, 3, seed=1)
    stuffed = np.zeros((8, 10, 2))
    stuffed[::2, ::2] = x[0]
    plane, half = whole_plane(stuffed, kernel, TAPS[name], 4.0)
    first = half + (len(TAPS[name]) - 1) - (len(TAPS[name]) + 1) // 2  # where `upsample` has its pixel 0
    found = np.asarray(jax.jit(fir.upsample_conv2d, static_argnums=2)(x, kernel, TAPS[name]))
    assert found.shape == (1, 8, 10, 3)
    np.testing.assert_allclose(found[0], plane[first : first + 8, first : first + 10], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [1, 3])
def test_downsampling_convolution_is_filter_then_kernel_on_a_plane_of_zeros(size):
    x, kernel = normal(1, 6, 8, 2), normal(size, size, 2, 3, seed=1)
    plane, half = whole_plane(x[0].astype(np.float64), kernel, fir.BINOMIAL, 1.0)
    first = half + 3 - 1
    found = np.asarray(jax.jit(fir.downsample_conv2d)(x, kernel))
    np.testing.assert_allclose(found[0], plane[first : first + 6 : 2, first : first + 8 : 2], rtol=1e-4, atol=1e-4)


def by_example(x, kernel, style):
    """Modulate and demodulate one example's kernel in loops, and correlate by scipy."""
    result = np.zeros((*x.shape[:3], kernel.shape[3]))
    for b in range(len(x)):
        for j in range(kernel.shape[3]):
            own = kernel[:, :, :, j].astype(np.float64) * style[b]
            own = own / np.sqrt((own**2).sum())
            for i in range(x.shape[3]):
                result[b, :, :, j] += scipy.signal.correlate2d(x[b, :, :, i], own[:, :, i], mode="same")
    return result


@pytest.mark.parametrize("function", [modulated.modulated_conv2d, modulated.modulated_conv2d_grouped])
@pytest.mark.parametrize("size", [1, 3])
def test_both_forms_of_modulation_are_the_loop_over_examples(function, size):
    x, kernel, style = normal(3, 4, 5, 2), normal(size, size, 2, 4, seed=1), normal(3, 2, seed=2)
    found = jax.jit(function)(x, kernel, style)
    np.testing.assert_allclose(found, by_example(x, kernel, style), rtol=1e-4, atol=1e-5)


def test_both_forms_agree_in_gradients():
    arguments = normal(2, 4, 4, 3), normal(3, 3, 3, 2, seed=1), normal(2, 3, seed=2)
    weight = normal(2, 4, 4, 2, seed=3)
    value = lambda f, *a: (f(*a) * weight).sum()
    functions = modulated.modulated_conv2d, modulated.modulated_conv2d_grouped
    both = jax.jit(lambda *a: [jax.grad(functools.partial(value, f), argnums=(0, 1, 2))(*a) for f in functions])
    ours, grouped = both(*arguments)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), ours, grouped)


def test_modulation_under_resampling_is_that_of_each_examples_kernel():
    x, kernel, style = normal(2, 4, 4, 3), normal(3, 3, 3, 2, seed=1), normal(2, 3, seed=2)
    own = kernel[None] * style[:, None, None, :, None]
    own = own / np.sqrt((own**2).sum(axis=(1, 2, 3), keepdims=True))
    apart = jax.jit(jax.vmap(lambda x, k: fir.upsample_conv2d(x[None], k)[0]))(x, own)
    together = jax.jit(functools.partial(modulated.modulated_conv2d, convolve=fir.upsample_conv2d))(x, kernel, style)
    np.testing.assert_allclose(together, apart, rtol=1e-4, atol=1e-5)


def test_demodulated_output_of_white_noise_has_unit_variance():
    x, kernel, style = normal(4, 48, 48, 6), 3.0 * normal(3, 3, 6, 4, seed=1), np.exp(normal(4, 6, seed=2))
    both = jax.jit(lambda *a: (modulated.modulated_conv2d(*a), modulated.scaled_conv2d(*a)))
    y, bare = (np.asarray(found)[:, 1:-1, 1:-1] for found in both(x, kernel, style))
    # 2116 places; neighbours' products correlate: at most 9 of them, so the standard error is below sqrt(2 * 9 / 2116).
    np.testing.assert_allclose(y.var(axis=(1, 2)), 1.0, atol=4 * math.sqrt(18 / 2116))
    assert bare.var() > 50


def test_equalized_layers_use_weights_scaled_and_store_them_at_unit_variance():
    x = normal(512, 64)
    layer = equalized.EqualizedDense(128, gain=equalized.HE, multiplier=0.01, bias_init=1.0)
    params = jax.device_get(jax.jit(layer.init)(jax.random.key(0), x))
    np.testing.assert_allclose(params["params"]["kernel"].std(), 100.0, rtol=0.03)
    np.testing.assert_allclose(params["params"]["bias"], 100.0, rtol=1e-6)
    run = jax.jit(layer.apply)
    apply = lambda params, x: np.asarray(run(params, x))
    y = apply(params, x)
    np.testing.assert_allclose(np.square(y - 1.0).mean(), 2.0, rtol=0.05)  # gain^2: fan in 64 of unit variance
    slope = (apply(jax.tree.map(lambda p: p + 1, params), x) - y)[0, 0]
    np.testing.assert_allclose(slope, 0.01 * (math.sqrt(2 / 64) * x[0].sum() + 1.0), rtol=1e-3)
    conv = jax.jit(lambda key, x: equalized.EqualizedConv(32).init_with_output(key, x)[0])
    found = conv(jax.random.key(1), normal(2, 24, 24, 16, seed=1))
    np.testing.assert_allclose(np.asarray(found)[:, 1:-1, 1:-1].var(), 1.0, rtol=0.1)


def test_pixel_norm_is_numpys():
    x = normal(2, 3, 3, 5)
    expected = x / np.sqrt((x**2).mean(-1, keepdims=True))
    np.testing.assert_allclose(jax.jit(equalized.pixel_norm)(x), expected, rtol=1e-5)
    gradient = jax.jit(jax.grad(lambda z: equalized.pixel_norm(z).sum()))(np.zeros((1, 4), np.float32))
    assert np.isfinite(gradient).all()


def test_minibatch_stddev_couples_a_group_and_no_more():
    x = normal(6, 2, 2, 3)
    found = np.asarray(jax.jit(functools.partial(equalized.minibatch_stddev, group=3))(x))
    np.testing.assert_array_equal(found[..., :3], x)
    for g in (0, 3):
        np.testing.assert_allclose(found[g : g + 3, ..., 3], x[g : g + 3].std(axis=0).mean(), rtol=1e-5)
    influence = np.asarray(jax.jit(jax.jacobian(lambda z: equalized.minibatch_stddev(z, group=3)[:, 0, 0, 3]))(x))
    np.testing.assert_array_equal(np.abs(influence).sum(axis=(2, 3, 4)) > 0, np.kron(np.eye(2), np.ones((3, 3))) > 0)
    alone = np.asarray(jax.jit(equalized.minibatch_stddev)(x[:1]))
    assert np.abs(alone[..., 3]).max() <= 1e-4 + 1e-9


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: equalized.minibatch_stddev(np.ones((6, 2, 2, 1), np.float32), group=4), "whole number of groups"),
        (lambda: equalized.minibatch_stddev(np.ones((6, 2), np.float32)), "takes x"),
        (
            lambda: fir.upsample_conv2d(np.ones((1, 4, 4, 1), np.float32), np.ones((1, 1, 1, 1), np.float32)),
            "smaller than 3 x 3",
        ),
        (lambda: fir.downsample_conv2d(np.ones((1, 4, 4, 1), np.float32), np.ones((2, 2, 1, 1), np.float32)), "k odd"),
        (lambda: fir.upfirdn2d(np.ones((1, 2, 2, 1), np.float32), (1.0, -1.0)), "sum to zero"),
        (lambda: fir.upfirdn2d(np.ones((1, 2, 2, 1), np.float32), fir.BINOMIAL), "does not fit"),
        (
            lambda: modulated.modulated_conv2d(
                np.ones((2, 4, 4, 1), np.float32), np.ones((3, 3, 1, 1), np.float32), np.ones((2, 3), np.float32)
            ),
            "is not",
        ),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
