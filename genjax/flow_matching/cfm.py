"""Flow matching by conditional paths (Lipman et al. 2023, arXiv:2210.02747; Tong et al. 2024, arXiv:2302.00482).

    L = E_{t, z, x_t ~ p_t(. | z)} || u_theta(x_t, t) - u_t(x_t | z) ||^2                            Lipman, eq. 9

has the gradient of the same with the marginal field in the place of the conditional one (theorem 2), which is therefore
what the network learns; its flow carries the source to the data. z is x_1, or a pair (x_0, x_1) with x_0 from the
source, as they come (I-CFM) or coupled (`genjax.flow_matching.ot_cfm`). The paths are in `interpolants`.

    cfm(field, gaussian_interpolant(straight_path(sigma_min)))    Lipman et al. 2023, optimal transport path, eq. 20
    cfm(field, gaussian_interpolant(linear_path()))               the same, variance-preserving diffusion path, eq. 18
    cfm(field, straight_interpolant(sigma))                       Tong et al. 2024, I-CFM
    cfm(field, straight_interpolant(), times=logit_normal_time()) the training of Stable Diffusion 3
"""

import math

import jax
import jax.numpy as jnp

from genjax.contract import Array, Aux, Batch, GenerativeModel, Update, Variables
from genjax.distributions import per_example
from genjax.flow_matching.couplings import Coupling, independent_coupling
from genjax.flow_matching.field import (
    PLAYER,
    Field,
    evaluate,
    field_init,
    field_log_prob,
    field_methods,
    field_sample,
    training_labels,
)
from genjax.flow_matching.interpolants import Interpolant, interpolate
from genjax.flow_matching.times import TimeDraw, uniform_time


def flow_matching_loss(output: Array, target: Array) -> Array:
    """Return || target - output ||^2, summed over each example's entries.

    Args:
        output: the network's velocity, [B, ...].
        target: the conditional velocity, of the same shape.

    Returns:
        [B].

    Raises:
        ValueError: the shapes differ, or have no axis of examples.

    Reference: Lipman et al. 2023, eq. 9.
    """
    if output.shape != target.shape or output.ndim == 0:
        raise ValueError(f"output and target have shapes {output.shape} and {target.shape}; both must be [B, ...].")
    return per_example((target - output) ** 2)


def flow_matching_loss_per_dim(output: Array, target: Array) -> Array:
    """Return `flow_matching_loss` divided by the number of entries of an example, [B]."""
    return flow_matching_loss(output, target) / math.prod(output.shape[1:])


def cfm(
    field: Field,
    interpolant: Interpolant,
    *,
    coupling: Coupling = independent_coupling,
    times: TimeDraw | None = None,
) -> GenerativeModel:
    """Build a model trained by conditional flow matching.

    Args:
        field: network, data path, solvers; see `Field`.
        interpolant: the paths between source and data.
        coupling: which x_0 goes with which x_1 of a batch.
        times: how t is drawn; default uniformly from the field's span.

    Returns:
        A model with one player 'field' and one update 'match', metric mse (per entry). `sample` takes the options of
        `field_sample`: guidance (traced) and solve (static). Methods: see `field_methods`.

    Raises:
        ValueError: from `init`, where data or network do not fit the field; from `sample`, for a condition that is
            missing or not wanted.
    """
    times = times or uniform_time(*field.span)

    def init(key: Array, batch: Batch) -> Variables:
        return Variables(params={PLAYER: field_init(field, key, batch)})

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        path_key, source_key, pair_key, noise_key, time_key, label_key, dropout_key = jax.random.split(key, 7)
        x1, _ = field.data_path.to_model(path_key, batch["x"])
        x0 = field.source.sample(source_key, x1.shape)
        x0 = x0[coupling(pair_key, x0, x1)]
        t = times(time_key, x1.shape[0])
        x_t, target = interpolate(interpolant, x0, x1, jax.random.normal(noise_key, x1.shape), t)
        label = training_labels(field, label_key, batch)
        output = evaluate(field, variables.params[PLAYER], x_t, t, label, train=True, rngs={"dropout": dropout_key})
        mse = jnp.mean(flow_matching_loss_per_dim(output, target))
        return mse, Aux(state=variables.state, metrics={"mse": mse})

    return GenerativeModel(
        init=init,
        updates=(Update("match", (PLAYER,), loss),),
        sample=lambda variables, key, num_samples, **options: field_sample(
            field, variables, key, num_samples, **options
        ),
        log_prob=field_log_prob(field),
        methods=field_methods(field),
    )
