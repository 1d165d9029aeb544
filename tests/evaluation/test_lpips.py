"""LPIPS against SciPy's correlations written out, the file format, and the classifier's stand-in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from genjax.errors import UserError
from genjax.evaluation import lpips
from genjax.evaluation.features import DIGITS

LAYERS = [index for block in lpips.BLOCKS for index in block]
WIDTHS = [3, 2, 3, 4, 2, 3, 4, 2, 3, 3, 2, 4, 3, 2]  # of a VGG16 that is as deep as the real one and very thin


def arrays():
    random = np.random.default_rng(0)
    found = {}
    for layer, inputs, outputs in zip(LAYERS, WIDTHS, WIDTHS[1:]):
        found[f"features.{layer}.weight"] = random.normal(0, 0.6, (outputs, inputs, 3, 3)).astype(np.float32)
        found[f"features.{layer}.bias"] = random.normal(0.2, 0.2, outputs).astype(np.float32)
    ends = [WIDTHS[1 + LAYERS.index(block[-1])] for block in lpips.BLOCKS]
    for index, width in enumerate(ends):
        found[f"lin{index}.model.1.weight"] = random.uniform(0, 1, (1, width, 1, 1)).astype(np.float32)
    return found


def by_hand(found, x, y):
    """The metric of one pair of pictures [3, H, W] in [-1, 1], channels first, float64."""
    total, sides = 0.0, []
    for picture in (x, y):
        shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
        h, ends = (picture - shift[:, None, None]) / scale[:, None, None], []
        for layer in range(30):
            if layer in (4, 9, 16, 23):  # torchvision's MaxPool2d(2, 2)
                h = h[:, : h.shape[1] // 2 * 2, : h.shape[2] // 2 * 2]
                h = np.max([h[:, i::2, j::2] for i in (0, 1) for j in (0, 1)], axis=0)
            elif layer in LAYERS:
                kernel, bias = found[f"features.{layer}.weight"], found[f"features.{layer}.bias"]
                correlated = [sum(scipy.signal.correlate2d(a, k, "same") for a, k in zip(h, ks)) for ks in kernel]
                h = np.maximum(np.stack(correlated) + bias[:, None, None], 0.0)
            if layer in (2, 7, 14, 21, 28):
                ends.append(h)
        sides.append(ends)
    for index, (one, other) in enumerate(zip(*sides)):
        unit = lambda f: f / (np.sqrt((f**2).sum(axis=0, keepdims=True)) + 1e-10)
        weight = found[f"lin{index}.model.1.weight"].reshape(-1, 1, 1)
        total += (weight * (unit(one) - unit(other)) ** 2).sum(axis=0).mean()
    return total


def test_it_is_the_published_formula_from_the_published_names(tmp_path):
    found = arrays()
    np.savez(tmp_path / "w.npz", **found)
    weights = lpips.load_lpips_weights(tmp_path / "w.npz")
    x, y = np.random.default_rng(1).uniform(-1, 1, (2, 2, 18, 17, 3)).astype(np.float32)
    distance = jax.jit(lpips.lpips)(weights, x, y)
    wanted = [by_hand(found, a.transpose(2, 0, 1), b.transpose(2, 0, 1)) for a, b in zip(x, y)]
    assert min(wanted) > 0.01
    np.testing.assert_allclose(distance, wanted, rtol=1e-4)
    grey = jax.jit(lpips.lpips)(weights, x[..., :1], y[..., :1])
    repeated = jax.jit(lpips.lpips)(weights, np.repeat(x[..., :1], 3, -1), np.repeat(y[..., :1], 3, -1))
    np.testing.assert_allclose(grey, repeated, rtol=1e-6)


def test_files_that_do_not_hold_it_are_refused(tmp_path):
    with pytest.raises(UserError, match="no file"):
        lpips.load_lpips_weights(tmp_path / "nowhere.npz")
    found = arrays()
    del found["features.5.bias"]
    np.savez(tmp_path / "w.npz", **found)
    with pytest.raises(UserError, match="features.5.bias"):
        lpips.load_lpips_weights(tmp_path / "w.npz")


def test_the_classifiers_layers_are_those_it_classifies_by():
    """From the last layer listed follow the classifier's own features."""
    recipe = DIGITS._replace(channels=(3, 4), num_features=5)
    params = jax.jit(lambda: lpips.untrained_classifier(recipe, jax.random.key(0)))()
    x = np.random.default_rng(1).uniform(size=(4, 8, 8, 1)).astype(np.float32)
    layers = jax.jit(lambda x: lpips.classifier_layers(recipe, params, x))(x)
    assert [layer.shape for layer in layers] == [(4, 8, 8, 3), (4, 4, 4, 4), (4, 5)]
    network = lpips.Network(recipe.channels, recipe.num_features, recipe.num_classes, recipe.dropout)
    features, _ = jax.jit(lambda x: network.apply({"params": params}, x, train=False))(x)
    np.testing.assert_allclose(layers[-1], features, rtol=1e-5, atol=1e-6)
    distance = jax.jit(lambda a, b: lpips.classifier_distance(recipe, params, a, b))
    np.testing.assert_allclose(distance(x, x), 0.0, atol=1e-6)
    assert (np.asarray(distance(x, x[::-1])) > 1e-3).all()
    assert np.isfinite(jax.jit(jax.grad(lambda a: jnp.sum(distance(a, x))))(np.zeros_like(x))).all()


def test_pictures_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="same"):
        lpips.classifier_distance(DIGITS, {}, np.zeros((2, 8, 8, 1)), np.zeros((2, 8, 8)))
    weights = lpips.LpipsWeights((), (), ())
    with pytest.raises(ValueError, match="at least 16"):
        lpips.lpips(weights, np.zeros((2, 8, 8, 1)), np.zeros((2, 8, 8, 1)))
