"""Continuous normalizing flows (Chen et al. 2018, arXiv:1806.07366; FFJORD, Grathwohl et al. 2018, arXiv:1810.01367).

A network f moves data along dx/dt = f(x, t), from data at t = 0 to the base density at t = 1, and

    d log p(x(t)) / dt = -Tr(df/dx),                                          Chen et al. 2018, theorem 1
    log p(x(0)) = log p_Z(x(1)) + int_0^1 Tr(df/dx) dt                        eq. 8; FFJORD, eq. 3

The trace is exact, D derivatives in the directions of the axes, or Hutchinson's estimate e' (df/dx) e with E e e' = I,
one derivative in a random direction, the same e all along one solve (FFJORD, eq. 7 and 8). Solvers are arguments
(`genjax.solvers`), and so is how their gradient is made: by the adjoint or through checkpointed steps.

Units are nats. A density is exact up to the solver's error with the exact trace; with Hutchinson's its logarithm is an
unbiased estimate.
"""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.contract import Array, Aux, Batch, GenerativeModel, LogProb, PyTree, Update, Variables
from genjax.data_path import DataPath, continuous
from genjax.flows.bases import Base, standard_normal
from genjax.flows.density import change_of_variables, one_hot
from genjax.pixels import bits_per_dim
from genjax.solvers import Solve, Trace, exact_trace, transport


class ConcatSquash(nn.Module):
    """Layers h -> act((W h + b) sigmoid(g) + c) with g and c affine in time and condition (FFJORD, appendix B.1).

    widths: of the hidden layers.
    activation: smooth, since the solver and the trace differentiate it.
    dtype: compute dtype of the matrix products.
    """

    widths: tuple[int, ...] = (64, 64, 64)
    activation: Callable[[Array], Array] = jnp.tanh
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, t: Array, condition: Array | None = None) -> Array:
        """Return f(x, t) [B, D], float32, of x [B, D] at the scalar t; zero where it starts."""
        told = jnp.broadcast_to(t.astype(self.dtype), (x.shape[0], 1))
        if condition is not None:
            told = jnp.concatenate([told, condition.astype(self.dtype)], axis=1)
        h = x
        for index, width in enumerate((*self.widths, x.shape[1])):
            last = index == len(self.widths)
            init = nn.initializers.zeros_init() if last else nn.initializers.lecun_normal()
            h = nn.Dense(width, dtype=self.dtype, kernel_init=init)(h)
            zeros = nn.initializers.zeros_init() if last else nn.initializers.lecun_normal()
            gate = nn.sigmoid(nn.Dense(width, dtype=self.dtype)(told))
            h = h * gate + nn.Dense(width, dtype=self.dtype, use_bias=False, kernel_init=zeros)(told)
            h = h if last else self.activation(h)
        return h.astype(jnp.float32)


