"""The step against arithmetic by hand, and the liftings against one another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.contract import Update
from genjax.training import lifting
from genjax.training.state import init_state, variables_of
from genjax.training.step import StepOptions, make_step
from tests.training.toys import batches, linear_system, two_player_system

SEED = np.asarray(jax.random.key_data(jax.random.key(7)))


def start(system, data, ema=False):
    first = {name: x[0, 0] for name, x in data.items()}
    return init_state(system, ema, SEED, first, {})


def test_one_step_of_sgd_is_the_arithmetic():
    data = batches(1, 1, 4)
    state, metrics = make_step(linear_system())(start(linear_system(), data), data)
    x = data["x"][0, 0].astype(np.float64)
    error = x @ np.ones(8) - 1.0
    gradient = 2.0 * x.T @ error / 4
    np.testing.assert_allclose(state.params["w"], 1.0 - 0.1 * gradient, rtol=1e-5)
    np.testing.assert_allclose(metrics["fit/loss"], [np.mean(error**2)], rtol=1e-5)
    np.testing.assert_allclose(metrics["fit/grad_norm"], [np.linalg.norm(gradient)], rtol=1e-5)
    np.testing.assert_allclose(state.state["seen"], x.mean(), rtol=1e-4, atol=1e-6)
    assert int(state.step) == 1


def test_several_steps_in_one_dispatch_equal_single_dispatches():
    system, data = linear_system(noise=0.3), batches(4, 1, 4)
    step = jax.jit(make_step(system))
    together, metrics = step(start(system, data), data)
    state, losses = start(system, data), []
    for i in range(4):
        state, m = step(state, {"x": data["x"][i : i + 1]})
        losses.append(m["fit/loss"][0])
    np.testing.assert_array_equal(together.params["w"], state.params["w"])
    np.testing.assert_array_equal(metrics["fit/loss"], losses)


def test_accumulation_is_the_large_batch():
    data = batches(2, 1, 8)
    whole, _ = make_step(linear_system())(start(linear_system(), data), data)
    parts, metrics = make_step(linear_system(), StepOptions(accumulate=4))(start(linear_system(), data), data)
    np.testing.assert_allclose(parts.params["w"], whole.params["w"], rtol=1e-5)
    assert metrics["fit/loss"].shape == (2,)


def test_accumulation_keeps_the_order_of_the_memory():
    system, data = two_player_system(), batches(1, 3, 8)
    whole, _ = make_step(system)(start(system, data), data)
    # One generator for both, so that the pool depends on the examples alone.
    parts, _ = make_step(system, StepOptions(accumulate=2))(start(system, data), data)
    np.testing.assert_allclose(parts.memory["pool"], whole.memory["pool"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("limit", [0.5, 1e6])
def test_clipping_bounds_the_move(limit):
    data = batches(1, 1, 4)
    before = start(linear_system(), data)
    after, metrics = make_step(linear_system(), StepOptions(clip_norm=limit))(before, data)
    moved = np.linalg.norm(after.params["w"] - before.params["w"])
    np.testing.assert_allclose(moved, 0.1 * min(limit, float(metrics["fit/grad_norm"][0])), rtol=1e-5)


def test_ema_is_the_recursion():
    data, decay = batches(5, 1, 4), 0.3
    system = linear_system()
    state, expected = start(system, data, ema=True), np.ones(8)
    step = make_step(system, StepOptions(ema_decay=decay))
    for i in range(5):
        state, _ = step(state, {"x": data["x"][i : i + 1]})
        d = min(decay, (1 + i) / (10 + i))
        expected = d * expected + (1 - d) * np.asarray(state.params["w"], np.float64)
    np.testing.assert_allclose(state.ema["w"], expected, rtol=1e-5)
    np.testing.assert_array_equal(variables_of(state).params["w"], state.ema["w"])
    np.testing.assert_array_equal(variables_of(state, averaged=False).params["w"], state.params["w"])


def test_each_repeat_sees_its_own_minibatch_and_lazy_updates_are_lazy():
    system, data = two_player_system(), batches(4, 3, 8)
    state, metrics = jax.jit(make_step(system))(start(system, data), data)
    assert int(state.state["count"]) == 12
    mean = np.zeros(8)
    for x in data["x"].reshape(12, 8, 8):
        mean = 0.9 * mean + 0.1 * x.mean(0)
    np.testing.assert_allclose(state.state["mean"], mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(np.isnan(metrics["r1/loss"]), [False, True, False, True])
    assert not any(np.isnan(value).any() for name, value in metrics.items() if not name.startswith("r1/"))
    np.testing.assert_array_equal(state.params["frozen"]["w"], np.ones(8))
    assert int(state.opt["critic"][0].count) == 4 * 3 + 2


def test_after_is_applied_to_what_the_update_moved():
    clip = lambda params, state: (jax.tree.map(lambda p: jnp.clip(p, -0.5, 0.5), params), state)
    data = batches(1, 1, 4)
    state, _ = make_step(linear_system(after=clip))(start(linear_system(), data), data)
    assert float(jnp.max(jnp.abs(state.params["w"]))) == 0.5


def test_mistakes_in_a_model_are_told():
    data = batches(1, 1, 4)
    same = Update("fit", ("w",), linear_system().model.updates[0].loss)
    with pytest.raises(ValueError, match="same name"):
        start(linear_system(updates_extra=(same,)), data)
    with pytest.raises(ValueError, match="no player"):
        start(linear_system(updates_extra=(same._replace(name="other", players=("v",)),)), data)
    with pytest.raises(ValueError, match="no optimizer 'other'"):
        start(linear_system(updates_extra=(same._replace(name="other"),)), data)
    with pytest.raises(ValueError, match="shares the optimizer"):
        start(linear_system(updates_extra=(same._replace(name="other", optimizer="fit", players=("w", "v")),)), data)


def run(lifted, data, dispatches=2):
    """Make dispatches of two steps and return (canonical state, last metrics)."""
    state = lifted.init(SEED, {name: x[0, 0] for name, x in data.items()}, {})
    for i in range(dispatches):
        part = {name: x[2 * i : 2 * i + 2] for name, x in data.items()}
        state, metrics = lifted.step(state, lifted.put(part))
    return lifted.canonical(state), metrics


@pytest.fixture(scope="module")
def on_one_device():
    return run(lifting.lift_jit(two_player_system(), StepOptions(ema_decay=0.9)), batches(4, 3, 16))


@pytest.mark.parametrize("lift", ["sharded", "fsdp", "pmap"])
def test_eight_devices_are_one_device(on_one_device, lift):
    system, options, data = two_player_system(), StepOptions(ema_decay=0.9), batches(4, 3, 16)
    make = {
        "sharded": lambda: lifting.lift_sharded(system, options),
        "fsdp": lambda: lifting.lift_sharded(system, options, fsdp=True),
        "pmap": lambda: lifting.lift_pmap(system, options),
    }[lift]
    state, metrics = run(make(), data)
    one, one_metrics = on_one_device
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6), state, one)
    m = jax.tree.map(lambda x: np.asarray(x).reshape(-1, 2)[0], metrics)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6), m, one_metrics)


def test_layouts_are_what_they_say_and_the_old_state_is_gone():
    system, data = two_player_system(), batches(2, 3, 16)
    lifted = lifting.lift_sharded(system, StepOptions(ema_decay=0.9), fsdp=True)
    state = lifted.init(SEED, {"x": data["x"][0, 0]}, {})
    assert state.params["critic"]["w"].sharding.spec == jax.sharding.PartitionSpec(None, "batch")
    assert state.opt["critic"][0].mu["critic"]["w"].sharding.spec == jax.sharding.PartitionSpec(None, "batch")
    assert state.ema["critic"]["w"].sharding.spec == jax.sharding.PartitionSpec(None, "batch")
    assert state.state["mean"].sharding.is_fully_replicated
    assert state.memory["pool"].sharding.spec == jax.sharding.PartitionSpec("batch")
    batch = lifted.put(data)
    new, _ = lifted.step(state, batch)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(batch))
    same = jax.tree.map(lambda a, b: a.sharding == b.sharding, new, lifted.restore(SEED, {"x": data["x"][0, 0]}, {}))
    assert all(jax.tree.leaves(same))


def test_pmap_folds_the_device_in_and_keeps_replicas_equal():
    system, data = linear_system(noise=1.0), batches(2, 1, 16)
    lifted = lifting.lift_pmap(system)
    state = lifted.init(SEED, {"x": data["x"][0, 0]}, {})
    state, metrics = lifted.step(state, lifted.put(data))
    weights = np.asarray(state.params["w"])
    np.testing.assert_array_equal(weights, np.broadcast_to(weights[:1], weights.shape))
    # Had all devices drawn the same noise, the mean error over 16 examples would be that of 2 draws.
    x = data["x"][0, 0].reshape(8, 2, 8)
    key = jax.random.fold_in(jax.random.wrap_key_data(SEED), 0)
    draw = lambda i: jax.random.normal(jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(key, i), 1), 0), (2,))
    noise = np.stack([np.asarray(draw(i)) for i in range(8)])
    np.testing.assert_allclose(metrics["fit/error"][0, 0], np.mean(x.sum(-1) + noise - 1.0), rtol=1e-4, atol=1e-6)


def test_fsdp_takes_the_largest_axis_that_divides():
    spec = jax.sharding.PartitionSpec
    assert lifting.fsdp_spec((3, 3, 16, 32), 8) == spec(None, None, None, "batch")
    assert lifting.fsdp_spec((64, 10), 8) == spec("batch")
    assert lifting.fsdp_spec((7,), 8) == spec()
    assert lifting.fsdp_spec((), 8) == spec()
