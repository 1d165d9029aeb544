"""What every model of pictures pixel by pixel is checked for; each network brings its own reach."""

import itertools

import jax
import numpy as np


def filled(shapes, seed=0, scale=1.5):
    """Return random numbers of some shapes, kernels about `scale` over the root of their fan-in.

    Nothing starts at zero here, as some kernels and all biases do in training, so that nothing is hidden by it.
    """
    rng = np.random.default_rng(seed)
    width = lambda shape: scale / np.sqrt(np.prod(shape[-3:-1])) if len(shape) > 1 else 0.3
    return jax.tree.map(lambda leaf: (rng.normal(size=leaf.shape) * width(leaf.shape)).astype(np.float32), shapes)


def random_params(network, s, condition=None):
    """Return random parameters of a network."""
    return filled(jax.eval_shape(lambda: network.init(jax.random.key(0), s, condition, mutable=["params"]))["params"])


def random_variables(model, batch):
    """Return random variables of a model."""
    return filled(jax.eval_shape(model.init, jax.random.key(0), batch))


def dependence(network, shape, inputs=6, condition=None):
    """Return which output depends on which input, bool [H, W, n, H, W, C], by automatic differentiation.

    An exact zero in the Jacobian at every one of some random pictures is no dependence.
    """
    params = random_params(network, np.zeros((1, *shape), np.float32), condition)
    output = lambda s: network.apply({"params": params}, s[None], condition)[0]
    pictures = np.random.default_rng(7).uniform(-1.0, 1.0, (inputs, *shape)).astype(np.float32)
    jacobians = jax.jit(lambda pictures: jax.lax.map(jax.jacfwd(output), pictures))(pictures)
    return np.any(np.asarray(jacobians) != 0, axis=0)


def expected(shape, num_outputs, sees, colours):
    """Return the dependence that a network should have.

    Args:
        shape: (H, W, C).
        num_outputs: n, in equal parts to the colours.
        sees: (rows up, columns to the right) -> whether an earlier pixel is within reach.
        colours: (own, other) -> whether an output sees a colour of its own pixel.
    """
    height, width, channels = shape
    seen = np.zeros((height, width, num_outputs, height, width, channels), bool)
    for i, j, k, l in itertools.product(range(height), range(width), range(height), range(width)):
        if (k, l) < (i, j):
            seen[i, j, :, k, l, :] = sees(i - k, l - j)
    for n, c in itertools.product(range(num_outputs), range(channels)):
        for i, j in itertools.product(range(height), range(width)):
            seen[i, j, n, i, j, c] = colours(n * channels // num_outputs, c)
    return seen


def assert_sums_to_one(model, levels, shape):
    """Sum p(x) over every picture of a shape, under random parameters."""
    size = int(np.prod(shape))
    pictures = np.array(list(itertools.product(range(levels), repeat=size)), np.uint8).reshape(-1, *shape)
    variables = random_variables(model, {"x": pictures[:2]})
    nats = jax.jit(model.log_prob.fn)(variables, jax.random.key(1), {"x": pictures})
    probabilities = np.exp(np.asarray(nats, np.float64))
    assert probabilities.max() > 4 * probabilities.min()  # not merely uniform
    np.testing.assert_allclose(probabilities.sum(), 1.0, rtol=2e-5)


def assert_incremental_is_naive(model, shape, levels, num=3, condition=None, batch=None):
    """Draw from one key by remembering and by whole evaluations, and complete pictures."""
    given = np.random.default_rng(5).integers(0, levels, (num, *shape), np.uint8)
    variables = random_variables(model, {"x": given, **(batch or {})})
    complete = jax.jit(model.methods["complete"])
    slow = jax.jit(model.methods["sample_naive"], static_argnums=2)(
        variables, jax.random.key(1), num, condition=condition
    )
    known = np.zeros(shape, bool)
    fast = complete(variables, jax.random.key(1), given, known, condition=condition)  # with nothing known, sampling
    fast = np.asarray(fast)
    np.testing.assert_array_equal(fast, slow)
    assert fast.dtype == np.uint8 and len(np.unique(fast)) > 1

    top = shape[0] // 2
    known[:top] = True
    completed = lambda x: np.asarray(complete(variables, jax.random.key(1), x, known, condition=condition))
    other, own = completed(given), completed(fast)
    np.testing.assert_array_equal(other[:, :top], given[:, :top])
    # Given what the model itself drew above, it goes on as it did, from the same uniform numbers; else differently.
    np.testing.assert_array_equal(own, fast)
    assert np.any(other[:, top:] != own[:, top:])
