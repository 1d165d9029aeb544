"""Conditional probability paths between a source and the data, and the velocities along them.

    x_t = m_t(x_0, x_1) + s_t e,   e ~ N(0, I):   x_0 from the source at t = 0, x_1 the data at t = 1

    Gaussian path     m = sigma_t x_0 + mu_t(x_1),      s = 0                      Lipman et al. 2023, eq. 10 and 11
      transport       mu = t x_1, sigma = 1 - (1 - sigma_min) t                    eq. 20
      diffusion       mu = alpha_{1-t} x_1, sigma = sigma_{1-t}                    eq. 18, time turned round
    straight lines    m = (1 - t) x_0 + t x_1,          s = sigma, a constant      Tong et al. 2024 (I-CFM)
                      the same with sigma = 0: rectified flow                      Liu et al. 2023, eq. 1
    Brownian bridge   m as above,                       s = sigma sqrt(t (1 - t))  Tong et al. 2024 (SB-CFM)

The velocity along a path, its derivative in t, is what a network is trained to predict. Seen from x alone it is the
conditional field

    u_t(x | z) = (s'_t / s_t) (x - m_t) + m'_t                                     Lipman et al. 2023, eq. 15

whose flow carries e to m_t + s_t e. Time runs as in these papers, from noise (0) to data (1): the paths of
`genjax.processes` run the other way, at 1 - t, and velocities change sign.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax.contract import Array
from genjax.processes import Path, like


class Interpolant(NamedTuple):
    """A conditional path, differentiable in t.

    mean: (x_0 [B, ...], x_1 [B, ...], t [B]) -> m_t [B, ...].
    std: t [B] -> s_t [B], of the noise that is added.
    """

    mean: Callable[[Array, Array, Array], Array]
    std: Callable[[Array], Array]


def gaussian_interpolant(path: Path) -> Interpolant:
    """Return the Gaussian path alpha x_1 + sigma x_0 of `genjax.processes`, from noise to data.

    Args:
        path: counts its time from the data: t here is its 1 - t.
    """

    def mean(x0: Array, x1: Array, t: Array) -> Array:
        return like(path.sigma(1.0 - t), x0) * x0 + like(path.alpha(1.0 - t), x1) * x1

    return Interpolant(mean, jnp.zeros_like)


def affine_interpolant(mean: Callable[[Array, Array], Array], std: Callable[[Array, Array], Array]) -> Interpolant:
    """Return the path mu_t(x_1) + sigma_t(x_1) x_0 of any mean and standard deviation.

    Args:
        mean: (x_1 [B, ...], t [B]) -> mu_t [B, ...].
        std: (x_1, t) -> sigma_t [B], positive before t = 1.

    Reference: Lipman et al. 2023, eq. 10 and 11.
    """
    return Interpolant(lambda x0, x1, t: mean(x1, t) + like(std(x1, t), x0) * x0, jnp.zeros_like)


def straight_interpolant(sigma: float = 0.0) -> Interpolant:
    """Return straight lines between x_0 and x_1, in a tube of standard deviation sigma."""
    return Interpolant(_line, lambda t: jnp.full_like(t, sigma))


def bridge_interpolant(sigma: float) -> Interpolant:
    """Return the Brownian bridge of d x = sigma dw between x_0 and x_1; its velocity is infinite at both ends."""
    return Interpolant(_line, lambda t: sigma * jnp.sqrt(t * (1.0 - t)))


def interpolate(interpolant: Interpolant, x0: Array, x1: Array, noise: Array, t: Array) -> tuple[Array, Array]:
    """Return x_t and the velocity d x_t / dt of the path through x_0, x_1 and the noise.

    Args:
        interpolant: the path.
        x0: from the source, [B, ...].
        x1: data of the same shape.
        noise: e, of the same shape.
        t: [B], in [0, 1], where the path is differentiable.

    Returns:
        x_t and its velocity, both [B, ...].

    Raises:
        ValueError: shapes differ, or the data are integers (stored levels).
    """
    if not x0.shape == x1.shape == noise.shape or t.shape != x1.shape[:1]:
        raise ValueError(
            f"x_0 {x0.shape}, x_1 {x1.shape}, noise {noise.shape} must share a shape [B, ...], t {t.shape} be [B]."
        )
    if not jnp.issubdtype(x1.dtype, jnp.floating):
        raise ValueError(f"x_1 must hold reals, got {x1.dtype}: scale stored levels first.")
    place = lambda t: interpolant.mean(x0, x1, t) + like(interpolant.std(t), noise) * noise
    return jax.jvp(place, (t,), (jnp.ones_like(t),))


def conditional_velocity(x: Array, t: Array, mean: Callable[[Array], Array], std: Callable[[Array], Array]) -> Array:
    """Return u_t(x | z) = (s' / s) (x - m) + m' of the Gaussian path N(m_t, s_t^2 I).

    Args:
        x: [B, ...].
        t: [B], where s_t > 0.
        mean: t [B] -> m_t [B, ...], of one condition z an example.
        std: t [B] -> s_t [B].

    Returns:
        [B, ...].

    Reference: Lipman et al. 2023, eq. 15.
    """
    ones = jnp.ones_like(t)
    m, m_rate = jax.jvp(mean, (t,), (ones,))
    s, s_rate = jax.jvp(std, (t,), (ones,))
    return like(s_rate / s, x) * (x - m) + m_rate


def _line(x0: Array, x1: Array, t: Array) -> Array:
    return like(1.0 - t, x0) * x0 + like(t, x1) * x1
