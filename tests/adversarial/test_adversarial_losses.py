"""The losses against the divergence they stand for (Goodfellow et al. 2014) and against scipy in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats

from genjax.adversarial import gan_discriminator_loss, minimax_generator_loss, non_saturating_generator_loss

SCORES = np.array([-80.0, -12.0, -3.0, -0.5, 0.0, 0.7, 4.0, 12.0, 80.0])
GENERATOR_LOSSES = [minimax_generator_loss, non_saturating_generator_loss]

P = stats.norm(0.0, 1.0)
QS = [stats.norm(0.0, 1.0), stats.norm(0.5, 1.0), stats.norm(-1.0, 0.4), stats.laplace(3.0, 0.5)]
GRID = np.linspace(-12.0, 12.0, 4801)

discriminator_terms = jax.jit(lambda scores: tuple(gan_discriminator_loss(scores, scores)))


def value(scores, q):
    """Return V = E_p log D + E_q log(1 - D) on the grid, by the losses."""
    real, fake = map(np.asarray, discriminator_terms(scores.astype(np.float32)))
    return -np.trapezoid(P.pdf(GRID) * real.astype(np.float64) + q.pdf(GRID) * fake, GRID)


def jensen_shannon(q):
    """Return JSD(p, q) in nats by adaptive quadrature of its definition, which knows no discriminator."""

    def integrand(x):
        m = 0.5 * (P.pdf(x) + q.pdf(x))
        return 0.5 * (special.rel_entr(P.pdf(x), m) + special.rel_entr(q.pdf(x), m))

    return integrate.quad(integrand, -12, 12, points=[-1.0, 0.0, 0.5, 3.0], limit=200)[0]


@pytest.mark.parametrize("q", QS)
def test_value_at_the_optimal_discriminator_is_twice_jsd_minus_log_four(q):
    best = P.logpdf(GRID) - q.logpdf(GRID)  # logit of p / (p + q)
    np.testing.assert_allclose(value(best, q), 2 * jensen_shannon(q) - np.log(4), atol=2e-6)
    for wrong in (best + 0.3, best - 0.3, 0.8 * best - 0.1):
        assert value(wrong, q) < value(best, q) - 1e-3


def test_losses_agree_with_scipy():
    scores = SCORES.astype(np.float32)
    real, fake = discriminator_terms(scores)
    minimax, non_saturating = jax.jit(lambda scores: [loss(scores) for loss in GENERATOR_LOSSES])(scores)
    close = lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-30)
    close(real, -special.log_expit(SCORES))
    close(fake, -special.log_expit(-SCORES))
    close(minimax, special.log_expit(-SCORES))
    close(non_saturating, -special.log_expit(SCORES))


def test_gradients_are_those_of_the_paper():
    """By the score: -D for minimax, -(1 - D) for non-saturating; far apart exactly where D is confident."""
    slope = lambda loss: np.asarray(jax.jit(jax.grad(lambda s: loss(s).sum()))(SCORES.astype(np.float32)))
    minimax, non_saturating = (slope(loss) for loss in GENERATOR_LOSSES)
    np.testing.assert_allclose(minimax, -special.expit(SCORES), rtol=1e-6)
    np.testing.assert_allclose(non_saturating, -special.expit(-SCORES), rtol=1e-6)
    rejected = SCORES < 0
    ratio = non_saturating[rejected] / minimax[rejected]
    np.testing.assert_allclose(np.log(ratio), -SCORES[rejected], rtol=1e-5)  # (1 - D) / D = exp(-score)


@functools.cache
def expected_gradient(loss):
    def expected(theta, scores):
        density = jnp.exp(-0.5 * (GRID.astype(np.float32) - theta) ** 2) / np.sqrt(2 * np.pi)
        return jnp.sum(density * loss(scores)) * float(GRID[1] - GRID[0])

    return jax.jit(jax.grad(expected))


def generator_gradient(loss, mean):
    """Return d/dtheta of E_q loss(score(x)), q = N(theta, 1), with the discriminator held at its best against q."""
    scores = P.logpdf(GRID) - stats.norm(mean, 1.0).logpdf(GRID)
    return float(expected_gradient(loss)(np.float32(mean), scores.astype(np.float32)))


@pytest.mark.parametrize("loss", GENERATOR_LOSSES)
def test_both_generator_losses_rest_where_the_distributions_agree(loss):
    np.testing.assert_allclose(generator_gradient(loss, 0.0), 0.0, atol=1e-6)
    assert generator_gradient(loss, 0.5) > 0.05  # to the right of the data: descend to the left
    assert generator_gradient(loss, -0.5) < -0.05


def test_non_saturating_pulls_harder_from_afar():
    assert generator_gradient(non_saturating_generator_loss, 4.0) > 10 * generator_gradient(minimax_generator_loss, 4.0)


@pytest.mark.parametrize("score", [-1e4, 1e4])
def test_extreme_scores_are_finite(score):
    terms = lambda s: [*gan_discriminator_loss(s, s), *(loss(s) for loss in GENERATOR_LOSSES)]
    run = jax.jit(jax.value_and_grad(lambda s: sum(term.sum() for term in terms(s))))
    value, gradient = run(np.full(2, score, np.float32))
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_one_value_an_example():
    scores = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    terms = [lambda s: gan_discriminator_loss(s, -s).real, lambda s: gan_discriminator_loss(s, -s).fake]
    for loss in (*GENERATOR_LOSSES, *terms):
        of_row = jax.jit(loss)
        rows = np.stack([of_row(row) for row in scores])
        assert rows.shape == (5, 3)
        np.testing.assert_allclose(jax.jit(jax.vmap(loss))(scores), rows, rtol=1e-6)
        with pytest.raises(AssertionError, match="rank"):
            loss(scores)
