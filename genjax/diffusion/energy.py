"""Energy-based models: p(x) = exp(f(x)) / Z, of which Z is never needed to draw from it, nor to learn f.

    score          grad log p(x) = grad f(x): whatever is added to f as a constant is gone
    Langevin       x' = x + e grad f(x) + sqrt(2 e) z, of stationary law p as e -> 0
    MALA           the same as a proposal, accepted with probability min(1, p(x') q(x | x') / (p(x) q(x' | x))),
                   q(x' | x) = N(x'; x + e grad f(x), 2 e I): of stationary law p for any e      Roberts & Tweedie 1996
    learning       d/dw E log p(x) = E_data df/dw - E_p df/dw, the second by chains that run on from step to step
                   (persistent contrastive divergence, Tieleman 2008); a few of them start afresh every step, so that
                   none stays for ever where it got stuck (Du & Mordatch 2019, section 3.2)

In the plane Z is a sum over a grid, and the likelihood is there after all (`log_partition`).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.contract import Array, Aux, Batch, GenerativeModel, LogProb, PyTree, Update, Variables
from genjax.diffusion.score_matching import Score, langevin_chain
from genjax.distributions import per_example
from genjax.nn import MLP
from genjax.solvers import langevin_step

LogDensity = Callable[[Array], Array]  # x [B, ...] -> f [B], nats, up to a constant


class ConfinedEnergy(nn.Module):
    """f(x) = MLP(x) - |x|^2 / (2 std^2): a network times a normal, so that Z is finite whatever the network does.

    widths: of the hidden layers.
    std: of the normal, wider than the data.
    dtype: compute dtype; f is float32.
    """

    widths: tuple[int, ...] = (64, 64, 64)
    std: float = 4.0
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map x [B, D] to f [B]."""
        h = jax.nn.silu(MLP(self.widths[:-1], self.widths[-1], activation=jax.nn.silu, dtype=self.dtype)(x))
        value = nn.Dense(1, use_bias=False, dtype=self.dtype)(h)[:, 0]  # a constant would never learn
        return value.astype(jnp.float32) - 0.5 * jnp.sum(x**2, axis=1) / self.std**2


class Box(NamedTuple):
    """A grid of num x num cells over [-half_width, half_width]^2."""

    half_width: float
    num: int


class Chains(NamedTuple):
    """How chains are run.

    step_size: e of a Langevin step.
    train_steps: made by every chain in each step of training.
    sample_steps: from the start to a sample (static).
    start_std: standard deviation of the normal they start from.
    restart: share of chains that start afresh in each step of training.
    """

    step_size: float
    train_steps: int
    sample_steps: int
    start_std: float
    restart: float


def score_of(log_density: LogDensity) -> Score:
    """Return x [B, ...] -> grad f [B, ...]."""
    return jax.grad(lambda x: jnp.sum(log_density(x)))


def mala_step(key: Array, x: Array, log_density: LogDensity, step_size: Array | float) -> tuple[Array, Array]:
    """Propose a Langevin step and accept or refuse it.

    Args:
        key: of the proposal and of the decision.
        x: [B, ...].
        log_density: f.
        step_size: e.

    Returns:
        x' [B, ...], and whether each proposal was accepted, bool [B].

    Reference: Roberts & Tweedie 1996, section 1.4.2.
    """
    _require_batch(x)
    noise_key, accept_key = jax.random.split(key)
    score = score_of(log_density)
    here = score(x)
    proposal = langevin_step(x, here, step_size, jax.random.normal(noise_key, x.shape, x.dtype))
    forth = per_example((proposal - x - step_size * here) ** 2)
    back = per_example((x - proposal - step_size * score(proposal)) ** 2)
    log_ratio = log_density(proposal) - log_density(x) + (forth - back) / (4.0 * step_size)
    accepted = jnp.log(jax.random.uniform(accept_key, x.shape[:1])) < log_ratio
    return jnp.where(accepted.reshape(-1, *(1,) * (x.ndim - 1)), proposal, x), accepted


def mala_chain(
    key: Array, x: Array, log_density: LogDensity, *, step_size: Array | float, num_steps: int
) -> tuple[Array, Array]:
    """Return x [B, ...] after `num_steps` of `mala_step`, and the share of proposals accepted, [B]."""

    def one(x: Array, n: Array) -> tuple[Array, Array]:
        return mala_step(jax.random.fold_in(key, n), x, log_density, step_size)

    x, accepted = jax.lax.scan(one, x, jnp.arange(num_steps))
    return x, accepted.mean(axis=0, dtype=jnp.float32)


def contrastive_loss(on_data: Array, on_chains: Array) -> Array:
    """Return f(chain) - f(x), whose gradient in f's parameters is that of -log p(x) where chains are draws from p.

    Args:
        on_data: f of data, [B].
        on_chains: f of as many chains, [B].

    Returns:
        [B], nats; no likelihood, its value says little.

    Raises:
        ValueError: other shapes.
    """
    if on_data.ndim != 1 or on_data.shape != on_chains.shape:
        raise ValueError(f"energies have shapes {on_data.shape} and {on_chains.shape}; both must be [B].")
    return on_chains - on_data


