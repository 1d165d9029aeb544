"""MADE against the enumeration of all small pictures, autodiff, and the sampler that calls it D times."""

import functools

import jax
import numpy as np
import pytest
from scipy import special

from genjax.autoregressive import gaussian_mixture, made, mask_bank
from genjax.autoregressive.masks import units_by_degree
from tests.autoregressive.enumeration import all_states, chi_square_p, compiled, index_of, random_variables

SHAPE = (3, 3, 1)
FULL = dict(hidden=(12, 10), direct=True, mask_bias=True, num_masks=3, num_orderings=2)


@functools.cache
def small(shape=SHAPE, num_classes=0, seed=0, **settings):
    """Return a MADE whose weights are larger than at the start: conditionals far from even."""
    model = compiled(made(shape, num_classes=num_classes, mask_seed=seed, **(FULL | settings)))
    batch = {"x": np.zeros((2, *shape), np.float32), "label": np.zeros(2, np.int32)}
    return model, random_variables(model, batch, scale=0.9)


def pictures(num_dims=9, shape=SHAPE):
    return all_states(num_dims).reshape(-1, *shape)


def log_prob_under(model, variables, x, mask):
    """Return log p_m(x) in float64 by scipy from the model's outputs, [B]."""
    logits = np.asarray(model.methods["outputs"](variables, None, x, mask=mask), np.float64)[..., 0]
    signed = np.where(x == 1, logits, -logits)
    return special.log_expit(signed).reshape(len(x), -1).sum(axis=1)


@pytest.mark.parametrize("num_classes", [0, 3])
def test_probabilities_of_all_pictures_sum_to_one(num_classes):
    model, variables = small(num_classes=num_classes)
    batch = {"x": pictures(), "label": np.full(512, 2, np.int32)}
    p = np.exp(np.asarray(model.log_prob.fn(variables, None, batch), np.float64))
    np.testing.assert_allclose(p.sum(), 1.0, rtol=1e-5)
    assert p.max() > 20 / 512, "a model this even would pass without a network"


def test_the_model_is_the_mixture_of_its_masks_and_each_of_them_sums_to_one():
    model, variables = small()
    p = np.exp([log_prob_under(model, variables, pictures(), mask) for mask in range(3)])
    np.testing.assert_allclose(p.sum(axis=1), np.ones(3), rtol=1e-5)
    found = model.log_prob.fn(variables, None, {"x": pictures()})
    np.testing.assert_allclose(found, np.log(p.mean(axis=0)), rtol=1e-4, atol=1e-5)


@functools.cache
def jacobian_of_outputs():
    model, variables = small()
    outputs = lambda x, mask: model.methods["outputs"](variables, None, x[None], mask=mask)[0, ..., 0].reshape(9)
    return jax.jit(jax.jacrev(outputs))


@pytest.mark.parametrize("mask", [0, 1, 2])
def test_outputs_depend_on_what_stands_before_alone(mask):
    """Strictly triangular in the ordering; every entry below the diagonal is there when connections are direct."""
    _, variables = small()
    x = np.random.default_rng(3).normal(size=SHAPE).astype(np.float32)
    jacobian = np.asarray(jacobian_of_outputs()(x, mask)).reshape(9, 9)
    place = np.asarray(variables.state["degrees"]["inputs"][mask])
    np.testing.assert_array_equal(jacobian != 0, place[None, :] < place[:, None])


def test_the_bank_has_the_orderings_it_is_asked_for():
    bank = mask_bank(SHAPE, (40, 30), num_masks=4, num_orderings=2, seed=1)
    inputs, (first, second) = bank.degrees
    np.testing.assert_array_equal(inputs[0], np.arange(1, 10))
    np.testing.assert_array_equal(inputs[2], inputs[0])
    np.testing.assert_array_equal(inputs[3], inputs[1])
    assert np.any(inputs[1] != inputs[0]) and np.any(first[2] != first[0])
    for one, two, most in ((first, second, bank.largest),):
        assert most[0] == max(np.bincount(row).max() for row in one)
        assert (two.min(axis=1) >= one.min(axis=1)).all() and one.min() >= 1 and two.max() <= 8


def test_units_by_degree_lists_each_unit_once():
    degrees = np.random.RandomState(0).randint(0, 6, size=40)
    table = np.asarray(jax.jit(units_by_degree, static_argnums=(1, 2))(degrees.astype(np.int32), 6, 15))
    for degree, row in enumerate(table):
        np.testing.assert_array_equal(np.sort(row[row < 40]), np.flatnonzero(degrees == degree))


