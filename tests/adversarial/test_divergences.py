"""Each pair of losses at its optimal critic, found numerically, is the divergence that it stands for.

Distributions are masses on a grid, in one dimension and in two. Critics that are free at every point are found point by
point, by bisection of the slope of the losses (they are convex in the score); the 1-Lipschitz one by a linear program.
Divergences come from scipy or from closed forms between Gaussians, neither of which knows a critic.
"""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, sparse, stats
from scipy.spatial import distance

from genjax import adversarial

LINE = np.linspace(-12.0, 13.0, 2501)
STEP = LINE[1] - LINE[0]
gaussian = lambda mean, std: stats.norm(mean, std).pdf(LINE) * STEP


def plane():
    """Return masses on a 41 x 41 grid: a bent ridge, and a mixture of two Gaussians."""
    x, y = np.meshgrid(*(np.linspace(-3, 3, 41),) * 2, indexing="ij")
    ridge = np.exp(-0.5 * ((y - 0.4 * x**2 + 1) / 0.6) ** 2 - 0.5 * (x / 1.2) ** 2)
    mixture = np.exp(-0.5 * ((x - 1) ** 2 + y**2)) + 0.5 * np.exp(-((x + 1) ** 2 + (y - 1) ** 2))
    return tuple((mass / mass.sum()).ravel() for mass in (ridge, mixture))


PAIRS = {
    "shifted": (gaussian(0, 1), gaussian(1.5, 1)),
    "wider": (gaussian(0, 1), gaussian(0.5, 1.6)),
    "plane": plane(),
}
each_pair = pytest.mark.parametrize("p, q", PAIRS.values(), ids=PAIRS)


def total(loss, scores, p, q):
    """Return E_p real(s) + E_q fake(s), entry by entry."""
    terms = jax.jit(loss)(*(scores.astype(np.float32),) * 2)
    return p * np.asarray(terms.real, np.float64) + q * np.asarray(terms.fake, np.float64)


@cache
def slopes_of(loss):
    return jax.jit(jax.grad(lambda real, fake: sum(term.sum() for term in loss(real, fake)), argnums=(0, 1)))


def best_scores(loss, p, q, bound=40.0):
    """Return, at each point, the score at which the slope of the discriminator's loss changes sign."""
    slopes = slopes_of(loss)
    low, high = np.full_like(p, -bound), np.full_like(p, bound)
    for _ in range(50):
        middle = (low + high) / 2
        real, fake = slopes(*(middle.astype(np.float32),) * 2)
        falls = p * np.asarray(real, np.float64) + q * np.asarray(fake, np.float64) < 0
        low, high = np.where(falls, middle, low), np.where(falls, high, middle)
    return (low + high) / 2


@each_pair
def test_cross_entropy_is_jensen_shannon(p, q):
    """V = 2 JSD - log 4 (Goodfellow et al. 2014, Theorem 1)."""
    loss = adversarial.gan_discriminator_loss
    value = -total(loss, best_scores(loss, p, q), p, q).sum()
    np.testing.assert_allclose(value, 2 * distance.jensenshannon(p, q) ** 2 - np.log(4), rtol=1e-5)


least_squares = partial(adversarial.least_squares_discriminator_loss, a=-1.0, b=1.0)


@each_pair
def test_least_squares_are_pearsons_chi_squared(p, q):
    """2 C(G) = chi^2(p + q, 2 q) with b - c = 1, b - a = 2 (Mao et al. 2017, Theorem 1); C takes both expectations."""
    scores = best_scores(least_squares, p, q).astype(np.float32)
    generator_loss = jax.jit(adversarial.least_squares_generator_loss)
    objective = np.asarray(generator_loss(scores, c=0.0), np.float64) @ (p + q)
    chi_squared = stats.chisquare(2 * q, p + q).statistic  # sum of (observed - expected)^2 / expected
    np.testing.assert_allclose(2 * objective, chi_squared, rtol=1e-5)


def test_targets_of_least_squares():
    """With real and generated alike everywhere, the best score is the middle of the two targets."""
    half = np.full(3, 0.5)
    for a, b in ((0.0, 1.0), (-1.0, 1.0), (2.0, -0.5)):
        loss = partial(adversarial.least_squares_discriminator_loss, a=a, b=b)
        np.testing.assert_allclose(best_scores(loss, half, half), (a + b) / 2, atol=1e-6)
        np.testing.assert_allclose(best_scores(loss, half, 0 * half), b, atol=1e-6)
        np.testing.assert_allclose(best_scores(loss, 0 * half, half), a, atol=1e-6)


@each_pair
def test_hinge_is_total_variation(p, q):
    """At the best discriminator the loss is 2 - 2 TV (Lim and Ye 2017)."""
    scores = best_scores(adversarial.hinge_discriminator_loss, p, q)
    loss = total(adversarial.hinge_discriminator_loss, scores, p, q).sum()
    np.testing.assert_allclose(loss, 2 - 2 * distance.cityblock(p, q) / 2, rtol=1e-5)


