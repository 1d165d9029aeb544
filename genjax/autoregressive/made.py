"""MADE, the masked autoencoder for distribution estimation (Germain et al. 2015, arXiv:1502.03509).

A masked network (`genjax.nn.masked_dense`) returns all D conditionals of an ordering in one pass:

    p(x) = prod_d p(x_d | x_(d' before d))                                                                        (4)

Training goes round a bank of M masks, one a step (section 4.2: order-agnostic where the masks differ in their
ordering, section 4.3: connectivity-agnostic where they differ in the hidden degrees). The model is then the mixture

    p(x) = (1/M) sum_m p_m(x)                                                                     (section 4.2, end)

which is normalized, so that its likelihood is exact; with M = 1 it is the one masked network. A sample takes one of
the M at random and costs one pass (`genjax.autoregressive.incremental`).
"""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from genjax.autoregressive.class_condition import batch_condition, one_hot_condition
from genjax.autoregressive.completion import naive_sample, spread_known
from genjax.autoregressive.conditionals import Conditional, bernoulli, draw_uniforms
from genjax.autoregressive.incremental import incremental_sample
from genjax.autoregressive.masks import mask_bank, one_of
from genjax.contract import Array, Aux, Batch, GenerativeModel, LogProb, PyTree, Update, Variables
from genjax.distributions import log_mean_exp, per_example
from genjax.nn.masked_dense import Degrees, MaskedMLP
from genjax.pixels import bits_per_dim


def made_log_prob(
    x: Array,
    degrees: Degrees,
    *,
    network: Callable[[Array, Degrees], Array],
    conditional: Conditional,
) -> Array:
    """Return log p(x) under one mask.

    Args:
        x: [B, D], in the space of `conditional`.
        degrees: which mask.
        network: (x [B, D] floating, degrees) -> outputs [B, D, n], autoregressive in the ordering of the degrees.
        conditional: p(x_d | x_<d).

    Returns:
        [B], nats.

    Reference: Germain et al. 2015, eq. 4 and 7.
    """
    if x.ndim != 2:
        raise ValueError(f"x has shape {x.shape}; it must be [B, D].")
    return per_example(conditional.log_prob(x, network(x.astype(jnp.float32), degrees)))


def ensemble_log_prob(
    x: Array,
    bank: Degrees,
    *,
    network: Callable[[Array, Degrees], Array],
    conditional: Conditional,
) -> Array:
    """Return log (1/M) sum_m p_m(x) over the masks of a bank, one after the other.

    Args:
        x: [B, D].
        bank: degrees with a leading axis M.
        network: as in `made_log_prob`.
        conditional: p(x_d | x_<d).

    Returns:
        [B], nats.
    """
    of_one = lambda degrees: made_log_prob(x, degrees, network=network, conditional=conditional)
    return log_mean_exp(jax.lax.map(of_one, bank), axis=0)


