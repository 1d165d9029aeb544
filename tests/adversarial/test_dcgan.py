"""DCGAN against the paper's guidelines, written out once more with jax.lax, and its sizes against published ones."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend.core import jaxprs_in_params

from genjax.adversarial import DCGANDiscriminator, DCGANGenerator, dcgan

SHAPES = {(8, 8, 1): (3, 4), (28, 28, 1): (3, 5), (32, 32, 3): (2, 3, 4)}
NHWC = ("NHWC", "HWIO", "NHWC")


def trained(module, inputs):
    """Return variables of a module, numpy arrays, drawn anew so that no zero or one hides a mistake."""
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), inputs, train=True))

    def draw(path, leaf):
        positive = path[-1].key == "var"
        drawn = 0.5 + rng.random(leaf.shape) if positive else 0.3 * rng.normal(size=leaf.shape)
        return drawn.astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def by_running_statistics(variables, index):
    norm, stats = (variables[name][f"BatchNorm_{index}"]["norm"] for name in ("params", "batch_stats"))
    scale = norm["scale"] / np.sqrt(stats["var"] + np.float32(1e-5))
    return lambda x: (x - stats["mean"][None, None, None]) * scale[None, None, None] + norm["bias"][None, None, None]


@pytest.mark.parametrize("shape", SHAPES)
def test_generator_is_what_the_paper_says(shape):
    """Project and reshape, batch norm, ReLU; fractionally-strided convolutions likewise; tanh, without a norm."""
    features = SHAPES[shape]
    module = DCGANGenerator(shape, features)
    z = np.random.default_rng(2).normal(size=(4, 6)).astype(np.float32)
    variables = trained(module, z)
    layers = [variables["params"][f"ConvTranspose_{i}"] for i in range(len(features) + 1)]
    assert [sorted(layer) for layer in layers] == [["kernel"]] * len(features) + [["bias", "kernel"]]
    assert sum(name.startswith("BatchNorm") for name in variables["params"]) == len(features)

    kernel = layers[0]["kernel"]  # [base, base, L, F]; a transposed convolution turns it by 180 degrees
    x = np.einsum("bl,hwlf->bhwf", z, kernel[::-1, ::-1])

    @jax.jit
    def rest(x):
        for index, layer in enumerate(layers[1:]):
            x = jnp.maximum(by_running_statistics(variables, index)(x), 0)
            x = lax.conv_transpose(x, layer["kernel"], (2, 2), "SAME")
        return jnp.tanh(x + layers[-1]["bias"][None, None, None])

    expected = np.asarray(rest(x))
    found = jax.jit(partial(module.apply, train=False))(variables, z)
    assert found.shape == (4, *shape) and np.abs(expected).max() > 0.3
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_discriminator_is_what_the_paper_says(shape):
    """Strided convolutions; LeakyReLU of slope 0.2; batch norm but on the first; one convolution to the score."""
    features = SHAPES[shape]
    module = DCGANDiscriminator(features)
    x = np.random.default_rng(2).uniform(-1, 1, (4, *shape)).astype(np.float32)
    variables = trained(module, x)
    layers = [variables["params"][f"Conv_{i}"] for i in range(len(features) + 1)]
    bare = [["bias", "kernel"]]
    assert [sorted(layer) for layer in layers] == bare + [["kernel"]] * (len(features) - 1) + bare
    assert sum(name.startswith("BatchNorm") for name in variables["params"]) == len(features) - 1

    found = jax.jit(partial(module.apply, train=False))(variables, x)

    @jax.jit
    def but_the_last(x):
        for index, layer in enumerate(layers[:-1]):
            x = lax.conv_general_dilated(x, layer["kernel"], (2, 2), "SAME", dimension_numbers=NHWC)
            if index == 0:
                x = x + layer["bias"][None, None, None]
            else:
                x = by_running_statistics(variables, index - 1)(x)
            x = jnp.where(x > 0, x, 0.2 * x)
        return x

    x = np.asarray(but_the_last(x))
    expected = np.einsum("bhwc,hwcf->bf", x, layers[-1]["kernel"])[:, 0] + layers[-1]["bias"]
    assert found.shape == (4,)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def count(module, *inputs):
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, train=True))
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def test_number_of_parameters_at_the_size_of_the_paper():
    """64 x 64 x 3, latent 100, features 64..512, kernels 4: 3,576,704 and 2,765,568 in the DCGAN tutorial of PyTorch.

    That one has no bias anywhere; here the layers that no normalization follows have one: 3, and 64 + 1.
    """
    features = (64, 128, 256, 512)
    assert count(DCGANGenerator((64, 64, 3), features), np.zeros((1, 100), np.float32)) == 3_576_704 + 3
    assert count(DCGANDiscriminator(features), np.zeros((1, 64, 64, 3), np.float32)) == 2_765_568 + 64 + 1


@pytest.mark.parametrize("shape", SHAPES)
def test_number_of_parameters(shape):
    side, _, channels = shape
    features, base, latent, k = SHAPES[shape], side // 2 ** len(SHAPES[shape]), 6, 4
    inner = sum(k * k * a * b for a, b in zip(features, features[1:]))
    generator = base**2 * latent * features[-1] + inner + 2 * sum(features) + (k * k * features[0] + 1) * channels
    discriminator = (k * k * channels + 1) * features[0] + inner + 2 * sum(features[1:]) + base**2 * features[-1] + 1
    assert count(DCGANGenerator(shape, features), np.zeros((1, latent), np.float32)) == generator
    assert count(DCGANDiscriminator(features), np.zeros((1, *shape), np.float32)) == discriminator


def primitives(jaxpr):
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for inner in jaxprs_in_params(equation.params):
            yield from primitives(inner)


def test_no_pooling_and_no_dense_layer():
    model = dcgan((8, 8, 1), latent_dim=4, generator_features=(3, 4), discriminator_features=(3, 4))
    batch = {"x": np.zeros((2, 8, 8, 1), np.float32)}
    variables = jax.eval_shape(model.init, jax.random.key(0), batch)
    for update in model.updates:
        names = set(primitives(jax.make_jaxpr(update.loss)(variables, batch, jax.random.key(0), 0).jaxpr))
        assert not {name for name in names if "reduce_window" in name or "select_and" in name or "sort" in name}
    kernels = [leaf for leaf in jax.tree.leaves(variables.params) if len(leaf.shape) > 1]
    assert len(kernels) == 6 and all(len(kernel.shape) == 4 for kernel in kernels)  # a dense kernel is a matrix


def test_samples_are_within_tanh_and_weights_as_initialized():
    model = dcgan((8, 8, 1), latent_dim=50, generator_features=(32, 64), discriminator_features=(32, 64))
    variables = jax.jit(model.init)(jax.random.key(0), {"x": np.zeros((2, 8, 8, 1), np.float32)})
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables.params):
        name = path[-1].key
        if name == "bias":
            assert not np.asarray(leaf).any()
        elif leaf.size > 50:  # the standard error of a standard deviation is std / sqrt(2 n)
            leaf = np.asarray(leaf)
            np.testing.assert_allclose(leaf.mean(), 1.0 if name == "scale" else 0.0, atol=5 * 0.02 / leaf.size**0.5)
            np.testing.assert_allclose(leaf.std(), 0.02, atol=5 * 0.02 / (2 * leaf.size) ** 0.5)
    loud = variables._replace(params=jax.tree.map(lambda p: 30 * np.asarray(p), variables.params))
    samples = np.asarray(jax.jit(model.sample, static_argnums=2)(loud, jax.random.key(1), 16))
    assert samples.shape == (16, 8, 8, 1) and 0.9 < np.abs(samples).max() <= 1


@pytest.mark.parametrize(
    "shape, features", [((10, 10, 1), (4, 4)), ((8, 4, 1), (4,)), ((8, 8, 1), (1, 1, 1, 1)), ((8, 8, 1), ())]
)
def test_sizes_that_cannot_be_halved_are_refused(shape, features):
    with pytest.raises(ValueError, match="cannot be halved"):
        start = partial(DCGANGenerator(shape, features).init, train=True)
        jax.eval_shape(start, jax.random.key(0), np.zeros((1, 3), np.float32))
