"""Normalizations as bijections, each per entry of the last axis (the channel).

Actnorm (Kingma and Dhariwal 2018, section 3.1): z = exp(l) (x + b), trained like everything else, and initialised
so that z has mean zero and variance one over the first batch.

Batch normalization with running averages (Dinh et al. 2017, section 3.7 and appendix E): z = (x - m) / sqrt(v + eps),

    m <- rho m + (1 - rho) mean of the batch,     v <- rho v + (1 - rho) variance of the batch,

also while training, where gradients flow through the statistics of the batch alone; the map of one example so does not
depend wholly on the others in the batch, and tends to the one that scores held-out data.

For pictures of H x W the log-determinants are H W times the sum over channels.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from genjax.contract import Array, PyTree
from genjax.flows.bijection import Bijection, Condition, Weights, stateless


def actnorm(epsilon: float = 1e-3) -> Bijection:
    """Make a learned affine map of each channel that starts from the statistics of the first batch.

    Args:
        epsilon: added to the standard deviation of the first batch, so that a channel which is constant there starts
            from a large, finite factor.
    """

    def init(key: Array, x: Array, condition: Condition) -> PyTree:
        mean, variance = _statistics(x, None)
        return {"bias": -mean, "log_scale": -jnp.log(jnp.sqrt(variance) + epsilon)}

    def forward(params: PyTree, x: Array, condition: Condition) -> tuple[Array, Array]:
        z = (x + _spread(params["bias"], x)) * jnp.exp(_spread(params["log_scale"], x))
        return z, _log_det(params["log_scale"], x)

    def inverse(params: PyTree, z: Array, condition: Condition) -> tuple[Array, Array]:
        x = z * jnp.exp(-_spread(params["log_scale"], z)) - _spread(params["bias"], z)
        return x, _log_det(-params["log_scale"], z)

    return stateless(init, forward, inverse)


def batch_norm(*, momentum: float = 0.9, epsilon: float = 1e-4, axis_name: str | None = None) -> Bijection:
    """Make batch normalization by running averages.

    Args:
        momentum: rho, in [0, 1).
        epsilon: added to the variance.
        axis_name: mapped axis that the batch is spread over under pmap; None where it is whole.

    Returns:
        A bijection without parameters; state mean and variance, [C] each, which start from the first batch.
    """

    def init(key: Array, x: Array, condition: Condition) -> Weights:
        mean, variance = _statistics(x, None)
        return Weights((), {"mean": mean, "variance": variance})

    def forward(weights: Weights, x: Array, condition: Condition) -> tuple[Array, Array]:
        return _normalize(weights.state, x, epsilon)

    def inverse(weights: Weights, z: Array, condition: Condition) -> tuple[Array, Array]:
        mean, variance = weights.state["mean"], weights.state["variance"] + epsilon
        return z * jnp.sqrt(_spread(variance, z)) + _spread(mean, z), _log_det(0.5 * jnp.log(variance), z)

    def train(weights: Weights, x: Array, condition: Condition) -> tuple[Array, Array, PyTree]:
        mean, variance = _statistics(x, axis_name)
        average = lambda old, new: momentum * lax.stop_gradient(old) + (1.0 - momentum) * new
        state = {
            "mean": average(weights.state["mean"], mean),
            "variance": average(weights.state["variance"], variance),
        }
        return *_normalize(state, x, epsilon), jax.tree.map(lax.stop_gradient, state)

    return Bijection(init, forward, inverse, train)


def scaling(epsilon: float = 1e-3) -> Bijection:
    """Make a learned factor for each entry of the last axis, z = exp(l) x, that makes the first batch's variance one.

    Args:
        epsilon: added to the standard deviation of the first batch.

    Reference: Dinh et al. 2014 (NICE), section 3.3; the start is actnorm's.
    """
    return stateless(
        lambda key, x, condition: {"log_scale": -jnp.log(jnp.sqrt(_statistics(x, None)[1]) + epsilon)},
        lambda params, x, condition: (x * jnp.exp(_spread(params["log_scale"], x)), _log_det(params["log_scale"], x)),
        lambda params, z, condition: (z * jnp.exp(-_spread(params["log_scale"], z)), _log_det(-params["log_scale"], z)),
    )


def conditional_affine() -> Bijection:
    """Make z = (x - c M) exp(-c S) of vectors x [B, D] and a condition c [B, K]; starts as the identity.

    With c one-hot it gives the base density of each class a mean and a scale of its own (Kingma and Dhariwal 2018,
    the learned top prior of class-conditional Glow).
    """

    def init(key: Array, x: Array, condition: Condition) -> PyTree:
        shape = (condition.shape[-1], x.shape[-1])
        return {"mean": jnp.zeros(shape), "log_scale": jnp.zeros(shape)}

    def forward(params: PyTree, x: Array, condition: Condition) -> tuple[Array, Array]:
        log_scale = condition @ params["log_scale"]
        return (x - condition @ params["mean"]) * jnp.exp(-log_scale), -jnp.sum(log_scale, axis=-1)

    def inverse(params: PyTree, z: Array, condition: Condition) -> tuple[Array, Array]:
        log_scale = condition @ params["log_scale"]
        return z * jnp.exp(log_scale) + condition @ params["mean"], jnp.sum(log_scale, axis=-1)

    return stateless(init, forward, inverse)


def _statistics(x: Array, axis_name: str | None) -> tuple[Array, Array]:
    """Return mean and variance [C] over all axes but the last, and over a mapped one."""
    axes = tuple(range(x.ndim - 1))
    whole = (lambda value: value) if axis_name is None else (lambda value: lax.pmean(value, axis_name))
    mean = whole(jnp.mean(x, axes))
    return mean, whole(jnp.mean((x - _spread(mean, x)) ** 2, axes))


def _normalize(state: PyTree, x: Array, epsilon: float) -> tuple[Array, Array]:
    variance = state["variance"] + epsilon
    z = (x - _spread(state["mean"], x)) * lax.rsqrt(_spread(variance, x))
    return z, _log_det(-0.5 * jnp.log(variance), x)


def _spread(values: Array, x: Array) -> Array:
    """Give values [C] the rank of x [B, ..., C]."""
    return values.reshape((1,) * (x.ndim - 1) + values.shape)


def _log_det(log_scale: Array, x: Array) -> Array:
    """Return the log-determinant [B] of a factor exp(log_scale) [C] on every pixel of x [B, ..., C]."""
    return jnp.broadcast_to(math.prod(x.shape[1:-1]) * jnp.sum(log_scale), x.shape[:1])
