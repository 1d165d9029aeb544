"""NADE against the enumeration of all small pictures, autodiff, and the sampler that calls it D times."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from genjax.autoregressive import bernoulli, draw_uniforms, hidden_start, init_weights, nade, nade_log_prob, scan_sample
from tests.autoregressive.enumeration import all_states, chi_square_p, compiled, index_of, random_variables

SHAPE = (3, 3, 1)
ORDERING = np.random.RandomState(0).permutation(9)
BATCH = {"x": np.zeros((2, *SHAPE), np.float32), "label": np.zeros(2, np.int32)}


@functools.cache
def small(ordering=None, num_classes=0, activation=jax.nn.sigmoid, shape=SHAPE):
    """Return a NADE whose weights are large: conditionals far from even."""
    order = None if ordering is None else np.array(ordering)
    model = compiled(nade(shape, hidden=7, ordering=order, num_classes=num_classes, activation=activation))
    batch = {"x": np.zeros((2, *shape), np.float32), "label": np.zeros(2, np.int32)}
    return model, random_variables(model, batch, scale=1.0)


def pictures(num_dims=9, shape=SHAPE):
    return all_states(num_dims).reshape(-1, *shape)


@pytest.mark.parametrize("ordering", [None, tuple(ORDERING)])
def test_probabilities_of_all_pictures_sum_to_one(ordering):
    model, variables = small(ordering)
    p = np.exp(np.asarray(model.log_prob.fn(variables, None, {"x": pictures()}), np.float64))
    np.testing.assert_allclose(p.sum(), 1.0, rtol=1e-5)
    assert p.max() > 20 / 512, "a model this even would pass without a network"


def test_a_conditional_model_sums_to_one_for_each_class():
    model, variables = small(num_classes=3)
    x = pictures()
    scored = model.log_prob.fn
    found = [np.asarray(scored(variables, None, {"x": x, "label": np.full(512, k, np.int32)})) for k in range(3)]
    np.testing.assert_allclose(np.exp(found).sum(axis=1), np.ones(3), rtol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 0.1 and np.abs(found[1] - found[2]).max() > 0.1


@pytest.mark.parametrize("ordering", [None, tuple(ORDERING)])
def test_outputs_see_exactly_what_stands_before(ordering):
    model, variables = small(ordering)
    x = np.random.default_rng(3).normal(size=SHAPE).astype(np.float32)
    outputs = lambda x: model.methods["outputs"](variables, None, x[None])[0, ..., 0].reshape(9)
    jacobian = np.asarray(jax.jit(jax.jacrev(outputs))(x)).reshape(9, 9)
    place = np.argsort(np.arange(9) if ordering is None else ordering)
    np.testing.assert_array_equal(jacobian != 0, place[None, :] < place[:, None])


def test_the_likelihood_is_the_product_of_the_sampled_conditionals():
    @jax.jit
    def drawn(order):
        nothing = {"x": jnp.zeros((50, 9)), "known": jnp.zeros((50, 9), bool)}
        weights = init_weights(jax.random.key(0), num_dims=9, hidden=7, outputs=1)
        uniforms, start = draw_uniforms(jax.random.key(1), (50, 9, 1)), hidden_start(weights, 50, None)
        samples, outputs = scan_sample(uniforms, start, weights, order, draw=bernoulli().draw, **nothing)
        return samples, outputs, nade_log_prob(samples, weights, order)

    samples, outputs, nats = (np.asarray(array, np.float64) for array in drawn(ORDERING.astype(np.int32)))
    p = special.expit(outputs[..., 0])
    product = np.prod(np.where(samples == 1, p, 1 - p), axis=1)
    np.testing.assert_allclose(nats, np.log(product), rtol=1e-4)


@pytest.mark.parametrize("num_classes", [0, 3])
@pytest.mark.parametrize("activation", [jax.nn.sigmoid, jax.nn.relu])
def test_samples_are_those_of_the_naive_sampler(num_classes, activation):
    model, variables = small(tuple(ORDERING), num_classes, activation)
    condition = np.arange(64, dtype=np.int32) % 3 if num_classes else None
    run = lambda sampler: sampler(variables, jax.random.key(2), 64, condition=condition)
    fast, slow = run(model.sample), run(model.methods["sample_naive"])
    np.testing.assert_array_equal(fast, slow)
    assert len(np.unique(index_of(fast))) > 4


def test_samples_have_the_probabilities_of_the_likelihood():
    model, variables = small((3, 1, 0, 2), shape=(2, 2, 1))
    p = np.exp(model.log_prob.fn(variables, None, {"x": pictures(4, (2, 2, 1))}))
    drawn = model.sample(variables, jax.random.key(4), 20_000)
    assert chi_square_p(np.bincount(index_of(drawn), minlength=16), p) > 1e-3


def test_completion_is_a_draw_given_what_is_known():
    """Known: the first two in the ordering, dimensions 3 and 1. Their completions follow p(x_0, x_2 | x_1, x_3)."""
    model, variables = small((3, 1, 0, 2), shape=(2, 2, 1))
    states = pictures(4, (2, 2, 1))
    p = np.exp(model.log_prob.fn(variables, None, {"x": states}))
    x = np.tile(np.float32([9.0, 1.0, 9.0, 0.0]).reshape(1, 2, 2, 1), (20_000, 1, 1, 1))
    known = np.array([False, True, False, True]).reshape(2, 2, 1)
    drawn = np.asarray(model.methods["complete"](variables, jax.random.key(5), x, known))
    np.testing.assert_array_equal(drawn[:, known], x[:, known])
    agrees = (states[:, known] == x[:1, known]).all(axis=1)
    assert chi_square_p(np.bincount(index_of(drawn), minlength=16), np.where(agrees, p, 0)) > 1e-3


def test_everything_known_is_left_as_it_is():
    model, variables = small()
    x = pictures()[::37]
    known = np.ones(x.shape, bool)
    np.testing.assert_array_equal(model.methods["complete"](variables, jax.random.key(0), x, known), x)


def test_gradients_are_those_of_finite_differences():
    """The scan recomputes hidden layers in its backward pass: its gradient against central differences in float64."""
    with jax.enable_x64(True):
        weights = jax.jit(lambda key: init_weights(key, num_dims=5, hidden=4, outputs=1))(jax.random.key(0))
        weights = jax.tree.map(lambda w: np.asarray(w, np.float64), weights)
        x, order = all_states(5)[[3, 12, 29]].astype(np.float64), np.array([1, 0, 2, 4, 3])
        loss = jax.jit(lambda w: jnp.sum(nade_log_prob(x, w, order, dtype=jnp.float64)))
        gradient = jax.jit(jax.grad(loss))(weights)
        direction = jax.tree.map(lambda w: np.cos(np.arange(w.size)).reshape(w.shape), weights)
        moved = lambda s: float(loss(jax.tree.map(lambda w, d: w + s * d, weights, direction)))
        products = jax.tree.map(lambda g, d: np.sum(np.asarray(g) * d), gradient, direction)
        along = sum(jax.tree.leaves(products))
        # The error of a central difference is of the order of the step squared.
        np.testing.assert_allclose(along, (moved(1e-5) - moved(-1e-5)) / 2e-5, rtol=1e-8)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda m, v: nade(SHAPE, hidden=3, ordering=[0, 0, 1]), "is a permutation"),
        (lambda m, v: nade(SHAPE, hidden=3, ordering=[0, 2, 1]), "x of shape .* has 9"),
        (lambda m, v: m.sample(v, jax.random.key(0), 2, condition=np.zeros(2, int)), "takes no condition"),
        (lambda m, v: m.methods["complete"](v, jax.random.key(0), BATCH["x"], np.ones(SHAPE)), "known has dtype"),
        (lambda m, v: m.methods["complete"](v, jax.random.key(0), BATCH["x"], np.ones(9, bool)), "known has shape"),
        (lambda m, v: m.log_prob.fn(v, None, {"x": np.zeros((2, *SHAPE), np.uint8)}), "floating"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(*small())


@pytest.mark.parametrize("condition", [None, np.zeros(3, np.int32), np.zeros(2, np.float32)])
def test_a_conditional_model_asks_for_labels(condition):
    model, variables = small(num_classes=3)
    with pytest.raises(ValueError, match="condition"):
        model.sample(variables, jax.random.key(0), 2, condition=condition)
