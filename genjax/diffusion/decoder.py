"""The last step of a diffusion model's reverse process: from reals to the integer levels of stored pixels.

p(x_0 | x_1) gives each level the mass that N(mean, std^2) has in the bin around it. The L levels lie evenly on
[-1, 1], 2 h = 2 / (L - 1) apart; each owns the values within h of it, the two outermost own the tails as well, so that
the masses add up to one.

Reference: Ho et al. 2020, eq. 13.
"""

import jax.numpy as jnp
from jax.scipy.special import log_ndtr

from genjax.contract import Array


def discretized_normal_log_prob(x: Array, mean: Array, *, log_std: Array, levels: int) -> Array:
    """Return the log-mass that N(mean, exp(log_std)^2) has in the bin around x.

    With z = (x - mean) / s and w = h / s, the mass of an inner bin is, by the symmetry of the normal,

        Phi(w - |z|) - Phi(-w - |z|) = e^a - e^b,    a = log Phi(w - |z|),    b = log Phi(-w - |z|)

    and its logarithm a + log(1 - e^(b - a)),

    where both arguments lie as low as they can, so that nothing is rounded to 1 however far x is from the mean.

    Args:
        x: [...], floating, on the grid; -inf outside [-1, 1].
        mean: [...], in the space of x.
        log_std: [...] or a scalar, log s.
        levels: number of grid points L, at least 2 (static).

    Returns:
        [...], nats.

    Raises:
        ValueError: x is not floating, `levels` is below 2, or mean or log_std have another shape.

    Reference: Ho et al. 2020, eq. 13.
    """
    if x.shape != jnp.shape(mean):
        raise ValueError(f"x of shape {x.shape} and mean of shape {jnp.shape(mean)} differ.")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"x has dtype {x.dtype}; the decoder takes levels scaled onto [-1, 1].")
    if levels < 2:
        raise ValueError(f"levels is {levels}; a discretized distribution needs at least 2.")
    if jnp.ndim(log_std) and jnp.shape(log_std) != x.shape:
        raise ValueError(f"log_std has shape {jnp.shape(log_std)}; it must be a scalar or {x.shape}, as x is.")
    half_bin = 1.0 / (levels - 1)
    inverse_std = jnp.exp(-jnp.asarray(log_std, x.dtype))
    z, width = (x - mean) * inverse_std, half_bin * inverse_std
    upper, lower = log_ndtr(width - jnp.abs(z)), log_ndtr(-width - jnp.abs(z))
    inner = upper + _log1mexp(upper - lower)
    lowest, highest = x < -1.0 + half_bin, x > 1.0 - half_bin
    log_prob = jnp.where(lowest, log_ndtr(z + width), jnp.where(highest, log_ndtr(width - z), inner))
    # Scaling to [-1, 1] in float32 may miss the ends by a rounding error; a hundredth of a bin is no other level.
    return jnp.where(jnp.abs(x) <= 1.0 + 0.01 * half_bin, log_prob, -jnp.inf)


def _log1mexp(gap: Array) -> Array:
    """Return log(1 - exp(-gap)) for gap > 0."""
    # A bin far narrower than the spacing of float32 around it has gap 0: its mass is below 1e-38 all the same.
    gap = jnp.maximum(gap, jnp.finfo(gap.dtype).tiny)
    return jnp.where(gap > 0.693, jnp.log1p(-jnp.exp(-gap)), jnp.log(-jnp.expm1(-gap)))
