"""Reflow's pairs are the teacher's, its paths straighter, its end the same; stages reach it frozen."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import cli
from genjax import flow_matching, solvers
from genjax.training import StepOptions
from genjax.training.lifting import lift_jit

KEY = jax.random.key(0)
CONFIG = "experiments/configs/flow_matching/rectified_flow.py"


class Turn(nn.Module):
    """u = theta J x + shift: turns by theta; the same points are reached on straight lines by another field."""

    @nn.compact
    def __call__(self, x, t, condition=None, *, train=False):
        theta = self.param("theta", nn.initializers.constant(1.0), ())
        return theta * jnp.stack([-x[:, 1], x[:, 0]], axis=1)


def field(network, solve=solvers.fixed_solve(8), **options):
    return flow_matching.Field(network, shape=(2,), solve=solve, **options)


BATCH = {"x": np.zeros((8, 2), np.float32)}
TEACHER = flow_matching.rectified_flow(field(Turn()))


def reflowed(refresh=0, times=None):
    return flow_matching.reflow(field(Turn()), TEACHER, pairs=3, refresh=refresh, times=times)


@functools.cache
def started():
    """Return the Variables of the teacher and of a student, which start alike whenever its pairs are renewed."""
    first = jax.jit(TEACHER.init)(KEY, BATCH)
    init = lambda first: reflowed().init(jax.random.key(1), BATCH, teacher=first)
    return first, jax.jit(init)(first)


def test_pairs_are_ends_of_the_teachers_paths():
    """A turn by one radian carries (x, y) to (x cos 1 - y sin 1, x sin 1 + y cos 1)."""
    first, variables = started()
    z, x = (np.asarray(variables.memory[name]) for name in ("x0", "x1"))
    assert z.shape == x.shape == (8, 3, 2)
    turned = np.stack(
        [z[..., 0] * np.cos(1) - z[..., 1] * np.sin(1), z[..., 0] * np.sin(1) + z[..., 1] * np.cos(1)], axis=-1
    )
    np.testing.assert_allclose(x, turned, atol=1e-4)
    assert len(np.unique(z)) == z.size
    jax.tree.map(np.testing.assert_array_equal, variables.params, first.params)


def test_pairs_are_renewed_in_turn():
    variables = started()[1]
    renew, match = reflowed(refresh=5).updates
    assert renew.every == 5 and renew.players == () and match.players == ("field",)
    _, aux = jax.jit(renew.loss)(variables, BATCH, KEY, np.int32(5))  # the second renewal: column 1
    memory, before = jax.device_get((aux.memory, variables.memory))
    same = [bool(np.all(memory["x0"][:, k] == before["x0"][:, k])) for k in range(3)]
    assert same == [True, False, True]
    np.testing.assert_allclose(np.linalg.norm(memory["x1"], axis=2), np.linalg.norm(memory["x0"], axis=2), rtol=1e-4)


def test_one_step_of_distillation_is_the_teachers_whole_way():
    """At t = 0 the best field of this form is least squares: <J z, x - z> / |z|^2 = sin 1 of every pair."""
    variables, student = started()[1], reflowed(times=flow_matching.constant_time(0.0))

    def loss(theta):
        return student.updates[-1].loss(variables._replace(params={"field": {"theta": theta}}), BATCH, KEY, 0)[0]

    gradient = jax.jit(jax.grad(loss))
    slope = lambda theta: float(gradient(theta))
    zero = 0.0 - slope(0.0) / (slope(1.0) - slope(0.0))  # of a quadratic
    assert zero == pytest.approx(np.sin(1.0), abs=1e-3)


def test_reflow_of_a_straight_flow_is_itself():
    """Straight paths are a fixed point: the loss of the student is zero where the teacher translates."""

    class Shift(nn.Module):
        @nn.compact
        def __call__(self, x, t, condition=None, *, train=False):
            return jnp.broadcast_to(self.param("shift", nn.initializers.constant(0.7), (2,))[None], x.shape)

    teacher = flow_matching.rectified_flow(field(Shift()))
    student = flow_matching.reflow(field(Shift()), teacher, pairs=2, refresh=0)

    @jax.jit
    def loss(key):
        variables = student.init(key, BATCH, teacher=teacher.init(key, BATCH))
        return student.updates[0].loss(variables, BATCH, key, 0)[0]

    assert float(loss(KEY)) < 1e-10


def test_stages_of_the_config():
    """The first flow trains, the reflow starts as it, keeps it frozen and moves."""
    module = cli.load_module(CONFIG)
    first_config, config = module.get_config("tiny"), module.get_config("reflow_tiny")
    first, batch = (
        module.build(first_config),
        {"x": np.random.default_rng(0).normal(size=(16, 2)).astype(np.float32) + 3},
    )
    taught = jax.jit(first.model.init)(KEY, batch)
    student = module.build(config, stages={"teacher": first})
    assert set(config.stages) == {"teacher"} and [u.name for u in student.model.updates] == ["pairs", "match"]
    start = jax.eval_shape(lambda: student.model.init(KEY, batch, teacher=taught))
    assert start.memory["x0"].shape == (16, config.model.pairs, 2)
    lifted = lift_jit(student, StepOptions())
    seed = np.asarray(jax.random.key_data(KEY))
    state = lifted.init(seed, batch, {"teacher": taught})
    state, metrics = lifted.step(state, lifted.put({"x": np.broadcast_to(batch["x"], (6, 1, 16, 2))}))
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(state.state["teacher"]), jax.device_get(taught.params))
    assert np.isfinite(metrics["match/mse"]).all()
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), jax.device_get(state.params), jax.device_get(taught.params))
    assert all(jax.tree.leaves(moved))
    distilled = module.build(module.get_config("distill"), stages={"teacher": module.build(module.get_config())})
    assert distilled.model.log_prob is None


def test_mistakes():
    with pytest.raises(ValueError, match="must have no classes"):
        flow_matching.reflow(field(Turn(), num_classes=2), TEACHER, pairs=1, refresh=0)
    other = flow_matching.reflow(field(flow_matching.PointField((4,))), TEACHER, pairs=1, refresh=0)
    with pytest.raises(ValueError, match="is not the student's"):
        jax.eval_shape(lambda: other.init(KEY, BATCH, teacher=started()[0]))
