"""A flow as a model of data: a bijection, a base density and a path from stored data to reals.

    log p(x) = log p_Z(f(y)) + log |det df/dy| + log_det of the path,       y = path(x)

Training is maximum likelihood, one update. A sample is f^-1(T z), z ~ p_Z, with a temperature T (Kingma and Dhariwal
2018, section 6: T = 1 is the model, less than 1 keeps to its more probable part).
"""

import math

import jax
import jax.numpy as jnp

from genjax.contract import Array, Aux, Batch, GenerativeModel, LogProb, PyTree, Update, Variables
from genjax.flows.bases import Base, standard_normal
from genjax.flows.bijection import Bijection, Condition, Weights
from genjax.data_path import DataPath, continuous
from genjax.flows.inpainting import ascend
from genjax.pixels import bits_per_dim


def change_of_variables(z: Array, log_det: Array, base: Base) -> Array:
    """Return log p(x) = log p_Z(z) + log |det dz/dx|.

    Args:
        z: [B, ...], f(x).
        log_det: [B], nats.
        base: the density of z.

    Returns:
        [B], nats.

    Reference: Rezende and Mohamed 2015, eq. 5.
    """
    if log_det.shape != z.shape[:1]:
        raise ValueError(f"log_det has shape {log_det.shape}; it must be {z.shape[:1]}, one value an example.")
    return base.log_prob(z) + log_det


def flow_model(
    bijection: Bijection,
    *,
    shape: tuple[int, ...],
    base: Base | None = None,
    path: DataPath | None = None,
    num_classes: int = 0,
) -> GenerativeModel:
    """Bind a bijection, a base density and a data path into a model.

    Args:
        bijection: maps y [B, *shape] to z [B, D], D the entries of one y.
        shape: of one x, without the batch axis.
        base: density of z; default N(0, I).
        path: from stored x to y; default `continuous()`.
        num_classes: K > 0: the bijection is conditional on batch['label'] as one-hot [B, K], and sampling needs
            `condition`, integers [num].

    Returns:
        A model with one update 'flow' that moves the player 'flow'; metrics nats and bits_per_dim. `log_prob` is exact
        on continuous data, and a lower bound at one draw of the dequantization noise otherwise. `sample` takes the
        traced option `temperature`. Methods, each (variables, key, ..., *, condition=None):

        encode(x) -> z [B, D]
        decode(z) -> x [B, *shape]
        density(y) -> [B]                   log p(y) in nats, of the reals that the flow models
        inpaint(x, known, *, num_steps, rate) -> x [B, *shape]    by gradient ascent, see `genjax.flows.inpainting`

    Raises:
        ValueError: from `init`, where the bijection does not end in [B, D]; where a condition is missing or unwanted.
    """
    base, path = base or standard_normal(), path or continuous()
    num_dims = math.prod(shape)

    def init(key: Array, batch: Batch) -> Variables:
        path_key, key = jax.random.split(key)
        y, _ = path.to_model(path_key, batch["x"])
        condition = one_hot(num_classes, batch.get("label"), y.shape[0], from_batch=True)
        weights = bijection.init(key, y, condition)
        z_shape = jax.eval_shape(bijection.forward, weights, y, condition)[0].shape
        _require_fit(y.shape, z_shape, tuple(shape))
        return Variables(params={"flow": weights.params}, state=weights.state)

    def weights_of(variables: Variables) -> Weights:
        return Weights(variables.params["flow"], variables.state)

    def density(variables: Variables, key: Array, y: Array, *, condition: PyTree = None) -> Array:
        del key
        condition = one_hot(num_classes, condition, y.shape[0])
        return change_of_variables(*bijection.forward(weights_of(variables), y, condition), base)

    def log_prob(variables: Variables, key: Array, batch: Batch) -> Array:
        y, log_det = path.to_model(key, batch["x"])
        condition = one_hot(num_classes, batch.get("label"), y.shape[0], from_batch=True)
        return change_of_variables(*bijection.forward(weights_of(variables), y, condition), base) + log_det

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        y, path_log_det = path.to_model(key, batch["x"])
        condition = one_hot(num_classes, batch.get("label"), y.shape[0], from_batch=True)
        z, log_det, state = bijection.train(weights_of(variables), y, condition)
        nats = jnp.mean(change_of_variables(z, log_det, base) + path_log_det)
        return -nats, Aux(state=state, metrics={"nats": nats, "bits_per_dim": bits_per_dim(nats, num_dims)})

    def decode(variables: Variables, key: Array, z: Array, *, condition: PyTree = None) -> Array:
        del key
        condition = one_hot(num_classes, condition, z.shape[0])
        return path.from_model(bijection.inverse(weights_of(variables), z, condition)[0])

    def encode(variables: Variables, key: Array, x: Array, *, condition: PyTree = None) -> Array:
        condition = one_hot(num_classes, condition, x.shape[0])
        return bijection.forward(weights_of(variables), path.to_model(key, x)[0], condition)[0]

    def sample(
        variables: Variables,
        key: Array,
        num_samples: int,
        *,
        condition: PyTree = None,
        temperature: Array | float = 1.0,
    ) -> Array:
        z = base.sample(key, (num_samples, num_dims)) * temperature
        return decode(variables, key, z, condition=condition)

    def inpaint(
        variables: Variables,
        key: Array,
        x: Array,
        known: Array,
        *,
        num_steps: int = 500,
        rate: Array | float = 1e-3,
        condition: PyTree = None,
    ) -> Array:
        path_key, key = jax.random.split(key)
        y, _ = path.to_model(path_key, x)
        score = lambda y: density(variables, key, y, condition=condition)
        filled = path.from_model(ascend(key, y, known, score, num_steps=num_steps, rate=rate))
        return jnp.where(jnp.broadcast_to(known, x.shape), x, filled)

    return GenerativeModel(
        init=init,
        updates=(Update(name="flow", players=("flow",), loss=loss),),
        sample=sample,
        log_prob=LogProb(log_prob, path.kind),
        methods={"encode": encode, "decode": decode, "density": density, "inpaint": inpaint},
    )


def one_hot(num_classes: int, labels: Array | None, num: int, *, from_batch: bool = False) -> Condition:
    """Return labels as bijections read them.

    Args:
        num_classes: K; 0 for an unconditional flow.
        labels: integers [num] in 0..K-1.
        num: number of examples.
        from_batch: labels that an unconditional flow's batch happens to hold are passed over.

    Returns:
        float32 [num, K], or None where K is 0.

    Raises:
        ValueError: labels without classes, classes without labels, or another shape or dtype.
    """
    if num_classes == 0:
        if labels is not None and not from_batch:
            raise ValueError("this flow is unconditional: it takes no condition.")
        return None
    if labels is None:
        raise ValueError(f"this flow is conditional: give it labels 0..{num_classes - 1} of shape [{num}].")
    if labels.shape != (num,) or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(f"the labels are {labels.dtype} of shape {labels.shape}; they must be integers [{num}].")
    return jax.nn.one_hot(labels, num_classes, dtype=jnp.float32)


def _require_fit(y_shape: tuple[int, ...], z_shape: tuple[int, ...], shape: tuple[int, ...]) -> None:
    if y_shape[1:] != shape:
        raise ValueError(f"the data have shape {y_shape[1:]} an example; the flow was built for {shape}.")
    if z_shape != (y_shape[0], math.prod(shape)):
        raise ValueError(f"the bijection ends in {z_shape}; it must end in {(y_shape[0], math.prod(shape))}.")
