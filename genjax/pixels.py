"""Between the integers that a data set stores and the reals that a model sees.

A stored entry is an integer x in {0, ..., L-1} (L levels: 256 for pictures, 17 for `digits`). Models see it

    on [-1, 1]      s = 2 x / (L - 1) - 1                    to_symmetric, from_symmetric
    on [0, 1]       s = x / (L - 1)                          to_unit, from_unit
    as a density    y = (x + u) / L,  u ~ U(0, 1)^D          dequantize_uniform
    on the line     z = logit(alpha + (1 - 2 alpha) y)       logit_transform, logit_inverse

The last two are steps of a change of variables. With p the model's density of y, Jensen's inequality over u gives
a bound on the log-probability of the integers (Theis, van den Oord and Bethge 2016, eq. 3-5),

    log P(x) >= E_u[log p(y)] - D log L,

and for a density of z, log p(y) = log p(z) + log |det dz/dy|. Each function returns its own term, [B] in nats; a
model's log_prob is the sum of them all, so that bits/dim is -nats / (D log 2) with no offset anywhere.

    nats = log p(z) + log_det of logit_transform + log_det of dequantize_uniform
"""

import math

import jax
import jax.numpy as jnp

from genjax.contract import Array


def to_symmetric(x: Array, levels: int) -> Array:
    """Map integers 0..levels-1 onto [-1, 1], end on end.

    Args:
        x: integers of any shape.
        levels: L, at least 2.
    Returns:
        float32 of the same shape.
    Raises:
        ValueError: where x is not of an integer type.
    """
    return 2.0 * to_unit(x, levels) - 1.0


def from_symmetric(x: Array, levels: int) -> Array:
    """Map reals onto the nearest of the levels that `to_symmetric` spreads over [-1, 1].

    Args:
        x: reals of any shape; what lies outside [-1, 1] goes to the end.
        levels: L, at least 2.
    Returns:
        Integers 0..levels-1 of the same shape: uint8 up to 256 levels, int32 above.
    """
    _check_real(x)
    return from_unit(0.5 * (x.astype(jnp.float32) + 1.0), levels)  # a bfloat16 sum is as coarse as 256 levels


def to_unit(x: Array, levels: int) -> Array:
    """Map integers 0..levels-1 onto [0, 1], end on end; float32. See `to_symmetric`."""
    _check_levels(levels)
    _check_integer(x)
    return x.astype(jnp.float32) / (levels - 1)


def from_unit(x: Array, levels: int) -> Array:
    """Map reals onto the nearest of the levels that `to_unit` spreads over [0, 1]. See `from_symmetric`."""
    _check_levels(levels)
    _check_real(x)
    index = jnp.clip(jnp.round(x.astype(jnp.float32) * (levels - 1)), 0, levels - 1)
    return index.astype(jnp.uint8 if levels <= 256 else jnp.int32)


def dequantize_uniform(key: Array, x: Array, levels: int) -> tuple[Array, Array]:
    """Add uniform noise that fills the gap to the next level, and scale onto the unit interval.

    Args:
        key: of the noise.
        x: [B, ...], integers 0..levels-1.
        levels: L.
    Returns:
        y = (x + u) / L, float32 [B, ...] strictly inside (0, 1), with floor(L y) = x;
        log_det [B], nats: what to add to log p(y) for a bound on log P(x), -D log L.
    Raises:
        ValueError: where x is not of an integer type or has no batch axis.
    Reference:
        Theis, van den Oord and Bethge, A note on the evaluation of generative models, 2016, eq. 3-5.
    """
    _check_levels(levels)
    _check_integer(x)
    _check_batch(x)
    # float32 has 24 bits: of x = 255 plus a uniform of full precision some round to 256, which is outside the
    # interval and has an infinite logit. So u takes the midpoints of 2^bits equal parts, which x + u holds exactly and
    # which keep their distance from the edges through the division.
    bits = max(21 - math.ceil(math.log2(levels)), 1)
    u = (jax.random.randint(key, x.shape, 0, 2**bits).astype(jnp.float32) + 0.5) / 2**bits
    num_dims = math.prod(x.shape[1:])
    return (x.astype(jnp.float32) + u) / levels, jnp.full(x.shape[:1], -num_dims * math.log(levels), jnp.float32)


def logit_transform(y: Array, alpha: float) -> tuple[Array, Array]:
    """Map the unit interval to the line, z = logit(alpha + (1 - 2 alpha) y).

    Args:
        y: [B, ...] in [0, 1]; strictly inside where alpha is 0.
        alpha: how far the ends are kept from 0 and 1, in [0, 1/2): 1e-6 (MNIST) and 0.05 (CIFAR-10) in MAF.
    Returns:
        z [B, ...]; log_det = log |det dz/dy|, [B] in nats.
    Reference:
        Dinh, Sohl-Dickstein and Bengio, Real NVP, 2017, section 4.1; Papamakarios et al., MAF, 2017, appendix.
    """
    _check_alpha(alpha)
    _check_batch(y)
    # 1 - s is formed from 1 - y: next to 1, s itself is rounded to 6e-8, which is 6 % of alpha = 1e-6.
    log_s = jnp.log(alpha + (1.0 - 2.0 * alpha) * y)
    log_1_minus_s = jnp.log(alpha + (1.0 - 2.0 * alpha) * (1.0 - y))
    return log_s - log_1_minus_s, _sum_examples(math.log1p(-2.0 * alpha) - log_s - log_1_minus_s)


def logit_inverse(z: Array, alpha: float) -> tuple[Array, Array]:
    """Undo `logit_transform`.

    Args:
        z: [B, ...], reals.
        alpha: as given there.
    Returns:
        y [B, ...], in [0, 1] for z in the range of the transform and at most alpha / (1 - 2 alpha) outside it for
        others; log_det = log |det dy/dz|, [B] in nats.
    """
    _check_alpha(alpha)
    _check_batch(z)
    y = (jax.nn.sigmoid(z) - alpha) / (1.0 - 2.0 * alpha)
    return y, _sum_examples(jax.nn.log_sigmoid(z) + jax.nn.log_sigmoid(-z) - math.log1p(-2.0 * alpha))


def bits_per_dim(nats_log_prob: Array, num_dims: int) -> Array:
    """Return -nats / (D log 2), of the shape of `nats_log_prob`; num_dims is D, the number of entries of one x."""
    return -nats_log_prob / (num_dims * math.log(2.0))


def _sum_examples(terms: Array) -> Array:
    """Sum [B, ...] over all but the first axis."""
    return terms.reshape(terms.shape[0], -1).sum(axis=1)


def _check_levels(levels: int) -> None:
    if levels < 2:
        raise ValueError(f"levels must be at least 2, got {levels}.")


def _check_alpha(alpha: float) -> None:
    if not 0.0 <= alpha < 0.5:
        raise ValueError(f"alpha must lie in [0, 1/2), got {alpha}.")


def _check_integer(x: Array) -> None:
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise ValueError(f"x must hold integer levels, got {x.dtype}: it may have been scaled already.")


def _check_real(x: Array) -> None:
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"x must hold reals, got {x.dtype}: it may hold levels already.")


def _check_batch(x: Array) -> None:
    if x.ndim < 1:
        raise ValueError("x must have a leading batch axis, got a scalar.")
