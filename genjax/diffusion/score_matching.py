"""Score matching: learn s(x) = grad log p(x) from samples, without the constant that normalizes p.

With J = 1/2 E |s(x) - grad log p(x)|^2 half the Fisher divergence, each is J up to a constant that s does not change:

    explicit        1/2 |s(x) - grad log p(x)|^2                            J itself, where the score is known
    implicit        Tr(ds/dx) + 1/2 |s(x)|^2                                Hyvarinen 2005, theorem 1
    sliced          v' (ds/dx) v + 1/2 (v' s(x))^2,      E v v' = I         Song et al. 2019, eq. 8
    the same with less variance    v' (ds/dx) v + 1/2 |s(x)|^2              Song et al. 2019, section 3.2 (SSM-VR)
    denoising       1/2 |s(x + sigma eps) + eps / sigma|^2                  Vincent 2011, eq. 9: J of p * N(0, sigma^2)

The constant is -1/2 E |grad log p|^2 for implicit and both sliced ones; for the denoising loss, with q the density of
x + sigma eps, it is 1/2 E |eps|^2 / sigma^2 - 1/2 E |grad log q|^2.

Samples are drawn by Langevin dynamics on s, from a broad normal: fair inside a mode, and blind to the modes' shares
where the density between them is too low to be crossed, or was too low to be learned.
"""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.contract import Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables
from genjax.distributions import per_example
from genjax.solvers import exact_trace, langevin_step

Score = Callable[[Array], Array]  # x [B, ...] -> [B, ...], example by example
ScoreLoss = Callable[[Array, Score, Array], Array]  # (key, score, x [B, ...]) -> [B]


def explicit_score_loss(score: Score, x: Array, target: Array) -> Array:
    """Return 1/2 |s(x) - target|^2.

    Args:
        score: s.
        x: [B, ...].
        target: the known score there, of x's shape.

    Returns:
        [B].

    Raises:
        ValueError: x is no batch, or the target has another shape.
    """
    _require_batch(x)
    if x.shape != target.shape:
        raise ValueError(f"x of shape {x.shape} and the score of shape {target.shape} differ.")
    return 0.5 * per_example((score(x) - target) ** 2)


def implicit_score_loss(score: Score, x: Array) -> Array:
    """Return Tr(ds/dx) + 1/2 |s(x)|^2, the trace by D derivatives.

    Args:
        score: s.
        x: [B, ...], D numbers an example.

    Returns:
        [B].

    Raises:
        ValueError: x is no batch.

    Reference: Hyvarinen 2005, theorem 1.
    """
    _require_batch(x)
    flat = x.reshape(x.shape[0], -1)
    value, trace = exact_trace().value(lambda flat: score(flat.reshape(x.shape)).reshape(flat.shape), flat, flat)
    return trace + 0.5 * per_example(value**2)


def sliced_score_loss(score: Score, x: Array, direction: Array) -> Array:
    """Return v' (ds/dx) v + 1/2 (v' s(x))^2.

    Args:
        score: s.
        x: [B, ...].
        direction: v, of x's shape, drawn with E v v' = I.

    Returns:
        [B].

    Raises:
        ValueError: x is no batch, or v has another shape.

    Reference: Song et al. 2019 (arXiv:1905.07088), eq. 8.
    """
    value, curvature = _along(score, x, direction)
    return curvature + 0.5 * per_example(direction * value) ** 2


def sliced_score_loss_vr(score: Score, x: Array, direction: Array) -> Array:
    """Return v' (ds/dx) v + 1/2 |s(x)|^2: `sliced_score_loss` with the second term's mean over v.

    Reference: Song et al. 2019, section 3.2.
    """
    value, curvature = _along(score, x, direction)
    return curvature + 0.5 * per_example(value**2)


