"""The four energies on the plane of Rezende and Mohamed 2015 (table 1), and a flow fitted to one of them.

With w_1 = sin(pi z_1 / 2), w_2 = 3 exp(-((z_1 - 1) / 0.6)^2 / 2), w_3 = 3 / (1 + exp(-(z_1 - 1) / 0.3)):

    U_1 = ((|z| - 2) / 0.4)^2 / 2 - log(exp(-((z_1 - 2) / 0.6)^2 / 2) + exp(-((z_1 + 2) / 0.6)^2 / 2))
    U_2 = ((z_2 - w_1) / 0.4)^2 / 2
    U_3 = -log(exp(-((z_2 - w_1) / 0.35)^2 / 2) + exp(-((z_2 - w_1 + w_2) / 0.35)^2 / 2))
    U_4 = -log(exp(-((z_2 - w_1) / 0.4)^2 / 2) + exp(-((z_2 - w_1 + w_3) / 0.35)^2 / 2))

U_2 to U_4 do not grow along z_1, hence exp(-U) has no finite integral over the plane; the paper shows |z_1| <= 4.
Here a wall stands there, ((|z_1| - 4)_+ / 0.2)^2 / 2 added to each of the three.

A flow q_K is fitted to p = exp(-U) / Z without samples of p and without Z, by the free energy

    F = E_q[log q_K(z_K) + U(z_K)] = KL(q_K || p) - log Z >= -log Z                                              (15)

with U weighted by beta_t from 0.01 to 1 over the first steps (section 6.1, eq. 20), so that q finds all modes.
"""

import math
from typing import Callable

import jax
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array, Aux, Batch, GenerativeModel, LogProb, PyTree, Update, Variables
from genjax.flows.bases import standard_normal
from genjax.flows.bijection import Bijection, Weights
from genjax.flows.density import change_of_variables

Potential = Callable[[Array], Array]

EXTENT = 6.0  # exp(-U) is below 1e-12 of its mode outside [-6, 6]^2


def potential_1(z: Array) -> Array:
    """Return U_1 of z [B, 2], [B] in nats: two halves of a ring."""
    first = _first(z)
    r = jnp.sqrt(jnp.sum(z**2, axis=1) + 1e-12)  # finite gradient at zero
    return _energy((r - 2.0) / 0.4) - _log_sum(_energy((first - 2.0) / 0.6), _energy((first + 2.0) / 0.6))


def potential_2(z: Array) -> Array:
    """Return U_2 of z [B, 2], [B] in nats: a sine wave."""
    return _energy((z[:, 1] - _wave(z)) / 0.4) + _wall(z)


def potential_3(z: Array) -> Array:
    """Return U_3 of z [B, 2], [B] in nats: a sine wave that splits and joins again."""
    below = z[:, 1] - _wave(z)
    shift = 3.0 * jnp.exp(-_energy((_first(z) - 1.0) / 0.6))
    return _wall(z) - _log_sum(_energy(below / 0.35), _energy((below + shift) / 0.35))


def potential_4(z: Array) -> Array:
    """Return U_4 of z [B, 2], [B] in nats: a sine wave that splits for good."""
    below = z[:, 1] - _wave(z)
    shift = 3.0 * jax.nn.sigmoid((_first(z) - 1.0) / 0.3)
    return _wall(z) - _log_sum(_energy(below / 0.4), _energy((below + shift) / 0.35))


def log_normalizer(potential: Potential, points: int = 1200) -> float:
    """Return log Z, the logarithm of the integral of exp(-U), by the midpoint rule on [-6, 6]^2."""
    grid, area = plane_grid(points)
    return float(jax.nn.logsumexp(-potential(grid)) + math.log(area))


def plane_grid(points: int) -> tuple[Array, float]:
    """Return the midpoints [points^2, 2] of equal squares on [-6, 6]^2, z_1 outermost, and the area of one."""
    width = 2.0 * EXTENT / points
    axis = (-EXTENT + width * (np.arange(points) + 0.5)).astype(np.float32)
    first, second = np.meshgrid(axis, axis, indexing="ij")
    return jnp.asarray(np.stack([first.ravel(), second.ravel()], axis=1)), width**2


