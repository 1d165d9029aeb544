"""Vector quantization against SciPy's, hand-made k-means in NumPy, and the program that XLA is given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.cluster.vq
import scipy.stats

from genjax import autoencoders as ae

RANDOM = np.random.default_rng(0)
nearest_codes, quantize, perplexity = (jax.jit(f) for f in (ae.nearest_codes, ae.quantize, ae.code_perplexity))


def real(*shape, scale=1.0, offset=0.0):
    return RANDOM.normal(offset, scale, shape).astype(np.float32)


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_codes_are_scipys(offset):
    z, vectors = real(7, 5, 4, 6, offset=offset), real(33, 6, offset=offset)
    codes = np.asarray(nearest_codes(z, vectors))
    wanted, _ = scipy.cluster.vq.vq(z.astype(np.float64).reshape(-1, 6), vectors.astype(np.float64))
    assert codes.shape == (7, 5, 4) and codes.dtype == np.int32
    np.testing.assert_array_equal(codes.reshape(-1), wanted)


def test_no_array_has_a_number_for_every_place_code_and_dimension():
    places, num_codes, dim = 64, 32, 16
    codebook = ae.Codebook(real(num_codes, dim), np.ones(num_codes, np.float32))

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
    e = np.asarray(jax.jit(nearest)(z, vectors))
    np.testing.assert_allclose(jax.jit(ae.straight_through)(z, e), e, atol=1e-6)
    gradients = lambda f: jax.tree.map(np.asarray, jax.jit(jax.grad(f, argnums=(0, 1)))(z, vectors))
    of_z, of_vectors = gradients(through)
    np.testing.assert_array_equal(of_z, weights)
    np.testing.assert_array_equal(of_vectors, np.zeros((5, 4)))

    total = lambda loss: gradients(lambda z, v: jnp.sum(loss(z, nearest(z, v))))
    (no_z, of_vectors), (of_z, no_vectors) = total(ae.codebook_loss), total(ae.commitment_loss)
    assert not np.any(no_z) and not np.any(no_vectors)
    np.testing.assert_allclose(of_z, 2 / 3 * (z - e), rtol=1e-5)  # an average over 3 places
    by_code = np.zeros((5, 4))
    np.add.at(by_code, np.asarray(nearest_codes(z, vectors)), 2 / 3 * (e - z))
    np.testing.assert_allclose(of_vectors, by_code, rtol=1e-5, atol=1e-6)
    distance = scipy.cluster.vq.vq(z.reshape(-1, 4), vectors)[1].reshape(2, 3)
    np.testing.assert_allclose(jax.jit(ae.commitment_loss)(z, e), (distance**2).mean(axis=1), rtol=1e-5)


def test_moving_averages_are_the_papers():
    """Equations 6-8 in the paper's own variables, N and m."""
    decay, num_codes = 0.8, 4
    codebook = ae.Codebook(real(num_codes, 2, scale=2.0), np.float32([1.0, 2.0, 0.5, 3.0]))

    @jax.jit
    def move(codebook, z, codes):
        return ae.move_codebook(codebook, *ae.code_statistics(z, codes, num_codes), decay=decay)

    n = np.asarray(codebook.counts, np.float64)
    m = np.asarray(codebook.vectors, np.float64) * n[:, None]
    for _ in range(4):
        z = real(3, 5, 2)
        codes = np.asarray(nearest_codes(z, codebook.vectors))
        codebook = move(codebook, z, codes)
        for code in range(num_codes):
            mine = np.asarray(z, np.float64)[codes == code]
            n[code] = decay * n[code] + (1 - decay) * len(mine)
            m[code] = decay * m[code] + (1 - decay) * mine.sum(axis=0)
        np.testing.assert_allclose(codebook.counts, n, rtol=1e-5)
        np.testing.assert_allclose(codebook.vectors, m / n[:, None], rtol=1e-4, atol=1e-5)


def test_without_memory_it_is_a_step_of_kmeans():
    points = real(200, 2)
    start = points[:5]

    @jax.jit
    def moved(points, start):
        statistics = ae.code_statistics(points, ae.nearest_codes(points, start), 5)
        return ae.move_codebook(ae.Codebook(start, jnp.ones(5)), *statistics, decay=0.0).vectors

    wanted, _ = scipy.cluster.vq.kmeans2(points, start, iter=1, minit="matrix")
    np.testing.assert_allclose(moved(points, start), wanted, rtol=1e-4, atol=1e-5)


