"""Classical methods: sampling from densities, and divergences between distributions."""

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
    "Rejection",
    "gaussian_kl",
    "gaussian_wasserstein2",
    "imq_kernel",
    "js_divergence",
    "js_terms",
    "kl_divergence",
    "kl_terms",
    "mmd_squared",
    "mmd_squared_biased",
    "polynomial_kernel",
    "rbf_kernel",
    "rejection_sample",
    "sample_by_inverse",
    "sample_by_table",
    "sample_discrete",
    "sample_gaussian",
    "sample_gumbel",
    "sample_gumbel_max",
    "sample_gumbel_softmax",
    "sample_logistic",
    "squared_distances",
    "tabulate_cdf",
    "total_variation",
    "total_variation_terms",
    "wasserstein_1d",
]