def test_training_goes_round_the_masks():
    model, variables = small()
    batch = {"x": pictures()[::5]}
    loss = jax.jit(lambda step: model.updates[0].loss(variables, batch, jax.random.key(0), step)[0])
    losses = [float(loss(step)) for step in range(6)]
    expected = [-log_prob_under(model, variables, batch["x"], mask).mean() for mask in range(3)]
    np.testing.assert_allclose(losses, 2 * expected, rtol=1e-5)
    assert len(np.unique(np.round(losses, 4))) == 3


@pytest.mark.parametrize("num_classes", [0, 3])
@pytest.mark.parametrize("settings", [{}, {"direct": False, "mask_bias": False, "hidden": (25,), "num_masks": 2}])
def test_samples_are_those_of_the_naive_sampler(num_classes, settings):
    model, variables = small(num_classes=num_classes, **settings)
    condition = np.arange(64, dtype=np.int32) % 3 if num_classes else None
    fast = model.sample(variables, jax.random.key(2), 64, condition=condition)
    slow = model.methods["sample_naive"](variables, jax.random.key(2), 64, condition=condition)
    np.testing.assert_array_equal(fast, slow)
    assert len(np.unique(index_of(fast))) > 4


def test_real_valued_samples_are_those_of_the_naive_sampler():
    model, _ = small((5,), conditional=gaussian_mixture(2))
    # Untrained: tame standard deviations.
    variables = model.init(jax.random.key(0), {"x": np.zeros((1, 5), np.float32)})
    fast = model.sample(variables, jax.random.key(2), 20)
    slow = model.methods["sample_naive"](variables, jax.random.key(2), 20)
    np.testing.assert_allclose(fast, slow, rtol=1e-3, atol=1e-4)


def test_samples_have_the_probabilities_of_the_likelihood():
    model, variables = small((2, 2, 1))
    p = np.exp(model.log_prob.fn(variables, None, {"x": pictures(4, (2, 2, 1))}))
    drawn = model.sample(variables, jax.random.key(4), 20_000)
    assert chi_square_p(np.bincount(index_of(drawn), minlength=16), p) > 1e-3


def test_completion_of_what_comes_first_is_exact_for_the_mixture():
    """Three masks of raster order; the first two of four are known: p(x_2, x_3 | x_0, x_1) of the mixture."""
    model, variables = small((2, 2, 1), num_orderings=1)
    states = pictures(4, (2, 2, 1))
    by_mask = np.exp([log_prob_under(model, variables, states, mask) for mask in range(3)])
    x = np.tile(np.float32([1.0, 0.0, 9.0, 9.0]).reshape(1, 2, 2, 1), (20_000, 1, 1, 1))
    known = np.array([True, True, False, False]).reshape(2, 2, 1)
    drawn = model.methods["complete"](variables, jax.random.key(5), x, known)
    agrees = (states[:, known] == x[:1, known]).all(axis=1)
    counts = np.bincount(index_of(drawn), minlength=16)
    assert chi_square_p(counts, np.where(agrees, by_mask.mean(axis=0), 0)) > 1e-3
    # The masks disagree about the known half, so a mask taken at random would not do.
    conditional = by_mask[:, agrees] / by_mask[:, agrees].sum(axis=1, keepdims=True)
    wrong = np.zeros(16)
    wrong[agrees] = conditional.mean(axis=0)
    assert chi_square_p(counts, wrong) < 1e-3


def test_conditions_are_kept_with_their_examples():
    """Every class has an output bias that decides all pixels: each example must come out as its own class says."""
    model, variables = small((2, 2, 1), num_classes=2)
    params = jax.tree.map(np.zeros_like, variables.params)
    params["made"]["condition_output"]["kernel"] = np.float32([[-50.0] * 4, [50.0] * 4])
    condition = np.random.default_rng(0).integers(0, 2, 25, np.int32)
    drawn = model.sample(variables._replace(params=params), jax.random.key(1), 25, condition=condition)
    np.testing.assert_array_equal(np.asarray(drawn).reshape(25, 4), np.repeat(condition[:, None], 4, axis=1))


@pytest.mark.parametrize("masks, orderings", [(1, 2), (0, 0)])
def test_a_bank_that_cannot_be_is_refused(masks, orderings):
    with pytest.raises(ValueError, match="1 <= orderings <= masks"):
        made(SHAPE, hidden=(4,), num_masks=masks, num_orderings=orderings)
