"""Three ways to draw from a distribution with uniform random numbers and a computer.

Inverse transform: if u ~ U(0, 1) and F is a cumulative distribution function, F^-1(u) = inf{x: F(x) >= u} has
distribution F. It needs F^-1: in closed form, or as a search in the cumulated probabilities of a discrete
distribution, or as linear interpolation in a table of F.

Rejection: let q be a density that can be sampled and p~ = c p an unnormalized one with p~ <= M q everywhere. Draw
x ~ q and keep it with probability p~(x) / (M q(x)). What is kept has density p; the share kept is c / M, so 1 / M
for a normalized p.

Reparameterization: x = g(noise; parameters) with noise from a fixed distribution, so that
d/d parameters E[f(x)] = E[f'(x) dg/d parameters].

References: von Neumann 1951; Devroye 1986, chapters II and III; Kingma & Welling 2014, section 2.4;
Maddison et al. 2017 and Jang et al. 2017 (Gumbel).
"""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from genjax.contract import Array

# --- inverse transform ------------------------------------------------------------------------------------------


def sample_discrete(key: Array, probabilities: Array, num_samples: int) -> Array:
    """Draw indices from a discrete distribution by searching its cumulated probabilities.

    Args:
        key: random key.
        probabilities: [K], >= 0; normalized here, so weights do as well.
        num_samples: how many to draw (static).

    Returns:
        [num_samples], int32 in 0..K-1; an index of probability zero is never drawn.
    """
    chex.assert_rank(probabilities, 1)
    cumulated = jnp.cumsum(probabilities)
    # u in [0, 1) and 'right' find the first index whose sum exceeds u: never one that adds nothing. Rounding can
    # bring u * total to the total itself, hence the largest float below it.
    below_total = jnp.nextafter(cumulated[-1], jnp.zeros_like(cumulated[-1]))
    u = jax.random.uniform(key, (num_samples,), probabilities.dtype) * cumulated[-1]
    return jnp.searchsorted(cumulated, jnp.minimum(u, below_total), side="right").astype(jnp.int32)


def sample_by_inverse(key: Array, inverse_cdf: Callable[[Array], Array], num_samples: int) -> Array:
    """Draw from a continuous distribution with known inverse cumulative distribution function.

    Args:
        key: random key.
        inverse_cdf: u [num_samples], in (0, 1) -> x [num_samples, ...].
        num_samples: how many to draw (static).

    Returns:
        [num_samples, ...], what `inverse_cdf` returns.
    """
    return inverse_cdf(open_uniform(key, (num_samples,)))


def sample_by_table(key: Array, grid: Array, cdf: Array, num_samples: int) -> Array:
    """Draw from a distribution whose cumulative distribution function is known on a grid.

    Between grid points F is taken as linear, that is the density as constant.

    Args:
        key: random key.
        grid: [G], increasing.
        cdf: [G], F(grid), non-decreasing; scaled here to run from 0 to 1.
        num_samples: how many to draw (static).

    Returns:
        [num_samples], in [grid[0], grid[-1]].
    """
    chex.assert_rank([grid, cdf], 1)
    chex.assert_equal_shape([grid, cdf])
    u = open_uniform(key, (num_samples,))
    return jnp.interp(u, (cdf - cdf[0]) / (cdf[-1] - cdf[0]), grid)


def tabulate_cdf(density: Callable[[Array], Array], grid: Array) -> Array:
    """Integrate an unnormalized density along a grid by the trapezoid rule.

    Args:
        density: x [G] -> [G], >= 0, up to a constant factor.
        grid: [G], increasing.

    Returns:
        [G], from 0 to 1; the error falls with the square of the spacing.
    """
    chex.assert_rank(grid, 1)
    values = density(grid)
    areas = 0.5 * (values[1:] + values[:-1]) * (grid[1:] - grid[:-1])
    cumulated = jnp.concatenate([jnp.zeros((1,), areas.dtype), jnp.cumsum(areas)])
    return cumulated / cumulated[-1]


# --- rejection --------------------------------------------------------------------------------------------------


class Rejection(NamedTuple):
    """What rejection sampling returns.

    samples: [num_samples, ...]; the first `num_accepted` are draws from the target, the rest zeros.
    num_accepted: int32 scalar, num_samples unless `max_rounds` came first.
    acceptance_rate: float32 scalar, accepted / proposed over all proposals; estimates 1 / M.
    largest_log_ratio: float32 scalar, the largest log p~(x) - log q(x) - log M met. Above zero the envelope is
      too small and the samples do not follow the target.
    """

    samples: Array
    num_accepted: Array
    acceptance_rate: Array
    largest_log_ratio: Array


