"""SeismoGen's blocks: convolution along time against numpy, pipelines that do not see one another, the peak."""

import jax
import numpy as np

from genjax.adversarial import SeismogramGenerator, SeriesConv, peak_normalize


def test_convolution_along_time():
    """Stride 1, kernel 3, padded by one: numpy's correlation channel by channel."""
    x = np.random.default_rng(0).normal(size=(2, 7, 2)).astype(np.float32)
    layer = SeriesConv(3, 3)
    found, variables = jax.device_get(jax.jit(layer.init_with_output)(jax.random.key(0), x))
    kernel = variables["params"]["kernel"][:, 0]
    one = lambda b, f: sum(np.correlate(x[b, :, c], kernel[:, c, f], mode="same") for c in range(2))
    expected = np.stack([np.stack([one(b, f) for f in range(3)], axis=-1) for b in range(2)])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_peak_of_a_record_is_one():
    x = np.array([[[1, -4]], [[0.5, 0.25]], [[0, 0]]], np.float32)
    np.testing.assert_allclose(jax.jit(peak_normalize)(x), [[[0.25, -1]], [[1, 0.5]], [[0, 0]]])


def test_a_pipeline_makes_its_component_alone():
    """Other kernels in the pipeline of one component move that component alone; so does other noise."""
    generator = SeismogramGenerator((16, 3), 2, features=(4, 4), kernel_size=3)
    z, label = np.random.default_rng(1).normal(size=(1, 3 + 48)).astype(np.float32), np.array([1], np.int32)
    start = jax.jit(lambda z: generator.init(jax.random.key(0), z, label, train=True))
    variables = jax.device_get(start(z))
    make = jax.jit(lambda v, z: generator.apply(v, z, label, train=True)[0])
    larger = lambda p: p * np.array([1, 1.5, 1], np.float32).reshape(3, *[1] * (p.ndim - 1))
    changed = jax.tree.map(lambda p: larger(p) if p.ndim > 1 and p.shape[0] == 3 else p, variables)
    noisy = z.copy()
    noisy[0, 3 + 7 * 3 + 1] += 1  # step 7, component 1
    before = np.asarray(make(variables, z))
    assert before.shape == (16, 3) and np.abs(before).max() < 1
    for after in (make(changed, z), make(variables, noisy)):
        moved = np.abs(np.asarray(after) - before) > 1e-6
        np.testing.assert_array_equal(moved.any(axis=0), [False, True, False])
    assert not moved[[0, 1, 13, 14, 15]].any()  # two convolutions of 3 steps see 2 to either side
