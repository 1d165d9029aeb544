"""Checkpoints: asynchronous but safe from donation, bounded in number, under any layout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.errors import UserError
from genjax.training import StepOptions, lift_jit, lift_pmap, lift_sharded
from genjax.training.checkpoint import Checkpoints
from tests.training.toys import batches, two_player_system

SEED = np.asarray(jax.random.key_data(jax.random.key(1)))
OPTIONS = StepOptions(ema_decay=0.9)


def test_a_checkpoint_is_of_the_moment_it_was_asked_for(tmp_path):
    """The state is donated, and the sums of the record go on, while the checkpoint is still being written."""
    data = batches(2, 3, 16)
    lifted = lift_jit(two_player_system(), OPTIONS)
    state = lifted.init(SEED, {"x": data["x"][0, 0]}, {})
    checkpoints = Checkpoints(tmp_path, keep=2)
    kept = {}
    for step in range(1, 6):
        state, _ = lifted.step(state, lifted.put(data))
        kept[step] = jax.tree.map(np.array, state)
        record = {"step": step, "half": 0.1 + 0.2, "sums": {"loss": [1.0, 3]}}
        checkpoints.save(step, state, record)
        record["sums"]["loss"][1] += 1
    checkpoints.wait()
    assert checkpoints.steps() == [4, 5]
    for step in (4, 5):
        restored, record = checkpoints.restore(lifted.restore(SEED, {"x": data["x"][0, 0]}, {}), step)
        jax.tree.map(np.testing.assert_array_equal, restored, kept[step])
        assert record == {"step": step, "half": 0.1 + 0.2, "sums": {"loss": [1.0, 3]}}
    checkpoints.close()


@pytest.mark.parametrize("there", ["sharded", "fsdp", "pmap"])
def test_a_run_may_go_on_under_another_lifting(tmp_path, there):
    data, system = batches(2, 3, 16), two_player_system()
    example = {"x": data["x"][0, 0]}
    makers = {
        "sharded": lambda: lift_sharded(system, OPTIONS),
        "fsdp": lambda: lift_sharded(system, OPTIONS, fsdp=True),
        "pmap": lambda: lift_pmap(system, OPTIONS),
    }
    here, there = lift_jit(system, OPTIONS), makers[there]()
    state, _ = there.step(there.init(SEED, example, {}), there.put(data))
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(2, there.canonical(state), {})
    checkpoints.wait()
    restored, _ = checkpoints.restore(here.restore(SEED, example, {}))
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b), restored, there.canonical(state))
    again, _ = checkpoints.restore(there.restore(SEED, example, {}))
    back = there.adopt(again)
    assert all(leaf.sharding.num_devices == 8 for leaf in jax.tree.leaves(back))
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b), back, state)
    checkpoints.close()


def test_absent_and_unfitting_checkpoints_are_told(tmp_path):
    data, lifted = batches(1, 3, 16), lift_jit(two_player_system(), OPTIONS)
    checkpoints = Checkpoints(tmp_path, keep=1)
    target = lifted.restore(SEED, {"x": data["x"][0, 0]}, {})
    with pytest.raises(UserError, match="there is no checkpoint"):
        checkpoints.restore(target)
    checkpoints.save(1, lifted.init(SEED, {"x": data["x"][0, 0]}, {}), {})
    checkpoints.wait()
    smaller = target._replace(params={"critic": {"w": jax.ShapeDtypeStruct((3,), jnp.float32)}})
    with pytest.raises(UserError, match="does not fit this model"):
        checkpoints.restore(smaller)
    checkpoints.close()
