"""What all models of this family are: a network as a velocity field, and how it is sampled and scored.

    dx/dt = u(x, t),   x(0) ~ source, x(1) is a sample
    log p(x(1)) = log p_source(x(0)) - int_0^1 Tr(du/dx) dt                              Lipman et al. 2023, appendix C

They differ in what the field is trained on: paths, couplings of source and data, another model's samples.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.contract import Array, Batch, LogProb, PyTree, Variables
from genjax.data_path import DataPath, continuous
from genjax.flow_matching.guidance import Velocity, guided_velocity
from genjax.flow_matching.sources import Source, normal_source
from genjax.flow_matching.straightness import PathMeasures, path_measures
from genjax.solvers import RK4, Solve, Tableau, Trace, exact_trace, trajectory, transport

PLAYER = "field"


class Field(NamedTuple):
    """A network as a velocity field.

    network: (x [B, ...], t [B], condition, *, train) -> velocity [B, ...], float32. Parameters alone, and dropout under
        `train` (key 'dropout').
    shape: of one example.
    solve: the ODE's integrator in sampling; `solvers.fixed_solve(n, tableau=EULER)`, `solvers.adaptive_solve()`, ...
    likelihood_solve: that of the likelihood; None: the same.
    trace: of the likelihood.
    data_path: from stored data to reals.
    source: distribution of x_0.
    num_classes: K > 0: conditional on batch['label'], with class K for 'none given'; sampling needs `condition`.
    label_dropout: how often training hides a label, for guidance; each example on its own.
    guidance: scale in sampling; None: the conditional field, at half the cost.
    time_scale: what t is multiplied by for the network; sinusoidal embeddings count in thousands.
    span: first and last time of training and sampling, inside which the path is differentiable.
    """

    network: nn.Module
    shape: tuple[int, ...]
    solve: Solve
    likelihood_solve: Solve | None = None
    trace: Trace = exact_trace()
    data_path: DataPath = continuous()
    source: Source = normal_source()
    num_classes: int = 0
    label_dropout: float = 0.0
    guidance: float | None = None
    time_scale: float = 1.0
    span: tuple[float, float] = (0.0, 1.0)


def field_init(field: Field, key: Array, batch: Batch) -> PyTree:
    """Return the network's parameters.

    Raises:
        ValueError: data or network do not have the field's shape, or the network keeps other than parameters.
    """
    x, _ = field.data_path.to_model(key, batch["x"])
    if x.shape[1:] != tuple(field.shape):
        raise ValueError(f"the data have shape {x.shape[1:]} an example; the field was built for {tuple(field.shape)}.")
    t, condition = jnp.zeros(x.shape[:1]), batch["label"] if field.num_classes else None
    output, variables = field.network.init_with_output(key, x, t, condition, train=False)
    if output.shape != x.shape or set(variables) != {"params"}:
        raise ValueError(
            f"the network returned {output.shape} and keeps {sorted(variables)}; it must be {x.shape}, params."
        )
    return variables["params"]


def evaluate(field: Field, params: PyTree, x: Array, t: Array, condition: PyTree, **options: Any) -> Array:
    """Return the network's velocity at x [B, ...] and times t, [] or [B]; options are the network's."""
    t = jnp.broadcast_to(jnp.asarray(t, jnp.float32), x.shape[:1])
    options = {"train": False} | options
    return field.network.apply({"params": params}, x, t * field.time_scale, condition, **options).astype(jnp.float32)


def training_labels(field: Field, key: Array, batch: Batch) -> Array | None:
    """Return the labels that a training step sees, some of them hidden; None for an unconditional field."""
    if not field.num_classes:
        return None
    label = batch["label"]
    return jnp.where(jax.random.bernoulli(key, field.label_dropout, label.shape), field.num_classes, label)


def velocity_of(field: Field, variables: Variables, condition: PyTree, guidance: Array | float | None) -> Velocity:
    """Return (x, t) -> dx/dt of a model, guided where a scale is given.

    Raises:
        ValueError: a condition is missing or not wanted.
    """
    params = variables.params[PLAYER]
    if (condition is None) == bool(field.num_classes):
        wanted = "conditional: give it labels" if field.num_classes else "unconditional: it takes no condition"
        raise ValueError(f"this field is {wanted}.")
    if guidance is None or condition is None:
        return lambda x, t: evaluate(field, params, x, t, condition)
    nothing = jnp.full_like(condition, field.num_classes)
    return guided_velocity(lambda x, t, c: evaluate(field, params, x, t, c), condition, nothing, scale=guidance)


def move(
    field: Field,
    variables: Variables,
    x: Array,
    *,
    condition: PyTree = None,
    guidance: Array | float | None = None,
    solve: Solve | None = None,
    reverse: bool = False,
) -> Array:
    """Return where the ODE carries x [B, ...], from source to data or back; reals of the data path."""
    solve, (start, end) = solve or field.solve, field.span[::-1] if reverse else field.span
    velocity = lambda x, t, variables: velocity_of(field, variables, condition, guidance)(x, t)
    return solve(velocity, variables._replace(state=(), memory=()), x, start, end)


def field_sample(
    field: Field,
    variables: Variables,
    key: Array,
    num_samples: int,
    *,
    condition: PyTree = None,
    guidance: Array | float | None = None,
    solve: Solve | None = None,
) -> Array:
    """Return samples in the space of the stored data, by the ODE.

    Args:
        field: the field.
        variables: its variables.
        key: of the source.
        num_samples: how many.
        condition: labels [num_samples], for a conditional field.
        guidance: scale, traced; None: the field's.
        solve: an integrator; None: the field's.
    """
    guidance = field.guidance if guidance is None else guidance
    x0 = field.source.sample(key, (num_samples, *field.shape))
    x1 = move(field, variables, x0, condition=condition, guidance=guidance, solve=solve)
    return field.data_path.from_model(x1)


def field_density(
    field: Field, variables: Variables, key: Array, x: Array, *, condition: PyTree = None, trace: Trace | None = None
) -> Array:
    """Return log p(x) of reals x [B, ...] in nats, [B], up to the solver's error; Lipman et al. 2023, appendix C."""
    trace, flat = trace or field.trace, x.reshape(x.shape[0], -1)

    def velocity(flat: Array, t: Array, variables: Variables) -> Array:
        return velocity_of(field, variables, condition, None)(flat.reshape(x.shape), t).reshape(flat.shape)

    ending = transport(
        velocity,
        variables._replace(state=(), memory=()),
        flat,
        trace.probe(key, flat.shape),
        trace=trace,
        solve=field.likelihood_solve or field.solve,
        reverse=True,
        span=field.span,
    )
    return field.source.log_prob(ending.z.reshape(x.shape)) + ending.log_det


