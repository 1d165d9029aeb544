"""Distributions over the plane, with their densities where these are known.

    eight_gaussians        mixture of 8 on a circle of radius 4/sqrt 2, std 0.5/sqrt 2 on each axis
    eight_gaussians_torchcfm   the same with radius 5 and variance sqrt 0.1 = 0.316 on each axis: the peer passes
                           sqrt(var) where a covariance is asked for, so that its "var = 0.1" is not 0.1
    ring_of_8, grid_of_25  the mode-collapse benchmarks: radius 1, std 0.01; means in {-4, -2, 0, 2, 4}^2, std 0.05
    two_moons              two half circles plus N(0, 0.1^2) on each coordinate
    two_moons_torchcfm     the same half circles plus ONE number of U(0, 0.2) on both coordinates, then 3 x - 1
    checkerboard           uniform on the 8 dark squares of side 2 in [-4, 4]^2
    spirals                two arms, angle t in (0, 3 pi) with density proportional to t, plus U(0, 0.5)/3 outwards
                           along each axis and N(0, 0.1^2)
    pinwheel               five arms: N((1, 0), diag(0.3^2, 0.1^2)), sheared by the rotation exp(x_0)/4, times 2
    rings                  four circles of radius 0.75, 1.5, 2.25, 3 plus N(0, 0.08^2)

The geometry of the last four and of eight_gaussians is that of the FFJORD experiments (Grathwohl et al., 2019),
section 4.1; the mode-collapse sets are those of PacGAN (Lin et al., 2018), section 4.1. Points are drawn
independently here, where some peers place them at equal distances.

A mixture over a curve has the density int p(t) N(x; c(t), s^2 I) dt, taken by Gauss-Legendre quadrature with nodes far
denser than s, where it converges like the exponential: exact to float64 for what it is used for. Densities are
numpy functions of float64 points, so that they serve as oracles.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from genjax.data.source import Source, SourceInfo, from_arrays

SIZES = {"train": 100_000, "test": 20_000}
_SEEDS = {"train": 0, "test": 1}

LogDensity = Callable[[np.ndarray], np.ndarray]


class Toy2D(NamedTuple):
    """A distribution over the plane.

    sample: (RandomState, n) -> points float64 [n, 2] and labels [n], drawn independently.
    num_classes: labels (mode, moon, square, arm, ring) are 0..num_classes-1.
    log_density: points [N, 2] -> nats [N]; None where it is not known in closed form.
    entropy: nats, the least negative log-likelihood that any model can reach; None with the density.
    centers: means [K, 2] of a Gaussian mixture with equal weights; None otherwise.
    std: of its components on each axis.
    """

    sample: Callable[[np.random.RandomState, int], tuple[np.ndarray, np.ndarray]]
    num_classes: int
    log_density: LogDensity | None = None
    entropy: float | None = None
    centers: np.ndarray | None = None
    std: float | None = None


def gaussian_mixture(centers: np.ndarray, std: float, entropy: float) -> Toy2D:
    """Make a mixture of equal isotropic Gaussians with means [K, 2]."""

    def sample(random: np.random.RandomState, n: int) -> tuple[np.ndarray, np.ndarray]:
        label = random.randint(len(centers), size=n)
        return centers[label] + std * random.standard_normal((n, 2)), label

    return Toy2D(sample, len(centers), _curve_log_density(centers, np.ones(len(centers)), std), entropy, centers, std)


def circle(num: int, radius: float) -> np.ndarray:
    """Return `num` points at equal angles on a circle, [num, 2]."""
    angle = 2 * np.pi * np.arange(num) / num
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _curve_log_density(centers: np.ndarray, weights: np.ndarray, std: float) -> LogDensity:
    """Return log sum_k w_k N(x; c_k, std^2 I) for weights proportional to `weights` [K]."""
    log_weights = np.log(weights / weights.sum()) - np.log(2 * np.pi * std**2)

    def log_density(points: np.ndarray) -> np.ndarray:
        squares = ((points[:, None] - centers) ** 2).sum(-1)
        return _logsumexp(log_weights - 0.5 * squares / std**2)

    return _in_chunks(log_density)


def _logsumexp(terms: np.ndarray) -> np.ndarray:
    """Return log sum exp over the last axis."""
    highest = terms.max(-1, keepdims=True)
    return np.log(np.exp(terms - highest).sum(-1)) + highest[..., 0]


def _in_chunks(log_density: LogDensity, rows: int = 4096) -> LogDensity:
    """Bound the memory of a density that makes a [rows, nodes] table."""

    def chunked(points: np.ndarray) -> np.ndarray:
        points = np.asarray(points, np.float64)
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"Points of the plane are [N, 2], got {points.shape}.")
        return np.concatenate([log_density(points[i : i + rows]) for i in range(0, max(len(points), 1), rows)])

    return chunked


@functools.cache
def _legendre(low: float, high: float, num: int) -> tuple[np.ndarray, np.ndarray]:
    """Return Gauss-Legendre nodes and weights of an interval."""
    nodes, weights = np.polynomial.legendre.leggauss(num)
    return low + (high - low) * (nodes + 1) / 2, weights * (high - low) / 2


def _moon(angle: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return points [N, 2] of the outer (label 0) or inner (label 1) half circle."""
    outer = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    inner = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], axis=-1)
    return np.where(label[..., None] == 0, outer, inner)