def made(
    shape: tuple[int, ...],
    *,
    hidden: Sequence[int],
    conditional: Conditional | None = None,
    num_masks: int = 1,
    num_orderings: int = 1,
    mask_seed: int = 0,
    activation: Callable[[Array], Array] = jax.nn.relu,
    direct: bool = False,
    mask_bias: bool = False,
    num_classes: int = 0,
    dtype: jnp.dtype = jnp.float32,
) -> GenerativeModel:
    """Build MADE.

    Args:
        shape: of one x, `batch['x']` is [B, *shape].
        hidden: widths of the hidden layers.
        conditional: p(x_d | x_<d); None: Bernoulli, for x in {0, 1}.
        num_masks: M.
        num_orderings: orderings among the masks, at most M; the first is raster order.
        mask_seed: of the bank of masks.
        activation: of the hidden layers.
        direct: masked connections from x straight to the outputs.
        mask_bias: tell the network which mask is in force; for M > 1.
        num_classes: K; above 0 the model is conditional on batch['label'].
        dtype: of the matrix products.

    Returns:
        A model with one update 'made' (metrics nats and bits_per_dim, under the mask of the step) that moves the
        player 'made', an exact `log_prob` of the mixture over masks, `sample` in a scan a mask, and the methods, each
        (variables, key, ..., *, condition=None):

        outputs(x, *, mask=0) -> [B, *shape, n]  parameters of all conditionals at x under one mask
        complete(x, known) -> [B, *shape]        see `genjax.autoregressive.completion`. Completed under every mask;
            one is kept with probability proportional to p_m(known | what stands before it), so that where the known
            come first in every ordering this is exact for the mixture too.
        sample_naive(num) -> [num, *shape]       from the same key the samples of `sample`, by D passes a mask

    Raises:
        ValueError: from `genjax.autoregressive.masks.mask_bank`.
    """
    conditional = conditional or bernoulli()
    num_dims = math.prod(shape)
    network = MaskedMLP(tuple(hidden), conditional.outputs, activation, direct=direct, mask_bias=mask_bias, dtype=dtype)
    bank = mask_bank(
        shape, hidden, num_masks=num_masks, num_orderings=num_orderings, seed=mask_seed, conditioned=num_classes > 0
    )

    def init(key: Array, batch: Batch) -> Variables:
        x = jnp.zeros((1, num_dims))
        condition = jnp.zeros((1, num_classes)) if num_classes else None
        degrees = jax.tree.map(jnp.asarray, bank.degrees)
        params = network.init(key, x, one_of(degrees, jnp.int32(0)), condition)["params"]
        return Variables(params={"made": params}, state={"degrees": degrees._asdict()})

    def bound(variables: Variables, condition: Array | None) -> Callable[[Array, Degrees], Array]:
        def outputs(x: Array, degrees: Degrees) -> Array:
            return network.apply({"params": variables.params["made"]}, x, degrees, condition).astype(jnp.float32)

        return outputs

    def masks_of(variables: Variables) -> Degrees:
        return Degrees(**variables.state["degrees"])

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del key
        x = batch["x"].reshape(-1, num_dims)
        outputs = bound(variables, batch_condition(num_classes, batch))
        degrees = one_of(masks_of(variables), step % num_masks)
        nats = jnp.mean(made_log_prob(x, degrees, network=outputs, conditional=conditional))
        metrics = {"nats": nats, "bits_per_dim": bits_per_dim(nats, num_dims)}
        return -nats, Aux(state=variables.state, metrics=metrics)

    def log_prob(variables: Variables, key: Array, batch: Batch) -> Array:
        del key
        x = batch["x"].reshape(-1, num_dims)
        outputs = bound(variables, batch_condition(num_classes, batch))
        return ensemble_log_prob(x, masks_of(variables), network=outputs, conditional=conditional)

    def under(
        variables: Variables, key: Array, degrees: Degrees, x: Array, known: Array, condition: Array | None
    ) -> tuple[Array, Array]:
        uniforms = draw_uniforms(key, (*x.shape, conditional.num_uniforms))
        fixed = {"draw": conditional.draw, "largest": bank.largest}
        params = variables.params["made"]
        return incremental_sample(network, params, degrees, uniforms, x=x, known=known, condition=condition, **fixed)

    def naively(
        variables: Variables, key: Array, degrees: Degrees, x: Array, known: Array, condition: Array | None
    ) -> tuple[Array, None]:
        uniforms = draw_uniforms(key, (*x.shape, conditional.num_uniforms))
        outputs = bound(variables, condition)
        seen = lambda filled: outputs(filled.astype(jnp.float32), degrees)
        ordering = jnp.argsort(degrees.inputs)
        return naive_sample(seen, conditional.draw, uniforms, ordering, x=x, known=known), None

    def sampled_by(one: Callable) -> Callable:
        def sample(variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None) -> Array:
            condition = one_hot_condition(num_classes, condition, num_samples)
            slots_key, key = jax.random.split(key)
            # As many slots for every mask, of which the examples take a random choice: each is of the mixture.
            rows = -(-num_samples // num_masks)
            slots = jax.random.permutation(slots_key, num_masks * rows)[:num_samples]
            blank = jnp.zeros((rows, num_dims), conditional.dtype)
            nothing = jnp.zeros(blank.shape, bool)
            by_mask = None if condition is None else _in_slots(condition, slots, num_masks)
            of_one = lambda inputs: one(variables, inputs[0], inputs[1], blank, nothing, inputs[2])[0]
            drawn = jax.lax.map(of_one, (jax.random.split(key, num_masks), masks_of(variables), by_mask))
            return drawn.reshape(num_masks * rows, *shape)[slots]

        return sample

    def complete(variables: Variables, key: Array, x: Array, known: Array, *, condition: PyTree = None) -> Array:
        num = x.shape[0]
        condition = one_hot_condition(num_classes, condition, num)
        known = spread_known(x, known).reshape(num, num_dims)
        flat = x.reshape(num, num_dims)
        choice_key, key = jax.random.split(key)

        def of_one(inputs: tuple) -> tuple[Array, Array]:
            key, degrees = inputs
            completed, outputs = under(variables, key, degrees, flat, known, condition)
            return completed, jnp.sum(jnp.where(known, conditional.log_prob(completed, outputs), 0.0), axis=1)

        completed, weights = jax.lax.map(of_one, (jax.random.split(key, num_masks), masks_of(variables)))
        chosen = jax.random.categorical(choice_key, weights, axis=0)
        return completed[chosen, jnp.arange(num)].reshape(x.shape)

    def outputs(
        variables: Variables, key: Array, x: Array, *, mask: Array | int = 0, condition: PyTree = None
    ) -> Array:
        del key
        seen = bound(variables, one_hot_condition(num_classes, condition, x.shape[0]))
        flat = seen(x.reshape(-1, num_dims).astype(jnp.float32), one_of(masks_of(variables), jnp.asarray(mask)))
        return flat.reshape(*x.shape, conditional.outputs)

    return GenerativeModel(
        init=init,
        updates=(Update(name="made", players=("made",), loss=loss),),
        sample=sampled_by(under),
        log_prob=LogProb(log_prob, "exact"),
        methods={"outputs": outputs, "complete": complete, "sample_naive": sampled_by(naively)},
    )


def _in_slots(condition: Array, slots: Array, num_masks: int) -> Array:
    """Put the conditions [num, K] of the examples into the slots that they take, [M, rows, K]."""
    num, width = condition.shape
    rows = -(-num // num_masks)
    by_slot = jnp.zeros((num_masks * rows, width)).at[slots].set(condition)
    return by_slot.reshape(num_masks, rows, width)
