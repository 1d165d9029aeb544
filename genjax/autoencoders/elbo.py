"""The evidence lower bound and its importance-weighted tightening, as functions of arrays.

With prior p(z) = N(0, I), decoder p(x|z) and a Gaussian q(z|x) = N(m, diag(exp(2 l))),

    log p(x) = L(q) + KL(q(z|x) || p(z|x)),                                                        (2)
    L(q) = -rate - distortion,   rate = KL(q(z|x) || p(z)),   distortion = -E_q log p(x|z).    (3)

The rate has a closed form (`analytic_rate`, eq. 10) or is estimated at the same z as the distortion (`sampled_rate`,
eq. 5-6): the second has no gradient noise left once q is the exact posterior, the first has less before. With k
samples and w_i = p(x|z_i) p(z_i) / q(z_i|x),

    L_k = E log (1/k) sum_i w_i,   L = L_1 <= L_2 <= ... <= log p(x),   L_k -> log p(x).

Every expectation here is a Monte-Carlo estimate: what bounds log p(x) is its mean over the keys.

Inference enters as a `Gaussian`: amortized when an encoder computed it, per example when it was fitted
(`genjax.autoencoders.svi`). The decoder enters as log_likelihood(z) -> [B], nats.

Reference: Kingma & Welling 2013 (arXiv:1312.6114), whose numbers these are; Burda et al. 2015 (arXiv:1509.00519),
eq. 8 and theorem 1, for L_k; Alemi et al. 2018 for the names rate and distortion.
"""

from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp

from genjax import distributions
from genjax.contract import Array, PyTree

LatentLogLikelihood = Callable[[Array], Array]


class Gaussian(NamedTuple):
    """A diagonal Gaussian over codes, one an example.

    mean: [B, Z].
    log_std: [B, Z], log standard deviations.
    """

    mean: Array
    log_std: Array

    def sample(self, key: Array) -> Array:
        """Draw z [B, Z], differentiably."""
        return distributions.normal_sample(key, self.mean, log_std=self.log_std)

    def log_prob(self, z: Array) -> Array:
        """Return log q(z) [B], nats."""
        return distributions.per_example(distributions.normal_log_prob(z, self.mean, log_std=self.log_std))


class Terms(NamedTuple):
    """The two terms of the bound.

    rate: [B], nats; KL(q(z|x) || p(z)) or an unbiased estimate of it.
    distortion: [B], nats; an estimate of -E_q log p(x|z).
    """

    rate: Array
    distortion: Array


def prior_log_prob(z: Array) -> Array:
    """Return log N(z; 0, I) [B], nats, of z [B, Z]."""
    return distributions.per_example(distributions.normal_log_prob(z, 0.0, log_std=0.0))


def analytic_rate(posterior: Gaussian, z: Array) -> Array:
    """Return KL(q || N(0, I)) in closed form.

    Args:
        posterior: q, [B, Z].
        z: unused; here so that both rates can stand in one another's place.

    Returns:
        [B], nats.

    Reference: Kingma & Welling 2013, eq. 10 and appendix B.
    """
    del z
    _require_codes(posterior)
    return distributions.per_example(distributions.normal_kl(posterior.mean, posterior.log_std))


def sampled_rate(posterior: Gaussian, z: Array) -> Array:
    """Return log q(z) - log p(z), whose mean over z ~ q is the KL divergence; may be negative.

    Args:
        posterior: q, [B, Z].
        z: [B, Z], drawn from q.

    Returns:
        [B], nats.

    Reference: Kingma & Welling 2013, eq. 6.
    """
    _require_codes(posterior)
    return posterior.log_prob(z) - prior_log_prob(z)


def elbo_terms(
    key: Array,
    posterior: Gaussian,
    log_likelihood: LatentLogLikelihood,
    *,
    rate: Callable[[Gaussian, Array], Array] = analytic_rate,
) -> Terms:
    """Return rate and distortion at one z ~ q, differentiable in q and in whatever log_likelihood closes over.

    Args:
        key: draws z.
        posterior: q(z|x), [B, Z].
        log_likelihood: z [B, Z] -> log p(x|z) [B].
        rate: `analytic_rate` or `sampled_rate`.

    Returns:
        Terms of [B], nats.

    Raises:
        ValueError: the posterior is not [B, Z], or log_likelihood does not return [B].
    """
    _require_codes(posterior)
    z = posterior.sample(key)
    return Terms(rate=rate(posterior, z), distortion=-_checked(log_likelihood, z))


def elbo(terms: Terms) -> Array:
    """Return L(q) = -rate - distortion [B], nats, of terms [B]; refuse other shapes by a ValueError."""
    if jnp.ndim(terms.rate) != 1 or jnp.shape(terms.rate) != jnp.shape(terms.distortion):
        shapes = f"{jnp.shape(terms.rate)} and {jnp.shape(terms.distortion)}"
        raise ValueError(f"rate and distortion have shapes {shapes}; both must be [B].")
    return -terms.rate - terms.distortion