def two_moons(std: float, entropy: float) -> Toy2D:
    """Make two half circles with Gaussian noise on each coordinate."""

    def sample(random: np.random.RandomState, n: int) -> tuple[np.ndarray, np.ndarray]:
        label = random.randint(2, size=n)
        return _moon(random.uniform(0, np.pi, n), label) + std * random.standard_normal((n, 2)), label

    def log_density(points: np.ndarray) -> np.ndarray:
        nodes, weights = _legendre(0, np.pi, 200)
        centers = np.concatenate([_moon(nodes, np.full(len(nodes), moon)) for moon in (0, 1)])
        return _curve_log_density(centers, np.tile(weights, 2), std)(points)

    return Toy2D(sample, 2, log_density, entropy)


def two_moons_torchcfm() -> Toy2D:
    """Make the moons of torchcfm: one uniform number is added to both coordinates, so noise is diagonal."""

    def sample(random: np.random.RandomState, n: int) -> tuple[np.ndarray, np.ndarray]:
        label = random.randint(2, size=n)
        points = _moon(random.uniform(0, np.pi, n), label) + 0.2 * random.uniform(size=(n, 1))
        return 3 * points - 1, label

    return Toy2D(sample, 2)


def checkerboard() -> Toy2D:
    """Make the uniform distribution over the dark squares (i + j even) of a 4x4 board on [-4, 4]^2."""
    squares = np.array([(i, j) for i in range(-2, 2) for j in range(-2, 2) if (i + j) % 2 == 0])

    def sample(random: np.random.RandomState, n: int) -> tuple[np.ndarray, np.ndarray]:
        label = random.randint(8, size=n)
        return 2 * (squares[label] + random.uniform(size=(n, 2))), label

    def log_density(points: np.ndarray) -> np.ndarray:
        row, column = np.floor(np.asarray(points, np.float64) / 2).T
        dark = ((row + column) % 2 == 0) & (np.maximum(abs(row + 0.5), abs(column + 0.5)) < 2)
        return np.where(dark, -np.log(32.0), -np.inf)

    return Toy2D(sample, 8, log_density, float(np.log(32.0)))


def spirals(std: float, entropy: float) -> Toy2D:
    """Make two spiral arms, each the other turned by half a turn."""
    box = 0.5 / 3

    def arm(angle: np.ndarray) -> np.ndarray:
        return angle[:, None] / 3 * np.stack([-np.cos(angle), np.sin(angle)], axis=-1)

    def sample(random: np.random.RandomState, n: int) -> tuple[np.ndarray, np.ndarray]:
        label = random.randint(2, size=n)
        angle = 3 * np.pi * np.sqrt(random.uniform(size=n))
        points = (1 - 2 * label[:, None]) * (arm(angle) + box * random.uniform(size=(n, 2)))
        return points + std * random.standard_normal((n, 2)), label

    def one_arm(points: np.ndarray) -> np.ndarray:
        """Return sum_t w_t prod_axis (Phi((x - c_t) / s) - Phi((x - c_t - box) / s)) / box."""
        from scipy.special import ndtr

        nodes, weights = _legendre(0, 3 * np.pi, 400)
        weights = weights * nodes / (weights * nodes).sum()
        # From the middle of the box and on the side below it, where ndtr is small and the difference keeps its digits.
        below, half = -abs(points[:, None] - arm(nodes) - box / 2) / std, box / 2 / std
        return ((ndtr(below + half) - ndtr(below - half)) / box).prod(-1) @ weights

    def log_density(points: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):  # far from both arms the density is below the least float: -inf
            return np.log(0.5 * (one_arm(points) + one_arm(-points)))

    return Toy2D(sample, 2, _in_chunks(log_density, rows=1024), entropy)


