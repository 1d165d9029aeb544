"""Domains of pictures, made of any set of pictures by maps that are known, so that a translation can be judged.

A map f turns a picture u of the base set (digits unless another is named) into its look in the other domain.

| name | batch | train split | test split |
|---|---|---|---|
| `pairs/<map>[/<set>]` | x = u, y = f(u), label | the same u | the same u |
| `domains/<map>[/<set>]` | x = u, y = f(v), label of u | u and v of disjoint halves, each in an order of its own | v = u |
| `looks/<looks>[/<set>]` | x = f_k(u), label k, y = u | one look of each u | every look of each u |
| `looks/attributes[/<set>]` | x = f_a(u), attributes a, y = u | likewise | likewise |

`x` is what is modelled; in `looks` the picture u itself is there to judge by, and training does not need it. Pictures
keep their levels. A user's own pictures in two folders: `genjax.data.folder_domains`.
"""

import itertools
import math
from collections.abc import Callable

import numpy as np

from genjax.data.source import Examples, Source

PictureMap = Callable[[np.ndarray, int], np.ndarray]  # levels [N, H, W, C], number of levels -> [N, H, W, C']

SHUFFLES = 16  # orders of y in one epoch of unpaired pictures
WHITE, ORANGE = (1.0, 1.0, 1.0), (1.0, 0.5, 0.0)
COLOURS = {"red": (1.0, 0.0, 0.0), "green": (0.0, 1.0, 0.0), "blue": (0.0, 0.0, 1.0), "yellow": (1.0, 1.0, 0.0)}
ATTRIBUTES = ("thick", "orange", "inverted")


def inverted(x: np.ndarray, levels: int) -> np.ndarray:
    """Return the negative, L - 1 - x."""
    return (levels - 1 - x).astype(x.dtype)


def rotated(x: np.ndarray, levels: int) -> np.ndarray:
    """Return the picture turned to the left by 90 degrees."""
    del levels
    return np.ascontiguousarray(np.rot90(x, axes=(1, 2)))


def coloured(x: np.ndarray, levels: int) -> np.ndarray:
    """Return a grey picture in orange on navy blue."""
    blue = painted(inverted(x, levels), levels, (0.0, 0.0, 0.5))
    return painted(x, levels, ORANGE) + blue


def edges(x: np.ndarray, levels: int) -> np.ndarray:
    """Return where the brightness changes: 0, or L - 1 where the gradient is steep.

    The gradient is that of Sobel's filters over L - 1, by which an ideal step from black to white has length 4; steep
    is 1.5 and more.
    """
    padded = np.pad(x.astype(np.float64).mean(axis=3), ((0, 0), (1, 1), (1, 1)), mode="edge") / (levels - 1)
    smooth = lambda a, axis: sum(w * _shifted(a, k, axis) for w, k in ((1, -1), (2, 0), (1, 1)))
    differ = lambda a, axis: _shifted(a, 1, axis) - _shifted(a, -1, axis)
    across = smooth(differ(padded, 2), 1)
    down = smooth(differ(padded, 1), 2)
    steep = np.hypot(across, down)[:, 1:-1, 1:-1] >= 1.5
    return (steep[..., None] * (levels - 1)).astype(x.dtype)


def painted(x: np.ndarray, levels: int, colour: tuple[float, float, float]) -> np.ndarray:
    """Return a grey picture in a colour on black: channel c is x colour_c, to the nearest level."""
    del levels
    return np.rint(x.mean(axis=3, keepdims=True) * np.asarray(colour)).astype(x.dtype)


def thick(x: np.ndarray, levels: int) -> np.ndarray:
    """Return the brightest of each pixel, its right, its lower and its lower right neighbour."""
    del levels
    padded = np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)), mode="edge")
    return np.maximum.reduce([padded[:, i : i + x.shape[1], j : j + x.shape[2]] for i in (0, 1) for j in (0, 1)])


def with_attributes(x: np.ndarray, levels: int, attributes: tuple[int, ...]) -> np.ndarray:
    """Return a grey picture with attributes, in the order of `ATTRIBUTES`: thick, orange or white, inverted."""
    is_thick, is_orange, is_inverted = attributes
    x = thick(x, levels) if is_thick else x
    x = painted(x, levels, ORANGE if is_orange else WHITE)
    return inverted(x, levels) if is_inverted else x


MAPS: dict[str, PictureMap] = {"inverted": inverted, "rotated": rotated, "coloured": coloured, "edges": edges}


def _turned(times: int) -> PictureMap:
    return lambda x, levels: np.ascontiguousarray(np.rot90(x, times, axes=(1, 2)))


