"""Samplers against the distributions that scipy states, by Kolmogorov-Smirnov and chi-square tests.

The lecture's example throughout: p(x) = 3/8 x^2 on [0, 2], F(x) = x^3 / 8, F^-1(u) = 2 u^(1/3). Seeds are
fixed, so a test either always passes or always fails; the level 1e-3 is that of one draw.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from genjax.classical import sampling as s

LEVEL = 1e-3
NUM = 20_000
CUBIC = lambda x: np.clip(x, 0.0, 2.0) ** 3 / 8.0


def follows(samples, cdf) -> bool:
    return scipy.stats.kstest(np.asarray(samples, np.float64), cdf).pvalue > LEVEL


def test_discrete_frequencies_by_chi_square():
    weights = np.float32([0.0, 1.0, 4.0, 0.0, 2.5, 0.5, 0.0])
    draw = jax.jit(lambda key: s.sample_discrete(key, weights, NUM))
    counts = np.bincount(draw(jax.random.key(0)), minlength=7)
    assert counts[[0, 3, 6]].sum() == 0 and counts.sum() == NUM
    present = [1, 2, 4, 5]
    assert scipy.stats.chisquare(counts[present], NUM * np.array([1.0, 4.0, 2.5, 0.5]) / 8.0).pvalue > LEVEL


def test_discrete_batches_by_vmap():
    weights = np.eye(2, dtype=np.float32)
    keys = jax.random.split(jax.random.key(0), 2)
    draws = jax.jit(jax.vmap(lambda key, w: s.sample_discrete(key, w, 100)))(keys, weights)
    np.testing.assert_array_equal(draws, np.repeat([[0], [1]], 100, axis=1))


def test_inverse_of_the_lectures_density():
    draw = jax.jit(lambda key: s.sample_by_inverse(key, lambda u: 2.0 * u ** (1.0 / 3.0), NUM))
    samples = draw(jax.random.key(1))
    assert follows(samples, CUBIC)
    assert not follows(samples, lambda x: np.clip(x, 0.0, 2.0) ** 2 / 4.0)  # the test can fail


def test_table_of_the_lectures_density_and_of_a_bimodal_one():
    grid = np.linspace(0.0, 2.0, 400, dtype=np.float32)
    sample = jax.jit(lambda key, cdf: s.sample_by_table(key, grid, cdf, NUM))
    draw = lambda key, density: sample(key, jax.jit(lambda grid: s.tabulate_cdf(density, grid))(grid))
    assert follows(draw(jax.random.key(2), lambda x: x**2), CUBIC)
    bumps = lambda x: jnp.exp(-0.5 * ((x - 0.5) / 0.1) ** 2) + jnp.exp(-0.5 * ((x - 1.5) / 0.2) ** 2)
    left, right = scipy.stats.norm(0.5, 0.1), scipy.stats.norm(1.5, 0.2)
    expected = lambda x: (left.cdf(x) * 0.1 + right.cdf(x) * 0.2) / 0.3
    assert follows(draw(jax.random.key(3), bumps), expected)


def test_tabulated_cdf_has_second_order_error():
    def error(points: int) -> float:
        grid = np.linspace(0.0, 2.0, points)
        with jax.enable_x64(True):
            cdf = np.asarray(jax.jit(lambda grid: s.tabulate_cdf(lambda x: x**2, grid))(grid))
        return np.abs(cdf - CUBIC(grid)).max()

    order = np.log2(error(11) / error(21))
    assert abs(order - 2.0) < 0.1


def propose_uniform(key, n):
    return jax.random.uniform(key, (n,), minval=0.0, maxval=2.0)


def cubic_ratio(x, log_m):
    return jnp.log(3.0 / 8.0 * x**2) - jnp.log(0.5) - log_m


def test_rejection_follows_the_lectures_density_and_accepts_one_in_m():
    """p <= 3/2 and q = 1/2, so M = 3 and a third is accepted; with M = 6 a sixth."""
    draw = jax.jit(lambda key, log_m: s.rejection_sample(key, propose_uniform, lambda x: cubic_ratio(x, log_m), NUM))
    for m in (3.0, 6.0):
        result = jax.tree.map(np.asarray, draw(jax.random.key(4), np.float32(np.log(m))))
        assert follows(result.samples, CUBIC)
        assert result.num_accepted == NUM and result.largest_log_ratio <= 1e-6
        proposals = NUM * np.ceil(m)
        assert abs(result.acceptance_rate - 1 / m) < 4 * np.sqrt((1 / m) * (1 - 1 / m) / proposals)


def test_rejection_tells_of_an_envelope_that_is_too_small():
    ratio = lambda x: cubic_ratio(x, jnp.log(2.0))
    result = jax.jit(lambda key: s.rejection_sample(key, propose_uniform, ratio, 1000))(jax.random.key(0))
    np.testing.assert_allclose(result.largest_log_ratio, np.log(1.5), atol=0.01)


def test_rejection_in_the_plane_keeps_to_the_disc():
    """The unit disc inside a square: pi / 4 is accepted; the radius squared and the angle are uniform."""
    propose = lambda key, n: jax.random.uniform(key, (n, 2), minval=-1.0, maxval=1.0)
    inside = lambda x: jnp.where(jnp.sum(x**2, axis=1) <= 1.0, 0.0, -jnp.inf)
    result = jax.jit(lambda key: s.rejection_sample(key, propose, inside, NUM))(jax.random.key(5))
    samples = np.asarray(result.samples)
    assert follows((samples**2).sum(axis=1), "uniform")
    angle = np.arctan2(samples[:, 1], samples[:, 0]) / (2 * np.pi) + 0.5
    assert follows(angle, "uniform")
    assert abs(float(result.acceptance_rate) - np.pi / 4) < 0.01


def test_rejection_ends_when_nothing_is_accepted():
    never = lambda x: jnp.full(x.shape, -jnp.inf)
    draw = jax.jit(lambda key: s.rejection_sample(key, propose_uniform, never, 8, max_rounds=5))
    result = draw(jax.random.key(0))
    assert int(result.num_accepted) == 0 and float(result.acceptance_rate) == 0.0
    np.testing.assert_array_equal(result.samples, np.zeros(8))


def test_rejection_fills_the_batch_over_rounds_without_holes():
    """Proposals are numbered by their position; a thirtieth is accepted, so that many rounds are needed."""
    propose = lambda key, n: jax.random.uniform(key, (n,), minval=0.0, maxval=30.0)
    low = lambda x: jnp.where(x < 1.0, 0.0, -jnp.inf)
    draw = jax.jit(lambda key: s.rejection_sample(key, propose, low, 50))
    result = jax.tree.map(np.asarray, draw(jax.random.key(1)))
    assert result.num_accepted == 50
    assert len(np.unique(result.samples)) == 50 and np.all((result.samples > 0) & (result.samples < 1))


def test_rejection_refuses_a_proposal_of_the_wrong_size():
    with pytest.raises(ValueError, match="first axis"):
        draw = lambda key: s.rejection_sample(key, lambda key, n: jnp.zeros(3), jnp.zeros_like, 8)
        jax.eval_shape(draw, jax.random.key(0))


def test_rejection_batches_by_vmap():
    keys = jax.random.split(jax.random.key(6), 3)
    ratio = functools.partial(cubic_ratio, log_m=np.float32(np.log(3.0)))
    draw = lambda key: s.rejection_sample(key, propose_uniform, ratio, 64).samples
    together, alone = np.asarray(jax.jit(jax.vmap(draw))(keys)), jax.jit(draw)
    for i, key in enumerate(keys):
        np.testing.assert_array_equal(together[i], alone(key))


def test_reparameterized_samples_follow_scipys_distributions():
    location, scale = np.full(NUM, 1.5, np.float32), np.full(NUM, 0.7, np.float32)
    assert follows(jax.jit(s.sample_logistic)(jax.random.key(7), location, scale), scipy.stats.logistic(1.5, 0.7).cdf)
    assert follows(jax.jit(s.sample_gumbel)(jax.random.key(8), location, scale), scipy.stats.gumbel_r(1.5, 0.7).cdf)


def test_gaussian_samples_whiten_to_standard_normals():
    mean, factor = np.float32([1.0, -2.0]), np.float32([[2.0, 0.0], [-1.5, 0.5]])
    draw = jax.jit(lambda key: s.sample_gaussian(key, mean, factor, NUM))
    x = np.asarray(draw(jax.random.key(9)), np.float64)
    white = np.linalg.solve(np.linalg.cholesky(np.array([[4.0, -3.0], [-3.0, 2.5]])), (x - mean).T)
    assert follows(white[0], "norm") and follows(white[1], "norm")
    assert abs(np.corrcoef(white)[0, 1]) < 4 / np.sqrt(NUM)


def test_gradients_pass_through_the_samples():
    """E x^2 of N(m, c^2), Logistic(m, c), Gumbel(m, c): known second moments, differentiated by hand.

    One pathwise derivative a sample, by jvp, so that their mean is judged by their own standard error.
    """
    m, c, euler = np.float32(0.8), np.float32(1.3), np.euler_gamma
    draws = (
        lambda key, m, c: s.sample_gaussian(key, m[None], c[None, None], NUM)[:, 0],
        lambda key, m, c: s.sample_logistic(key, jnp.full((NUM,), m), jnp.full((NUM,), c)),
        lambda key, m, c: s.sample_gumbel(key, jnp.full((NUM,), m), jnp.full((NUM,), c)),
    )
    expected = (
        (2 * m, 2 * c),
        (2 * m, 2 * c * np.pi**2 / 3),
        (2 * (m + euler * c), 2 * euler * (m + euler * c) + 2 * c * np.pi**2 / 6),
    )

    @jax.jit
    def derivatives(key):
        square = lambda draw: lambda m, c: draw(key, m, c) ** 2
        along = lambda draw, tangent: jax.jvp(square(draw), (m, c), tangent)[1]
        directions = ((jnp.float32(1), jnp.float32(0)), (jnp.float32(0), jnp.float32(1)))
        return [[along(draw, tangent) for tangent in directions] for draw in draws]

    for found, wanted in zip(derivatives(jax.random.key(10)), expected):
        for values, value in zip(np.asarray(found, np.float64), wanted):
            assert abs(values.mean() - value) < 4 * values.std() / np.sqrt(NUM)


def test_gumbel_max_frequencies_by_chi_square_and_softmax_as_its_limit():
    many = np.tile(np.log(np.float32([0.1, 0.2, 0.7])), (NUM, 1))
    index = jax.jit(s.sample_gumbel_max)(jax.random.key(11), many)
    assert scipy.stats.chisquare(np.bincount(index), NUM * np.array([0.1, 0.2, 0.7])).pvalue > LEVEL
    soft = np.asarray(jax.jit(s.sample_gumbel_softmax)(jax.random.key(11), many, temperature=1e-4))
    np.testing.assert_array_equal(soft.argmax(axis=1), index)
    np.testing.assert_allclose(soft.sum(axis=1), 1.0, rtol=1e-5)
    assert np.mean(np.max(soft, axis=1) > 0.999) > 0.99


def test_open_uniform_never_gives_an_end():
    u = np.asarray(s.open_uniform(jax.random.key(12), (1_000_000,)))
    assert u.min() > 0.0 and u.max() < 1.0 and follows(u[:NUM], "uniform")
    # The ends themselves, which a million draws may miss: the smallest and the largest a 23-bit draw can give.
    eps = np.float32(np.finfo(np.float32).eps)
    for raw in (np.float32(0.0), np.float32(1.0) - eps):
        scaled = raw * (np.float32(1.0) - eps) + eps / np.float32(2.0)
        assert 0.0 < scaled < 1.0
