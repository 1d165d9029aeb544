"""Made pictures of a retina with masks of their vessels.

vessels[/<num>]: 'x' uint8 [24, 24, 1], 'y' uint8 [24, 24, 1], 255 on a vessel and 0 elsewhere; <num> training pictures,
40 unless another number is given, and 200 test pictures.

Three vessels wander in from the border, each throws off a branch, thinner than itself. The ground is bright with an
uneven illumination and a bright disc; vessels are darker than it by a contrast that differs from picture to picture,
0.12 to 0.35 of the full range; three dark spots are no vessels. The picture is slightly blurred, with noise of standard
deviation 0.03. So a threshold alone does not find the vessels.
"""

import functools

import numpy as np

from genjax.data.source import Source, SourceInfo, from_arrays

SIDE = 24
TEST_SIZE = 200
STEPS, STRIDE = 48, 0.6  # of a vessel's walk
TRUNKS = 3


def open_vessels(name: str, num: int, split: str) -> Source:
    """Open `num` training pictures or the test pictures with their masks, uint8 [24, 24, 1] both."""
    x, y = _pictures(num if split == "train" else TEST_SIZE, seed=int(split == "test"))
    return from_arrays(SourceInfo(name, split, x.shape[1:], x.dtype, 256), {"x": x, "y": y})


@functools.cache
def _pictures(num: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.RandomState(seed)
    mask = _trees(random, num)
    picture = _smooth(_ground(random, num) - random.uniform(0.12, 0.35, (num, 1, 1)) * mask, 0.4)
    picture += 0.03 * random.normal(size=picture.shape)
    x = np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)
    return x[..., None], (255 * mask[..., None]).astype(np.uint8)


def _trees(random: np.random.RandomState, num: int) -> np.ndarray:
    """Return masks of vessels, bool [num, SIDE, SIDE]: walks that start at the border, and branches of them."""
    mask = np.zeros((num, SIDE, SIDE), bool)
    every = np.arange(num)[:, None]
    towards = random.uniform(0, 2 * np.pi, (num, TRUNKS))
    place = SIDE / 2 - 0.6 * SIDE * np.stack([np.sin(towards), np.cos(towards)], axis=-1)
    place += random.normal(0, 2, place.shape)
    place, towards = np.concatenate([place, place], axis=1), np.concatenate([towards, towards], axis=1)
    leaves_at = random.randint(STEPS // 4, STEPS // 2, (num, TRUNKS))
    leaves_by = random.choice([-0.8, 0.8], (num, TRUNKS))
    for step in range(STEPS):
        turn = random.normal(0, 0.15, (num, TRUNKS))
        towards[:, :TRUNKS] += turn
        apart = step >= leaves_at
        towards[:, TRUNKS:] += np.where(apart, random.normal(0, 0.15, (num, TRUNKS)), turn)
        towards[:, TRUNKS:] += np.where(step == leaves_at, leaves_by, 0)
        place += STRIDE * np.stack([np.sin(towards), np.cos(towards)], axis=-1)
        row, column = np.moveaxis(np.floor(place).astype(int), -1, 0)
        for dr, dc, walks in ((0, 0, slice(None)), (0, 1, slice(TRUNKS)), (1, 0, slice(TRUNKS))):
            r, c = row[:, walks] + dr, column[:, walks] + dc
            inside = (r >= 0) & (r < SIDE) & (c >= 0) & (c < SIDE)
            mask[np.broadcast_to(every, r.shape)[inside], r[inside], c[inside]] = True
    return mask


def _ground(random: np.random.RandomState, num: int) -> np.ndarray:
    """Return what is behind the vessels, about 0.3 to 1, [num, SIDE, SIDE]: illumination, a bright disc, dark spots."""
    light = _smooth(random.normal(size=(num, SIDE, SIDE)), 6.0)
    light /= light.std(axis=(1, 2), keepdims=True)
    ground = random.uniform(0.55, 0.75, (num, 1, 1)) + 0.07 * light
    rows, columns = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    for strength, radius in ((0.2, 4.0), (-0.2, 1.2), (-0.2, 1.2), (-0.2, 1.2)):
        centre = random.uniform(3, SIDE - 3, (2, num, 1, 1))
        ground += strength * (np.hypot(rows - centre[0], columns - centre[1]) < radius)
    return ground


def _smooth(x: np.ndarray, scale: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(x, (0, scale, scale), mode="nearest")
