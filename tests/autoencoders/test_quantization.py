"""Vector quantization against SciPy's, hand-made k-means in NumPy, and the program that XLA is given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.cluster.vq
import scipy.stats

from genjax import autoencoders as ae

RANDOM = np.random.default_rng(0)


def real(*shape, scale=1.0, offset=0.0):
    return jnp.asarray(RANDOM.normal(offset, scale, shape), jnp.float32)


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_codes_are_scipys(offset):
    z, vectors = real(7, 5, 4, 6, offset=offset), real(33, 6, offset=offset)
    codes = np.asarray(jax.jit(ae.nearest_codes)(z, vectors))
    wanted, _ = scipy.cluster.vq.vq(np.asarray(z, np.float64).reshape(-1, 6), np.asarray(vectors, np.float64))
    assert codes.shape == (7, 5, 4) and codes.dtype == np.int32
    np.testing.assert_array_equal(codes.reshape(-1), wanted)


def test_no_array_has_a_number_for_every_place_code_and_dimension():
    places, num_codes, dim = 64, 32, 16
    codebook = ae.Codebook(real(num_codes, dim), jnp.ones(num_codes))

    def step(z):
        quantized = ae.quantize(codebook, z, decay=0.9, restart_below=0.1)
        return jnp.sum(quantized.vectors) + jnp.sum(quantized.commitment), quantized.codebook

    traced = jax.make_jaxpr(jax.grad(step, has_aux=True))(real(1, places, dim))
    sizes = [v.aval.size for equation in all_equations(traced.jaxpr) for v in equation.outvars]
    assert max(sizes) == max(places * num_codes, places * dim)


def all_equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from all_equations(inner)


def test_gradient_of_the_decoder_input_arrives_unchanged_and_the_losses_have_their_own():
    z, vectors, weights = real(2, 3, 4), real(5, 4), real(2, 3, 4)
    nearest = lambda z, vectors: ae.look_up(ae.nearest_codes(z, vectors), vectors)
    through = lambda z, vectors: jnp.sum(weights * ae.straight_through(z, nearest(z, vectors)))
    np.testing.assert_allclose(ae.straight_through(z, nearest(z, vectors)), nearest(z, vectors), atol=1e-6)
    of_z, of_vectors = jax.grad(through, argnums=(0, 1))(z, vectors)
    np.testing.assert_array_equal(of_z, weights)
    np.testing.assert_array_equal(of_vectors, np.zeros((5, 4)))

    total = lambda loss: jax.grad(lambda z, v: jnp.sum(loss(z, nearest(z, v))), argnums=(0, 1))(z, vectors)
    e = np.asarray(nearest(z, vectors))
    (no_z, of_vectors), (of_z, no_vectors) = total(ae.codebook_loss), total(ae.commitment_loss)
    assert not np.any(no_z) and not np.any(no_vectors)
    np.testing.assert_allclose(of_z, 2 / 3 * (z - e), rtol=1e-5)  # an average over 3 places
    by_code = np.zeros((5, 4))
    np.add.at(by_code, np.asarray(ae.nearest_codes(z, vectors)), 2 / 3 * (e - np.asarray(z)))
    np.testing.assert_allclose(of_vectors, by_code, rtol=1e-5, atol=1e-6)
    distance = scipy.cluster.vq.vq(np.asarray(z).reshape(-1, 4), np.asarray(vectors))[1].reshape(2, 3)
    np.testing.assert_allclose(ae.commitment_loss(z, e), (distance**2).mean(axis=1), rtol=1e-5)


def test_moving_averages_are_the_papers():
    """Equations 6-8 in the paper's own variables, N and m."""
    decay, num_codes = 0.8, 4
    codebook = ae.Codebook(real(num_codes, 2, scale=2.0), jnp.asarray([1.0, 2.0, 0.5, 3.0]))
    n = np.asarray(codebook.counts, np.float64)
    m = np.asarray(codebook.vectors, np.float64) * n[:, None]
    for _ in range(4):
        z = real(3, 5, 2)
        codes = np.asarray(ae.nearest_codes(z, codebook.vectors))
        used, sums = ae.code_statistics(z, jnp.asarray(codes), num_codes)
        codebook = ae.move_codebook(codebook, used, sums, decay=decay)
        for code in range(num_codes):
            mine = np.asarray(z, np.float64)[codes == code]
            n[code] = decay * n[code] + (1 - decay) * len(mine)
            m[code] = decay * m[code] + (1 - decay) * mine.sum(axis=0)
        np.testing.assert_allclose(codebook.counts, n, rtol=1e-5)
        np.testing.assert_allclose(codebook.vectors, m / n[:, None], rtol=1e-4, atol=1e-5)