def test_hinge_between_two_gaussians():
    """TV(N(0, 1), N(m, 1)) = 2 Phi(m / 2) - 1, and the generator's pull from m is 2 phi(m / 2)."""
    p, q = PAIRS["shifted"]
    scores = best_scores(adversarial.hinge_discriminator_loss, p, q)
    loss = total(adversarial.hinge_discriminator_loss, scores, p, q).sum()
    np.testing.assert_allclose(loss, 2 - 2 * (2 * stats.norm.cdf(0.75) - 1), atol=1e-5)
    pull = generator_pull(adversarial.hinge_generator_loss, np.clip(scores, -1, 1), 1.5)
    np.testing.assert_allclose(pull, 2 * stats.norm.pdf(0.75), rtol=1e-2)  # the sign's jump lies between grid points


def generator_pull(loss, scores, mean):
    """Return d/dm of E loss(s) under N(m, 1), the scores on LINE held fixed."""
    values = np.asarray(jax.jit(loss)(scores.astype(np.float32)), np.float64)
    return (values * gaussian(mean, 1) * (LINE - mean)).sum()


def lipschitz_critic(loss, p, q, steps, rises):
    """Return the scores that minimise a loss linear in them, |steps @ s| <= rises, s_0 = 0."""
    expected = lambda s: jnp.sum(jnp.asarray(p) * loss(s, s).real + jnp.asarray(q) * loss(s, s).fake)
    with jax.numpy_dtype_promotion("standard"):
        slopes = np.asarray(jax.jit(jax.grad(expected))(np.zeros(len(p), np.float32)), np.float64)
    bounds = [(0, 0)] + [(None, None)] * (len(p) - 1)
    return optimize.linprog(slopes, sparse.vstack([steps, -steps]).tocsr(), np.tile(rises, 2), bounds=bounds).x


@pytest.mark.parametrize("pair", ["shifted", "wider"])
def test_wasserstein_is_the_earth_movers_distance(pair):
    """The best 1-Lipschitz critic's loss is -W1 (Arjovsky et al. 2017, eq. 2)."""
    points, (p, q) = LINE[::10], (10 * mass[::10] for mass in PAIRS[pair])
    neighbours = sparse.diags([-1.0, 1.0], [0, 1], shape=(len(p) - 1, len(p)))  # on a line they say it all
    scores = lipschitz_critic(adversarial.wasserstein_discriminator_loss, p, q, neighbours, np.diff(points))
    value = -total(adversarial.wasserstein_discriminator_loss, scores, p, q).sum()
    np.testing.assert_allclose(value, stats.wasserstein_distance(points, points, p, q), rtol=1e-5)
    if pair == "shifted":  # as far as the means are
        np.testing.assert_allclose(value, 1.5, rtol=1e-5)
        # W1(N(0, 1), N(m, 1)) = m grows by 1 with m, and the generator's loss at the best critic knows it.
        everywhere = np.interp(LINE, points, scores)
        pull = generator_pull(adversarial.wasserstein_generator_loss, everywhere, 1.5)
        np.testing.assert_allclose(pull, 1, rtol=1e-4)


def test_wasserstein_in_the_plane():
    """On a grid, 1-Lipschitz between every two points: scipy's optimal transport knows no critic."""
    p, q = (mass.reshape(41, 41)[::6, ::6].ravel() for mass in PAIRS["plane"])
    p, q = p / p.sum(), q / q.sum()
    points = np.stack(np.meshgrid(*(np.linspace(-3, 3, 41)[::6],) * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    first, second = np.triu_indices(len(points), 1)
    eye = sparse.eye(len(points)).tocsr()
    rises = np.linalg.norm(points[first] - points[second], axis=1)
    loss = adversarial.wasserstein_discriminator_loss
    value = -total(loss, lipschitz_critic(loss, p, q, eye[first] - eye[second], rises), p, q).sum()
    np.testing.assert_allclose(value, stats.wasserstein_distance_nd(points, points, p, q), rtol=1e-5)


def test_saturation():
    """Where supports are apart, minimax does not pull; all the others do (Arjovsky & Bottou 2017; Mao et al. 2017)."""
    names = ("minimax", "non_saturating", "least_squares", "wasserstein", "hinge")
    losses = [getattr(adversarial, f"{name}_generator_loss") for name in names]
    slopes = jax.jit(lambda score: [jax.grad(lambda s, loss=loss: loss(s[None])[0])(score) for loss in losses])
    minimax, *others = np.abs(slopes(np.float32(-20)))
    assert minimax < 1e-8 and np.all(np.array(others) > 0.99)