def potential_sample(key: Array, potential: Potential, num: int, points: int = 200) -> Array:
    """Draw from exp(-U) / Z, tabulated on a grid and uniform within each of its squares.

    Args:
        key: draws.
        potential: U.
        num: how many.
        points: squares along each side of [-6, 6]^2.

    Returns:
        [num, 2].
    """
    grid, area = plane_grid(points)
    square_key, place_key = jax.random.split(key)
    weights = jax.nn.softmax(-potential(grid))
    edges = jnp.cumsum(weights)
    square = jnp.searchsorted(edges, jax.random.uniform(square_key, (num,)) * edges[-1])
    place = jax.random.uniform(place_key, (num, 2), minval=-0.5, maxval=0.5)
    return grid[jnp.minimum(square, len(grid) - 1)] + math.sqrt(area) * place


def free_energy(log_q: Array, potential: Array, beta: Array | float = 1.0) -> Array:
    """Return log q(z) + beta U(z), whose mean over z ~ q is F.

    Args:
        log_q: [B], log q_K(z_K).
        potential: [B], U(z_K).
        beta: weight of the energy, in (0, 1].

    Returns:
        [B], nats.

    Reference: Rezende and Mohamed 2015, eq. 15 and 20.
    """
    if log_q.ndim != 1 or log_q.shape != potential.shape:
        raise ValueError(f"log_q has shape {log_q.shape} and the potential {potential.shape}; both must be [B].")
    return log_q + beta * potential


def fitted_flow(
    bijection: Bijection, potential: Potential, *, num_dims: int = 2, anneal_steps: int = 10_000
) -> GenerativeModel:
    """Build a flow that is fitted to an energy by the free energy; its batches give their number alone.

    Args:
        bijection: from z_0 ~ N(0, I) to z_K, both [B, D] (here `forward` goes to the data).
        potential: U, [B, D] -> [B].
        num_dims: D.
        anneal_steps: over which beta rises from 0.01 to 1.

    Returns:
        A model with one update 'flow' that moves the player 'flow'; metric free_energy, in nats, at beta = 1.
        `log_prob` is the exact log q_K of a point, by way of the inverse.
    """
    base = standard_normal()

    def draw(weights: Weights, key: Array, num: int) -> tuple[Array, Array]:
        z0 = base.sample(key, (num, num_dims))
        z, log_det = bijection.forward(weights, z0, None)
        return z, change_of_variables(z0, -log_det, base)

    def weights_of(variables: Variables) -> Weights:
        return Weights(variables.params["flow"], variables.state)

    def init(key: Array, batch: Batch) -> Variables:
        z0_key, key = jax.random.split(key)
        weights = bijection.init(key, base.sample(z0_key, (batch["x"].shape[0], num_dims)), None)
        return Variables(params={"flow": weights.params}, state=weights.state)

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        z, log_q = draw(weights_of(variables), key, batch["x"].shape[0])
        energy = potential(z)
        beta = jnp.minimum(1.0, 0.01 + step.astype(jnp.float32) / anneal_steps)
        metrics = {"free_energy": jnp.mean(free_energy(log_q, energy))}
        return jnp.mean(free_energy(log_q, energy, beta)), Aux(state=variables.state, metrics=metrics)

    def sample(variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None) -> Array:
        if condition is not None:
            raise ValueError("this flow is unconditional: sample takes no condition.")
        return draw(weights_of(variables), key, num_samples)[0]

    def log_prob(variables: Variables, key: Array, batch: Batch) -> Array:
        del key
        return change_of_variables(*bijection.inverse(weights_of(variables), batch["x"], None), base)

    def energies(variables: Variables, key: Array, num: int) -> Array:
        z, log_q = draw(weights_of(variables), key, num)
        return free_energy(log_q, potential(z))

    return GenerativeModel(
        init=init,
        updates=(Update(name="flow", players=("flow",), loss=loss),),
        sample=sample,
        log_prob=LogProb(log_prob, "exact"),
        methods={"free_energy": energies},
    )


def _first(z: Array) -> Array:
    if z.ndim != 2 or z.shape[1] != 2:
        raise ValueError(f"z has shape {z.shape}; points of the plane are [B, 2].")
    return z[:, 0]


def _energy(scaled: Array) -> Array:
    return 0.5 * scaled**2


def _log_sum(a: Array, b: Array) -> Array:
    """Return log(e^-a + e^-b)."""
    return jnp.logaddexp(-a, -b)


def _wave(z: Array) -> Array:
    return jnp.sin(0.5 * math.pi * _first(z))


def _wall(z: Array) -> Array:
    return _energy(jax.nn.relu(jnp.abs(_first(z)) - 4.0) / 0.2)
