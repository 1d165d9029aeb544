"""Adversarial training: a classifier that learns on the worst examples within a budget of the real ones.

    min_theta E max_{|delta|_p <= eps} -log p_theta(y | x + delta)                          (Madry et al. 2018, eq. 2.1)

The inner problem is solved anew for every minibatch by an attack (`genjax.adversarial.attacks`); by Danskin's theorem
the gradient by theta at its solution is that of the outer problem, so the attacked examples are constants there. With
an attack that leaves examples as they are this is a classifier as usual.

The model is of labels; what it draws are the adversarial examples of given pictures, so that they can be looked at.

Reference: Madry et al. 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks",
https://arxiv.org/abs/1706.06083
"""

from collections.abc import Callable, Sequence
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from genjax.adversarial.attacks import Loss
from genjax.contract import Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables
from genjax.nn import Conv

Attack = Callable[[Array, Loss, Array], Array]  # key, loss, x [B, ...] -> x [B, ...]


class ConvClassifier(nn.Module):
    """Pictures to logits: 3 x 3 convolutions, all but the first of stride 2, and one dense layer; no normalization.

    num_classes: of the output.
    channels: of the convolutions.
    hidden: width of the dense layer.
    dtype: compute dtype.
    """

    num_classes: int
    channels: Sequence[int] = (32, 64)
    hidden: int = 64
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map pictures `[B, H, W, C]` to logits `[B, num_classes]`."""
        for index, width in enumerate(self.channels):
            x = nn.relu(Conv(width, kernel_size=3, stride=1 if index == 0 else 2, dtype=self.dtype)(x))
        x = nn.relu(nn.Dense(self.hidden, dtype=self.dtype)(x.reshape(x.shape[0], -1)))
        return nn.Dense(self.num_classes, dtype=self.dtype)(x)


def label_loss(logits: Array, label: Array) -> Array:
    """Return -log p(label).

    Args:
        logits: `[B, K]`.
        label: integers 0..K-1, `[B]`.

    Returns:
        `[B]`, nats.
    """
    chex.assert_rank([logits, label], [2, 1])
    return optax.softmax_cross_entropy_with_integer_labels(logits, label)


def unchanged(key: Array, loss: Loss, x: Array) -> Array:
    """Leave examples as they are: the attack of ordinary training."""
    del key, loss
    return x


def adversarial_training(network: nn.Module, attack: Attack, *, show: Attack | None = None) -> GenerativeModel:
    """Bind a classifier and the attack that it is trained against.

    Args:
        network: module x `[B, ...]` -> logits `[B, K]`; parameters alone.
        attack: (key, loss, x) -> attacked x; `unchanged` for ordinary training.
        show: the attack by which `sample` makes examples; None: `attack`.

    Returns:
        A model with one player and one update, 'classifier', of batches with 'x' and 'label'; its metric is the
        accuracy under the attack. `sample(variables, key, num, condition={'x': [num, ...], 'label': [num]})` attacks
        pictures.
        Methods: `classify` (variables, key, x) -> log p(y | x) `[B, K]`; `attack` (variables, key, x, label, attack) ->
        x attacked by any attack.

    Reference: Madry et al. 2018, section 2.
    """

    def logits_of(params: PyTree, x: Array) -> Array:
        return network.apply({"params": params["classifier"]}, x).astype(jnp.float32)

    def against(params: PyTree, label: Array) -> Loss:
        return lambda x: label_loss(logits_of(params, x), label)

    def init(key: Array, batch: Batch) -> Variables:
        return Variables({"classifier": network.init(key, batch["x"][:1])["params"]})

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        attacked = attack(key, against(variables.params, batch["label"]), batch["x"])
        logits = logits_of(variables.params, attacked)
        right = (jnp.argmax(logits, axis=1) == batch["label"]).astype(jnp.float32)
        return label_loss(logits, batch["label"]).mean(), Aux(variables.state, {"accuracy": right.mean()})

    def attacked(variables: Variables, key: Array, x: Array, label: Array, attack: Attack) -> Array:
        return attack(key, against(variables.params, label), x)

    def sample(variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None) -> Array:
        if condition is None:
            raise ValueError("Adversarial examples are made of pictures: give `condition` with 'x' and 'label'.")
        chex.assert_axis_dimension(condition["x"], 0, num_samples)
        return attacked(variables, key, condition["x"], condition["label"], show or attack)

    def classify(variables: Variables, key: Array, x: Array) -> Array:
        del key
        return jax.nn.log_softmax(logits_of(variables.params, x))

    return GenerativeModel(
        init=init,
        updates=(Update("classifier", ("classifier",), loss),),
        sample=sample,
        methods={"classify": classify, "attack": attacked},
    )
