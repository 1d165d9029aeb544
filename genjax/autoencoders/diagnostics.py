"""What a latent code is used for."""

import jax.numpy as jnp

from genjax.contract import Array


def active_units(means: Array, *, threshold: float = 0.01) -> Array:
    """Count the latent dimensions whose posterior mean moves with x: Var_x(E_q[z_j | x]) > threshold.

    Args:
        means: [N, Z], posterior means over a data set.
        threshold: of the variance; 0.01 in the paper.

    Returns:
        int32 scalar.

    Reference: Burda et al. 2015, section 5.2.
    """
    if jnp.ndim(means) != 2:
        raise ValueError(f"means has shape {jnp.shape(means)}; active units are counted over [N, Z].")
    return jnp.sum(jnp.var(means, axis=0) > threshold).astype(jnp.int32)
