"""Perceptual distance: LPIPS with weights that a user supplies, and its stand-in by a classifier trained here.

LPIPS (Zhang et al. 2018, arXiv:1801.03924, eq. 1) compares pictures in layers f^l of a network, each place's vector of
features scaled to length one, u^l = f^l / |f^l|:

    d(x, y) = sum_l  mean over places  sum_c w^l_c (u^l_c(x) - u^l_c(y))^2

`lpips` is the published metric: VGG16 up to relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3, and learned weights w. Its
arrays are read from an .npz file by `load_lpips_weights`, under the names that torchvision's `vgg16` and the `lpips`
package (`lpips.LPIPS(net="vgg")`) give them in their state dictionaries:

    features.<i>.weight [O, I, 3, 3], features.<i>.bias [O]    i = 0 2 5 7 10 12 14 17 19 21 24 26 28
    lin<l>.model.1.weight [1, C, 1, 1]                         l = 0 ... 4

    numpy.savez("lpips_vgg.npz", **{name: value.numpy() for name, value in {**vgg16, **lpips}.items()
                                    if name.startswith(("features.", "lin"))})

`classifier_distance` is no LPIPS: the same formula with w = 1, in the layers of a classifier that this project trains
(`genjax.evaluation.features`). Whatever is measured by it carries that classifier's name.
"""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array, PyTree
from genjax.errors import UserError
from genjax.evaluation.classifier import Network, Recipe
from genjax.nn.conv import conv2d

# VGG16: places of the convolutions among torchvision's layers, block by block; all but the first are pooled before.
BLOCKS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of the lpips package, for pictures in [-1, 1]
EPSILON = 1e-10


class LpipsWeights(NamedTuple):
    """The arrays of LPIPS.

    kernels: of all convolutions in order, [3, 3, I, O].
    biases: [O].
    linear: w of each block's last layer, [C], >= 0.
    """

    kernels: tuple[Array, ...]
    biases: tuple[Array, ...]
    linear: tuple[Array, ...]


