"""Metrics: likelihoods, distances between sets of features or points, and pictures of samples.

Arrays in, numbers out; models appear as functions. `genjax.evaluation.pictures` draws.
"""

from genjax.evaluation.classifier import Recipe  # a small classifier and how it is trained
from genjax.evaluation.classifier import build_classifier  # as a model that the engine trains
from genjax.evaluation.features import DIGITS, MNIST  # recipes of digits_classifier and mnist_classifier
from genjax.evaluation.features import Classifier  # a trained one, by name and accuracy
from genjax.evaluation.features import embed  # pictures -> features and log-probabilities
from genjax.evaluation.features import load_classifier  # trained once, then kept in a file
from genjax.evaluation.fid import ClassifierFid  # with floor and numbers of examples
from genjax.evaluation.fid import classifier_fid  # classifier-FID (ours)
from genjax.evaluation.fid import frechet_distance, gaussian_frechet  # of moments, of Gaussians
from genjax.evaluation.fid import Moments, merge, moments, streamed_moments  # of features, batch by batch
from genjax.evaluation.kid import KernelDistance, kernel_distance  # unbiased cubic MMD^2 on blocks
from genjax.evaluation.likelihood import HeldOut, bits_per_dim, held_out_likelihood  # nats and bits/dim
from genjax.evaluation.mmd import TwoSampleTest, median_distance, two_sample_test  # by permutation
from genjax.evaluation.modes import ModeCoverage, mode_coverage  # of a mixture of Gaussians
from genjax.evaluation.precision_recall import DensityCoverage, density_coverage, expected_coverage  # Naeem's
from genjax.evaluation.precision_recall import PrecisionRecall, improved_precision_recall  # Kynkaanniemi's
from genjax.evaluation.reconstruction import gaussian_ssim, uniform_ssim  # structural similarity, two windows
from genjax.evaluation.reconstruction import mean_squared_error, psnr  # one value a picture
from genjax.evaluation.reconstruction import sharpness  # of one picture, by its Laplacian
from genjax.evaluation.wasserstein import sliced_wasserstein  # over random directions
from genjax.evaluation.wasserstein import wasserstein2, wasserstein2_floor  # exact, between clouds of points

__all__ = [
    "DIGITS",
    "MNIST",
    "Classifier",
    "ClassifierFid",
    "DensityCoverage",
    "HeldOut",
    "KernelDistance",
    "ModeCoverage",
    "Moments",
    "PrecisionRecall",
    "Recipe",
    "TwoSampleTest",
    "bits_per_dim",
    "build_classifier",
    "classifier_fid",
    "density_coverage",
    "embed",
    "expected_coverage",
    "frechet_distance",
    "gaussian_frechet",
    "gaussian_ssim",
    "held_out_likelihood",
    "improved_precision_recall",
    "kernel_distance",
    "load_classifier",
    "mean_squared_error",
    "median_distance",
    "merge",
    "mode_coverage",
    "moments",
    "psnr",
    "sharpness",
    "sliced_wasserstein",
    "streamed_moments",
    "two_sample_test",
    "uniform_ssim",
    "wasserstein2",
    "wasserstein2_floor",
]
