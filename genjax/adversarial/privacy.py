"""Private aggregation of teachers' votes, and the moments accountant that says what the votes have cost.

k teachers see disjoint parts of the data and vote, 0 or 1, on a public question. With n_0 and n_1 votes the answer is

    r = [ n_1 + Y_1 >= n_0 + Y_0 ],    Y_0, Y_1 ~ Laplace(1 / lambda)

One record changes one teacher, so each count by 1 at most, and an answer is 2 lambda-differentially private. The
accountant adds up, answer by answer, a bound alpha(l) of the log-moments of the privacy loss, l = 1, ..., L:

    q = (2 + lambda |n_0 - n_1|) / (4 exp(lambda |n_0 - n_1|))        how often the noise overturns a majority
    alpha(l) += min{ 2 lambda^2 l (l + 1),                            whatever the votes are (Papernot, theorem 2)
                     log( (1-q) ((1-q) / (1 - e^{2 lambda} q))^l + q e^{2 lambda l} ) }
                                                                       as long as q < 1 / (e^{2 lambda} + 1)
    epsilon   = min_l ( alpha(l) + log(1/delta) ) / l                 (epsilon, delta)-differential privacy

The second bound (theorem 3) is small where teachers agree. It depends on the data, so that an epsilon reported from it
is not itself private. The first alone gives, after T answers and over all real l > 0,

    epsilon = 2 T lambda^2 + 2 lambda sqrt(2 T log(1/delta))          at l = sqrt( log(1/delta) / (2 T lambda^2) )

References: Papernot et al. 2017, "Semi-supervised Knowledge Transfer for Deep Learning from Private Training Data",
sections 2 and 3, https://arxiv.org/abs/1610.05755; Abadi et al. 2016 (moments); Jordon et al. 2019, Algorithm 1.
"""

import chex
import jax
import jax.numpy as jnp

from genjax.contract import Array


def noisy_majority(key: Array, votes: Array, scale: float | Array) -> Array:
    """Answer questions by the teachers' majority under Laplace noise.

    Args:
        key: of the noise.
        votes: 0 or 1, `[k, N]`.
        scale: lambda > 0; the noise on each count is Laplace(1 / lambda).

    Returns:
        Answers 0 or 1, float32 `[N]`.

    Reference: Jordon et al. 2019, eq. 4 (Papernot et al. 2017, eq. 1, for two classes).
    """
    chex.assert_rank(votes, 2)
    ones = jnp.sum(votes.astype(jnp.float32), axis=0)
    noise = jax.random.laplace(key, (2, votes.shape[1])) / scale
    return (ones + noise[1] >= votes.shape[0] - ones + noise[0]).astype(jnp.float32)


def overturn_probability(margins: Array, scale: float | Array) -> Array:
    """Return q, the probability that the noise answers against the majority.

    Args:
        margins: |n_0 - n_1| `[N]`.
        scale: lambda.

    Returns:
        `[N]`, in (0, 1/2].

    Reference: Papernot et al. 2017, lemma 4.
    """
    chex.assert_rank(margins, 1)
    return (2 + scale * margins) / 4 * jnp.exp(-scale * margins)


def moments_of_answers(votes: Array, scale: float | Array, *, orders: int) -> Array:
    """Return what each answer adds to the log-moments.

    Args:
        votes: 0 or 1, `[k, N]`.
        scale: lambda.
        orders: L (static).

    Returns:
        alpha(1), ..., alpha(L), `[N, L]`, >= 0.

    Reference: Papernot et al. 2017, theorems 2 and 3.
    """
    chex.assert_rank(votes, 2)
    ones = jnp.sum(votes.astype(jnp.float32), axis=0)
    q = overturn_probability(jnp.abs(votes.shape[0] - 2 * ones), scale)[:, None]
    order = jnp.arange(1, orders + 1, dtype=jnp.float32)[None]
    always = jnp.broadcast_to(2 * scale**2 * order * (order + 1), (q.shape[0], orders))
    valid = q * (jnp.exp(2 * scale) + 1) < 1
    small = jnp.where(valid, q, jnp.zeros_like(q))  # where it is not valid the logarithms below are not defined
    # log((1-q) ((1-q)/(1-e q))^l + q e^l) with the digits that "1 + a little" would lose.
    kept = jnp.expm1((order + 1) * jnp.log1p(-small) - order * jnp.log1p(-jnp.exp(2 * scale) * small))
    agreed = jnp.log1p(kept + small * jnp.exp(2 * scale * order))
    return jnp.where(valid, jnp.minimum(always, agreed), always)


def epsilon_spent(moments: Array, delta: float | Array) -> Array:
    """Return epsilon of (epsilon, delta)-differential privacy from log-moments.

    Args:
        moments: alpha(1), ..., alpha(L), summed over all answers, `[L]`.
        delta: in (0, 1).

    Returns:
        Scalar.

    Reference: Abadi et al. 2016, theorem 2.2.
    """
    chex.assert_rank(moments, 1)
    order = jnp.arange(1, moments.shape[0] + 1, dtype=moments.dtype)
    return jnp.min((moments - jnp.log(delta)) / order)
