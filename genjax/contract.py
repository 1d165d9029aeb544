"""The contract every generative model meets: a tuple of pure functions.

A model holds no arrays. Hyperparameters are closed over when it is built; arrays travel through
`Variables`. One engine (`genjax.training`) trains whatever meets this contract, under jit, under jit
sharded over a mesh and under pmap, so that no family needs a training loop of its own.

    variables = model.init(key, batch)                 # what a run starts from
    loss, aux = model.updates[0].loss(variables, batch, key, step)
    samples   = model.sample(variables, key, 64)       # [64, ...]
    nats      = model.log_prob.fn(variables, key, batch)   # [B]

A batch is a dict of arrays with one leading axis B. `batch['x']` is what is modelled, `[B, ...]`;
`batch['label']`, where a data set has labels, is int32 `[B]`. Samples live in the space of `batch['x']`:
same trailing shape, same range.

This module imports jax alone, so that a model can be written and used without the engine.
"""

from collections.abc import Mapping
from typing import Any, Callable, Literal, NamedTuple, Protocol

import jax

Array = jax.Array
PyTree = Any
Batch = Mapping[str, Array]


class Variables(NamedTuple):
    """Everything a model's functions read.

    params: one tree a player, by the player's name; the only thing gradients touch.
    state: replicated and gradient-free: batch statistics, codebooks, power-iteration vectors, target
        networks, frozen stages.
    memory: per slot, sharded along axis 0 like the batch and never averaged: image pools, persistent
        chains, rollouts. Slot i belongs to the device that holds example i of a batch as long as it.
    """

    params: Mapping[str, PyTree]
    state: PyTree = ()
    memory: PyTree = ()


class Aux(NamedTuple):
    """What a loss returns beside its scalar.

    state: the whole new state, with the structure, shapes and dtypes of the old.
    metrics: scalars to log; means over the batch, in nats where they are likelihood terms.
    memory: the whole new memory, or None for unchanged.
    """

    state: PyTree
    metrics: Mapping[str, Array]
    memory: PyTree | None = None


class LossFn(Protocol):
    """(variables, batch, key, step) -> (scalar, Aux); step is a traced int32 scalar."""

    def __call__(self, variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]: ...


AfterFn = Callable[[Mapping[str, PyTree], PyTree], tuple[Mapping[str, PyTree], PyTree]]


class Update(NamedTuple):
    """One move of one or more players; a training step makes a model's updates in their order.

    Each update sees what the ones before it in the same step have changed.

    name: prefix of its metrics, and the name of its optimizer unless `optimizer` is given.
    players: the groups of `params` that move. The engine differentiates with respect to these alone; a
        group that no update names stays frozen. May be empty: such an update only writes state or
        memory (a PPO rollout).
    loss: see LossFn.
    optimizer: which optimizer moves the players; updates that name the same one share its state (lazy R1
        shares the discriminator's), and must then name the same players.
    repeat: how often it is made a step, each time with the next minibatch and a fresh key (critic steps).
    every: it is made only on steps divisible by this (lazy regularization, rollouts).
    after: (params, state) -> (params, state), applied after the move (weight clipping, target networks).
    """

    name: str
    players: tuple[str, ...]
    loss: LossFn
    optimizer: str | None = None
    repeat: int = 1
    every: int = 1
    after: AfterFn | None = None


class LogProb(NamedTuple):
    """A likelihood: fn(variables, key, batch) -> nats of the raw batch, [B].

    `raw` means `batch['x']` as it comes, every change of variables included, so that bits/dim is
    -nats / (D ln 2) everywhere, with D the number of entries of one x.
    """

    fn: Callable[[Variables, Array, Batch], Array]
    kind: Literal["exact", "lower_bound", "estimate"]


class InitFn(Protocol):
    """(key, batch, **stages) -> Variables.

    Survives jax.eval_shape and may look at the batch (actnorm). `stages` are the Variables of earlier
    stages, by the names the builder documents: a frozen first stage goes into the state, a network that
    grows goes into params. Arrays never enter by closure.
    """

    def __call__(self, key: Array, batch: Batch, **stages: Variables) -> Variables: ...


class SampleFn(Protocol):
    """(variables, key, num_samples, *, condition=None, **options) -> samples [num_samples, ...].

    `condition` is a pytree with leading axis num_samples. Options that change shapes or loop lengths are
    static and keyword-only; numbers (guidance scale, temperature, truncation) are traced.
    """

    def __call__(
        self, variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None, **options: Any
    ) -> Array: ...


class GenerativeModel(NamedTuple):
    """A generative model as pure functions.

    init: see InitFn.
    updates: one training step, in order.
    sample: see SampleFn.
    log_prob: its likelihood, where it has one.
    methods: whatever else it can do (encode, decode, translate, inpaint, ...), each
        (variables, key, ...) -> result.
    """

    init: InitFn
    updates: tuple[Update, ...]
    sample: SampleFn
    log_prob: LogProb | None = None
    methods: Mapping[str, Callable[..., Any]] = {}
