"""Held-out likelihood: nats per example and bits per dimension, with standard errors.

For N held-out examples x_n of D entries each and any estimate l_n of log p(x_n) in nats,

    nll = -(1/N) sum_n l_n,   standard error = std(l_n) / sqrt(N),   bits/dim = nll / (D log 2).

The mean runs over examples, never over means of batches, which weigh a short last batch too much. The standard error
is that of the choice of examples (and of the estimate's own noise); how the estimate is biased it does not tell: with
a lower bound, such as the importance-weighted one, `nll` bounds the true one from above.
"""

import math
from collections.abc import Iterable
from typing import Callable, NamedTuple

import jax
import numpy as np

from genjax.contract import Array, Batch, Variables
from genjax.pixels import bits_per_dim


class HeldOut(NamedTuple):
    """A likelihood over a held-out set.

    nll: mean of -log p(x), nats per example.
    nll_stderr: its standard error; nan for one example.
    bits_per_dim: nll / (D log 2), D the number of entries of one x.
    bits_per_dim_stderr: its standard error.
    num_examples: N.
    """

    nll: float
    nll_stderr: float
    bits_per_dim: float
    bits_per_dim_stderr: float
    num_examples: int


def summarize(nats: np.ndarray, num_dims: int) -> HeldOut:
    """Average log-likelihoods of single examples.

    Args:
        nats: [N], log p(x_n).
        num_dims: D, entries of one x.

    Returns:
        HeldOut.

    Raises:
        ValueError: `nats` is empty or of another rank.
    """
    nats = np.asarray(nats, np.float64)
    if nats.ndim != 1 or nats.size == 0:
        raise ValueError(f"log-likelihoods have shape {nats.shape}; a held-out likelihood averages [N], N > 0.")
    mean = nats.mean()
    stderr = nats.std(ddof=1) / math.sqrt(nats.size) if nats.size > 1 else math.nan
    return HeldOut(
        nll=float(-mean),
        nll_stderr=float(stderr),
        bits_per_dim=float(bits_per_dim(mean, num_dims)),
        bits_per_dim_stderr=float(bits_per_dim(-stderr, num_dims)),
        num_examples=int(nats.size),
    )


def held_out_likelihood(
    log_prob: Callable[[Variables, Array, Batch], Array], variables: Variables, key: Array, batches: Iterable[Batch]
) -> HeldOut:
    """Score every example of a held-out set once.

    Args:
        log_prob: (variables, key, batch) -> nats [B]; a model's `log_prob.fn`, or an estimate that costs more, such as
            `lambda variables, key, batch: model.methods['importance_weighted'](variables, key, batch['x'])`. Compiled
            once for each batch size.
        variables: the model's.
        key: folded with the index of the batch, so that no two batches share their noise.
        batches: dicts with 'x' [B, ...]; the last may be shorter.

    Returns:
        HeldOut.

    Raises:
        ValueError: no batches, or `log_prob` does not return one value an example.
    """
    compiled = jax.jit(log_prob)
    values, num_dims = [], 1
    for index, batch in enumerate(batches):
        shape = np.shape(batch["x"])
        nats = compiled(variables, jax.random.fold_in(key, index), batch)
        if nats.shape != shape[:1]:
            raise ValueError(f"log_prob returned shape {nats.shape}; it must give one value an example, {shape[:1]}.")
        values.append(np.asarray(nats))
        num_dims = math.prod(shape[1:])
    if not values:
        raise ValueError("the held-out set has no batches.")
    return summarize(np.concatenate(values), num_dims)