def test_statistics_are_of_the_global_batch_under_pmap():
    z, vectors = real(8, 6, 3), real(4, 3)
    codebook = ae.Codebook(vectors, np.ones(4, np.float32))
    whole = quantize(codebook, z, decay=0.5, restart_below=0.0).codebook
    split = lambda z: ae.quantize(codebook, z, decay=0.5, restart_below=0.0, axis_name="d").codebook
    parts = jax.tree.map(np.asarray, jax.pmap(split, axis_name="d")(z[:, None]))
    for device in range(8):
        np.testing.assert_allclose(parts.vectors[device], whole.vectors, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(parts.counts[device], whole.counts)


def test_dead_codes_start_anew_at_the_most_used():
    vectors = np.float32([[1.0, 0.0], [0.0, 1.0], [9.0, 9.0], [2.0, 2.0], [8.0, 8.0]])
    counts = np.float32([10.0, 40.0, 0.0, 30.0, 0.001])
    restart = jax.jit(ae.restart_dead_codes)
    restarted = restart(ae.Codebook(vectors, counts), below=0.1)
    np.testing.assert_allclose(restarted.counts, [10.0, 20.0, 20.0, 15.0, 15.0])
    wanted = [[1.0, 0.0], [0.0, 0.99], [0.0, 1.01], [1.98, 1.98], [2.02, 2.02]]
    np.testing.assert_allclose(restarted.vectors, wanted, rtol=1e-6)
    kept = restart(ae.Codebook(vectors, counts), below=0.0)
    np.testing.assert_array_equal(kept.vectors, vectors)


def test_restarts_bring_every_code_into_use():
    """Ten clumps of points, twenty codes of which all but one start where no point is."""
    centres = real(10, 2, scale=10.0)
    points = (centres[:, None] + real(10, 30, 2, scale=0.1)).reshape(1, -1, 2)
    start = ae.Codebook(np.full((20, 2), 1e3, np.float32), np.full(20, 15.0, np.float32))
    start.vectors[0] = centres[0]

    @jax.jit
    def run(book, restart_below):
        step = lambda book, _: (ae.quantize(book, points, decay=0.5, restart_below=restart_below).codebook, None)
        return jax.lax.scan(step, book, None, length=60)[0]

    def final(restart_below):
        book = run(start, restart_below)
        squared = ((points[0][:, None] - np.asarray(book.vectors)) ** 2).sum(-1).min(axis=1)
        return float(perplexity(book.counts)), float(squared.mean())

    (few, far), (many, near) = final(0.0), final(0.1)
    assert few == 1.0 and far > 10.0  # one code in use, in the middle of all
    assert many > 9 and near < 0.05  # clumps have a variance of 2 x 0.01


def test_perplexity_is_scipys():
    counts = np.float32([3.0, 1.0, 0.0, 4.0])
    np.testing.assert_allclose(perplexity(counts), np.exp(scipy.stats.entropy([3, 1, 0, 4])), rtol=1e-6)
    np.testing.assert_allclose(perplexity(np.ones(7, np.float32)), 7.0, rtol=1e-6)


def test_the_codebook_starts_on_the_data():
    z = real(5, 4, 3)
    initial_codebook = jax.jit(ae.initial_codebook, static_argnums=2)
    book = jax.tree.map(np.asarray, initial_codebook(jax.random.key(0), z, 8))
    _, distance = scipy.cluster.vq.vq(book.vectors, z.reshape(-1, 3))
    assert distance.max() < 0.2 and len(np.unique(nearest_codes(book.vectors, z.reshape(-1, 3)))) == 8
    assert book.counts.sum() == 20
    assert initial_codebook(jax.random.key(0), z, 50).vectors.shape == (50, 3)


@pytest.mark.parametrize("z, vectors", [((2, 3), (4, 5)), ((2, 3), (3,))])
def test_shapes_that_do_not_fit_are_refused(z, vectors):
    with pytest.raises(ValueError, match="must be"):
        ae.nearest_codes(np.zeros(z), np.zeros(vectors))
