"""Vector quantization: the nearest of K code vectors, and how the code vectors learn.

    k(z) = argmin_k |z - e_k|^2,   quantized = e_k(z)                                           (van den Oord, eq. 1-2)

The argmin has no gradient. The decoder's arrives at the encoder unchanged (straight-through, `straight_through`), and
two terms bring codes and encoder together (eq. 3), sg stopping gradients:

    codebook loss     |sg[z] - e|^2        moves the code vectors; averaged over the positions of an example
    commitment loss   |z - sg[e]|^2        holds the encoder to them; likewise

Instead of the first, code vectors may be moving averages of what is assigned to them (appendix A.1). With n_k the
number and s_k the sum of the vectors that took code k in a batch,

    N_k <- decay N_k + (1 - decay) n_k,    m_k <- decay m_k + (1 - decay) s_k,    e_k = m_k / N_k            (6)-(8)

which is kept as (e, N) and made as e <- e + (1 - decay) (s - n e) / N: a code that nobody takes stays where it is,
however small N has become. n and s are of the global batch: sums over the devices come before the moving average.

A code whose N falls below a share of the average is dead, and starts anew as half of one of the most used ones: its
vector e becomes e (1 - d) and e (1 + d), as in the codebook design of Linde, Buzo and Gray 1980. The rule takes no
random key, so that under pmap all devices do the same.

References: van den Oord et al. 2017, Neural discrete representation learning, arXiv:1711.00937; Linde, Buzo and Gray
1980, An algorithm for vector quantizer design.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from genjax.contract import Array

TINY = 1e-20
SPLIT = 0.01  # d, the share of a vector by which the two halves of a code are moved apart


class Codebook(NamedTuple):
    """Code vectors and how much they are used.

    vectors: [K, D].
    counts: [K], moving averages N of how many positions of a batch took each code.
    """

    vectors: Array
    counts: Array


class Quantized(NamedTuple):
    """What becomes of vectors z [B, ..., D].

    vectors: [B, ..., D], the code vectors, with the gradient of z.
    codes: int32 [B, ...].
    commitment: [B], see `commitment_loss`.
    codebook: the codebook after this batch.
    """

    vectors: Array
    codes: Array
    commitment: Array
    codebook: Codebook


def nearest_codes(z: Array, vectors: Array) -> Array:
    """Return the index of the nearest code vector.

    |z - e|^2 = |z|^2 - 2 z.e + |e|^2, of which the first term is the same for all codes: one product of [P, D] with
    [D, K], in full float32, after both are moved to the mean code, so that what cancels is no larger than the spread.

    Args:
        z: [..., D], floating.
        vectors: [K, D].

    Returns:
        int32 [...]; of equally near codes the first.

    Raises:
        ValueError: shapes that do not belong together.
    """
    if jnp.ndim(vectors) != 2 or jnp.ndim(z) < 1 or z.shape[-1] != vectors.shape[-1]:
        raise ValueError(f"z has shape {z.shape}, code vectors {vectors.shape}; they must be [..., D] and [K, D].")
    z, vectors = (lax.stop_gradient(x.astype(jnp.float32)) for x in (z, vectors))
    centre = jnp.mean(vectors, axis=0)
    vectors = vectors - centre[None]
    flat = z.reshape(-1, z.shape[-1]) - centre[None]
    products = jnp.matmul(flat, vectors.T, precision=lax.Precision.HIGHEST)
    score = 0.5 * jnp.sum(vectors**2, axis=1)[None] - products
    return jnp.argmin(score, axis=-1).astype(jnp.int32).reshape(z.shape[:-1])


def look_up(codes: Array, vectors: Array) -> Array:
    """Return the vectors of codes: int32 [...] in 0..K-1 and [K, D] -> [..., D]."""
    return jnp.take(vectors, codes, axis=0, mode="clip")


def straight_through(z: Array, quantized: Array) -> Array:
    """Return `quantized` with the gradient of z: what arrives at it passes on unchanged."""
    if z.shape != quantized.shape:
        raise ValueError(f"z has shape {z.shape}, its quantization {quantized.shape}; they must be equal.")
    return z + lax.stop_gradient(quantized - z)


def codebook_loss(z: Array, quantized: Array) -> Array:
    """Return |sg[z] - e|^2, averaged over the positions of an example.

    Args:
        z: encoder output [B, ..., D], at least one axis of positions between.
        quantized: the nearest code vectors, of the same shape.

    Returns:
        [B].

    Reference: van den Oord et al. 2017, eq. 3, second term; the average is below it.
    """
    return _mean_square(lax.stop_gradient(z), quantized)


def commitment_loss(z: Array, quantized: Array) -> Array:
    """Return |z - sg[e]|^2, averaged over the positions of an example; see `codebook_loss`.

    Reference: van den Oord et al. 2017, eq. 3, third term without its weight.
    """
    return _mean_square(z, lax.stop_gradient(quantized))


def initial_codebook(key: Array, z: Array, num_codes: int) -> Codebook:
    """Start code vectors at encoder outputs, all used alike.

    Args:
        key: chooses positions; with fewer of them than codes, some serve for several, a little apart.
        z: [..., D], the encoder's answer to a batch.
        num_codes: K.
    """
    choice_key, noise_key = jax.random.split(key)
    flat = z.reshape(-1, z.shape[-1]).astype(jnp.float32)
    num = flat.shape[0]
    index = jax.random.permutation(choice_key, num)[jnp.arange(num_codes) % num]
    noise = SPLIT * jnp.std(flat, axis=0)[None] * jax.random.normal(noise_key, (num_codes, flat.shape[1]))
    return Codebook(flat[index] + noise, jnp.full((num_codes,), num / num_codes, jnp.float32))


def code_statistics(z: Array, codes: Array, num_codes: int, *, axis_name: str | None = None) -> tuple[Array, Array]:
    """Return how many vectors took each code, n [K], and their sums, s [K, D].

    Args:
        z: [..., D].
        codes: int32 [...].
        num_codes: K.
        axis_name: mapped axis to add over; None where a batch is whole.
    """
    taken = jax.nn.one_hot(codes.reshape(-1), num_codes, dtype=jnp.float32)
    flat = z.reshape(-1, z.shape[-1]).astype(jnp.float32)
    found = jnp.sum(taken, axis=0), jnp.matmul(taken.T, flat, precision=lax.Precision.HIGHEST)
    return found if axis_name is None else lax.psum(found, axis_name)


def move_codebook(codebook: Codebook, used: Array, sums: Array, *, decay: float | Array) -> Codebook:
    """Move counts and vectors towards those of a batch.

    Args:
        codebook: so far.
        used: n [K].
        sums: s [K, D].
        decay: of the moving averages; 0 puts every code that is used at the mean of its vectors.

    Reference: van den Oord et al. 2017, eq. 6-8.
    """
    counts = decay * codebook.counts + (1.0 - decay) * used
    rate = (1.0 - decay) / jnp.maximum(counts, TINY)
    return Codebook(codebook.vectors + rate[:, None] * (sums - used[:, None] * codebook.vectors), counts)


def restart_dead_codes(codebook: Codebook, *, below: float) -> Codebook:
    """Split the most used codes, one for each dead one.

    Args:
        codebook: see Codebook.
        below: a code is dead where its count is less than this share of the average; 0 restarts none. Only codes that
            are used at least twice as much as a dead one may be are split.

    Returns:
        A codebook with the same sum of counts, but for the counts of the dead codes.
    """
    vectors, counts = codebook
    limit = below * jnp.mean(counts)
    dead = counts < limit
    by_use = jnp.argsort(-counts)  # dead codes are last
    turn = jnp.where(dead, jnp.cumsum(dead) - 1, 0)
    donor = by_use[turn]
    revived = dead & (counts[donor] >= 2.0 * limit)
    split = jnp.zeros(counts.shape, bool).at[jnp.where(revived, donor, counts.shape[0])].set(True, mode="drop")
    vectors = jnp.where(revived[:, None], (1.0 + SPLIT) * vectors[donor], vectors)
    vectors = jnp.where(split[:, None], (1.0 - SPLIT) * vectors, vectors)
    counts = jnp.where(revived, 0.5 * counts[donor], jnp.where(split, 0.5 * counts, counts))
    return Codebook(vectors, counts)


def quantize(
    codebook: Codebook, z: Array, *, decay: float, restart_below: float, axis_name: str | None = None
) -> Quantized:
    """Quantize a batch by a codebook of moving averages, and move it.

    Args:
        codebook: as it is before the batch; the quantization is by this one.
        z: [B, ..., D], float32.
        decay: see `move_codebook`.
        restart_below: see `restart_dead_codes`.
        axis_name: see `code_statistics`.
    """
    codes = nearest_codes(z, codebook.vectors)
    vectors = look_up(codes, codebook.vectors)
    used, sums = code_statistics(lax.stop_gradient(z), codes, codebook.counts.shape[0], axis_name=axis_name)
    moved = restart_dead_codes(move_codebook(codebook, used, sums, decay=decay), below=restart_below)
    return Quantized(straight_through(z, vectors), codes, commitment_loss(z, vectors), moved)


def code_perplexity(counts: Array) -> Array:
    """Return exp(entropy) of how often codes are used: K if all are used alike, 1 if one alone is.

    Args:
        counts: [K], not all zero.
    """
    p = counts / jnp.maximum(jnp.sum(counts), TINY)
    return jnp.exp(-jnp.sum(jnp.where(p > 0.0, p * jnp.log(jnp.maximum(p, TINY)), 0.0)))


def use_metrics(codebook: Codebook) -> dict[str, Array]:
    """Return the perplexity of the moving counts, and the share of codes with more than a tenth of the average."""
    share = jnp.mean((codebook.counts > 0.1 * jnp.mean(codebook.counts)).astype(jnp.float32))
    return {"perplexity": code_perplexity(codebook.counts), "codes_in_use": share}


def _mean_square(z: Array, quantized: Array) -> Array:
    if z.shape != quantized.shape or z.ndim < 3:
        raise ValueError(
            f"z has shape {z.shape} and its quantization {quantized.shape}; both must be [B, positions, D] or of "
            "higher rank."
        )
    return jnp.mean(jnp.sum((z - quantized) ** 2, axis=-1), axis=tuple(range(1, z.ndim - 1)))