def test_without_memory_it_is_a_step_of_kmeans():
    points = real(200, 2)
    start = points[:5]
    codes = ae.nearest_codes(points, start)
    moved = ae.move_codebook(ae.Codebook(start, jnp.ones(5)), *ae.code_statistics(points, codes, 5), decay=0.0)
    wanted, _ = scipy.cluster.vq.kmeans2(np.asarray(points), np.asarray(start), iter=1, minit="matrix")
    np.testing.assert_allclose(moved.vectors, wanted, rtol=1e-4, atol=1e-5)


def test_statistics_are_of_the_global_batch_under_pmap():
    z, vectors = real(8, 6, 3), real(4, 3)
    codebook = ae.Codebook(vectors, jnp.ones(4))
    whole = ae.quantize(codebook, z, decay=0.5, restart_below=0.0).codebook
    split = lambda z: ae.quantize(codebook, z, decay=0.5, restart_below=0.0, axis_name="d").codebook
    parts = jax.pmap(split, axis_name="d")(z[:, None])
    for device in range(8):
        np.testing.assert_allclose(parts.vectors[device], whole.vectors, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(parts.counts[device], whole.counts)


def test_dead_codes_start_anew_at_the_most_used():
    vectors = jnp.asarray([[1.0, 0.0], [0.0, 1.0], [9.0, 9.0], [2.0, 2.0], [8.0, 8.0]])
    counts = jnp.asarray([10.0, 40.0, 0.0, 30.0, 0.001])
    restarted = ae.restart_dead_codes(ae.Codebook(vectors, counts), below=0.1)
    np.testing.assert_allclose(restarted.counts, [10.0, 20.0, 20.0, 15.0, 15.0])
    wanted = [[1.0, 0.0], [0.0, 0.99], [0.0, 1.01], [1.98, 1.98], [2.02, 2.02]]
    np.testing.assert_allclose(restarted.vectors, wanted, rtol=1e-6)
    kept = ae.restart_dead_codes(ae.Codebook(vectors, counts), below=0.0)
    np.testing.assert_array_equal(kept.vectors, vectors)


def test_restarts_bring_every_code_into_use():
    """Ten clumps of points, twenty codes of which all but one start where no point is."""
    centres = real(10, 2, scale=10.0)
    points = (centres[:, None] + real(10, 30, 2, scale=0.1)).reshape(1, -1, 2)
    start = ae.Codebook(jnp.full((20, 2), 1e3).at[0].set(centres[0]), jnp.full(20, 15.0))

    def final(restart_below):
        step = lambda book, _: (ae.quantize(book, points, decay=0.5, restart_below=restart_below).codebook, None)
        book = jax.jit(lambda book: jax.lax.scan(step, book, None, length=60)[0])(start)
        squared = np.min(np.sum((points[0][:, None] - book.vectors[None]) ** 2, -1), axis=1)
        return float(ae.code_perplexity(book.counts)), float(np.mean(squared))

    (few, far), (many, near) = final(0.0), final(0.1)
    assert few == 1.0 and far > 10.0  # one code in use, in the middle of all
    assert many > 9 and near < 0.05  # clumps have a variance of 2 x 0.01


def test_perplexity_is_scipys():
    counts = jnp.asarray([3.0, 1.0, 0.0, 4.0])
    np.testing.assert_allclose(ae.code_perplexity(counts), np.exp(scipy.stats.entropy([3, 1, 0, 4])), rtol=1e-6)
    np.testing.assert_allclose(ae.code_perplexity(jnp.ones(7)), 7.0, rtol=1e-6)


def test_the_codebook_starts_on_the_data():
    z = real(5, 4, 3)
    book = ae.initial_codebook(jax.random.key(0), z, 8)
    _, distance = scipy.cluster.vq.vq(np.asarray(book.vectors), np.asarray(z).reshape(-1, 3))
    assert distance.max() < 0.2 and len(np.unique(ae.nearest_codes(book.vectors, z.reshape(-1, 3)))) == 8
    assert book.counts.sum() == 20
    assert ae.initial_codebook(jax.random.key(0), z, 50).vectors.shape == (50, 3)


@pytest.mark.parametrize("z, vectors", [((2, 3), (4, 5)), ((2, 3), (3,))])
def test_shapes_that_do_not_fit_are_refused(z, vectors):
    with pytest.raises(ValueError, match="must be"):
        ae.nearest_codes(jnp.zeros(z), jnp.zeros(vectors))