def log_partition(log_density: LogDensity, box: Box) -> Array:
    """Return log Z = log of the integral of exp(f) over a box of the plane, by the midpoint rule.

    The rule converges faster than any power where exp(f) is smooth and vanishes at the edge; what lies outside is not
    counted.

    Args:
        log_density: f of points [N, 2].
        box: the grid.

    Returns:
        [], nats.
    """
    side = 2.0 * box.half_width / box.num
    places = -box.half_width + side * (jnp.arange(box.num, dtype=jnp.float32) + 0.5)
    grid = jnp.stack(jnp.meshgrid(places, places, indexing="ij"), axis=-1).reshape(-1, 2)
    return jax.nn.logsumexp(log_density(grid)) + 2.0 * math.log(side)


def energy_model(
    network: nn.Module, chains: Chains, *, shape: tuple[int, ...], penalty: float = 0.0, box: Box | None = None
) -> GenerativeModel:
    """Build an energy-based model, learned by persistent contrastive divergence and sampled by MALA.

    Args:
        network: x [B, ...] -> f [B], float32, parameters alone, smooth.
        chains: how they are run.
        shape: of one example, reals.
        penalty: factor of f^2 on data and chains, which keeps f's free constant, and its slopes, in bounds
            (Du & Mordatch 2019, section 3.3).
        box: the plane's grid for Z, for points: the model then has a likelihood.

    Returns:
        A model with one player 'energy', one update 'contrast', metrics f_data and f_chains, and one chain an example
        of the batch in memory. `log_prob`, with a box, is an estimate: up to the quadrature and what lies outside.
        Methods, each (variables, key, ...):

        log_density(x) -> [B]                  f
        score(x) -> [B, ...]                   grad f
        langevin(x, *, num_steps) -> [B, ...]  unadjusted chains that start at x
        mala(x, *, num_steps) -> ([B, ...], [B])  adjusted ones, and their acceptance
        log_partition() -> []                  log Z, with a box
    """

    def density_of(variables: Variables) -> LogDensity:
        return lambda x: network.apply({"params": variables.params["energy"]}, x)

    def init(key: Array, batch: Batch) -> Variables:
        x, (network_key, chain_key) = batch["x"], jax.random.split(key)
        if x.shape[1:] != tuple(shape) or not jnp.issubdtype(x.dtype, jnp.floating):
            raise ValueError(f"x holds {x.dtype} of shape {x.shape}; this model is of reals [B, {shape}].")
        start = chains.start_std * jax.random.normal(chain_key, x.shape)
        return Variables({"energy": network.init(network_key, x)["params"]}, memory={"chains": start})

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        density = density_of(variables._replace(params=jax.lax.stop_gradient(variables.params)))
        restart_key, start_key, chain_key = jax.random.split(key, 3)
        old = variables.memory["chains"]
        fresh = jax.random.bernoulli(restart_key, chains.restart, old.shape[:1]).reshape(-1, *(1,) * (old.ndim - 1))
        start = jnp.where(fresh, chains.start_std * jax.random.normal(start_key, old.shape), old)
        moved = langevin_chain(
            chain_key, start, score_of(density), step_size=chains.step_size, num_steps=chains.train_steps
        )
        on_data, on_chains = density_of(variables)(batch["x"]), density_of(variables)(moved)
        value = jnp.mean(contrastive_loss(on_data, on_chains) + penalty * (on_data**2 + on_chains**2))
        metrics = {"f_data": jnp.mean(on_data), "f_chains": jnp.mean(on_chains)}
        return value, Aux(variables.state, metrics, {"chains": moved})

    def mala(variables: Variables, key: Array, x: Array, *, num_steps: int = chains.sample_steps) -> tuple[Array, Array]:
        return mala_chain(key, x, density_of(variables), step_size=chains.step_size, num_steps=num_steps)

    def langevin(variables: Variables, key: Array, x: Array, *, num_steps: int = chains.sample_steps) -> Array:
        return langevin_chain(key, x, score_of(density_of(variables)), step_size=chains.step_size, num_steps=num_steps)

    def sample(variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None) -> Array:
        if condition is not None:
            raise ValueError("this model is unconditional: sample takes no condition.")
        start_key, chain_key = jax.random.split(key)
        return mala(variables, chain_key, chains.start_std * jax.random.normal(start_key, (num_samples, *shape)))[0]

    def log_prob(variables: Variables, key: Array, batch: Batch) -> Array:
        del key
        return density_of(variables)(batch["x"]) - log_partition(density_of(variables), box)

    methods = {
        "log_density": lambda variables, key, x: density_of(variables)(x),
        "score": lambda variables, key, x: score_of(density_of(variables))(x),
        "langevin": langevin,
        "mala": mala,
    }
    if box is not None:
        methods["log_partition"] = lambda variables, key: log_partition(density_of(variables), box)
    return GenerativeModel(
        init=init,
        updates=(Update("contrast", ("energy",), loss),),
        sample=sample,
        log_prob=None if box is None else LogProb(log_prob, "estimate"),
        methods=methods,
    )


def _require_batch(x: Array) -> None:
    if x.ndim < 2:
        raise ValueError(f"x has shape {x.shape}; chains are [B, ...] with at least one axis of their own.")