def denoising_score_loss(score: Score, x: Array, eps: Array, *, sigma: float) -> Array:
    """Return 1/2 |s(x + sigma eps) + eps / sigma|^2.

    Args:
        score: s, of the density of noisy data.
        x: [B, ...].
        eps: standard normal noise, of x's shape.
        sigma: standard deviation of the noise, > 0.

    Returns:
        [B].

    Raises:
        ValueError: x is no batch, or eps has another shape.

    Reference: Vincent 2011, eq. 9.
    """
    return explicit_score_loss(lambda x: score(x + sigma * eps), x, -eps / sigma)


def score_matching(
    network: nn.Module,
    loss: ScoreLoss,
    *,
    shape: tuple[int, ...],
    start_std: float,
    step_size: float,
    num_steps: int,
) -> GenerativeModel:
    """Build a model that learns its score by any of the losses, and is sampled by Langevin dynamics.

    Args:
        network: x [B, ...] -> score [B, ...], float32, parameters alone; smooth where the loss takes derivatives in x.
        loss: (key, score, x) -> [B].
        shape: of one example, reals.
        start_std: standard deviation of the normal that chains start from.
        step_size: e of a Langevin step, see `solvers.langevin_step`.
        num_steps: of a chain (static).

    Returns:
        A model with one player 'score' and one update 'match', metric loss_per_dim. It has no likelihood. Methods,
        each (variables, key, ...):

        score(x) -> [B, ...]                   the learned score
        langevin(x, *, num_steps) -> [B, ...]  chains that start at x
    """

    def score_of(variables: Variables) -> Score:
        return lambda x: network.apply({"params": variables.params["score"]}, x).astype(jnp.float32)

    def init(key: Array, batch: Batch) -> Variables:
        x = batch["x"]
        if x.shape[1:] != tuple(shape) or not jnp.issubdtype(x.dtype, jnp.floating):
            raise ValueError(f"x holds {x.dtype} of shape {x.shape}; this model is of reals [B, {shape}].")
        return Variables({"score": network.init(key, x)["params"]})

    def matched(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        value = jnp.mean(loss(key, score_of(variables), batch["x"]))
        return value, Aux(variables.state, {"loss_per_dim": value / math.prod(shape)})

    def chain(variables: Variables, key: Array, x: Array, *, num_steps: int = num_steps) -> Array:
        return langevin_chain(key, x, score_of(variables), step_size=step_size, num_steps=num_steps)

    def sample(variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None) -> Array:
        if condition is not None:
            raise ValueError("this model is unconditional: sample takes no condition.")
        start_key, chain_key = jax.random.split(key)
        return chain(variables, chain_key, start_std * jax.random.normal(start_key, (num_samples, *shape)))

    return GenerativeModel(
        init=init,
        updates=(Update("match", ("score",), matched),),
        sample=sample,
        methods={"score": lambda variables, key, x: score_of(variables)(x), "langevin": chain},
    )


def langevin_chain(key: Array, x: Array, score: Score, *, step_size: Array | float, num_steps: int) -> Array:
    """Return x [B, ...] after `num_steps` unadjusted Langevin steps of length e = step_size; step n uses fold_in(key, n)."""

    def one(x: Array, n: Array) -> tuple[Array, None]:
        noise = jax.random.normal(jax.random.fold_in(key, n), x.shape, x.dtype)
        return langevin_step(x, score(x), step_size, noise), None

    return jax.lax.scan(one, x, jnp.arange(num_steps))[0]


def _along(score: Score, x: Array, direction: Array) -> tuple[Array, Array]:
    """Return s(x) and v' (ds/dx) v."""
    _require_batch(x)
    if x.shape != direction.shape:
        raise ValueError(f"x of shape {x.shape} and directions of shape {direction.shape} differ.")
    value, moved = jax.jvp(score, (x,), (direction,))
    return value, per_example(direction * moved)


def _require_batch(x: Array) -> None:
    if x.ndim < 2:
        raise ValueError(f"x has shape {x.shape}; a score is of examples [B, ...] of at least one axis.")