def load_lpips_weights(path: str | pathlib.Path) -> LpipsWeights:
    """Read the arrays of LPIPS from an .npz file; see the module for its names.

    Returns:
        LpipsWeights, float32 NumPy arrays. Widths are those of the file: VGG16's in the published one.

    Raises:
        UserError: there is no such file, or a name is missing from it.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"there is no file {path} with weights of LPIPS; genjax/evaluation/lpips.py has its format.")
    with np.load(path) as file:
        arrays = {name: np.asarray(file[name], np.float32) for name in file.files}
    layers = [index for block in BLOCKS for index in block]
    wanted = [f"features.{i}.{part}" for i in layers for part in ("weight", "bias")]
    missing = [name for name in (*wanted, *(f"lin{i}.model.1.weight" for i in range(5))) if name not in arrays]
    if missing:
        raise UserError(f"{path} lacks {missing[0]} ({len(missing)} names in all), so it does not hold LPIPS on VGG16.")
    return LpipsWeights(
        kernels=tuple(arrays[f"features.{i}.weight"].transpose(2, 3, 1, 0) for i in layers),
        biases=tuple(arrays[f"features.{i}.bias"] for i in layers),
        linear=tuple(arrays[f"lin{i}.model.1.weight"].reshape(-1) for i in range(5)),
    )


def vgg_features(weights: LpipsWeights, x: Array) -> list[Array]:
    """Return the last activations of each of VGG's five blocks.

    Args:
        weights: see LpipsWeights.
        x: [B, H, W, 3], scaled as VGG takes it; sides of at least 16.

    Returns:
        Five maps [B, h, w, C].
    """
    maps, layer = [], 0
    for index, block in enumerate(BLOCKS):
        x = _pooled(x) if index else x
        for _ in block:
            bias = weights.biases[layer].reshape(1, 1, 1, -1)
            x = nn.relu(conv2d(x, jnp.asarray(weights.kernels[layer]), padding=1) + bias)
            layer += 1
        maps.append(x)
    return maps


def lpips(weights: LpipsWeights, x: Array, y: Array) -> Array:
    """Return LPIPS on VGG16.

    Args:
        weights: from `load_lpips_weights`.
        x: [B, H, W, C] in [-1, 1], C = 3, or 1 for grey pictures.
        y: likewise.

    Returns:
        [B], >= 0.

    Reference: Zhang et al. 2018, eq. 1.
    """
    _require_pictures(x, y)
    if x.shape[-1] not in (1, 3) or min(x.shape[1:3]) < 16:
        raise ValueError(f"x has shape {x.shape}; LPIPS on VGG16 takes [B, H, W, 1 or 3] with sides of at least 16.")
    shift, scale = (jnp.asarray(v, jnp.float32).reshape(1, 1, 1, 3) for v in (SHIFT, SCALE))
    prepare = lambda p: (jnp.broadcast_to(p.astype(jnp.float32), (*p.shape[:3], 3)) - shift) / scale
    return feature_distance(vgg_features(weights, prepare(x)), vgg_features(weights, prepare(y)), weights.linear)


def feature_distance(
    features: Sequence[Array], others: Sequence[Array], weights: Sequence[Array] | None = None
) -> Array:
    """Return sum_l mean over places sum_c w_c (u_c - u'_c)^2 of two pictures' features.

    Args:
        features: maps [B, h, w, C] or vectors [B, C], of some layers.
        others: likewise.
        weights: [C] for each layer; None for ones.

    Returns:
        [B].

    Reference: Zhang et al. 2018, eq. 1.
    """
    total = jnp.zeros(features[0].shape[:1])
    for index, (one, other) in enumerate(zip(features, others)):
        squared = (_unit(one) - _unit(other)) ** 2
        if weights is not None:
            squared = squared * jnp.asarray(weights[index]).reshape((1,) * (one.ndim - 1) + (-1,))
        total = total + jnp.mean(jnp.sum(squared, axis=-1).reshape(one.shape[0], -1), axis=1)
    return total


def classifier_layers(recipe: Recipe, params: PyTree, x: Array) -> list[Array]:
    """Return the activations of a classifier's convolutions and of its dense layer.

    Args:
        recipe: of the classifier.
        params: `classifier.variables.params['classifier']`.
        x: [B, H, W, C] in [0, 1].

    Returns:
        A map [B, h, w, channels] for each convolution, then [B, num_features].
    """
    network = Network(recipe.channels, recipe.num_features, recipe.num_classes, recipe.dropout)
    dense = lambda module, _: isinstance(module, nn.Dense)
    _, seen = network.apply({"params": params}, x, train=False, capture_intermediates=dense, mutable=["intermediates"])
    layers = (seen["intermediates"][f"Dense_{index}"]["__call__"][0] for index in range(len(recipe.channels) + 1))
    return [nn.relu(layer) for layer in layers]


def classifier_distance(recipe: Recipe, params: PyTree, x: Array, y: Array) -> Array:
    """Return LPIPS's formula in the layers of a classifier trained here: not LPIPS.

    Args:
        recipe, params: as for `classifier_layers`.
        x: [B, H, W, C] in [0, 1].
        y: likewise.

    Returns:
        [B], >= 0, at most 4 a layer.
    """
    _require_pictures(x, y)
    return feature_distance(classifier_layers(recipe, params, x), classifier_layers(recipe, params, y))


def untrained_classifier(recipe: Recipe, key: Array) -> Any:
    """Return parameters of a classifier as they are before training, for tests of what uses one."""
    network = Network(recipe.channels, recipe.num_features, recipe.num_classes, recipe.dropout)
    return network.init(key, jnp.zeros((1, *recipe.shape)), train=False)["params"]


def _unit(features: Array) -> Array:
    # Where all features are zero, the root has no gradient: hence the number inside, whose root is EPSILON.
    length = jnp.sqrt(jnp.sum(features**2, axis=-1, keepdims=True) + EPSILON**2)
    return features / (length + EPSILON)


def _pooled(x: Array) -> Array:
    """Return the maxima of 2 x 2 squares, a last odd row or column left out."""
    batch, height, width, channels = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return jnp.max(x.reshape(batch, height // 2, 2, width // 2, 2, channels), axis=(2, 4))


def _require_pictures(x: Array, y: Array) -> None:
    if jnp.ndim(x) != 4 or jnp.shape(x) != jnp.shape(y):
        raise ValueError(f"x has shape {jnp.shape(x)} and y {jnp.shape(y)}; both must be the same [B, H, W, C].")