def field_log_prob(field: Field) -> LogProb:
    """Return the likelihood of stored data: of the path's kind with an exact trace, else an estimate."""

    def log_prob(variables: Variables, key: Array, batch: Batch) -> Array:
        path_key, probe_key = jax.random.split(key)
        x, log_det = field.data_path.to_model(path_key, batch["x"])
        condition = batch["label"] if field.num_classes else None
        return field_density(field, variables, probe_key, x, condition=condition) + log_det

    return LogProb(log_prob, field.data_path.kind if field.trace.exact else "estimate")


def field_methods(field: Field) -> dict[str, Callable]:
    """Return what every model of this family can do, each (variables, key, ..., *, condition=None).

    velocity(x, t, *, guidance=None) -> [B, ...]               the field, t [] or [B]
    transport(z, *, guidance=None, solve=None) -> [B, ...]     from the source to the data's reals
    decode(z) -> x                                             the same, as stored
    encode(x) -> z                                             from stored x to the source
    density(x) -> [B]                                          nats of reals x
    trajectory(z, *, num_steps, tableau=RK4) -> [N + 1, B, ...]    the way from z, at equal times
    paths(z, *, num_steps=100) -> PathMeasures                 how straight it is
    """

    def encode(variables: Variables, key: Array, x: Array, *, condition: PyTree = None) -> Array:
        return move(field, variables, field.data_path.to_model(key, x)[0], condition=condition, reverse=True)

    def walked(
        variables: Variables, key: Array, z: Array, *, num_steps: int, tableau: Tableau = RK4, condition: PyTree = None
    ) -> Array:
        del key
        times = jnp.linspace(*field.span, num_steps + 1)
        return trajectory(velocity_of(field, variables, condition, None), z, times, tableau=tableau)

    def paths(
        variables: Variables, key: Array, z: Array, *, num_steps: int = 100, condition: PyTree = None
    ) -> PathMeasures:
        del key
        return path_measures(
            velocity_of(field, variables, condition, None), z, jnp.linspace(*field.span, num_steps + 1)
        )

    return {
        "velocity": lambda variables, key, x, t, *, condition=None, guidance=None: velocity_of(
            field, variables, condition, guidance
        )(x, t),
        "transport": lambda variables, key, z, **options: move(field, variables, z, **options),
        "decode": lambda variables, key, z, **options: field.data_path.from_model(move(field, variables, z, **options)),
        "encode": encode,
        "density": lambda variables, key, x, *, condition=None: field_density(
            field, variables, key, x, condition=condition
        ),
        "trajectory": walked,
        "paths": paths,
    }