def rejection_sample(
    key: Array,
    propose: Callable[[Array, int], Array],
    log_ratio: Callable[[Array], Array],
    num_samples: int,
    *,
    max_rounds: int = 1000,
) -> Rejection:
    """Draw from a density below an envelope, a whole batch of proposals a round.

    Each round proposes num_samples points and moves the accepted ones, in their order, to the next free places,
    so about M rounds fill the batch.

    Args:
        key: random key.
        propose: (key, n) -> x [n, ...], n draws from q.
        log_ratio: x [n, ...] -> [n], log p~(x) - log q(x) - log M, at most 0; -inf outside the support of p.
        num_samples: how many to draw (static).
        max_rounds: bound on the rounds, against targets that accept nothing.

    Returns:
        See Rejection.
    """
    shape = jax.eval_shape(lambda k: propose(k, num_samples), key)
    if shape.shape[:1] != (num_samples,):
        raise ValueError(f"propose returned shape {shape.shape}; its first axis must be the {num_samples} asked for.")

    def unfinished(carry) -> Array:
        round_index, _, accepted, _ = carry
        return (round_index < max_rounds) & (accepted < num_samples)

    def one_round(carry):
        round_index, samples, accepted, largest = carry
        propose_key, accept_key = jax.random.split(jax.random.fold_in(key, round_index))
        x = propose(propose_key, num_samples)
        ratio = log_ratio(x)
        chex.assert_shape(ratio, (num_samples,))
        keep = jnp.log(open_uniform(accept_key, (num_samples,), ratio.dtype)) < ratio
        # Place of each accepted proposal; rejected ones go past the end, as do those beyond a full batch.
        place = jnp.where(keep, accepted + jnp.cumsum(keep, dtype=jnp.int32) - 1, num_samples)
        samples = samples.at[place].set(x, mode="drop")
        largest = jnp.maximum(largest, jnp.max(ratio).astype(jnp.float32))
        return round_index + 1, samples, accepted + jnp.sum(keep, dtype=jnp.int32), largest

    zero = jnp.zeros((), jnp.int32)
    start = (zero, jnp.zeros(shape.shape, shape.dtype), zero, jnp.asarray(-jnp.inf, jnp.float32))
    rounds, samples, accepted, largest = jax.lax.while_loop(unfinished, one_round, start)
    rate = accepted.astype(jnp.float32) / (rounds.astype(jnp.float32) * num_samples)
    return Rejection(samples, jnp.minimum(accepted, num_samples), rate, largest)


# --- reparameterization -----------------------------------------------------------------------------------------


def sample_gaussian(key: Array, mean: Array, scale_tril: Array, num_samples: int) -> Array:
    """Draw x = mean + L e with e ~ N(0, I), differentiably in mean and L: N(mean, L L^T).

    For independent entries see `genjax.distributions.normal_sample`.

    Args:
        key: random key.
        mean: [D].
        scale_tril: L, [D, D], lower triangular.
        num_samples: how many to draw (static).

    Returns:
        [num_samples, D].
    """
    chex.assert_rank([mean, scale_tril], [1, 2])
    noise = jax.random.normal(key, (num_samples, mean.shape[0]), mean.dtype)
    return mean[None, :] + jnp.matmul(noise, scale_tril.T, precision=jax.lax.Precision.HIGHEST)


def sample_logistic(key: Array, location: Array, scale: Array) -> Array:
    """Draw x = location + scale (log u - log(1 - u)), differentiably in both.

    Args:
        key: random key.
        location: [...].
        scale: [...], positive.

    Returns:
        [...].
    """
    chex.assert_equal_shape([location, scale])
    u = open_uniform(key, location.shape, location.dtype)
    return location + scale * (jnp.log(u) - jnp.log1p(-u))


def sample_gumbel(key: Array, location: Array, scale: Array) -> Array:
    """Draw x = location - scale log(-log u), differentiably in both.

    Args:
        key: random key.
        location: [...].
        scale: [...], positive.

    Returns:
        [...].
    """
    chex.assert_equal_shape([location, scale])
    return location - scale * jnp.log(-jnp.log(open_uniform(key, location.shape, location.dtype)))


def sample_gumbel_max(key: Array, logits: Array) -> Array:
    """Draw indices as argmax_k(logits_k + Gumbel noise): exactly softmax(logits), but without a gradient.

    Args:
        key: random key.
        logits: [..., K].

    Returns:
        [...], int32 in 0..K-1.
    """
    return jnp.argmax(sample_gumbel(key, logits, jnp.ones_like(logits)), axis=-1).astype(jnp.int32)


def sample_gumbel_softmax(key: Array, logits: Array, *, temperature: Array | float) -> Array:
    """Draw softmax((logits + Gumbel noise) / temperature), a differentiable stand-in for the one-hot argmax.

    Args:
        key: random key.
        logits: [..., K].
        temperature: positive; towards 0 the draws become one-hot with probabilities softmax(logits).

    Returns:
        [..., K], on the simplex.
    """
    return jax.nn.softmax(sample_gumbel(key, logits, jnp.ones_like(logits)) / temperature, axis=-1)


def open_uniform(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
    """Draw from U(0, 1) without the ends, so that log u and log(1 - u) are finite.

    `jax.random.uniform` draws multiples of eps from 0 on; here they start half an eps above it.
    """
    half = 0.5 * float(jnp.finfo(dtype).eps)
    return jax.random.uniform(key, shape, dtype, minval=half, maxval=1.0 - half)
