"""CNTS: a detector and a reconstructor of series that help one another, where nobody has sorted the anomalies out.

After the description of the paper and of its authors: the two are trained in turn, each on what the other knows,

    reconstructor   descends   mean over kept steps of |R(x)_t - x_t|^2;  kept are the steps the detector scores lowest
    detector        descends   the cross-entropy of sigmoid(D(x)_t) with the doubt that reconstruction casts on step t,

                               y_t = tanh(atanh(1/2) e_t / a),   e_t = max_c (R(x)_tc - x_tc)^2,

which is 1/2 where the error is a, here a multiple of the mean error of the kept steps of the batch. So the
reconstructor does not learn anomalies, and the detector learns what they look like from examples that R cannot explain.
It is a game
of two players that cooperate rather than compete: both updates are of the contract that adversaries have.

With everything kept (`keep` = 1) the reconstructor learns alone, and the detector by it.

Reference: Yang, Shao & Li 2023, "CNTS: Cooperative Network for Time Series", https://arxiv.org/abs/2302.09800
"""

import math
from collections.abc import Sequence
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial.image_translation import from_gallery, require_given
from genjax.adversarial.players import init_player, run_player, train_player
from genjax.contract import Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables
from genjax.nn import MLP


class SeriesReconstructor(nn.Module):
    """A series to itself through a bottleneck, a perceptron over all steps.

    hidden: widths of the hidden layers of the encoder, in reverse those of the decoder.
    bottleneck: width between them.
    dtype: compute dtype.
    """

    hidden: Sequence[int]
    bottleneck: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map series `[B, T, D]` to series `[B, T, D]`."""
        del train
        flat = x.reshape(x.shape[0], -1)
        code = MLP(self.hidden, self.bottleneck, activation=jax.nn.gelu, dtype=self.dtype, name="encoder")(flat)
        decoder = MLP(tuple(self.hidden)[::-1], flat.shape[1], activation=jax.nn.gelu, dtype=self.dtype, name="decoder")
        return decoder(code).reshape(x.shape)


class SeriesDetector(nn.Module):
    """A series to a logit of anomaly at each step, a perceptron over all steps.

    hidden: widths of the hidden layers.
    dtype: compute dtype.
    """

    hidden: Sequence[int]
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map series `[B, T, D]` to logits `[B, T]`."""
        del train
        flat = x.reshape(x.shape[0], -1)
        return MLP(self.hidden, x.shape[1], activation=jax.nn.gelu, dtype=self.dtype)(flat)


def kept_steps(scores: Array, keep: float) -> Array:
    """Return which steps of each series are kept: the ones with the lowest scores.

    Args:
        scores: of anomaly at each step `[B, T]`; of equal ones the earlier are kept.
        keep: share of the steps, in (0, 1]; the number is rounded up.

    Returns:
        0 or 1, float32 `[B, T]`.
    """
    chex.assert_rank(scores, 2)
    rank = jnp.argsort(jnp.argsort(scores, axis=1), axis=1)
    return (rank < math.ceil(keep * scores.shape[1])).astype(jnp.float32)


def kept_error(x: Array, made: Array, kept: Array) -> Array:
    """Return the mean squared error of a reconstruction over the kept steps.

    Args:
        x: series `[B, T, D]`.
        made: their reconstructions `[B, T, D]`.
        kept: 0 or 1 `[B, T]`, one at least in each series.

    Returns:
        `[B]`.
    """
    chex.assert_rank([x, made, kept], [3, 3, 2])
    return jnp.sum(kept * jnp.mean((made - x) ** 2, axis=2), axis=1) / jnp.sum(kept, axis=1)


def doubt(x: Array, made: Array, level: float | Array) -> Array:
    """Return how doubtful each step is by its reconstruction: 0 where there is no error, 1/2 where it is `level`.

    Args:
        x: series `[B, T, D]`.
        made: their reconstructions `[B, T, D]`.
        level: a, a squared error.

    Returns:
        tanh(atanh(1/2) e / a) `[B, T]`, e the largest squared error of a channel.
    """
    chex.assert_rank([x, made], 3)
    return jnp.tanh(math.atanh(0.5) * jnp.max((made - x) ** 2, axis=2) / level)


