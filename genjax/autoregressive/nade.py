"""NADE, the neural autoregressive distribution estimator (Larochelle & Murray 2011, AISTATS).

Binary x of D dimensions in an ordering o:

    p(x) = prod_t p(x_(o_t) | x_(o_1) ... x_(o_(t-1))),    p(x_(o_t) = 1 | ...) = sigmoid(b_(o_t) + V_(o_t) h_t)     (9)
    h_t = act(c + sum_(s < t) W_(o_s) x_(o_s))                                                                     (10)

with the logistic sigmoid for act in the paper. The sum grows by one term from place to place, so that all D
conditionals cost O(D H), one scan (`genjax.autoregressive.hidden_scan`), and so does a sample.
"""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from genjax.autoregressive.class_condition import batch_condition, one_hot_condition
from genjax.autoregressive.completion import naive_sample, spread_known
from genjax.autoregressive.conditionals import Conditional, bernoulli, draw_uniforms
from genjax.autoregressive.hidden_scan import ScanWeights, hidden_start, init_weights, scan_outputs, scan_sample
from genjax.contract import Array, Aux, Batch, GenerativeModel, LogProb, PyTree, Update, Variables
from genjax.distributions import per_example
from genjax.nn.masked_dense import ordering_degrees
from genjax.pixels import bits_per_dim


def nade_log_prob(
    x: Array,
    weights: ScanWeights,
    ordering: Array,
    *,
    condition: Array | None = None,
    activation: Callable[[Array], Array] = jax.nn.sigmoid,
    dtype: jnp.dtype = jnp.float32,
) -> Array:
    """Return log p(x) of binary x.

    Args:
        x: [B, D] in {0, 1}, floating.
        weights: with n = 1 output a dimension.
        ordering: int [D], the dimension at each place.
        condition: float32 [B, K] or None.
        activation: act.
        dtype: of the matrix products.

    Returns:
        [B], nats.

    Raises:
        ValueError: shapes that do not fit together, or x is not floating.

    Reference: Larochelle & Murray 2011, algorithm 1.
    """
    start = hidden_start(weights, x.shape[0], condition)
    outputs = scan_outputs(x, start, weights, ordering, activation=activation, dtype=dtype)
    return per_example(bernoulli().log_prob(x, outputs))


def nade(
    shape: tuple[int, ...],
    *,
    hidden: int,
    ordering: Sequence[int] | np.ndarray | None = None,
    activation: Callable[[Array], Array] = jax.nn.sigmoid,
    num_classes: int = 0,
    dtype: jnp.dtype = jnp.float32,
) -> GenerativeModel:
    """Build NADE.

    Args:
        shape: of one x, `batch['x']` is [B, *shape] in {0, 1}, float32.
        hidden: H.
        ordering: of the D = prod(shape) dimensions; None: raster order. See `genjax.autoregressive.orderings`.
        activation: act.
        num_classes: K; above 0 the model is conditional on batch['label'].
        dtype: of the matrix products.

    Returns:
        See `scan_model`.

    Raises:
        ValueError: `ordering` is no permutation of 0..D-1.
    """
    return scan_model(
        "nade",
        shape,
        bernoulli(),
        hidden=hidden,
        ordering=ordering,
        activation=activation,
        num_classes=num_classes,
        dtype=dtype,
    )


