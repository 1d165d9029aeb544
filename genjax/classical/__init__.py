"""Classical methods: sampling, divergences, clustering, factorizations, mixtures."""

from genjax.classical.clustering import Clusters, Merges  # what k-means and agglomeration return
from genjax.classical.clustering import agglomerate, cut  # bottom up, and where to stop
from genjax.classical.clustering import assign  # points to centres
from genjax.classical.clustering import average_linkage, complete_linkage, single_linkage  # what is near
from genjax.classical.clustering import kmeans, kmeans_plus_plus, lloyd  # seeded; the seeds; the steps
from genjax.classical.divergences import gaussian_kl  # full covariances
from genjax.classical.divergences import gaussian_wasserstein2  # of two Gaussians
from genjax.classical.divergences import imq_kernel  # inverse multiquadratic
from genjax.classical.divergences import js_divergence  # discrete
from genjax.classical.divergences import js_terms  # from log-densities at samples
from genjax.classical.divergences import kl_divergence  # discrete
from genjax.classical.divergences import kl_terms  # from log-densities at samples
from genjax.classical.divergences import mmd_squared  # unbiased
from genjax.classical.divergences import mmd_squared_biased  # >= 0
from genjax.classical.divergences import polynomial_kernel  # KID's
from genjax.classical.divergences import rbf_kernel  # Gaussian
from genjax.classical.divergences import squared_distances  # of all pairs
from genjax.classical.divergences import total_variation  # discrete
from genjax.classical.divergences import total_variation_terms  # from log-densities at samples
from genjax.classical.divergences import wasserstein_1d  # between samples on the line
from genjax.classical.factorization import Factors  # W and H of X ~ W H
from genjax.classical.factorization import PrincipalComponents  # mean, components, variances
from genjax.classical.factorization import divergence_step, least_squares_step  # multiplicative updates
from genjax.classical.factorization import generalized_kl, squared_residual  # what they lower
from genjax.classical.factorization import nmf  # non-negative factors
from genjax.classical.factorization import pca, pca_decode, pca_encode  # principal components
from genjax.classical.mixtures import DiagonalMixture, FullMixture  # of Gaussians
from genjax.classical.mixtures import Expectation  # what the E step returns
from genjax.classical.mixtures import diagonal_expectation, full_expectation  # E steps
from genjax.classical.mixtures import diagonal_maximization, full_maximization  # M steps
from genjax.classical.mixtures import expectation_maximization  # by turns
from genjax.classical.mixtures import fit_diagonal_mixture, fit_full_mixture  # from k-means
from genjax.classical.mixtures import sample_diagonal_mixture, sample_full_mixture  # draws
from genjax.classical.sampling import Rejection  # what rejection sampling returns
from genjax.classical.sampling import rejection_sample  # below an envelope
from genjax.classical.sampling import sample_by_inverse  # continuous, F^-1 known
from genjax.classical.sampling import sample_by_table  # continuous, F tabulated
from genjax.classical.sampling import sample_discrete  # by cumulated probabilities
from genjax.classical.sampling import sample_gaussian  # mean + L e
from genjax.classical.sampling import sample_gumbel  # reparameterized
from genjax.classical.sampling import sample_gumbel_max  # exactly categorical
from genjax.classical.sampling import sample_gumbel_softmax  # its differentiable stand-in
from genjax.classical.sampling import sample_logistic  # reparameterized
from genjax.classical.sampling import tabulate_cdf  # of an unnormalized density

__all__ = [
    "Clusters",
    "DiagonalMixture",
    "Expectation",
    "Factors",
    "FullMixture",
    "Merges",
    "PrincipalComponents",
    "Rejection",
    "agglomerate",
    "assign",
    "average_linkage",
    "complete_linkage",
    "cut",
    "diagonal_expectation",
    "diagonal_maximization",
    "divergence_step",
    "expectation_maximization",
    "fit_diagonal_mixture",
    "fit_full_mixture",
    "full_expectation",
    "full_maximization",
    "gaussian_kl",
    "gaussian_wasserstein2",
    "generalized_kl",
    "imq_kernel",
    "js_divergence",
    "js_terms",
    "kl_divergence",
    "kl_terms",
    "kmeans",
    "kmeans_plus_plus",
    "least_squares_step",
    "lloyd",
    "mmd_squared",
    "mmd_squared_biased",
    "nmf",
    "pca",
    "pca_decode",
    "pca_encode",
    "polynomial_kernel",
    "rbf_kernel",
    "rejection_sample",
    "sample_by_inverse",
    "sample_by_table",
    "sample_diagonal_mixture",
    "sample_discrete",
    "sample_full_mixture",
    "sample_gaussian",
    "sample_gumbel",
    "sample_gumbel_max",
    "sample_gumbel_softmax",
    "sample_logistic",
    "single_linkage",
    "squared_distances",
    "squared_residual",
    "tabulate_cdf",
    "total_variation",
    "total_variation_terms",
    "wasserstein_1d",
]
