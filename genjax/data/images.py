"""Pictures as arrays: the one place where an image changes its size or its channels."""

from typing import Any

import numpy as np

MODES = {1: "L", 3: "RGB"}


def to_array(image: Any, size: int | None, channels: int) -> np.ndarray:
    """Return a pillow image as levels.

    Args:
        image: a PIL.Image.Image.
        size: side of the square it is fitted to: cropped at the centre to a square, then scaled.
            None keeps height and width.
        channels: 1 (grey) or 3 (RGB).
    Returns:
        uint8 [H, W, channels].
    """
    from PIL import Image

    if size is not None and image.format == "JPEG":
        image.draft(MODES[channels], (size, size))  # decodes at a half, a quarter, ... where that is still enough
    image = image.convert(MODES[channels])
    if size is not None:
        # Cropped first: a resize by a box lets what lies outside it bleed in through the filter.
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(image).reshape(image.height, image.width, channels)