def scan_model(
    name: str,
    shape: tuple[int, ...],
    conditional: Conditional,
    *,
    hidden: int,
    ordering: Sequence[int] | np.ndarray | None,
    activation: Callable[[Array], Array],
    num_classes: int,
    dtype: jnp.dtype,
    initial: Callable[[ScanWeights], ScanWeights] = lambda weights: weights,
    learned: tuple[str, ...] = ("encoder", "hidden_bias", "decoder", "output_bias"),
) -> GenerativeModel:
    """Bind the running hidden layer and a family of conditionals into a model.

    Args:
        name: of the player and of its update.
        shape: of one x.
        conditional: p(x_d | x_<d).
        hidden: H.
        ordering: of the dimensions; None: raster order.
        activation: act.
        num_classes: K.
        dtype: of the matrix products.
        initial: changes what `init_weights` draws.
        learned: fields of `ScanWeights` that are parameters, beside 'condition' where there are classes; 'scale' is 1
            where it is not among them.

    Returns:
        A model with one update (metrics nats and bits_per_dim), an exact `log_prob`, `sample` in one scan, and the
        methods, each (variables, key, ..., *, condition=None):

        outputs(x) -> [B, *shape, n]             parameters of all conditionals at x
        complete(x, known) -> [B, *shape]        see `genjax.autoregressive.completion`
        sample_naive(num) -> [num, *shape]       from the same key the samples of `sample`, by D passes
    """
    num_dims = math.prod(shape)
    order = np.arange(num_dims, dtype=np.int32) if ordering is None else np.asarray(ordering, np.int32)
    if ordering_degrees(order).shape != (num_dims,):
        raise ValueError(f"the ordering is of {len(order)} dimensions; x of shape {shape} has {num_dims}.")
    settings = {"activation": activation, "dtype": dtype}
    fields = learned + (("condition",) if num_classes else ())

    def init(key: Array, batch: Batch) -> Variables:
        drawn = init_weights(
            key, num_dims=num_dims, hidden=hidden, outputs=conditional.outputs, num_classes=num_classes
        )
        drawn = initial(drawn)._asdict()
        params = {name: {field: drawn[field] for field in fields}}
        return Variables(params=params, state={"ordering": jnp.asarray(order)})

    def weights_of(variables: Variables) -> ScanWeights:
        fixed = {"scale": jnp.ones(num_dims), "condition": jnp.zeros((0, hidden))}
        return ScanWeights(**fixed | variables.params[name])

    def outputs_at(variables: Variables, x: Array, condition: Array | None) -> Array:
        weights = weights_of(variables)
        start = hidden_start(weights, x.shape[0], condition)
        return scan_outputs(x, start, weights, variables.state["ordering"], **settings)

    def log_prob(variables: Variables, key: Array, batch: Batch) -> Array:
        del key
        x = batch["x"].reshape(-1, num_dims)
        return per_example(conditional.log_prob(x, outputs_at(variables, x, batch_condition(num_classes, batch))))

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        nats = jnp.mean(log_prob(variables, key, batch))
        metrics = {"nats": nats, "bits_per_dim": bits_per_dim(nats, num_dims)}
        return -nats, Aux(state=variables.state, metrics=metrics)

    def complete(variables: Variables, key: Array, x: Array, known: Array, *, condition: PyTree = None) -> Array:
        num = x.shape[0]
        known = spread_known(x, known).reshape(num, num_dims)
        weights = weights_of(variables)
        start = hidden_start(weights, num, one_hot_condition(num_classes, condition, num))
        uniforms = draw_uniforms(key, (num, num_dims, conditional.num_uniforms))
        given = {"draw": conditional.draw, "x": x.reshape(num, num_dims), "known": known}
        samples, _ = scan_sample(uniforms, start, weights, variables.state["ordering"], **given, **settings)
        return samples.reshape(x.shape)

    def sample(variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None) -> Array:
        nothing = jnp.zeros((num_samples, *shape), conditional.dtype)
        return complete(variables, key, nothing, jnp.zeros(shape, bool), condition=condition)

    def sample_naive(variables: Variables, key: Array, num: int, *, condition: PyTree = None) -> Array:
        seen = one_hot_condition(num_classes, condition, num)
        uniforms = draw_uniforms(key, (num, num_dims, conditional.num_uniforms))
        network = lambda x: outputs_at(variables, x, seen)
        x = jnp.zeros((num, num_dims), conditional.dtype)
        known, ordering = jnp.zeros(x.shape, bool), variables.state["ordering"]
        drawn = naive_sample(network, conditional.draw, uniforms, ordering, x=x, known=known)
        return drawn.reshape(num, *shape)

    def outputs(variables: Variables, key: Array, x: Array, *, condition: PyTree = None) -> Array:
        del key
        seen = one_hot_condition(num_classes, condition, x.shape[0])
        return outputs_at(variables, x.reshape(-1, num_dims), seen).reshape(*x.shape, conditional.outputs)

    return GenerativeModel(
        init=init,
        updates=(Update(name=name, players=(name,), loss=loss),),
        sample=sample,
        log_prob=LogProb(log_prob, "exact"),
        methods={"outputs": outputs, "complete": complete, "sample_naive": sample_naive},
    )
