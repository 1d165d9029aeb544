"""Made maps of settlements: where people built, between hills and water, and how long their roads are.

settlements: 'x' uint8 [16, 16, 1], how densely each cell is built, 0 on water; 'y' uint8 [16, 16, 3], what is known of
the place beside it: elevation, water (0 or 255), and light at night, a blurred and noisy look at what is built; 'roads'
float32, the length of road per built cell that joins them all (`road_density`): 1 where a place hangs together, more
where it is scattered.

A place has one to four centres on dry land, of unequal size. Around a centre of size s the density falls off as
s exp(-distance / (2 + 2 s)), less on high ground, and uneven as settlements are. Train has 1,000 places and test 300,
drawn once from seeds of their own.
"""

import functools

import numpy as np

from genjax.data.source import Source, SourceInfo, from_arrays

SIDE = 16
BUILT = 64  # a cell counts as built from this level on
SIZES = {"train": 1000, "test": 300}
_SEEDS = {"train": 0, "test": 1}


def open_settlements(split: str) -> Source:
    """Open the maps: 'x' uint8 [16, 16, 1], 'y' uint8 [16, 16, 3], 'roads' float32; split 'train' or 'test'."""
    x, y, roads = _places(split)
    info = SourceInfo("settlements", split, x.shape[1:], x.dtype, 256)
    return from_arrays(info, {"x": x, "y": y, "roads": roads})


def road_density(built: np.ndarray) -> np.ndarray:
    """Return the length, per built cell, of the shortest network of straight roads that joins all built cells.

    Args:
        built: bool [N, H, W].

    Returns:
        float32 [N]: the length of the minimum spanning tree of the centres of the n built cells, in sides of a cell,
        over n - 1; 0 where n < 2.
    """
    from scipy.sparse.csgraph import minimum_spanning_tree
    from scipy.spatial.distance import pdist, squareform

    length = [minimum_spanning_tree(squareform(pdist(np.argwhere(one)))).sum() if one.any() else 0.0 for one in built]
    return (np.asarray(length) / np.maximum(built.sum(axis=(1, 2)) - 1, 1)).astype(np.float32)


@functools.cache
def _places(split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random, num = np.random.RandomState(_SEEDS[split]), SIZES[split]
    height, moisture = _field(random, num, 2.5), _field(random, num, 2.0)
    rank = moisture.reshape(num, -1).argsort(axis=1).argsort(axis=1).reshape(moisture.shape)
    water = rank < random.uniform(0.02, 0.25, (num, 1, 1)) * SIDE**2
    density = _density(random, num, water) * (1 - 0.5 * np.clip(height, 0, 1)) * (1 + 0.5 * _field(random, num, 0.6))
    x = np.clip(255 * density, 0, 255) * ~water
    light = np.clip(_smooth(x, 1.5) + 12 * random.normal(size=x.shape), 0, 255)
    known = np.stack([np.clip(127.5 + 60 * height, 0, 255), 255 * water, light], axis=-1)
    x = np.rint(x).astype(np.uint8)
    return x[..., None], np.rint(known).astype(np.uint8), road_density(x >= BUILT)


def _density(random: np.random.RandomState, num: int, water: np.ndarray) -> np.ndarray:
    """Return how densely cells would be built on flat land, about 0 to 1.5, [N, SIDE, SIDE]."""
    rows, columns = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    density, centres = np.zeros((num, SIDE, SIDE)), random.randint(1, 5, num)
    for k in range(4):
        # The driest of a few places is taken, so that centres lie on land.
        places = random.randint(1, SIDE - 1, (num, 8, 2))
        wet = water[np.arange(num)[:, None], places[..., 0], places[..., 1]]
        row, column = places[np.arange(num), wet.argmin(axis=1)].T
        size = random.uniform(0.9 if k == 0 else 0.3, 1.5, num) * (k < centres)
        distance = np.hypot(rows - row[:, None, None], columns - column[:, None, None])
        density += size[:, None, None] * np.exp(-distance / (1 + 1.5 * size[:, None, None]))
    return density


def _field(random: np.random.RandomState, num: int, scale: float) -> np.ndarray:
    """Return smooth noise of variance 1 over each map, [N, SIDE, SIDE]."""
    smooth = _smooth(random.normal(size=(num, SIDE, SIDE)), scale)
    return smooth / smooth.std(axis=(1, 2), keepdims=True)


def _smooth(x: np.ndarray, scale: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(x, (0, scale, scale), mode="wrap")
