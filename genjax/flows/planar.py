"""Planar and radial flows (Rezende and Mohamed 2015, arXiv:1505.05770).

    planar    f(z) = z + u h(w.z + b),  h = tanh:                                                       (10-12)
              log |det| = log |1 + u.psi(z)|,  psi = h'(w.z + b) w
    radial    f(z) = z + beta g (z - z_0),  g = 1 / (alpha + r),  r = |z - z_0|:                           (14)
              log |det| = (D - 1) log(1 + beta g) + log(1 + beta g - beta r g^2)

Not every u and beta makes a bijection. The planar flow is one where w.u >= -1, the radial where beta >= -alpha
(appendix A), and free parameters are moved there by

    u^ = u + (m(w.u) - w.u) w / |w|^2,  m(a) = -1 + log(1 + e^a),        beta^ = -alpha + log(1 + e^beta).

The functions on arrays take any number of steps, with parameters for each example where an encoder gives them: z_0 to
z_K and the sum of log-determinants, which is all that a variational posterior needs (eq. 13):

    log q_K(z_K) = log q_0(z_0) - sum_k log |det|_k.

Neither flow has an inverse in closed form in the paper. Both have one that is easy to compute: the planar flow moves z
along u only, so that a = w.z solves the scalar equation a + (w.u) h(a + b) = w.y, which is monotone; the radial flow
moves z along z - z_0 only, and r solves a quadratic equation.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from genjax.contract import Array, PyTree
from genjax.flows.bijection import Bijection, Condition, stateless


class Planar(NamedTuple):
    """Free parameters of planar steps, for all examples alike or for each.

    u: [..., D].
    w: [..., D].
    b: [...].
    """

    u: Array
    w: Array
    b: Array


class Radial(NamedTuple):
    """Free parameters of radial steps, for all examples alike or for each.

    center: [..., D], z_0.
    alpha: [...]; log(1 + e^alpha) is the paper's.
    beta: [...]; -alpha + log(1 + e^beta) is the paper's.
    """

    center: Array
    alpha: Array
    beta: Array


def constrained_u(u: Array, w: Array) -> Array:
    """Move u along w until w.u >= -1.

    Args:
        u: [..., D], free.
        w: [..., D].

    Returns:
        [..., D], with w.u^ = -1 + log(1 + e^(w.u)); u itself where w is zero (the flow then is a shift). Near w = 0
        the move is about 0.3 / |w|: start w away from zero.

    Reference: Rezende and Mohamed 2015, appendix A.1.
    """
    inner, square = jnp.sum(u * w, axis=-1, keepdims=True), jnp.sum(w * w, axis=-1, keepdims=True)
    # At w = 0 the direction is unknown; the guard keeps value and gradient finite there.
    return u + (jax.nn.softplus(inner) - 1.0 - inner) * w / jnp.maximum(square, 1e-12)


def planar_step(z: Array, step: Planar, *, dtype: Any = None) -> tuple[Array, Array]:
    """Apply one planar step.

    Args:
        z: [B, D].
        step: u and w [D] or [B, D], b [] or [B]; free parameters.
        dtype: in which the product w.z is made; None: that of z.

    Returns:
        f(z) [B, D] and log |det df/dz| [B], nats.

    Reference: Rezende and Mohamed 2015, eq. 10-12.
    """
    u, w, b = _for_each(z, step)
    u = constrained_u(u, w)
    h = jnp.tanh(_inner(w, z, dtype) + b)
    return z + u * h[:, None], jnp.log1p((1.0 - h**2) * jnp.sum(u * w, axis=1))


def planar_step_inverse(y: Array, step: Planar, *, dtype: Any = None) -> tuple[Array, Array]:
    """Undo `planar_step`, up to the rounding of the dtype.

    Args:
        y: [B, D].
        step: as there.
        dtype: as there.

    Returns:
        z [B, D] with f(z) = y, and log |det dz/dy| [B], nats.
    """
    u, w, b = _for_each(y, step)
    u = constrained_u(u, w)
    slope, target = jnp.sum(u * w, axis=1), _inner(w, y, dtype)
    # The scalar equation alone is solved without gradients; one Newton step from its solution changes no digit of it
    # and carries the derivatives of the implicit function.
    a = _monotone_root(*lax.stop_gradient((slope, b, target)))
    h = jnp.tanh(a + b)
    derivative = 1.0 + slope * (1.0 - h**2)
    a = a - (a + slope * h - target) / lax.stop_gradient(jnp.maximum(derivative, 1e-6))
    h = jnp.tanh(a + b)
    return y - u * h[:, None], -jnp.log1p((1.0 - h**2) * slope)


def radial_step(z: Array, step: Radial) -> tuple[Array, Array]:
    """Apply one radial step.

    Args:
        z: [B, D].
        step: center [D] or [B, D], alpha and beta [] or [B]; free parameters.

    Returns:
        f(z) [B, D] and log |det df/dz| [B], nats.

    Reference: Rezende and Mohamed 2015, eq. 14.
    """
    center, alpha, beta = _constrained_radial(z, step)
    offset = z - center
    r = _norm(offset)
    pull = beta / (alpha + r)
    log_det = (z.shape[1] - 1) * jnp.log1p(pull) + jnp.log1p(beta * alpha / (alpha + r) ** 2)
    return z + pull[:, None] * offset, log_det


def radial_step_inverse(y: Array, step: Radial) -> tuple[Array, Array]:
    """Undo `radial_step`; r solves r^2 + (alpha + beta - R) r - alpha R = 0, where R = |y - z_0|.

    Args:
        y: [B, D].
        step: as there.

    Returns:
        z [B, D] with f(z) = y, and log |det dz/dy| [B], nats.
    """
    center, alpha, beta = _constrained_radial(y, step)
    offset = y - center
    far = _norm(offset)
    p = 0.5 * (alpha + beta - far)
    root = jnp.sqrt(p**2 + alpha * far)
    # Of the two forms of the positive root, each is taken where it adds numbers of one sign.
    r = jnp.where(p > 0.0, alpha * far / jnp.where(p > 0.0, p + root, 1.0), root - p)
    pull = beta / (alpha + r)
    log_det = (y.shape[1] - 1) * jnp.log1p(pull) + jnp.log1p(beta * alpha / (alpha + r) ** 2)
    return center + offset / (1.0 + pull)[:, None], -log_det


def planar_flow(z0: Array, steps: Planar) -> tuple[Array, Array]:
    """Apply K planar steps, one after the other.

    Args:
        z0: [B, D].
        steps: u and w [K, D], b [K]; or [K, B, D] and [K, B], for each example its own (a posterior's).

    Returns:
        z_K [B, D] and sum_k log |det| [B], nats.

    Reference: Rezende and Mohamed 2015, eq. 13.
    """
    return _along(planar_step, z0, steps)


def radial_flow(z0: Array, steps: Radial) -> tuple[Array, Array]:
    """Apply K radial steps, one after the other; like `planar_flow`."""
    return _along(radial_step, z0, steps)


def planar_layer(scale: float = 0.1, *, dtype: Any = None) -> Bijection:
    """Make one planar step as a bijection of vectors [B, D]; repeat it.

    Args:
        scale: standard deviation of u, w and b at the start.
        dtype: in which the product w.z is made.
    """

    def init(key: Array, x: Array, condition: Condition) -> PyTree:
        u, w = scale * jax.random.normal(key, (2, x.shape[1]))
        return {"u": u, "w": w, "b": scale * jax.random.normal(jax.random.fold_in(key, 1))}

    return stateless(
        init,
        lambda params, x, condition: planar_step(x, Planar(**params), dtype=dtype),
        lambda params, z, condition: planar_step_inverse(z, Planar(**params), dtype=dtype),
    )


def radial_layer(scale: float = 0.1) -> Bijection:
    """Make one radial step as a bijection of vectors [B, D]; repeat it.

    Args:
        scale: standard deviation of the centres at the start; there the steps are near the identity.
    """

    def init(key: Array, x: Array, condition: Condition) -> PyTree:
        near_zero = 0.5413 + scale * jax.random.normal(jax.random.fold_in(key, 1))  # log(1 + e^0.5413) = 1 = alpha
        return {"center": scale * jax.random.normal(key, x.shape[1:]), "alpha": jnp.float32(0.5413), "beta": near_zero}

    return stateless(
        init,
        lambda params, x, condition: radial_step(x, Radial(**params)),
        lambda params, z, condition: radial_step_inverse(z, Radial(**params)),
    )


def _along(step, z0: Array, steps: PyTree) -> tuple[Array, Array]:
    def one(carry: tuple[Array, Array], parameters: PyTree) -> tuple[tuple[Array, Array], None]:
        z, log_det = step(carry[0], parameters)
        return (z, carry[1] + log_det), None

    return lax.scan(one, (z0, jnp.zeros(z0.shape[:1], z0.dtype)), steps)[0]


def _for_each(z: Array, step: Planar | Radial) -> tuple[Array, ...]:
    """Return a step's parameters with the batch axis of z [B, D]."""
    if z.ndim != 2:
        raise ValueError(f"z has shape {z.shape}; it must be [B, D].")
    vectors = _VECTORS[type(step)]
    return tuple(jnp.broadcast_to(value, z.shape[: 1 + (index < vectors)]) for index, value in enumerate(step))


_VECTORS = {Planar: 2, Radial: 1}  # how many of the parameters are vectors; they come first


def _inner(w: Array, z: Array, dtype: Any) -> Array:
    """Return w.z [B] of two [B, D], the product made in `dtype` and returned in the dtype of z."""
    a, b = (w, z) if dtype is None else (w.astype(dtype), z.astype(dtype))
    return jnp.einsum("bd,bd->b", a, b).astype(z.dtype)


def _constrained_radial(z: Array, step: Radial) -> tuple[Array, Array, Array]:
    """Return center [B, D], alpha > 0 [B] and beta > -alpha [B]."""
    center, alpha, beta = _for_each(z, step)
    alpha = jax.nn.softplus(alpha)
    return center, alpha, jax.nn.softplus(beta) - alpha


def _norm(offset: Array) -> Array:
    """Return |offset| [B] of [B, D], with gradient zero instead of NaN at zero."""
    square = jnp.sum(offset * offset, axis=1)
    return jnp.where(square > 0.0, jnp.sqrt(jnp.where(square > 0.0, square, 1.0)), 0.0)


def _monotone_root(slope: Array, b: Array, target: Array) -> Array:
    """Solve a + slope tanh(a + b) = target for a, all [B], by bisection; slope >= -1."""
    reach = jnp.abs(slope)  # tanh lies within [-1, 1]

    def halve(bracket: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        low, high = bracket
        middle = 0.5 * (low + high)
        below = middle + slope * jnp.tanh(middle + b) < target
        return (jnp.where(below, middle, low), jnp.where(below, high, middle)), None

    (low, high), _ = lax.scan(halve, (target - reach, target + reach), None, length=40)
    return 0.5 * (low + high)
