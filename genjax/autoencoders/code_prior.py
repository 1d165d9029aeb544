"""A prior over the codes of a frozen first stage (van den Oord et al. 2017, 3.3; Razavi et al. 2019, 3.2).

    p(x) = sum over codes of p(x|codes) prod_l P_l(codes_l | codes before, condition)

The stage is a model with discrete codes, trained before and kept in the state; of each of its grids, the coarsest
first, one autoregressive model learns the distribution, told what lies above. Stage and priors are arguments: whatever
has the methods of `vq_vae_ema`, and whatever models pictures of one channel with integers 0..K-1.

As x has one encoding, log p(x) >= log p(x|codes(x)) + sum_l log P_l(codes_l(x)), a bound in nats of x.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from genjax.contract import Array, Aux, Batch, GenerativeModel, LogProb, PyTree, Update, Variables

Codes = tuple[Array, ...]


class Level(NamedTuple):
    """The prior of one grid.

    name: of the player, of the update and of its optimizer.
    prior: of batches {'x': integers [B, h, w, 1], 'condition': what `told` gives}, with one update and a likelihood.
    told: (codes of the grids before, condition of the batch) -> condition of this prior, or None for none.
    """

    name: str
    prior: GenerativeModel
    told: Callable[[Codes, PyTree], PyTree] = lambda before, condition: condition


def code_prior(
    stage: GenerativeModel,
    levels: Sequence[Level],
    *,
    stage_name: str,
    condition_of: Callable[[Batch], PyTree] | None = None,
) -> GenerativeModel:
    """Bind a frozen stage and the priors of its grids.

    Args:
        stage: with the methods codes, from_codes, sample_from_codes and, where it has a likelihood, code_distortion;
            see `vq_vae_ema`.
        levels: one for each of its grids.
        stage_name: under which `init` is given the stage's Variables.
        condition_of: batch -> what the priors are told, such as its labels; None: unconditional.

    Returns:
        A model with one player and one update a level; metrics as the priors give them. `sample` goes from noise to
        pictures, and hands its options on to the priors; `log_prob` is the bound above, None for a stage without
        likelihood. Methods, each (variables, key, ...):

        sample_codes(num, *, condition, **options) -> Codes
        sample_mean(num, *, condition, **options) -> [num, H, W, C]           E[x|codes]
        codes(x), reconstruct(x), from_codes(codes)                the stage's
        code_log_prob(x, *, condition) -> tuple of [B]             log P_l of each level, nats

    Raises:
        ValueError: from `init`, if the stage is missing, or has other than one grid a level.
    """

    def init(key: Array, batch: Batch, **stages: Variables) -> Variables:
        if stage_name not in stages:
            raise ValueError(f"this is a second stage; init needs the Variables of the first as {stage_name}=.")
        frozen = stages[stage_name]
        codes = stage.methods["codes"](frozen, key, batch["x"])
        if len(codes) != len(levels):
            raise ValueError(f"the first stage has {len(codes)} grids of codes; {len(levels)} levels cannot be fitted.")
        params, state = {}, {"stage": frozen}
        for index, level in enumerate(levels):
            level_batch = _level_batch(level, codes, index, _condition(batch))
            own = level.prior.init(jax.random.fold_in(key, index), level_batch)
            params[level.name], state[level.name] = own.params, own.state
        return Variables(params, state)

    def _condition(batch: Batch) -> PyTree:
        return None if condition_of is None else condition_of(batch)

    def own_variables(variables: Variables, level: Level) -> Variables:
        return Variables(variables.params[level.name], variables.state[level.name])

    def loss_of(index: int, level: Level):
        def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
            codes = stage.methods["codes"](variables.state["stage"], key, batch["x"])
            level_batch = _level_batch(level, codes, index, _condition(batch))
            total, aux = level.prior.updates[0].loss(own_variables(variables, level), level_batch, key, step)
            return total, Aux({**variables.state, level.name: aux.state}, aux.metrics)

        return loss

    def sample_codes(variables: Variables, key: Array, num: int, *, condition: PyTree = None, **options: Any) -> Codes:
        if (condition_of is None) != (condition is None):
            raise ValueError("this prior is " + ("unconditional" if condition_of is None else "conditional") + ".")
        drawn: Codes = ()
        for index, level in enumerate(levels):
            told = level.told(drawn, condition)
            level_key = jax.random.fold_in(key, index)
            codes = level.prior.sample(own_variables(variables, level), level_key, num, condition=told, **options)
            drawn += (codes[..., 0].astype(jnp.int32),)
        return drawn

    def sample(
        variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None, **options: Any
    ) -> Array:
        code_key, likelihood_key = jax.random.split(key)
        codes = sample_codes(variables, code_key, num_samples, condition=condition, **options)
        return stage.methods["sample_from_codes"](variables.state["stage"], likelihood_key, codes)

    def sample_mean(variables: Variables, key: Array, num: int, *, condition: PyTree = None, **options: Any) -> Array:
        codes = sample_codes(variables, key, num, condition=condition, **options)
        return stage.methods["from_codes"](variables.state["stage"], key, codes)

    def code_log_prob(variables: Variables, key: Array, x: Array, *, condition: PyTree = None) -> tuple[Array, ...]:
        codes = stage.methods["codes"](variables.state["stage"], key, x)
        batches = (_level_batch(level, codes, index, condition) for index, level in enumerate(levels))
        return tuple(
            level.prior.log_prob.fn(own_variables(variables, level), key, level_batch)
            for level, level_batch in zip(levels, batches)
        )

    def log_prob(variables: Variables, key: Array, batch: Batch) -> Array:
        frozen, x = variables.state["stage"], batch["x"]
        distortion = stage.methods["code_distortion"](frozen, key, x, stage.methods["codes"](frozen, key, x))
        return sum(code_log_prob(variables, key, x, condition=_condition(batch))) - distortion

    def of_stage(name: str):
        return lambda variables, key, *arguments: stage.methods[name](variables.state["stage"], key, *arguments)

    methods = {name: of_stage(name) for name in ("codes", "reconstruct", "from_codes")}
    methods |= {method.__name__: method for method in (sample_codes, sample_mean, code_log_prob)}
    updates = tuple(Update(level.name, (level.name,), loss_of(i, level)) for i, level in enumerate(levels))
    bound = LogProb(log_prob, "lower_bound") if "code_distortion" in stage.methods else None
    return GenerativeModel(init, updates, sample, bound, methods)


def _level_batch(level: Level, codes: Codes, index: int, condition: PyTree) -> Batch:
    told = level.told(codes[:index], condition)
    return {"x": codes[index][..., None]} | ({} if told is None else {"condition": told})
