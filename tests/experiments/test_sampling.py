"""Options of samplers by name: what is taken, what is refused, and that they reach the sampler past a preview."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import assemble
from genjax.contract import GenerativeModel, Variables
from genjax.errors import UserError
from genjax.training.system import System, draw


def sample(scale, variables, key, num_samples, *, condition=None, psi=1.0, stretch=1):
    return jnp.full((num_samples * stretch,), scale * psi) + condition


def test_options_are_numbers_of_the_sampler():
    bound = partial(sample, 2.0)
    assert assemble.sampler_options(bound, ["psi=0.5", "stretch=3"]) == {"psi": 0.5, "stretch": 3}
    assert isinstance(assemble.sampler_options(bound, ["stretch=3"])["stretch"], int)  # what changes shapes is whole
    assert assemble.sampler_options(bound, []) == {}
    mistakes = {"truncation=1": "'truncation'; it has psi, stretch", "condition=1": "'condition'", "psi=x": "psi=0.5"}
    for wrong, told in mistakes.items():
        with pytest.raises(UserError, match=told):
            assemble.sampler_options(bound, [wrong])
    with pytest.raises(UserError, match="it has none"):
        assemble.sampler_options(lambda variables, key, num_samples, *, condition=None: 0, ["psi=1"])


def test_options_reach_the_sampler_and_a_preview_gives_way():
    model = GenerativeModel(None, (), partial(sample, 2.0))
    condition, preview = lambda key, num: jnp.ones(()), lambda variables, key, num: jnp.zeros(num)
    system = System(model, {}, preview=preview, condition=condition)
    drawn = lambda **options: np.asarray(draw(system, Variables({}), jax.random.key(0), 2, **options))
    np.testing.assert_array_equal(drawn(), [0, 0])
    np.testing.assert_array_equal(drawn(psi=0.5), [2, 2])
    np.testing.assert_array_equal(drawn(stretch=2), [3, 3, 3, 3])
