"""Frequencies against probabilities, inverses, and independence of examples, keys and places in the batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.data import open_source, transforms

KEY = jax.random.key(0)


def grey(num: int) -> dict[str, np.ndarray]:
    """Return `num` equal images that hold each of the 17 levels once."""
    return {"x": np.tile(np.arange(17, dtype=np.uint8).reshape(1, 17, 1, 1), (num, 1, 1, 1)), "label": np.arange(num)}


def images(num: int) -> np.ndarray:
    return np.random.RandomState(3).randint(17, size=(num, 5, 4, 2)).astype(np.uint8)


def test_scaling_spans_the_interval_and_leaves_other_entries():
    for transform, low in ((transforms.symmetric(17), -1.0), (transforms.unit(17), 0.0)):
        out = transform(KEY, grey(3))
        np.testing.assert_allclose(out["x"][1].ravel(), np.linspace(low, 1, 17), atol=1e-6)
        np.testing.assert_array_equal(out["label"], np.arange(3))


def test_dequantized_values_lie_in_their_level():
    out = transforms.dequantize(17)(KEY, grey(500))["x"]
    np.testing.assert_array_equal(np.floor(np.asarray(out) * 17), grey(500)["x"])
    assert np.asarray(out).reshape(500, 17).std(axis=0).min() > 0.9 / 17 / 12**0.5


def test_dynamic_binarization_has_the_frequencies_of_the_grey_levels():
    transform = jax.jit(transforms.binarize_dynamic(17))
    num = 20_000
    bits = np.asarray(transform(KEY, grey(num))["x"]).reshape(num, 17)
    assert bits.dtype == np.float32 and set(np.unique(bits)) == {0.0, 1.0}
    p = np.arange(17) / 16
    assert (np.abs(bits.mean(axis=0) - p) <= 4.5 * np.sqrt(p * (1 - p) / num)).all()
    # Pixels and examples are drawn apart: off-diagonal correlations of 15 grey pixels are noise.
    correlation = np.corrcoef(bits[:, 1:-1].T)
    assert np.abs(correlation[~np.eye(15, dtype=bool)]).max() < 5 / num**0.5
    assert np.abs((bits[1:] * bits[:-1]).mean(axis=0) - p**2).max() < 5 * 0.5 / num**0.5
    assert (np.asarray(transform(jax.random.key(1), grey(num))["x"]).reshape(num, 17) != bits).any(axis=1).mean() > 0.9


@pytest.mark.parametrize(("threshold", "ones"), [(0.5, 8), (0.0, 16), (0.99, 1)])
def test_threshold(threshold, ones):
    bits = transforms.binarize_threshold(17, threshold)(KEY, grey(2))["x"]
    np.testing.assert_array_equal(bits[0].ravel(), np.arange(17) > 16 - ones)


def test_static_binarization_belongs_to_the_image_not_to_its_place_or_key():
    transform = jax.jit(transforms.binarize_static(17, 0))
    x = images(64)
    bits = np.asarray(transform(KEY, {"x": x})["x"])
    order = np.random.RandomState(0).permutation(64)
    np.testing.assert_array_equal(transform(jax.random.key(9), {"x": x[order]})["x"], bits[order])
    np.testing.assert_array_equal(jax.jit(transforms.binarize_static(17, 0))(KEY, {"x": x[5:6]})["x"], bits[5:6])
    assert (np.asarray(transforms.binarize_static(17, 1)(KEY, {"x": x})["x"]) != bits).any()


def test_static_binarization_has_the_frequencies_of_the_grey_levels():
    source = open_source("digits", "train")
    x = source.fetch(np.arange(len(source)))["x"]
    bits = np.asarray(transforms.binarize_static(17, 0)(KEY, {"x": x})["x"])
    for level in range(17):
        found, p = bits[x == level], level / 16
        assert abs(found.mean() - p) <= 4.5 * np.sqrt(p * (1 - p) / len(found))
    # Each image has noise of its own: of images with the same grey pixel, bits at that pixel differ.
    half = [bits[:, i, j, 0][x[:, i, j, 0] == 8] for i in range(8) for j in range(8)]
    assert all(0.1 < column.mean() < 0.9 for column in half if len(column) > 50)


def test_images_that_differ_at_one_pixel_or_in_its_place_hash_apart():
    zero = np.zeros((8, 8, 1), np.uint8)
    variants = [zero]
    for place in range(64):
        for level in (1, 2, 255):
            image = zero.copy()
            image.reshape(-1)[place] = level
            variants.append(image)
    hashes = np.asarray(jax.vmap(transforms.hash_levels)(np.stack(variants)))
    assert hashes.dtype == np.uint32 and len(np.unique(hashes)) == len(variants)
    bits = np.unpackbits(hashes[:, None].view(np.uint8), axis=1)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 4.5 * 0.5 / len(variants) ** 0.5  # every bit moves


@pytest.mark.parametrize("prob", (0.0, 0.3, 1.0))
def test_flips_turn_whole_images_with_their_probability(prob):
    x = images(4000)
    out = np.asarray(jax.jit(transforms.flip_horizontal(prob))(KEY, {"x": x})["x"])
    same = (out == x).all(axis=(1, 2, 3))
    turned = (out == x[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same | turned).all() and out.dtype == np.uint8
    assert abs(turned.mean() - prob) <= 4.5 * np.sqrt(prob * (1 - prob) / 4000)
    # Neighbours are drawn apart.
    assert abs((turned[1:] & turned[:-1]).mean() - prob**2) < 0.03


def test_one_hot_label():
    out = transforms.one_hot_label(5)(KEY, {"x": images(3), "label": np.array([0, 4, 2], np.int32)})
    np.testing.assert_array_equal(out["label"], np.eye(5)[[0, 4, 2]])
    assert out["label"].dtype == jnp.float32


@pytest.mark.parametrize("size", (5, 8, 9))
def test_padding_keeps_the_image_in_the_middle_and_cropping_undoes_it(size):
    x = np.random.RandomState(0).randint(1, 17, size=(3, 5, 5, 2)).astype(np.uint8)
    padded = np.asarray(transforms.pad_to(size)(KEY, {"x": x})["x"])
    assert padded.shape == (3, size, size, 2) and padded.dtype == np.uint8
    rows = np.flatnonzero(padded[0, :, :, 0].any(axis=1))
    assert len(rows) == 5 and size - 1 - rows[-1] - rows[0] in (0, 1)
    assert padded.astype(int).sum() == x.astype(int).sum()
    np.testing.assert_array_equal(transforms.crop(5)(KEY, {"x": padded})["x"], x)
    real = transforms.pad_to(size, -7.0)(KEY, {"x": x.astype(np.float32)})["x"]
    assert np.sum(np.asarray(real) == -7.0) == 3 * 2 * (size**2 - 25)


def test_mnist_padded_to_32_has_two_empty_pixels_on_each_side():
    padded = transforms.pad_to(32)(KEY, {"x": np.ones((1, 28, 28, 1), np.uint8)})["x"][0, :, :, 0]
    np.testing.assert_array_equal(padded, np.pad(np.ones((28, 28)), 2))


def test_a_chain_applies_in_order_with_keys_apart():
    def noise(scale):
        return transforms.on_x(lambda key, x: scale * x + jax.random.normal(key, x.shape))

    zero = {"x": jnp.zeros((4, 3))}
    first_key, second_key = jax.random.split(KEY)
    once = jax.random.normal(first_key, (4, 3))
    expected = 10.0 * once + jax.random.normal(second_key, (4, 3))
    np.testing.assert_allclose(transforms.chain(noise(1.0), noise(10.0))(KEY, zero)["x"], expected, rtol=1e-6)
    np.testing.assert_array_equal(transforms.chain()(KEY, zero)["x"], zero["x"])


@pytest.mark.parametrize("transform", [transforms.binarize_dynamic(17), transforms.flip_horizontal(0.5)])
def test_what_is_drawn_does_not_depend_on_how_devices_hold_the_batch(transform):
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
    held = jax.device_put(images(16), jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data")))
    np.testing.assert_array_equal(
        jax.jit(transform)(KEY, {"x": held})["x"], jax.jit(transform)(KEY, {"x": images(16)})["x"]
    )


@pytest.mark.parametrize(
    ("transform", "x", "message"),
    [
        (transforms.flip_horizontal(0.5), np.zeros((3, 64), np.uint8), r"\[B, H, W, C\]"),
        (transforms.pad_to(32), np.zeros((3, 64), np.uint8), r"\[B, H, W, C\]"),
        (transforms.pad_to(4), np.zeros((3, 5, 5, 1), np.uint8), "cannot be padded to 4x4"),
        (transforms.crop(6), np.zeros((3, 5, 5, 1), np.uint8), "cannot be cropped to 6x6"),
        (transforms.symmetric(256), np.zeros((3, 5), np.float32), "integer levels"),
        (transforms.binarize_dynamic(256), np.zeros((3, 5), np.float32), "integer levels"),
    ],
)
def test_wrong_input_is_refused_with_a_sentence(transform, x, message):
    with pytest.raises(ValueError, match=message):
        transform(KEY, {"x": x})