def mean_terms(key: Array, posterior: Gaussian, log_likelihood: LatentLogLikelihood, *, num_samples: int) -> Terms:
    """Return the terms with the distortion averaged over `num_samples` draws (static), one in memory at a time."""
    _require_codes(posterior)

    draw = lambda sample_key: elbo_terms(sample_key, posterior, log_likelihood).distortion
    distortion = averaged(key, draw, num_samples=num_samples)
    return Terms(rate=analytic_rate(posterior, posterior.mean), distortion=distortion)


def log_weights(
    key: Array, posterior: Gaussian, log_likelihood: LatentLogLikelihood, *, num_samples: int
) -> Array:
    """Return log w_i = log p(x|z_i) + log p(z_i) - log q(z_i|x), z_i ~ q.

    Args:
        key: draws the z_i.
        posterior: q(z|x), [B, Z].
        log_likelihood: z [B, Z] -> log p(x|z) [B].
        num_samples: k (static).

    Returns:
        [k, B], nats. exp(log w_i) is an unbiased estimate of p(x).
    """

    def one(sample_key: Array) -> Array:
        return elbo(elbo_terms(sample_key, posterior, log_likelihood, rate=sampled_rate))

    return jax.vmap(one)(jax.random.split(key, num_samples))


def importance_weighted_bound(weights: Array) -> Array:
    """Return L_k = log (1/k) sum_i w_i.

    Args:
        weights: log w, [k, B], nats.

    Returns:
        [B], nats.

    Raises:
        ValueError: `weights` has another rank.

    Reference: Burda et al. 2015, eq. 8.
    """
    if jnp.ndim(weights) != 2:
        raise ValueError(f"log-weights have shape {jnp.shape(weights)}; the importance-weighted bound takes [k, B].")
    return distributions.log_mean_exp(weights, axis=0)


def importance_weighted_estimate(
    key: Array, posterior: Gaussian, log_likelihood: LatentLogLikelihood, *, num_samples: int, chunk: int
) -> Array:
    """Return L_k for large k, with the log-weights of `chunk` samples in memory at a time.

    Args:
        key: draws the codes.
        posterior: q(z|x), [B, Z].
        log_likelihood: z [B, Z] -> log p(x|z) [B].
        num_samples: k, a multiple of `chunk` (static).
        chunk: samples decoded at once (static).

    Returns:
        [B], nats.

    Raises:
        ValueError: `chunk` does not divide `num_samples`.
    """
    _require_codes(posterior)
    draw = lambda sample_key: elbo(elbo_terms(sample_key, posterior, log_likelihood, rate=sampled_rate))
    return streamed_estimate(key, draw, num_samples=num_samples, chunk=chunk)


def streamed_estimate(key: Array, draw: Callable[[Array], Array], *, num_samples: int, chunk: int) -> Array:
    """Return log (1/k) sum_i w_i of any importance weights, those of `chunk` samples in memory at a time.

    Args:
        key: split into one for each sample.
        draw: key -> log w_i [B], nats.
        num_samples: k, a multiple of `chunk` (static).
        chunk: samples drawn at once (static).

    Returns:
        [B], nats.

    Raises:
        ValueError: `chunk` does not divide `num_samples`.
    """
    if chunk < 1 or num_samples < 1 or num_samples % chunk:
        raise ValueError(f"num_samples is {num_samples} and chunk {chunk}; the first must be a multiple of the second.")

    def accumulate(total: Array, chunk_key: Array) -> tuple[Array, None]:
        weights = jax.vmap(draw)(jax.random.split(chunk_key, chunk))
        return jnp.logaddexp(total, jax.nn.logsumexp(weights, axis=0)), None

    shape = jax.eval_shape(draw, key)
    nothing = jnp.full(shape.shape, -jnp.inf, shape.dtype)
    total, _ = jax.lax.scan(accumulate, nothing, jax.random.split(key, num_samples // chunk))
    return total - jnp.log(jnp.asarray(num_samples, total.dtype))


def averaged(key: Array, draw: Callable[[Array], PyTree], *, num_samples: int) -> PyTree:
    """Return the mean of draw(key) over `num_samples` keys (static), one draw in memory at a time."""

    def add(total: PyTree, sample_key: Array) -> tuple[PyTree, None]:
        return jax.tree.map(jnp.add, total, draw(sample_key)), None

    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(draw, key))
    total, _ = jax.lax.scan(add, zeros, jax.random.split(key, num_samples))
    return jax.tree.map(lambda values: values / num_samples, total)


def _checked(log_likelihood: LatentLogLikelihood, z: Array) -> Array:
    values = log_likelihood(z)
    if values.shape != z.shape[:1]:
        raise ValueError(f"log_likelihood returned shape {values.shape}; one value an example has {z.shape[:1]}.")
    return values


def _require_codes(posterior: Gaussian) -> None:
    if jnp.ndim(posterior.mean) != 2 or jnp.shape(posterior.mean) != jnp.shape(posterior.log_std):
        raise ValueError(
            f"the posterior has mean {jnp.shape(posterior.mean)} and log_std {jnp.shape(posterior.log_std)}; "
            "both must be [B, Z]."
        )