def pinwheel() -> Toy2D:
    """Make five sheared arms."""

    def sample(random: np.random.RandomState, n: int) -> tuple[np.ndarray, np.ndarray]:
        label = random.randint(5, size=n)
        flat = np.array([0.3, 0.1]) * random.standard_normal((n, 2)) + np.array([1.0, 0.0])
        angle = 2 * np.pi * label / 5 + 0.25 * np.exp(flat[:, 0])
        cos, sin = np.cos(angle), np.sin(angle)
        turned = np.stack([cos * flat[:, 0] + sin * flat[:, 1], cos * flat[:, 1] - sin * flat[:, 0]], axis=1)
        return 2 * turned, label

    return Toy2D(sample, 5)


def rings(radii: np.ndarray, std: float, entropy: float) -> Toy2D:
    """Make concentric circles with Gaussian noise.

    With r = |x| the density of one circle of radius R is exp(-(r^2 + R^2) / 2 s^2) I_0(r R / s^2) / (2 pi s^2).
    """

    def sample(random: np.random.RandomState, n: int) -> tuple[np.ndarray, np.ndarray]:
        label = random.randint(len(radii), size=n)
        angle = random.uniform(0, 2 * np.pi, n)
        points = radii[label, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return points + std * random.standard_normal((n, 2)), label

    def log_density(points: np.ndarray) -> np.ndarray:
        from scipy.special import i0e

        # i0e(z) = I_0(z) exp(-z) turns -(r^2 + R^2) into -(r - R)^2: I_0 itself overflows.
        radius = np.linalg.norm(points, axis=1)[:, None]
        terms = -0.5 * ((radius - radii) / std) ** 2 + np.log(i0e(radius * radii / std**2))
        return _logsumexp(terms) - np.log(len(radii) * 2 * np.pi * std**2)

    return Toy2D(sample, len(radii), _in_chunks(log_density), entropy)


_GRID = np.array([(i, j) for i in range(-4, 5, 2) for j in range(-4, 5, 2)], np.float64)

# Entropies: -int p log p over the plane by the trapezoidal rule, equal to 12 digits on two grids finer than the noise;
# for modes that do not overlap, log K + log(2 pi e std^2). The tests integrate again.
SETS: dict[str, Toy2D] = {
    "eight_gaussians": gaussian_mixture(circle(8, 4 / 2**0.5), 0.5 / 2**0.5, 2.8315783605),
    "two_moons": two_moons(0.1, 1.0075848348),
    "checkerboard": checkerboard(),
    "spirals": spirals(0.1, 2.6454502836),
    "pinwheel": pinwheel(),
    "rings": rings(np.array([0.75, 1.5, 2.25, 3.0]), 0.08, 2.6231827703),
    "ring_of_8": gaussian_mixture(circle(8, 1.0), 0.01, float(np.log(8) + np.log(2 * np.pi * np.e * 0.01**2))),
    "grid_of_25": gaussian_mixture(_GRID, 0.05, float(np.log(25) + np.log(2 * np.pi * np.e * 0.05**2))),
    "eight_gaussians_torchcfm": gaussian_mixture(circle(8, 5.0), 0.1**0.25, 3.7640903051),
    "two_moons_torchcfm": two_moons_torchcfm(),
}


def open_toy2d(name: str, split: str) -> Source:
    """Open a set as float32 points [2] with labels; the splits are independent draws with seeds of their own."""
    toy = SETS[name]
    points, label = toy.sample(np.random.RandomState(_SEEDS[split]), SIZES[split])
    info = SourceInfo(f"toy2d/{name}", split, (2,), np.dtype(np.float32), 0, toy.num_classes)
    return from_arrays(info, {"x": points.astype(np.float32), "label": label.astype(np.int32)})
