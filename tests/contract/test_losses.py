"""Every public pure loss: one value an example, each example's own, and a wrong rank refused with a sentence."""

import importlib
import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.contract.losses import BATCH, ELSEWHERE, LOSSES
from tests.test_package import FAMILIES

NAME = re.compile(r"_loss|_log_likelihood|_rate|_kl|_log_prob|^elbo|_bound|bound_|log_weights|_penalty|_energy|change_of")
each_loss = pytest.mark.parametrize("row", LOSSES, ids=[row.name for row in LOSSES])


@each_loss
def test_one_value_an_example_and_its_own(row):
    together = row.function(*row.arguments)
    for value in jax.tree.leaves(together):
        assert value.shape == (BATCH,) and value.dtype == jnp.float32
    one_by_one = jax.vmap(lambda arguments: row.function(*jax.tree.map(lambda x: x[None], arguments)))(row.arguments)
    turned = row.function(*jax.tree.map(lambda x: x[::-1], row.arguments))
    for value, alone, back in zip(*map(jax.tree.leaves, (together, one_by_one, turned))):
        np.testing.assert_allclose(value, alone[:, 0], rtol=2e-5, atol=1e-6)
        np.testing.assert_allclose(value, back[::-1], rtol=2e-5, atol=1e-6)
        assert len(np.unique(np.asarray(value))) == BATCH, "the examples of the table must differ"


@each_loss
def test_a_wrong_rank_is_refused_with_a_sentence(row):
    with pytest.raises((ValueError, AssertionError), match=r"rank|shape|\[B") as refused:
        row.function(*row.wrong)
    assert len(str(refused.value).split()) >= 5


def test_every_public_loss_is_in_the_table():
    named = {row.name for row in LOSSES} | set(ELSEWHERE)
    found = set()
    for family in sorted(FAMILIES):
        try:
            module = importlib.import_module(f"genjax.{family}")
        except ModuleNotFoundError as absent:
            assert absent.name == f"genjax.{family}"  # a family that is still to come
            continue
        found |= {name for name in module.__all__ if inspect.isfunction(getattr(module, name)) and NAME.search(name)}
    assert found - named == set(), "public losses without a row in tests/contract/losses.py"
    assert named - found == set(), "rows without a public loss"
