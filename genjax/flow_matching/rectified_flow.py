"""Rectified flow (Liu, Gong & Liu 2023, arXiv:2209.03003; Esser et al. 2024, arXiv:2403.03206).

    L = E_{t, x_0, x_1} || (x_1 - x_0) - u_theta(x_t, t) ||^2,   x_t = (1 - t) x_0 + t x_1                     eq. 1

The first flow is trained on independent pairs: it is `cfm(field, straight_interpolant())`, in Stable Diffusion 3 with
logit-normal times. Its own pairs, z_0 from the source and z_1 where its ODE carries z_0, are a coupling whose marginals
are the same and whose transport costs are no higher (theorem 3.5). Training anew on them, reflow, makes paths
straighter, so that fewer steps will do; distillation then trains for one step alone:

    reflow          L on the teacher's pairs                                                            algorithm 1
    distillation    || (z_1 - z_0) - u_theta(z_0, 0) ||^2 on them, sampled by one Euler step              section 2

The teacher is an earlier stage. It is frozen in the state; its pairs lie in the memory, K to a slot, and are made anew
in turn while the student learns. The student starts as the teacher.
"""

import jax
import jax.numpy as jnp
from jax import lax

from genjax.contract import Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables
from genjax.flow_matching.cfm import cfm, flow_matching_loss_per_dim
from genjax.flow_matching.field import (
    PLAYER,
    Field,
    evaluate,
    field_init,
    field_log_prob,
    field_methods,
    field_sample,
)
from genjax.flow_matching.interpolants import interpolate, straight_interpolant
from genjax.flow_matching.times import TimeDraw, constant_time, uniform_time
from genjax.solvers import Solve


def rectified_flow(field: Field, *, times: TimeDraw | None = None) -> GenerativeModel:
    """Build the first rectified flow: `cfm` along straight lines between independent pairs.

    Args:
        field: see `Field`.
        times: default uniform; `logit_normal_time()` is Stable Diffusion 3's.

    Returns:
        As `cfm`.

    Reference: Liu et al. 2023, eq. 1; Esser et al. 2024, section 3.1.
    """
    return cfm(field, straight_interpolant(), times=times)


def reflow(
    field: Field,
    teacher: GenerativeModel,
    *,
    pairs: int,
    refresh: int,
    teacher_solve: Solve | None = None,
    times: TimeDraw | None = None,
) -> GenerativeModel:
    """Build a flow that is trained on an earlier flow's pairs.

    Args:
        field: with a network like the teacher's; unconditional.
        teacher: a model of this family; the stage 'teacher' of `init`.
        pairs: K, pairs kept for each example of a batch.
        refresh: steps between making one of the K anew; 0: never, all are made at the start.
        teacher_solve: the integrator of the teacher's ODE; None: its own.
        times: see `cfm`.

    Returns:
        A model as `cfm` gives, with the update 'pairs' before 'match' where they are refreshed. The data give the shape
        of a batch and no more.

    Raises:
        ValueError: for a conditional field; from `init`, where the teacher's network is another.

    Reference: Liu et al. 2023, algorithm 1.
    """
    if field.num_classes:
        raise ValueError("the pairs of a teacher carry no labels: the field must have no classes.")
    times = times or uniform_time(*field.span)

    def made(params: PyTree, key: Array, num: int) -> tuple[Array, Array]:
        z = field.source.sample(key, (num, *field.shape))
        return z, teacher.methods["transport"](Variables(params), key, z, solve=teacher_solve)

    def init(key: Array, batch: Batch, *, teacher: Variables) -> Variables:
        shapes = jax.eval_shape(lambda: field_init(field, key, batch))
        like = lambda tree: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)
        if like(shapes) != like(teacher.params[PLAYER]):
            raise ValueError("the teacher's network is not the student's: the student could not start as the teacher.")
        num = batch["x"].shape[0]
        z, x = lax.map(lambda k: made(teacher.params, k, num), jax.random.split(key, pairs))
        memory = {"x0": jnp.swapaxes(z, 0, 1), "x1": jnp.swapaxes(x, 0, 1)}
        return Variables({PLAYER: teacher.params[PLAYER]}, {"teacher": teacher.params}, memory)

    def renew(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del batch
        column = (step // max(refresh, 1)) % pairs
        memory = variables.memory
        fresh = dict(zip(("x0", "x1"), made(variables.state["teacher"], key, memory["x0"].shape[0])))
        memory = {name: lax.dynamic_update_index_in_dim(memory[name], fresh[name], column, axis=1) for name in memory}
        return jnp.zeros(()), Aux(variables.state, {}, memory)

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del batch, step
        pick_key, time_key, dropout_key = jax.random.split(key, 3)
        num = variables.memory["x0"].shape[0]
        picked = jax.random.randint(pick_key, (num,), 0, pairs)
        x0, x1 = (variables.memory[name][jnp.arange(num), picked] for name in ("x0", "x1"))
        t = times(time_key, num)
        x_t, target = interpolate(straight_interpolant(), x0, x1, jnp.zeros_like(x0), t)
        rngs = {"dropout": dropout_key}
        output = evaluate(field, variables.params[PLAYER], x_t, t, None, train=True, rngs=rngs)
        mse = jnp.mean(flow_matching_loss_per_dim(output, target))
        return mse, Aux(state=variables.state, metrics={"mse": mse})

    match = Update("match", (PLAYER,), loss)
    return GenerativeModel(
        init=init,
        updates=(Update("pairs", (), renew, every=refresh), match) if refresh else (match,),
        sample=lambda variables, key, num_samples, **options: field_sample(
            field, variables, key, num_samples, **options
        ),
        log_prob=field_log_prob(field),
        methods=field_methods(field),
    )


def distillation(
    field: Field, teacher: GenerativeModel, *, pairs: int, refresh: int, teacher_solve: Solve | None = None
) -> GenerativeModel:
    """Build a flow that learns its teacher's whole way in one step: `reflow` at t = 0.

    Args:
        field: with `solvers.fixed_solve(1, tableau=EULER)` for its `solve`; other solvers leave t = 0 and mean nothing.
        teacher, pairs, refresh, teacher_solve: see `reflow`; best a flow that was reflowed.

    Returns:
        As `reflow`, without a likelihood: the field is trained at t = 0 alone.

    Reference: Liu et al. 2023, section 2 ("Distillation").
    """
    model = reflow(
        field, teacher, pairs=pairs, refresh=refresh, teacher_solve=teacher_solve, times=constant_time(field.span[0])
    )
    return model._replace(log_prob=None)
