"""Training in memory is the step, repeated."""

import jax
import numpy as np
import pytest

from genjax.errors import UserError
from genjax.training import StepOptions, fit, lift_jit
from tests.training.toys import ArrayLoader, two_player_system


def test_fit_is_the_steps():
    options = StepOptions(ema_decay=0.9)
    variables, history = fit(two_player_system(), ArrayLoader(4), steps=4, steps_per_call=2, seed=3, options=options)
    loader, lifted = ArrayLoader(4), lift_jit(two_player_system(), options)
    first = loader.next(1, 1)["x"][0, 0]
    loader.restore({"position": 0})
    state = lifted.init(np.asarray(jax.random.key_data(jax.random.key(3))), {"x": first}, {})
    for _ in range(2):
        state, metrics = lifted.step(state, lifted.put(loader.next(2, 3)))
    jax.tree.map(np.testing.assert_array_equal, variables.params, state.ema)
    jax.tree.map(np.testing.assert_array_equal, variables.memory, state.memory)
    np.testing.assert_array_equal(history["critic/loss"][2:], metrics["critic/loss"])
    assert all(values.shape == (4,) for values in history.values())


def test_fit_refuses_a_part_of_a_dispatch():
    with pytest.raises(UserError, match="multiple of steps_per_call=2"):
        fit(two_player_system(), ArrayLoader(4), steps=5, steps_per_call=2)
