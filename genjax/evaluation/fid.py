"""Frechet distance between two sets of features, each seen as a Gaussian.

With means m, n and covariances P, Q of the features of two sets of images,

    d^2 = |m - n|^2 + tr(P + Q - 2 (P Q)^1/2),

the squared 2-Wasserstein distance of N(m, P) and N(n, Q). P Q has the eigenvalues of the symmetric
P^1/2 Q P^1/2, so the trace of its root is a sum of roots of eigenvalues, which rounding can at worst make slightly
negative; no general matrix root, which is unstable for singular covariances, is taken.

The name FID belongs to features of Inception-v3 alone. With the classifiers of `genjax.evaluation.features` the
figure is called "classifier-FID (ours)" and is comparable only under one classifier, one n and one split: the
estimate's bias falls like 1 / n, and is no smaller than the same distance between training and test data (the floor),
which therefore stands beside it.

References: Heusel et al. 2017, eq. 6; Dowson & Landau 1982; Chan, Golub & LeVeque 1979 (merging of moments);
Chong & Forsyth 2020 (the bias).
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class Moments(NamedTuple):
    """Count, mean and scatter of features, in float64.

    count: N.
    mean: [D].
    scatter: sum of (x - mean)(x - mean)^T, [D, D].
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray


class ClassifierFid(NamedTuple):
    """Classifier-FID (ours) with what has to stand beside it.

    value: between the samples and the held-out data.
    floor: between training data, as many as there are samples where there are enough, and the held-out data.
    num_samples: how many samples.
    num_train: how many training examples the floor was taken with.
    num_test: how many held-out examples.
    """

    value: float
    floor: float
    num_samples: int
    num_train: int
    num_test: int


def moments(features: np.ndarray) -> Moments:
    """Return the moments of features `[N, D]`, N >= 1."""
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or len(features) == 0:
        raise ValueError(f"features have shape {features.shape}; a Frechet distance takes [N, D] with N > 0.")
    mean = features.mean(axis=0)
    centred = features - mean
    return Moments(len(features), mean, centred.T @ centred)


def merge(a: Moments, b: Moments) -> Moments:
    """Return the moments of two sets together, without the cancellation that sums of squares have."""
    count = a.count + b.count
    gap = b.mean - a.mean
    mean = a.mean + gap * (b.count / count)
    scatter = a.scatter + b.scatter + np.outer(gap, gap) * (a.count * b.count / count)
    return Moments(count, mean, scatter)


def streamed_moments(batches: Iterable[np.ndarray]) -> Moments:
    """Return the moments of features that come in batches `[B, D]`, of which only one is held at a time.

    Raises:
        ValueError: there are no batches, or one is of another shape.
    """
    total = None
    for features in batches:
        part = moments(features)
        total = part if total is None else merge(total, part)
    if total is None:
        raise ValueError("there are no features: the stream of batches is empty.")
    return total


def frechet_distance(a: Moments, b: Moments) -> float:
    """Return d^2 between the Gaussians with the moments of two sets, the covariances with N - 1 below.

    Args:
        a: of at least two examples.
        b: of at least two examples.

    Returns:
        The squared distance, >= 0, in squared units of the features (as FID is always given).

    Raises:
        ValueError: a set has one example only, or the numbers of features differ.

    Reference: Heusel et al. 2017, eq. 6.
    """
    if min(a.count, b.count) < 2:
        raise ValueError(f"a covariance needs two examples; the sets have {a.count} and {b.count}.")
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"the sets have {a.mean.size} and {b.mean.size} features; give both the same ones.")
    return gaussian_frechet(a.mean, a.scatter / (a.count - 1), mean_b=b.mean, cov_b=b.scatter / (b.count - 1))


def gaussian_frechet(mean_a: np.ndarray, cov_a: np.ndarray, *, mean_b: np.ndarray, cov_b: np.ndarray) -> float:
    """Return d^2 = |m - n|^2 + tr(P + Q - 2 (P Q)^1/2) of two Gaussians.

    Args:
        mean_a: m, [D].
        cov_a: P, [D, D], symmetric positive semidefinite; may be singular.
        mean_b: n, [D].
        cov_b: Q, [D, D], likewise.

    Returns:
        The squared distance, >= 0.
    """
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_b @ root), 0.0)).sum()
    squared = np.sum((mean_a - mean_b) ** 2) + np.trace(cov_a) + np.trace(cov_b) - 2.0 * cross
    return float(max(squared, 0.0))


def classifier_fid(samples: np.ndarray, *, train: np.ndarray, test: np.ndarray) -> ClassifierFid:
    """Return the classifier-FID (ours) of samples against held-out data, with its floor.

    Args:
        samples: features of samples, [N, D].
        train: features of training data, [M, D], M = N where the data has as many.
        test: features of held-out data, [K, D].

    Returns:
        See ClassifierFid.
    """
    held_out = moments(test)
    return ClassifierFid(
        value=frechet_distance(moments(samples), held_out),
        floor=frechet_distance(moments(train), held_out),
        num_samples=len(samples),
        num_train=len(train),
        num_test=len(test),
    )
