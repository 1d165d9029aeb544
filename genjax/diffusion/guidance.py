"""Guidance: denoisers that lean towards a condition, made of denoisers; and a sampler whose steps do.

    classifier (DDIM form)    eps^ = eps - s sigma grad log p(y | x_t)           Dhariwal & Nichol 2021, algorithm 2
    classifier (mean shift)   mean^ = mean + s Sigma grad log p(y | x_t)         Dhariwal & Nichol 2021, algorithm 1
    classifier-free           eps^ = (1 + w) eps(x_t, c) - w eps(x_t)            Ho & Salimans 2022, eq. 6
    the same by a scale       eps^ = eps(x_t) + s (eps(x_t, c) - eps(x_t))       Nichol et al. 2022 (GLIDE), eq. 8; s = 1 + w

x_0 is affine in eps, so that all act on x_0 as they do on eps; where a denoiser is constrained (clipped), constrain
after guidance: `constrained`. With s = 1, w = 0 the results are the conditional model.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array, PyTree
from genjax.diffusion.sampler import Sampler, Step, row
from genjax.processes.denoisers import Denoiser
from genjax.processes.gaussian import Point, like

ConditionalDenoiser = Callable[[Array, Array, PyTree], Array]  # (x_t [N, ...], t, condition) -> x_0
LogClassifier = Callable[[Array, Array], Array]  # (x_t [N, ...], t []) -> log p(y | x_t) [N] of the wanted y


def classifier_free(
    denoise: ConditionalDenoiser, condition: PyTree, nothing: PyTree, *, weight: Array | float
) -> Denoiser:
    """Return the denoiser (1 + w) x0(x, c) - w x0(x), by one call on twice the examples.

    Args:
        denoise: (x [2N, ...], t [2N], condition of 2N) -> estimate of x_0; t is a scalar where it was one.
        condition: c, leading axis N.
        nothing: what the network was trained to take for no condition, of the same shapes.
        weight: w; 0 is the conditional model, -1 the unconditional one.

    Reference: Ho & Salimans 2022 (arXiv:2207.12598), eq. 6.
    """
    both = jax.tree.map(lambda c, o: jnp.concatenate([c, o]), condition, nothing)

    def guided(x: Array, t: Array) -> Array:
        t = jnp.asarray(t)
        times = jnp.concatenate([t, t]) if t.ndim else t
        given, free = jnp.split(denoise(jnp.concatenate([x, x]), times, both), 2)
        return (1.0 + weight) * given - weight * free

    return guided


def classifier_free_by_scale(
    denoise: ConditionalDenoiser, condition: PyTree, nothing: PyTree, *, scale: Array | float
) -> Denoiser:
    """Return x0(x) + s (x0(x, c) - x0(x)): `classifier_free` at w = s - 1. GLIDE, Imagen and Stable Diffusion say s."""
    return classifier_free(denoise, condition, nothing, weight=scale - 1.0)


def classifier_guided(
    denoise: Denoiser, log_classifier: LogClassifier, point_of: Callable[[Array], Point], *, scale: Array | float = 1.0
) -> Denoiser:
    """Return the denoiser whose score is score + s grad log p(y | x_t).

    Args:
        denoise: (x_t [N, ...], t) -> estimate of x_0, unconditional for p(x | y) at s = 1.
        log_classifier: (x_t, t) -> log p(y | x_t) [N], each of its own example.
        point_of: t -> the path there, alpha > 0.
        scale: s.

    Reference: Dhariwal & Nichol 2021 (arXiv:2105.05233), algorithm 2 and eq. 14.
    """

    def guided(x: Array, t: Array) -> Array:
        point = point_of(t)
        gradient = jax.grad(lambda x: jnp.sum(log_classifier(x, t)))(x)
        # eps - s sigma grad, and x_0 = (x - sigma eps) / alpha
        return denoise(x, t) + scale * like(point.sigma**2 / point.alpha, x) * gradient

    return guided


def mean_shifted(sampler: Sampler, log_classifier: LogClassifier, variance: np.ndarray, *, scale: Array | float = 1.0) -> Sampler:
    """Return a sampler whose steps are shifted by s sigma^2 grad log p(y | x_t).

    Args:
        sampler: a stochastic one (`ancestral`), of N steps.
        log_classifier: (x_t, t) -> log p(y | x_t) [N].
        variance: of each step's noise, [N], in the sampler's order.
        scale: s.

    Reference: Dhariwal & Nichol 2021, algorithm 1.
    """

    def step(key: Array, x: Array, memory: PyTree, n: Array) -> Step:
        t = row(sampler.times, n)
        gradient = jax.grad(lambda x: jnp.sum(log_classifier(x, t)))(x)
        moved = sampler.step(key, x, memory, n)
        return moved._replace(x=moved.x + scale * row(variance, n) * gradient)

    return sampler._replace(step=step)


def constrained(denoise: Denoiser, constrain: Callable[[Array], Array]) -> Denoiser:
    """Return the denoiser with its estimate constrained, e.g. by `clip_symmetric` or `dynamic_threshold`."""
    return lambda x, t: constrain(denoise(x, t))


def dynamic_threshold(x0: Array, *, percentile: float = 99.5) -> Array:
    """Return x_0 clipped to [-s, s] and divided by s, s the percentile of its example's |x_0|, at least 1.

    Args:
        x0: [B, ...], of data in [-1, 1].
        percentile: in (0, 100].

    Reference: Saharia et al. 2022 (Imagen, arXiv:2205.11487), section 2.3.
    """
    largest = jnp.percentile(jnp.abs(x0).reshape(x0.shape[0], -1), percentile, axis=1)
    bound = like(jnp.maximum(largest, 1.0), x0)
    return jnp.clip(x0, -bound, bound) / bound
