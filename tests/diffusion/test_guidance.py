"""Guidance against the conditional of a mixture, whose classifier is known; inpainting against a normal's conditional."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import processes
from genjax.diffusion import (
    ancestral,
    classifier_free,
    classifier_free_by_scale,
    classifier_guided,
    constrained,
    ddim,
    draw,
    dynamic_threshold,
    inpainted,
    mean_shifted,
    unipc,
)
from genjax.processes import point_at
from tests.diffusion import exact

KEY = jax.random.key(0)
FAST_KEY = jax.random.key(0, impl="rbg")  # for many draws: they take a third of the time
PATH = processes.cosine_path()
POINT_OF = jax.jit(lambda t: point_at(PATH, t))  # samplers read grids off it outside of any jit
MIXTURE = exact.Mixture([0.3, 0.7], [[-0.8, 0.0], [0.6, 0.3]], [0.2, 0.4])
PARTS = [exact.Mixture([1.0], MIXTURE.means[k : k + 1], MIXTURE.stds[k : k + 1]).denoiser(POINT_OF) for k in range(2)]
WHOLE = MIXTURE.denoiser(POINT_OF)
X = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)


def log_classifier(k):
    def log_prob(x, t):
        point = POINT_OF(t)
        return MIXTURE.responsibilities(x, point.alpha, point.sigma)[:, k]

    return log_prob


def network(x, t, condition):
    """A conditional denoiser: class 0, class 1, or 2 for none."""
    choices = jnp.stack([PARTS[0](x, t), PARTS[1](x, t), WHOLE(x, t)])
    return jnp.take_along_axis(choices, condition[None, :, None], axis=0)[0]


@functools.cache
def guided_and_conditional(k):
    guided = classifier_guided(WHOLE, log_classifier(k), POINT_OF)
    return jax.jit(lambda x, t: (guided(x, t), PARTS[k](x, t)))


@pytest.mark.parametrize("k", [0, 1])
@pytest.mark.parametrize("t", [0.2, 0.6, 0.95])
def test_guidance_by_the_true_classifier_is_the_conditional(k, t):
    np.testing.assert_allclose(*guided_and_conditional(k)(X, np.float32(t)), atol=2e-4)


@pytest.mark.parametrize("k", [0, 1])
def test_samples_of_the_guided_are_of_the_class(k):
    """Three sampler kinds take the guided denoiser like any other."""
    times = processes.log_snr_times(POINT_OF, 30, start=0.99, end=0.01)
    for sampler_of in (ddim, unipc):
        sampler = sampler_of(classifier_guided(WHOLE, log_classifier(k), POINT_OF), POINT_OF, times)
        x = np.asarray(jax.jit(lambda key: draw(sampler, key, (4000, 2)))(KEY))
        np.testing.assert_allclose(x.mean(axis=0), MIXTURE.means[k], atol=0.03)
        np.testing.assert_allclose(x.std(axis=0), MIXTURE.stds[k], atol=0.03)


def test_classifier_free_forms():
    """Weight 0 is the conditional, -1 the unconditional; eps obeys eq. 6; a scale is a weight more one."""
    condition, nothing = np.arange(9, dtype=np.int32) % 2, np.full(9, 2, np.int32)
    t = np.float32(0.5)
    compiled = jax.jit(network)
    given, free = compiled(X, t, condition), compiled(X, t, nothing)
    at = jax.jit(lambda weight: classifier_free(network, condition, nothing, weight=weight)(X, t))
    np.testing.assert_allclose(at(0.0), given, atol=1e-6)
    np.testing.assert_allclose(at(-1.0), free, atol=1e-6)
    eps_of = jax.jit(lambda x0: processes.eps_of_x0(x0, X, POINT_OF(t)))
    eps = lambda x0: np.asarray(eps_of(x0))
    np.testing.assert_allclose(eps(at(1.5)), 2.5 * eps(given) - 1.5 * eps(free), atol=2e-5)
    by_scale = jax.jit(classifier_free_by_scale(network, condition, nothing, scale=2.5))(X, t)
    np.testing.assert_allclose(by_scale, at(1.5), atol=1e-6)


def test_shifted_means_draw_the_class():
    schedule = processes.cosine_schedule(400)
    point_of = lambda t: processes.marginal(schedule, t)
    normal = exact.Mixture([1.0], [[0.0]], [1.0])  # x_0 ~ N(0, 1), y = x_0 + N(0, 1) seen to be 1: x_0 | y ~ N(1/2, 1/2)
    denoise = normal.denoiser(point_of)

    def log_likelihood(x, t):
        """log p(y = 1 | x_t), with x_0 | x_t ~ N(alpha x_t, sigma^2)."""
        point = point_of(t)
        return -0.5 * (1.0 - point.alpha * x[:, 0]) ** 2 / (1.0 + point.sigma**2)

    variance = processes.lower_variance(schedule)
    shifted = mean_shifted(ancestral(denoise, schedule, variance), log_likelihood, variance[:0:-1])
    x = np.asarray(jax.jit(lambda key: draw(shifted, key, (10_000, 1)))(FAST_KEY))
    assert abs(x.mean() - 0.5) < 0.03 and abs(x.std() - np.sqrt(0.5)) < 0.03


def test_dynamic_threshold():
    x0 = np.array([[0.5, -0.2, 0.9, 0.1], [4.0, -2.0, 1.0, 0.0]], np.float32)
    threshold = jax.jit(dynamic_threshold, static_argnames="percentile")
    made = threshold(x0, percentile=100.0)
    np.testing.assert_allclose(made, [[0.5, -0.2, 0.9, 0.1], [1.0, -0.5, 0.25, 0.0]])
    clipped = np.asarray(threshold(x0, percentile=50.0))  # of |x0| in the second row: 1.5
    np.testing.assert_allclose(clipped[1], [1.0, -1.0, 1.0 / 1.5, 0.0], rtol=1e-6)
    within = constrained(lambda x, t: 3.0 * x, processes.clip_symmetric)(x0, 0.0)
    np.testing.assert_array_equal(np.asarray(within)[1, 0], 1.0)


CORRELATION = 0.8


def correlated(point_of):
    """Return the exact denoiser of N(0, [[1, r], [r, 1]])."""
    covariance = np.array([[1.0, CORRELATION], [CORRELATION, 1.0]], np.float32)

    def denoise(x, t):
        point = point_of(t)
        gain = point.alpha * covariance @ jnp.linalg.inv(point.alpha**2 * covariance + point.sigma**2 * jnp.eye(2))
        return x @ gain.T

    return denoise


def test_repeated_steps_bring_inpainting_to_the_conditional():
    """x_1 | x_0 = 1 is N(r, 1 - r^2). Replacement alone is known to fall short; RePaint comes near."""
    schedule = processes.cosine_schedule(50)
    point_of = lambda t: processes.marginal(schedule, t)
    sampler = ancestral(correlated(point_of), schedule, processes.lower_variance(schedule))
    known, mask = np.ones((10_000, 2), np.float32), np.array([[1.0, 0.0]], np.float32)

    def drawn(resamples):
        filled = inpainted(sampler, known, mask, point_of, resamples=resamples)
        x = np.asarray(jax.jit(lambda key: draw(filled, key, known.shape))(FAST_KEY))
        np.testing.assert_array_equal(x[:, 0], 1.0)
        return x[:, 1]

    errors = [abs(drawn(resamples).mean() - CORRELATION) for resamples in (1, 5, 10)]
    assert errors[0] > 3 * errors[1] > 4.5 * errors[2] and errors[2] < 0.05
    with pytest.raises(ValueError, match="sampler with memory"):
        times = np.array([0.9, 0.5, 0.1])
        inpainted(unipc(correlated(POINT_OF), POINT_OF, times), known, mask, POINT_OF, resamples=2)
