"""The masked network: who sees whom, by autodiff, for any ordering, width and depth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.nn.masked_dense import Degrees, MaskedDense, MaskedMLP, even_degrees, ordering_degrees, random_degrees

ORDERING = [2, 0, 3, 1, 4]


def randomized(network, *inputs):
    """Return random parameters, without the compilation of `init`."""
    random = np.random.default_rng(0)
    shapes = jax.eval_shape(network.init, jax.random.key(0), *inputs)
    return jax.tree.map(lambda leaf: (0.5 * random.normal(size=leaf.shape)).astype(leaf.dtype), shapes)


def sees(network, degrees, num_dims, condition=None):
    """Return [D, D] and [D, C]: whether any output of d depends on input d', on entry c of the condition."""
    x = np.random.default_rng(1).normal(size=num_dims).astype(np.float32)
    params = randomized(network, x[None], degrees, condition)

    def outputs(x, c):
        return network.apply(params, x[None], degrees, None if c is None else c[None])[0]

    used = lambda jacobian: np.abs(np.asarray(jacobian)).max(axis=1) > 0
    if condition is None:
        return used(jax.jit(jax.jacrev(outputs))(x, None)), None
    return tuple(used(jacobian) for jacobian in jax.jit(jax.jacrev(outputs, argnums=(0, 1)))(x, condition[0]))


def before(ordering):
    """Return [D, D]: entry (d, d') says that d' stands before d."""
    place = np.argsort(ordering)
    return place[None, :] < place[:, None]


# elu: no unit is flat, so that whatever the masks let through is seen.
@pytest.mark.parametrize("hidden", [(40,), (30, 40, 35)])
@pytest.mark.parametrize("direct", [False, True])
def test_outputs_see_exactly_what_stands_before(hidden, direct):
    network = MaskedMLP(hidden, outputs=2, activation=jax.nn.elu, direct=direct, mask_bias=True)
    seen, _ = sees(network, even_degrees(ORDERING, hidden), 5)
    np.testing.assert_array_equal(seen, before(ORDERING))


def test_drawn_degrees_keep_the_order():
    random = np.random.RandomState(0)
    for _ in range(3):
        ordering = random.permutation(6)
        degrees = random_degrees(random, ordering, (50, 50))
        seen, _ = sees(MaskedMLP((50, 50), activation=jax.nn.elu), degrees, 6)
        np.testing.assert_array_equal(seen, before(ordering))


@pytest.mark.parametrize("num_dims", [1, 4])
def test_every_output_sees_the_condition_and_not_only_linearly(num_dims):
    condition = np.ones((1, 3), np.float32)
    degrees = even_degrees(np.arange(num_dims), (30, 30), conditioned=True)
    network = MaskedMLP((30, 30), activation=jnp.tanh)
    seen, told = sees(network, degrees, num_dims, condition)
    np.testing.assert_array_equal(seen, before(np.arange(num_dims)))
    assert told.all()
    # The second derivative along the condition: nonzero for the first dimension too.
    x = np.zeros((1, num_dims), np.float32)
    params = randomized(network, x, degrees, condition)
    along = lambda s: network.apply(params, x, degrees, s * condition)[0, :, 0]
    bent = jax.jit(jax.jacfwd(jax.jacfwd(along)))(1.0)
    assert (np.abs(bent) > 1e-4).all()


def test_one_dimension_without_condition_is_a_constant():
    seen, _ = sees(MaskedMLP((7,)), even_degrees([0], (7,)), 1)
    assert not seen.any()


def test_degrees_may_be_traced():
    network, x = MaskedMLP((20,)), np.ones((2, 5), np.float32)
    sets = [even_degrees(ordering, (20,)) for ordering in (ORDERING, [0, 1, 2, 3, 4])]
    params = randomized(network, x, sets[0])
    traced = jax.jit(lambda degrees: network.apply(params, x, degrees))
    for degrees in sets:
        constant = jax.jit(lambda: network.apply(params, x, degrees))
        np.testing.assert_allclose(traced(degrees), constant(), rtol=1e-6)


def test_even_degrees_use_every_degree_about_equally():
    counts = np.bincount(even_degrees(np.arange(9), (80,)).hidden[0], minlength=9)
    assert counts[0] == 0 and (counts[1:] == 10).all()
    counts = np.bincount(even_degrees(np.arange(9), (90,), conditioned=True).hidden[0], minlength=9)
    assert (counts == 10).all()


def test_mask_bias_tells_the_masks_apart():
    layer, x = MaskedDense(3, mask_bias=True), np.zeros((1, 4), np.float32)
    full, half = np.ones((4, 3), bool), np.arange(12).reshape(4, 3) % 2 == 0
    shapes = jax.eval_shape(layer.init, jax.random.key(0), x, full)
    params = jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), shapes)
    apply = jax.jit(layer.apply)
    # x = 0, b = 1, U = 1: what is left is 1 + the number of inputs that a unit sees.
    np.testing.assert_array_equal(apply(params, x, full), [[5.0, 5.0, 5.0]])
    np.testing.assert_array_equal(apply(params, x, half), [[3.0, 3.0, 3.0]])


def test_bfloat16_is_computed_in():
    network = MaskedMLP((20,), direct=True, dtype=jnp.bfloat16)
    degrees = even_degrees(ORDERING, (20,), conditioned=True)
    x, condition = np.ones((2, 5), np.float32), np.ones((2, 3), np.float32)
    out, params = jax.eval_shape(lambda: network.init_with_output(jax.random.key(0), x, degrees, condition))
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    assert out.dtype == jnp.bfloat16


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: ordering_degrees([0, 2]), "is a permutation of 0..D-1"),
        (lambda: ordering_degrees([[0], [1]]), "is a permutation of 0..D-1"),
        (lambda: shapes(np.ones((2, 4)), even_degrees(ORDERING, (8,))), "these degrees mask"),
        (lambda: shapes(np.ones(5), even_degrees(ORDERING, (8,))), "these degrees mask"),
        (lambda: shapes(np.ones((2, 5)), even_degrees(ORDERING, (9,))), "hidden layers"),
        (lambda: shapes(np.ones((2, 5)), Degrees(ordering_degrees(ORDERING), ()), ()), "one hidden layer at least"),
        (
            lambda: jax.eval_shape(MaskedDense(3).init, jax.random.key(0), np.ones((2, 4)), np.ones((3, 4), bool)),
            "the mask has shape",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def shapes(x, degrees, hidden=(8,)):
    return jax.eval_shape(lambda x: MaskedMLP(hidden).init(jax.random.key(0), x, degrees), x)
