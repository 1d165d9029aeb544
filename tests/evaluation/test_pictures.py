"""Pictures: every pixel of a grid is where it belongs, plots show what they should, bad input is refused."""

import re

import numpy as np
import pytest
from PIL import Image

from genjax.evaluation import pictures


def test_grid_puts_every_image_in_its_cell():
    images = np.arange(5 * 3 * 4 * 1, dtype=np.float32).reshape(5, 3, 4, 1) / 59.0
    canvas = pictures.grid(images, rows=2, scale=2)
    gap = pictures.GAP
    assert canvas.dtype == np.uint8 and canvas.shape == (2 * (6 + gap) + gap, 3 * (8 + gap) + gap, 1)
    for index in range(5):
        row, column = divmod(index, 3)
        for y in range(6):
            for x in range(8):
                pixel = canvas[gap + row * (6 + gap) + y, gap + column * (8 + gap) + x, 0]
                assert pixel == round(255 * float(images[index, y // 2, x // 2, 0]))
    assert np.all(canvas[6 + 2 * gap :, 2 * (8 + gap) + gap :] == pictures.GAP_LEVEL)  # the cell without an image
    assert np.all(canvas[:gap] == pictures.GAP_LEVEL) and np.all(canvas[:, -gap:] == pictures.GAP_LEVEL)


@pytest.mark.parametrize("size, scale", [(8, 6), (28, 2), (32, 2), (64, 1), (256, 1)])
def test_small_images_are_enlarged(size, scale):
    canvas = pictures.grid(np.zeros((9, size, size, 3), np.float32))
    side = 3 * (size * scale + pictures.GAP) + pictures.GAP
    assert canvas.shape == (side, side, 3)


def test_save_grid_reads_back_and_leaves_nothing_else(tmp_path):
    images = np.random.default_rng(0).random((7, 8, 8, 1), np.float32)
    path = pictures.save(tmp_path / "new" / "grid.png", images)
    with Image.open(path) as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), pictures.grid(images)[..., 0])
    colour = pictures.save_grid(path, np.repeat(images, 3, axis=-1), rows=1)
    with Image.open(colour) as image:
        assert image.mode == "RGB"
    assert [file.name for file in path.parent.iterdir()] == ["grid.png"]


def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = pictures.save_grid(tmp_path / "grid.png", np.zeros((1, 8, 8, 1), np.float32))
    before = path.read_bytes()

    def fails(*_):
        raise OSError("no space left")

    monkeypatch.setattr(pictures.os, "replace", fails)
    with pytest.raises(OSError, match="no space"):
        pictures.save_grid(path, np.ones((1, 8, 8, 1), np.float32))
    assert path.read_bytes() == before


BLUE, GREY = (31, 119, 180), (191, 191, 191)  # matplotlib's tab:blue, and 0.75 of white


def _near(canvas, colour):
    return np.max(np.abs(canvas.astype(int) - colour), axis=-1) < 12


def test_scatter_shows_samples_in_blue_over_data_in_grey(tmp_path):
    data = np.array([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]])
    both = pictures.scatter(np.array([[0.0, 0.0]]), data)
    assert _near(both, BLUE).any() and _near(both, GREY).any()
    assert not _near(pictures.scatter(data)[100:400, 100:400], GREY).any()
    path = pictures.save(tmp_path / "points.png", data, data)
    with Image.open(path) as image:
        assert image.size == (500, 500)


def test_scatter_has_equal_axes():
    canvas = pictures.scatter(np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 0.2], [0.0, -0.2]]))
    ys, xs = np.nonzero(_near(canvas, BLUE))
    mark = 3  # the pixels of one mark, which the outermost marks add to their distance
    # Data 2.0 wide and 0.4 high must be drawn five times as wide as high.
    assert (np.ptp(xs) - mark + 1) / (np.ptp(ys) - mark + 1) == pytest.approx(5.0, rel=0.05)


def test_scatter_frames_the_reference_and_counts_what_is_outside():
    data = np.random.default_rng(1).normal(size=(200, 2))
    inside = pictures.scatter(data, data)
    stray = pictures.scatter(np.concatenate([data, [[1e6, 0.0]]]), data)
    tops = [int(np.argmax(canvas[:, 450, 0] < 100)) for canvas in (inside, stray)]
    assert tops[1] > tops[0] + 5  # only the second has a title above its frame
    spread = [np.ptp(np.nonzero(_near(canvas, BLUE)), axis=1) for canvas in (inside, stray)]
    np.testing.assert_allclose(spread[1], spread[0], atol=25)  # the cloud did not shrink to a dot


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: pictures.grid(np.zeros((8, 8, 1))), r"[N, H, W, C]"),
        (lambda: pictures.grid(np.zeros((2, 8, 8, 2))), "C = 1 or 3"),
        (lambda: pictures.grid(np.zeros((0, 8, 8, 1))), "none of them 0"),
        (lambda: pictures.grid(np.zeros((2, 8, 8, 1), np.uint8)), "divide by the largest level"),
        (lambda: pictures.grid(np.full((2, 8, 8, 1), np.nan)), "not finite"),
        (lambda: pictures.grid(np.full((2, 8, 8, 1), 1.5)), "[1.5, 1.5]; rescale or clip"),
        (lambda: pictures.grid(np.full((2, 8, 8, 1), -1.0)), "must lie in [0, 1]"),
        (lambda: pictures.grid(np.zeros((2, 8, 8, 1)), rows=0), "rows must be at least 1"),
        (lambda: pictures.grid(np.zeros((2, 8, 8, 1)), scale=0), "scale must be at least 1"),
        (lambda: pictures.scatter(np.zeros((4, 3))), "points must be [N, 2]"),
        (lambda: pictures.scatter(np.zeros((0, 2))), "N at least 1"),
        (lambda: pictures.scatter(np.zeros((4, 2)), np.zeros((4, 3))), "reference must be [N, 2]"),
        (lambda: pictures.scatter(np.full((4, 2), np.inf)), "points hold values that are not finite"),
        (lambda: pictures.picture(np.zeros((4, 5))), "shape (4, 5) cannot be drawn"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_grid_takes_jax_bfloat16():
    jnp = pytest.importorskip("jax.numpy")
    assert pictures.grid(jnp.full((1, 8, 8, 1), 0.5, jnp.bfloat16)).max() == 128