def _in_colour(colour: tuple[float, float, float]) -> PictureMap:
    return lambda x, levels: painted(x, levels, colour)


def _attributed(attributes: tuple[int, ...]) -> PictureMap:
    return lambda x, levels: with_attributes(x, levels, attributes)


BITS = tuple(itertools.product((0, 1), repeat=len(ATTRIBUTES)))  # attribute vectors in the order of their looks
LOOKS: dict[str, dict[str, PictureMap]] = {
    "colours": {name: _in_colour(colour) for name, colour in COLOURS.items()},
    "rotations": {f"{90 * times} degrees": _turned(times) for times in range(4)},
    "attributes": {"".join(map(str, bits)): _attributed(bits) for bits in BITS},
}


def open_pairs(name: str, picture_map: PictureMap, base: Source, split: str) -> Source:
    """Open pictures u of a base set as 'x' and their maps as 'y', of the same u."""
    levels = base.info.levels

    def read(indices: np.ndarray) -> Examples:
        examples = base.fetch(indices)
        return {**examples, "y": picture_map(examples["x"], levels)}

    return Source(base.info._replace(name=name, split=split), len(base), read, in_memory=base.in_memory)


def open_domains(name: str, picture_map: PictureMap, base: Source, split: str) -> Source:
    """Open pictures of a base set as 'x' and maps of others as 'y'; of the same ones on the test split.

    For training, 'x' are the examples at even places of the base set, 'y' maps of those at odd places, so that no
    picture has its counterpart in the data.
    """
    if split == "test":
        return open_pairs(name, picture_map, base, split)
    levels = base.info.levels
    read_x = lambda indices: base.fetch(2 * indices)
    read_y = lambda indices: picture_map(base.fetch(2 * indices + 1)["x"], levels)
    info = base.info._replace(name=name, split=split)
    return unpaired(info, read_x, (len(base) + 1) // 2, read_y, len(base) // 2, in_memory=base.in_memory)


def unpaired(
    info, read_x: Callable[[np.ndarray], Examples], size_x: int, read_y: Callable, size_y: int, *, in_memory: bool
) -> Source:
    """Make a source whose 'y' stand at indices of their own.

    Example i has the x at i modulo size_x, and the i-th y of a stream of permutations of all y. One epoch holds each
    picture of the larger domain `SHUFFLES` times, beside as many different ones of the other.

    Args:
        info: of x, a SourceInfo.
        read_x: indices [N] -> examples [N, ...] with 'x'.
        size_x: how many there are.
        read_y: indices [N] -> pictures [N, ...].
        size_y: how many there are.
        in_memory: as in `Source`.
    """
    size = SHUFFLES * max(size_x, size_y)
    # RandomState's stream is fixed for ever (NEP 19), so that a resumed run meets the same pictures.
    orders = [np.random.RandomState([0, k]).permutation(size_y) for k in range(math.ceil(size / size_y))]
    order = np.concatenate(orders)[:size]
    read = lambda indices: {**read_x(indices % size_x), "y": read_y(order[indices])}
    return Source(info, size, read, in_memory=in_memory)


def open_looks(name: str, looks: str, base: Source, split: str) -> Source:
    """Open pictures of a base set in several looks: 'x' the picture in one of them, 'y' the picture itself.

    'label' is the look's number; for attributes there is 'attributes' instead, uint8 0 or 1 `[N, A]`.
    """
    maps, levels = tuple(LOOKS[looks].values()), base.info.levels
    every = split == "test"
    bits = np.array(BITS, np.uint8)

    def read(indices: np.ndarray) -> Examples:
        plain = base.fetch(indices // len(maps) if every else indices)["x"]
        look = indices % len(maps)
        x = np.empty((len(indices), *shape), plain.dtype)
        for k, picture_map in enumerate(maps):
            x[look == k] = picture_map(plain[look == k], levels)
        told = {"attributes": bits[look]} if looks == "attributes" else {"label": look.astype(np.int32)}
        return {"x": x, "y": plain, **told}

    shape = maps[0](base.fetch([0])["x"], levels).shape[1:]
    many, names = (0, ()) if looks == "attributes" else (len(maps), tuple(LOOKS[looks]))
    info = base.info._replace(name=name, split=split, shape=shape, num_classes=many, label_names=names)
    return Source(info, len(base) * (len(maps) if every else 1), read, in_memory=base.in_memory)


def _shifted(a: np.ndarray, by: int, axis: int) -> np.ndarray:
    """Return a at places shifted by one; the border, of no use, is cut off by the caller."""
    return np.roll(a, -by, axis)
