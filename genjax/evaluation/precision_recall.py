"""Fidelity and variety of samples told apart, by nearest neighbours in a space of features.

Around each example of a set lies the ball B_k whose radius is the distance to its k-th nearest other example of
that set; the union of the balls stands for the set's support.

    precision = share of samples in some ball of real examples
    recall    = share of real examples in some ball of samples
    density   = (1 / k) mean over samples of the number of balls of real examples that it lies in
    coverage  = share of real examples whose ball holds a sample

Precision and recall are generous to balls of outliers: density counts them less, since it is a mean over balls, and
coverage takes balls of real examples alone. With both sets from one distribution density tends to 1 and the
expectation of coverage is known (see `expected_coverage`).

Distances are float64 on the host and are made a strip of rows at a time, so N x M is never held.

References: Kynkaanniemi et al. 2019, eqs. 1-2; Naeem et al. 2020, section 3.2.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class PrecisionRecall(NamedTuple):
    """Kynkaanniemi's two, each in [0, 1]."""

    precision: float
    recall: float


class DensityCoverage(NamedTuple):
    """Naeem's two; density is >= 0 and may exceed 1, coverage lies in [0, 1]."""

    density: float
    coverage: float


def improved_precision_recall(
    real: np.ndarray, samples: np.ndarray, *, k: int = 3, chunk: int = 1024
) -> PrecisionRecall:
    """Return improved precision and recall.

    Args:
        real: features of real data, [N, D], N > k.
        samples: features of samples, [M, D], M > k; the two figures are comparable when M = N.
        k: which neighbour gives the radius.
        chunk: rows of distances held at a time.

    Returns:
        See PrecisionRecall.

    Reference: Kynkaanniemi et al. 2019, eqs. 1-2; k = 3 as there.
    """
    real, samples = _checked(real, samples)
    radii_real = neighbour_radii(real, k=k, chunk=chunk)
    radii_samples = neighbour_radii(samples, k=k, chunk=chunk)
    in_samples, in_real = np.zeros(len(real), bool), np.zeros(len(samples), bool)
    for rows, squared in _strips(real, samples, chunk):
        in_real |= np.any(squared <= radii_real[rows, None], axis=0)
        in_samples[rows] = np.any(squared <= radii_samples[None, :], axis=1)
    return PrecisionRecall(precision=float(in_real.mean()), recall=float(in_samples.mean()))


def density_coverage(real: np.ndarray, samples: np.ndarray, *, k: int = 5, chunk: int = 1024) -> DensityCoverage:
    """Return density and coverage.

    Args:
        real: features of real data, [N, D], N > k.
        samples: features of samples, [M, D].
        k: which neighbour gives the radius.
        chunk: rows of distances held at a time.

    Returns:
        See DensityCoverage.

    Reference: Naeem et al. 2020, section 3.2; k = 5 as there.
    """
    real, samples = _checked(real, samples)
    radii = neighbour_radii(real, k=k, chunk=chunk)
    pairs, covered = 0, 0
    for rows, squared in _strips(real, samples, chunk):
        inside = squared <= radii[rows, None]
        pairs += int(inside.sum())
        covered += int(inside.any(axis=1).sum())
    return DensityCoverage(density=pairs / (k * len(samples)), coverage=covered / len(real))


def expected_coverage(num_real: int, num_samples: int, *, k: int = 5) -> float:
    """Return the expected coverage when real data and samples have one (continuous) distribution.

    Of all orders of the other N - 1 real examples and M samples by distance to a real one, those are not covered
    whose first k are all real: 1 - (N - 1) ... (N - k) / ((N + M - 1) ... (N + M - k)).

    Reference: Naeem et al. 2020, lemma 2.
    """
    missed = 1.0
    for i in range(1, k + 1):
        missed *= (num_real - i) / (num_real + num_samples - i)
    return 1.0 - missed


def neighbour_radii(points: np.ndarray, *, k: int, chunk: int = 1024) -> np.ndarray:
    """Return the squared distance from each point to its k-th nearest other point.

    Args:
        points: [N, D], N > k.
        k: at least 1.
        chunk: rows of distances held at a time.

    Returns:
        [N].

    Raises:
        ValueError: there are not k others.
    """
    if not 1 <= k < len(points):
        raise ValueError(f"k is {k}, but each of {len(points)} examples has {len(points) - 1} others.")
    radii = np.empty(len(points))
    for rows, squared in _strips(points, points, chunk):
        squared[np.arange(len(squared)), np.arange(rows.start, rows.stop)] = np.inf  # a point is not its own neighbour
        radii[rows] = np.partition(squared, k - 1, axis=1)[:, k - 1]
    return radii


def _strips(x: np.ndarray, y: np.ndarray, chunk: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (rows of x, their squared distances to all of y)."""
    centre = x.mean(axis=0)  # so that the expansion into squares cancels nothing but the spread
    x, y = x - centre, y - centre
    squares_x, squares_y = np.sum(x**2, axis=1), np.sum(y**2, axis=1)
    for start in range(0, len(x), chunk):
        rows = slice(start, min(start + chunk, len(x)))
        squared = squares_x[rows, None] + squares_y[None, :] - 2.0 * (x[rows] @ y.T)
        yield rows, np.maximum(squared, 0.0)


def _checked(real: np.ndarray, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    real, samples = np.asarray(real, np.float64), np.asarray(samples, np.float64)
    if real.ndim != 2 or samples.ndim != 2 or real.shape[1] != samples.shape[1]:
        raise ValueError(f"features have shapes {real.shape} and {samples.shape}; give [N, D] and [M, D].")
    return real, samples
