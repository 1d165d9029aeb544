"""Tangent propagation (Simard, Victorri, LeCun and Denker 1992): a classifier told what does not matter.

Of each picture x some directions t_v(x) are known in which it may move without changing its class: derivatives of
shifts, turns and the like (`genjax.autoencoders.tangents`), or those that an autoencoder has found (Rifai et al.
2011b, the manifold tangent classifier). The classifier's outputs g are asked to stay as they are along them:

    minimize  E [ -log p(c|x) + lambda sum_v |J_g(x) t_v(x)|^2 ],     g = p(.|x) = softmax(l(x))                (2), (5)

Each J_g t_v is one forward-mode derivative; no Jacobian is formed. Outputs are probabilities, bounded as the paper's
are. Asked of the logits l instead, the same makes a classifier worse, however small lambda is: it is paid for every
picture alike, those far from any boundary included, by unlearning. The second term needs no label: pictures without one
(weight 0) still say where p is to be flat, and so push the boundary away from them.

As a generative model it is one of labels given pictures: `batch['x']` is the label, `batch['image']` the picture, and
samples are labels drawn for given pictures.
"""

from typing import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.autoencoders.binding import only_params, widened
from genjax.contract import Array, Aux, Batch, GenerativeModel, LogProb, Update, Variables


def tangent_penalty(function: Callable[[Array], Array], x: Array, tangents: Array) -> Array:
    """Return sum_v |J(x) t_v|^2 by forward-mode derivatives.

    Args:
        function: x [B, ...] -> [B, K], each example on its own.
        x: [B, ...].
        tangents: [B, V, ...], V directions of each x.

    Returns:
        [B], in units of the outputs squared.

    Raises:
        ValueError: tangents are not [B, V, ...] for x [B, ...].

    Reference: Simard et al. 1992, eq. 5.
    """
    if jnp.ndim(x) < 2 or jnp.shape(tangents)[:1] + jnp.shape(tangents)[2:] != jnp.shape(x):
        raise ValueError(f"tangents have shape {jnp.shape(tangents)}; for x of shape {jnp.shape(x)} want [B, V, ...].")

    def along(direction: Array) -> Array:
        return jax.jvp(function, (x,), (direction,))[1]

    changes = jax.vmap(along, in_axes=1)(tangents)  # [V, B, K]
    return jnp.sum(changes**2, axis=(0, 2))


def tangent_classifier(
    network: nn.Module, tangents: Callable[[Array], Array], *, weight: float, shape: tuple[int, ...]
) -> GenerativeModel:
    """Build the classifier.

    Args:
        network: images [B, ...] -> logits [B, K], smooth (relu has no second derivative to learn from at its bends).
            Parameters alone.
        tangents: images [B, ...] -> directions [B, V, ...].
        weight: lambda; 0 for the plain classifier.
        shape: of one image.

    Returns:
        A model of 'x' int32 [B], the label, given 'image' [B, *shape]; batches may have 'weight' [B] as well, which the
        first term of each example is multiplied by, 0 where the label is not to be looked at. One update 'classifier',
        metrics nats (-log p(c|x), weighted), invariance (the penalty without lambda). `log_prob` is exact. `sample`
        draws labels for the images [num_samples, *shape] that are its condition. Methods, each (variables, key, ...):

        classify(images) -> [B, K]      log p(c|x)
        logits(images) -> [B, K]        l
    """

    def logits(params: dict, images: Array) -> Array:
        return widened(network.apply({"params": params["classifier"]}, images))

    def init(key: Array, batch: Batch) -> Variables:
        if batch["image"].shape[1:] != tuple(shape):
            raise ValueError(f"images have shape {batch['image'].shape[1:]} each; the model was built for {shape}.")
        return Variables(params={"classifier": only_params("classifier", network.init(key, batch["image"]))})

    def log_prob(variables: Variables, key: Array, batch: Batch) -> Array:
        del key
        log_probs = jax.nn.log_softmax(logits(variables.params, batch["image"]))
        return jnp.take_along_axis(log_probs, batch["x"][:, None], axis=1)[:, 0]

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        outputs = lambda images: jax.nn.softmax(logits(variables.params, images))
        weights = batch.get("weight", jnp.ones(batch["x"].shape[:1]))
        nats = -jnp.mean(weights * log_prob(variables, key, batch))
        invariance = jnp.mean(tangent_penalty(outputs, batch["image"], tangents(batch["image"])))
        metrics = {"nats": nats, "invariance": invariance}
        return nats + weight * invariance, Aux(state=variables.state, metrics=metrics)

    def classify(variables: Variables, key: Array, images: Array) -> Array:
        del key
        return jax.nn.log_softmax(logits(variables.params, images))

    def sample(variables: Variables, key: Array, num_samples: int, *, condition: Array | None = None) -> Array:
        if condition is None or condition.shape != (num_samples, *shape):
            raise ValueError(f"labels are drawn for given images: give {(num_samples, *shape)} of them as condition.")
        return jax.random.categorical(key, classify(variables, key, condition)).astype(jnp.int32)

    return GenerativeModel(
        init=init,
        updates=(Update("classifier", ("classifier",), loss),),
        sample=sample,
        log_prob=LogProb(log_prob, "exact"),
        methods={"classify": classify, "logits": lambda variables, key, images: logits(variables.params, images)},
    )