def cnf(
    network: nn.Module,
    *,
    shape: tuple[int, ...],
    solve: Solve,
    trace: Trace,
    test_solve: Solve | None = None,
    test_trace: Trace | None = None,
    base: Base | None = None,
    path: DataPath | None = None,
    kinetic: float = 0.0,
    num_classes: int = 0,
) -> GenerativeModel:
    """Build a continuous normalizing flow.

    Args:
        network: (x [B, D], t [], condition [B, K] or None) -> dx/dt [B, D], float32; parameters alone.
        shape: of one x, without the batch axis.
        solve: the solver of training; with its gradient.
        trace: the trace in training.
        test_solve: the solver of sampling and of log_prob; default `solve`.
        test_trace: the trace in log_prob; default `exact_trace()`, D times the cost.
        base: density at t = 1; default N(0, I).
        path: from stored x to reals; default `continuous()`.
        kinetic: weight of the energy in the loss (Finlay et al. 2020), 0 for FFJORD.
        num_classes: K > 0: conditional on batch['label'] as one-hot, and sampling needs `condition`, integers [num].

    Returns:
        A model with one update 'flow' that moves the player 'flow'; metrics nats, bits_per_dim and energy. `log_prob`
        is of the path's kind with an exact trace, else an estimate. `sample` takes the traced option `temperature`.
        Methods, each (variables, key, ..., *, condition=None):

        encode(x) -> z [B, D];  decode(z) -> x [B, *shape];  density(y) -> [B] nats, of the reals that the flow models

    Raises:
        ValueError: from `init`, for a network that does not return [B, D] or keeps other than parameters; where a
            condition is missing or unwanted.
    """
    base, path = base or standard_normal(), path or continuous()
    test_solve, test_trace = test_solve or solve, test_trace or exact_trace()
    num_dims = math.prod(shape)

    def velocity_of(condition: Array | None) -> Callable[[Array, Array, PyTree], Array]:
        return lambda x, t, params: network.apply({"params": params}, x, t, condition)

    def log_density(params: PyTree, key: Array, y: Array, condition: Array | None, trace: Trace, solve: Solve):
        x = y.reshape(y.shape[0], num_dims)
        probe = trace.probe(key, x.shape)
        ending = transport(velocity_of(condition), params, x, probe, trace=trace, solve=solve)
        return change_of_variables(ending.z, ending.log_det, base), ending

    def init(key: Array, batch: Batch) -> Variables:
        y, _ = path.to_model(key, batch["x"])
        if y.shape[1:] != tuple(shape):
            raise ValueError(f"the data have shape {y.shape[1:]} an example; the flow was built for {tuple(shape)}.")
        condition = one_hot(num_classes, batch.get("label"), y.shape[0], from_batch=True)
        x = y.reshape(y.shape[0], num_dims)
        output, variables = network.init_with_output(key, x, jnp.zeros(()), condition)
        if output.shape != x.shape or set(variables) != {"params"}:
            kept = ", ".join(sorted(variables))
            raise ValueError(f"the network returned shape {output.shape} and keeps {kept}; it must be {x.shape}, params.")
        return Variables(params={"flow": variables["params"]})

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        path_key, probe_key = jax.random.split(key)
        y, path_log_det = path.to_model(path_key, batch["x"])
        condition = one_hot(num_classes, batch.get("label"), y.shape[0], from_batch=True)
        log_p, ending = log_density(variables.params["flow"], probe_key, y, condition, trace, solve)
        nats, energy = jnp.mean(log_p + path_log_det), jnp.mean(ending.energy)
        metrics = {"nats": nats, "bits_per_dim": bits_per_dim(nats, num_dims), "energy": energy}
        return kinetic * energy - nats, Aux(state=variables.state, metrics=metrics)

    def log_prob(variables: Variables, key: Array, batch: Batch) -> Array:
        path_key, probe_key = jax.random.split(key)
        y, path_log_det = path.to_model(path_key, batch["x"])
        condition = one_hot(num_classes, batch.get("label"), y.shape[0], from_batch=True)
        return log_density(variables.params["flow"], probe_key, y, condition, test_trace, test_solve)[0] + path_log_det

    def density(variables: Variables, key: Array, y: Array, *, condition: PyTree = None) -> Array:
        condition = one_hot(num_classes, condition, y.shape[0])
        return log_density(variables.params["flow"], key, y, condition, test_trace, test_solve)[0]

    def moved(variables: Variables, x: Array, condition: Array | None, start: float, end: float) -> Array:
        return test_solve(velocity_of(condition), variables.params["flow"], x, start, end)

    def encode(variables: Variables, key: Array, x: Array, *, condition: PyTree = None) -> Array:
        y, _ = path.to_model(key, x)
        return moved(variables, y.reshape(y.shape[0], num_dims), one_hot(num_classes, condition, y.shape[0]), 0.0, 1.0)

    def decode(variables: Variables, key: Array, z: Array, *, condition: PyTree = None) -> Array:
        del key
        y = moved(variables, z, one_hot(num_classes, condition, z.shape[0]), 1.0, 0.0)
        return path.from_model(y.reshape(z.shape[0], *shape))

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

    return GenerativeModel(
        init=init,
        updates=(Update(name="flow", players=("flow",), loss=loss),),
        sample=sample,
        log_prob=LogProb(log_prob, path.kind if test_trace.exact else "estimate"),
        methods={"encode": encode, "decode": decode, "density": density},
    )
