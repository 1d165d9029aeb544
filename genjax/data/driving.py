"""Made drives: frames of a road, the key that the driver presses, and the frame after.

driving: 'x' uint8 [16, 16, 1], the frame after; 'y' uint8 [16, 16, 2], the two frames before it, the earlier one first;
'label' int32, the key pressed: 0 left, 1 none, 2 right. 4,000 training frames and 1,000 test frames, of drives of their
own, with every key equally likely.

A road runs from the lower edge to a horizon at row 5, seen from the car at offset u from its middle and at heading h:
at depth d (1 at the lower edge, 0 at the horizon) its middle is at column 7.5 - 8 u d - 5 h (1 - d) + 5 c (1 - d)^2, c
its curvature, and it is 1 + 5 d columns wide to either side. Dashes on the middle move towards the car. A key turns and
moves the car, h' = 0.7 h + 0.35 k, u' = u + 0.5 h' with k = -1, 0, 1, both held within [-1, 1]; the curvature wanders.
So the frame after follows from the two before, up to the wandering, and from the key.
"""

import functools

import numpy as np

from genjax.data.source import Source, SourceInfo, from_arrays

SIDE, HORIZON = 16, 5
SIZES = {"train": 4000, "test": 1000}
_SEEDS = {"train": 0, "test": 1}
NAMES = ("left", "none", "right")
SKY, GRASS, ROAD, DASH = 220.0, 90.0, 40.0, 255.0


def open_driving(split: str) -> Source:
    """Open the frames, uint8 [16, 16, 1], with two before each and the key between; split 'train' or 'test'."""
    x, y, label = _frames(split)
    info = SourceInfo("driving", split, x.shape[1:], x.dtype, 256, 3, NAMES)
    return from_arrays(info, {"x": x, "y": y, "label": label})


@functools.cache
def _frames(split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random, num = np.random.RandomState(_SEEDS[split]), SIZES[split]
    offset, heading = random.uniform(-0.6, 0.6, num), random.uniform(-0.4, 0.4, num)
    curvature, way = random.uniform(-1, 1, num), random.uniform(0, 1, num)
    frames = [seen(offset, heading, curvature, way)]
    for _ in range(2):
        key = random.randint(0, 3, num)
        offset, heading = driven(offset, heading, key)
        curvature = np.clip(curvature + random.normal(0, 0.05, num), -1, 1)
        way = way + 0.25
        frames.append(seen(offset, heading, curvature, way))
    return frames[2][..., None], np.stack(frames[:2], axis=-1), key.astype(np.int32)


def driven(offset: np.ndarray, heading: np.ndarray, key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return offset and heading [N] after keys 0, 1, 2 have been pressed."""
    heading = np.clip(0.7 * heading + 0.35 * (key - 1), -1, 1)
    return np.clip(offset + 0.5 * heading, -1, 1), heading


def seen(offset: np.ndarray, heading: np.ndarray, curvature: np.ndarray, way: np.ndarray) -> np.ndarray:
    """Return what a car sees, uint8 [N, SIDE, SIDE].

    Args:
        offset, heading, curvature: [N], in [-1, 1].
        way: driven so far, in distances between dashes, [N].
    """
    rows = np.arange(HORIZON, SIDE)
    depth = (rows + 1 - HORIZON) / (SIDE - HORIZON)
    far = 1 - depth
    middle = 7.5 - 8 * offset[:, None] * depth - 5 * heading[:, None] * far + 5 * curvature[:, None] * far**2
    across = np.arange(SIDE) - middle[..., None]  # [N, rows, columns]
    soft = lambda inside: np.clip(inside + 0.5, 0, 1)
    road = soft(1 + 5 * depth[:, None] - np.abs(across))
    dashed = (0.5 / depth + way[:, None]) % 1 < 0.5
    dash = soft(0.3 + 0.7 * depth[:, None] - np.abs(across)) * dashed[..., None]
    ground = GRASS + (ROAD - GRASS) * road
    ground = ground + (DASH - ground) * dash
    sky = np.full((len(offset), HORIZON, SIDE), SKY)
    return np.rint(np.concatenate([sky, ground], axis=1)).astype(np.uint8)
