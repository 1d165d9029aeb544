"""The conditional networks against the paper's section 4.1 written out in numpy, and a game that learns its classes."""

from functools import partial

import jax
import numpy as np
import optax
import pytest

from genjax.adversarial import CGANDiscriminator, CGANGenerator, Widths, cgan
from genjax.training.state import init_state, variables_of
from genjax.training.step import StepOptions, make_step
from genjax.training.system import System

KEY = jax.random.key(0)
LABEL = np.array([2, 0, 1, 2])


def drawn(module, *inputs):
    """Return parameters drawn anew, float64, so that no zero hides a mistake."""
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(lambda: module.init(KEY, *inputs, train=False))["params"]
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), shapes)


def single(params):
    return {"params": jax.tree.map(lambda p: p.astype(np.float32), params)}


def dense(params, x):
    return x @ params["kernel"] + params["bias"]


def test_generator_is_section_4_1():
    module = CGANGenerator((2, 2, 1), 3, Widths(5, 4, 6))
    z = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    params = drawn(module, z, LABEL)
    of_latent = np.maximum(dense(params["latent"], z), 0)
    of_label = np.maximum(params["label"]["kernel"][LABEL] + params["label"]["bias"], 0)
    joint = np.maximum(dense(params["joint"], np.hstack([of_latent, of_label])), 0)
    expected = np.tanh(dense(params["out"], joint)).reshape(4, 2, 2, 1)
    found = jax.jit(partial(module.apply, train=False))(single(params), z, LABEL)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def maxout(params, x, units, pieces):
    linear = dense(params["Dense_0"], x)
    return np.stack([linear[:, u * pieces : (u + 1) * pieces].max(axis=1) for u in range(units)], axis=1)


def test_discriminator_is_section_4_1():
    module = CGANDiscriminator(3, Widths(4, 3, 5), Widths(3, 2, 4))
    x = np.random.default_rng(0).normal(size=(4, 2, 2, 1)).astype(np.float32)
    params = drawn(module, x, LABEL)
    of_input = maxout(params["input"], x.reshape(4, -1), 4, 3)
    of_label = maxout(params["label"], np.eye(3)[LABEL], 3, 2)
    joint = maxout(params["joint"], np.hstack([of_input, of_label]), 5, 4)
    found = jax.jit(partial(module.apply, train=False))(single(params), x, LABEL)
    np.testing.assert_allclose(found, dense(params["out"], joint)[:, 0], rtol=1e-4)


@pytest.mark.parametrize("module", [CGANDiscriminator(3, Widths(4, 3, 5)), CGANGenerator((4,), 3, Widths(4, 3, 5))])
def test_dropout_is_for_training_alone(module):
    x = np.ones((4, 4), np.float32)
    variables = jax.jit(partial(module.init, train=False))(KEY, x, LABEL)
    run = jax.jit(lambda key: module.apply(variables, x, LABEL, train=True, rngs={"dropout": key}))
    one, other = (np.asarray(run(jax.random.key(seed))) for seed in (1, 2))
    assert np.abs(one - other).max() > 1e-4
    still = jax.jit(lambda key: module.apply(variables, x, LABEL, train=False, rngs={"dropout": key}))
    np.testing.assert_array_equal(*(still(jax.random.key(seed)) for seed in (1, 2)))


def test_the_classes_are_learned():
    """Class c lies at +0.6 or -0.6: samples end up on the side of the class they are asked for, close to its mean."""
    options = {"generator_widths": Widths(8, 8, 16), "discriminator_widths": Widths(16, 8, 16)}
    dropout = {"generator_dropout": 0.0, "discriminator_dropout": 0.0}
    model = cgan((1,), num_classes=2, latent_dim=2, **options, **dropout)
    system = System(model, {name: optax.adam(3e-3, b1=0.5) for name in ("generator", "discriminator")})
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, size=(400, 1, 64)).astype(np.int32)
    x = (1.2 * label - 0.6)[..., None] + 0.1 * rng.normal(size=(*label.shape, 1))
    batches = {"x": x.astype(np.float32), "label": label}
    seed = np.asarray(jax.random.key_data(KEY))
    first = {name: value[0, 0] for name, value in batches.items()}
    state = jax.jit(partial(init_state, system, True))(seed, first, {})
    state, _ = jax.jit(make_step(system, StepOptions(ema_decay=0.98)))(state, batches)
    wanted = np.arange(200, dtype=np.int32) % 2
    sample = jax.jit(model.sample, static_argnums=2)
    samples = np.asarray(sample(variables_of(state), KEY, 200, condition=wanted))[:, 0]
    means = np.array([samples[wanted == c].mean() for c in (0, 1)])
    np.testing.assert_allclose(means, [-0.6, 0.6], atol=0.15)
    assert np.all((samples > 0) == (wanted == 1))