def detector_loss(logits: Array, doubts: Array) -> Array:
    """Return the cross-entropy of a detector with doubts, averaged over the steps of each series.

    Args:
        logits: of anomaly at each step `[B, T]`.
        doubts: in [0, 1] `[B, T]`.

    Returns:
        `[B]`, nats a step.
    """
    chex.assert_rank([logits, doubts], 2)
    return jnp.mean(-doubts * jax.nn.log_sigmoid(logits) - (1 - doubts) * jax.nn.log_sigmoid(-logits), axis=1)


def cnts(
    reconstructor: nn.Module, detector: nn.Module, *, keep: float = 0.9, level: float = 8.0, noise: float = 0.05
) -> GenerativeModel:
    """Bind a reconstructor and a detector.

    Args:
        reconstructor: module (series `[B, T, D]`, train=) -> series.
        detector: module (series, train=) -> logits `[B, T]`.
        keep: share of the steps of a series that the reconstructor learns.
        level: a, in mean squared errors of the kept steps.
        noise: standard deviation of what is added to a series that `sample` reconstructs.

    Returns:
        A model of batches with 'x' `[B, T, D]` and the players 'reconstructor' and 'detector'. `sample` reconstructs
        noisy copies of `condition` `[N, T, D]`, or of series of the first batch. Methods: `reconstruct(x)`, and
        `detect(x)` -> logits of anomaly `[N, T]`.

    Reference: Yang et al. 2023.
    """

    def init(key: Array, batch: Batch) -> Variables:
        keys = jax.random.split(key)
        modules = {"reconstructor": reconstructor, "detector": detector}
        made = {name: init_player(module, k, batch["x"][:1]) for (name, module), k in zip(modules.items(), keys)}
        state = {name: kept for name, (_, kept, _) in made.items()} | {"gallery": batch["x"]}
        return Variables({name: params for name, (params, _, _) in made.items()}, state)

    def run(module: nn.Module, name: str, variables: Variables, key: Array, x: Array) -> tuple[Array, PyTree]:
        return train_player(module, variables.params[name], variables.state[name], key, x)

    def reconstructor_objective(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        keys = jax.random.split(key)
        made, state = run(reconstructor, "reconstructor", variables, keys[0], batch["x"])
        logits, _ = run(detector, "detector", variables, keys[1], batch["x"])
        error = kept_error(batch["x"], made, kept_steps(logits, keep)).mean()
        everywhere = jnp.mean((made - batch["x"]) ** 2)
        return error, Aux({**variables.state, "reconstructor": state}, {"kept": error, "all": everywhere})

    def detector_objective(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        keys = jax.random.split(key)
        made, _ = run(reconstructor, "reconstructor", variables, keys[0], batch["x"])
        logits, state = run(detector, "detector", variables, keys[1], batch["x"])
        error = kept_error(batch["x"], made, kept_steps(logits, keep)).mean()
        doubts = doubt(batch["x"], made, level * error)
        loss = detector_loss(logits, doubts).mean()
        return loss, Aux({**variables.state, "detector": state}, {"loss": loss, "doubt": doubts.mean()})

    def reconstruct(variables: Variables, key: Array, x: Array) -> Array:
        del key
        return run_player(reconstructor, variables.params["reconstructor"], variables.state["reconstructor"], x)

    def detect(variables: Variables, key: Array, x: Array) -> Array:
        del key
        return run_player(detector, variables.params["detector"], variables.state["detector"], x)

    def sample(variables: Variables, key: Array, num_samples: int, *, condition: Array | None = None) -> Array:
        require_given(condition, num_samples)
        draw_key, noise_key = jax.random.split(key)
        x = from_gallery(draw_key, variables.state["gallery"], num_samples) if condition is None else condition
        return reconstruct(variables, key, x + noise * jax.random.normal(noise_key, x.shape))

    updates = (
        Update("reconstructor", ("reconstructor",), reconstructor_objective),
        Update("detector", ("detector",), detector_objective),
    )
    return GenerativeModel(init, updates, sample, methods={"reconstruct": reconstruct, "detect": detect})
