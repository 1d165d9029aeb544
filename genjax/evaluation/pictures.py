"""Pictures of samples: grids of images and scatter plots of points in the plane, as PNG files.

Arrays in, arrays or files out; nothing here knows a model. Files appear whole or not at all: each is written
beside its place and then renamed. matplotlib is imported by the scatter plot alone, when it is drawn.
"""

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

GAP = 2  # pixels between the images of a grid
GAP_LEVEL = 96  # their grey: seen beside black and beside white
READABLE = 48  # an image is enlarged until its longer side has about as many pixels
TOLERANCE = 1e-3  # by how much a value may leave [0, 1] through rounding

Array = np.ndarray


def grid(images: Array, rows: int | None = None, scale: int | None = None) -> Array:
    """Lay images out in a grid, row by row.

    Args:
        images: `[N, H, W, C]` in [0, 1], C = 1 (grey) or 3 (red, green, blue).
        rows: number of rows; by default the grid is as square as N allows.
        scale: whole factor by which each pixel is enlarged; by default small images grow to be readable.

    Returns:
        uint8 `[height, width, C]`; cells without an image have the colour of the gaps.

    Raises:
        ValueError: a wrong shape, no image, a value outside [0, 1] or not finite, rows or scale below 1.
    """
    images = _checked_images(images)
    num, height, width, channels = images.shape
    rows = max(1, int(np.sqrt(num))) if rows is None else _at_least_one(rows, "rows")
    scale = max(1, round(READABLE / max(height, width))) if scale is None else _at_least_one(scale, "scale")
    columns = -(-num // rows)
    cell_height, cell_width = height * scale + GAP, width * scale + GAP
    canvas = np.full((rows * cell_height + GAP, columns * cell_width + GAP, channels), GAP_LEVEL, np.uint8)
    levels = np.rint(np.clip(images, 0.0, 1.0) * 255.0).astype(np.uint8)
    for index, image in enumerate(levels.repeat(scale, axis=1).repeat(scale, axis=2)):
        top, left = GAP + index // columns * cell_height, GAP + index % columns * cell_width
        canvas[top : top + height * scale, left : left + width * scale] = image
    return canvas


def scatter(points: Array, reference: Array | None = None) -> Array:
    """Draw points in the plane, over reference points in grey.

    The axes are equal and, where there is a reference, frame it with a margin; points outside the frame
    are counted in the title and not drawn.

    Args:
        points: `[N, 2]`, finite.
        reference: `[M, 2]`, finite: real data to compare with.

    Returns:
        uint8 `[height, width, 3]`.

    Raises:
        ValueError: a wrong shape, no point, or a value that is not finite.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    points = _checked_points(points, "points")
    framed = points if reference is None else _checked_points(reference, "reference")
    centre, half = _frame(framed)
    outside = int(np.sum(np.any(np.abs(points - centre) > half, axis=1)))
    figure = Figure(figsize=(5, 5), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    if reference is not None:
        axes.scatter(*framed.T, s=6, c="0.75", linewidths=0, label="data")
    axes.scatter(*points.T, s=6, c="tab:blue", linewidths=0, label="samples")
    axes.set_xlim(centre[0] - half, centre[0] + half)
    axes.set_ylim(centre[1] - half, centre[1] + half)
    axes.set_aspect("equal")
    if outside:
        axes.set_title(f"{outside} of {len(points)} samples outside", fontsize="small")
    if reference is not None:
        axes.legend(loc="upper right", fontsize="small", markerscale=3)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def picture(samples: Array, reference: Array | None = None) -> Array:
    """Draw samples by their shape: images as a grid, points as a scatter plot.

    Args:
        samples: images `[N, H, W, C]` in [0, 1], or points `[N, 2]`.
        reference: points `[M, 2]` under a scatter plot; not used by a grid.

    Returns:
        uint8 `[height, width, C]`.

    Raises:
        ValueError: neither shape, or what `grid` and `scatter` refuse.
    """
    samples = np.asarray(samples)
    if samples.ndim == 4:
        return grid(samples)
    if samples.ndim == 2 and samples.shape[1] == 2:
        return scatter(samples, reference)
    raise ValueError(
        f"samples of shape {samples.shape} cannot be drawn; give images [N, H, W, C] or points [N, 2] "
        "(a system's to_picture makes them)."
    )


def save(path: str | os.PathLike, samples: Array, reference: Array | None = None) -> Path:
    """Write `picture(samples, reference)` as a PNG file and return its path."""
    return write_png(path, picture(samples, reference))


def save_grid(path: str | os.PathLike, images: Array, rows: int | None = None, scale: int | None = None) -> Path:
    """Write `grid(images, rows, scale)` as a PNG file and return its path."""
    return write_png(path, grid(images, rows, scale))


def save_scatter(path: str | os.PathLike, points: Array, reference: Array | None = None) -> Path:
    """Write `scatter(points, reference)` as a PNG file and return its path."""
    return write_png(path, scatter(points, reference))


def write_png(path: str | os.PathLike, pixels: Array) -> Path:
    """Write pixels as a PNG file, whole or not at all.

    Args:
        path: where to; missing folders are made.
        pixels: uint8 `[height, width, C]`, C = 1 or 3.

    Returns:
        The path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(encoded, format="PNG")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_bytes(encoded.getvalue())
    os.replace(part, path)
    return path


def _checked_images(images: Array) -> Array:
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape:
        raise ValueError(f"images must be [N, H, W, C] with C = 1 or 3 and none of them 0, got shape {images.shape}.")
    if not np.issubdtype(images.dtype, np.floating):
        # Also what jax calls bfloat16, which NumPy does not count as a floating type.
        if images.dtype.kind in "iub":
            raise ValueError(f"images must be real and in [0, 1], got {images.dtype}; divide by the largest level.")
    images = images.astype(np.float32)
    if not np.all(np.isfinite(images)):
        raise ValueError("images hold values that are not finite.")
    low, high = float(images.min()), float(images.max())
    if low < -TOLERANCE or high > 1.0 + TOLERANCE:
        raise ValueError(f"images must lie in [0, 1], got [{low:.4g}, {high:.4g}]; rescale or clip them first.")
    return images


def _checked_points(points: Array, name: str) -> Array:
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise ValueError(f"{name} must be [N, 2] with N at least 1, got shape {points.shape}.")
    points = points.astype(np.float32)
    if not np.all(np.isfinite(points)):
        raise ValueError(f"{name} hold values that are not finite.")
    return points


def _frame(points: Array) -> tuple[Array, float]:
    """Return centre `[2]` and half side of a square around the points, with a margin of a tenth."""
    low, high = points.min(axis=0), points.max(axis=0)
    return (low + high) / 2, float(max(np.max(high - low) / 2, 1e-3)) * 1.1


def _at_least_one(value: int, name: str) -> int:
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}.")
    return int(value)
