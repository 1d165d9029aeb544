"""A linear-Gaussian decoder, whose evidence and posterior are known in closed form.

    z ~ N(0, I),   x | z ~ N(W z + b, s^2 I)
    p(x) = N(b, W W^T + s^2 I),   p(z|x) = N(S W^T (x - b) / s^2, S),   S = (I + W^T W / s^2)^-1

Everything here is NumPy and scipy in float64.

Reference: Tipping & Bishop 1999 (probabilistic PCA), section 3.
"""

from typing import NamedTuple

import numpy as np
import scipy.stats

from genjax.autoencoders import Gaussian, gaussian_log_likelihood


class LinearGaussian(NamedTuple):
    """The decoder; weights [D, Z], bias [D]."""

    weights: np.ndarray
    bias: np.ndarray
    std: float

    def log_evidence(self, x: np.ndarray) -> np.ndarray:
        covariance = self.weights @ self.weights.T + self.std**2 * np.eye(len(self.bias))
        return np.atleast_1d(scipy.stats.multivariate_normal(self.bias, covariance).logpdf(x))

    def posterior(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (means [B, Z], the one covariance [Z, Z])."""
        covariance = np.linalg.inv(np.eye(self.weights.shape[1]) + self.weights.T @ self.weights / self.std**2)
        return (x - self.bias) @ self.weights @ covariance / self.std**2, covariance

    def kl_to_posterior(self, x: np.ndarray, q: Gaussian) -> np.ndarray:
        """Return KL(q || p(z|x)) [B] between a diagonal and a full Gaussian."""
        means, covariance = self.posterior(x)
        precision = np.linalg.inv(covariance)
        q_mean, q_var = np.asarray(q.mean, np.float64), np.exp(2 * np.asarray(q.log_std, np.float64))
        shift = q_mean - means
        mahalanobis = np.einsum("bi,ij,bj->b", shift, precision, shift)
        log_dets = np.linalg.slogdet(covariance)[1] - np.log(q_var).sum(1)
        return 0.5 * (q_var @ np.diag(precision) + mahalanobis - means.shape[1] + log_dets)

    def log_likelihood(self, x: np.ndarray):
        """Return z -> log p(x|z) [B] through the library."""
        return lambda z: gaussian_log_likelihood(
            x, z @ self.weights.T + self.bias[None], log_std=float(np.log(self.std))
        )


def make(rng: np.random.Generator, *, dims: int, latents: int, orthogonal: bool) -> LinearGaussian:
    """Draw a decoder; with orthogonal columns its posterior is diagonal."""
    weights = rng.normal(size=(dims, latents))
    if orthogonal:
        weights = np.linalg.qr(weights)[0] * rng.uniform(0.5, 2.0, latents)
    return LinearGaussian(weights, rng.normal(size=dims), std=0.6)
