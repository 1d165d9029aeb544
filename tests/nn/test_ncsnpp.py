"""The parts of NCSN++: filters against scipy and diffusers, Fourier features against their kernel; the network."""

import jax
import numpy as np
import pytest
from scipy.signal import correlate

from genjax.nn import FourierTimeEmbedding, fourier_embedding, score_unet
from genjax.nn.ncsnpp import ScoreBlock, filtered_double, filtered_half

KEY = jax.random.key(0)
TAPS = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64.0
half, double = jax.jit(filtered_half), jax.jit(filtered_double)


def normal(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


X = normal((2, 4, 6, 3))



def test_filters_are_scipys():
    """A filter of four taps lies half a pixel beside the grid: scipy's 'same' begins a pixel earlier."""
    padded = np.pad(X, ((0, 0), (1, 1), (1, 1), (0, 0)))
    smaller = np.stack([correlate(image, TAPS[:, :, None], mode="valid")[::2, ::2] for image in padded])
    np.testing.assert_allclose(half(X), smaller, atol=1e-6)
    spread = np.zeros((2, 8, 12, 3))
    spread[:, ::2, ::2] = X
    spread = np.pad(spread, ((0, 0), (2, 1), (2, 1), (0, 0)))
    larger = np.stack([correlate(image, 4.0 * TAPS[:, :, None], mode="valid") for image in spread])
    np.testing.assert_allclose(double(X), larger, atol=1e-6)
    np.testing.assert_allclose(np.asarray(double(np.ones_like(X)))[:, 1:-1, 1:-1], 1.0, atol=1e-6)
    with pytest.raises(ValueError, match="3 x 4 cannot be halved"):
        filtered_half(normal((1, 3, 4, 1)))


def test_fourier_features_are_a_gaussian_kernel():
    """E cos(2 pi f d) over f ~ N(0, s^2) is exp(-2 (pi s d)^2)."""
    t = np.array([0.0, 0.1, 0.25, 0.5], np.float32)
    frequencies = 0.7 * np.random.default_rng(0).normal(size=20_000)
    features = np.asarray(jax.jit(fourier_embedding)(t, frequencies.astype(np.float32)))
    kernel = np.exp(-2.0 * (np.pi * 0.7 * (t[:, None] - t[None])) ** 2)
    np.testing.assert_allclose(features @ features.T / 20_000, kernel, atol=4 / np.sqrt(20_000))
    embedding = FourierTimeEmbedding(4)
    shapes = jax.eval_shape(embedding.init, KEY, t)["params"]
    assert set(shapes) == {"dense_0", "dense_1"} and shapes["dense_0"]["kernel"].shape == (8, 16)
    with pytest.raises(ValueError, match="must be \\[B\\] and \\[F\\]"):
        fourier_embedding(t[:, None], frequencies)


def test_a_network_that_starts_at_zero_and_hears_its_noise_level():
    network = score_unet(channels=(4, 4), blocks=1, attention=(1,), groups=2)
    x, t = normal((2, 4, 4, 1)), np.array([-3.0, 40.0], np.float32)
    init = lambda: network.init(KEY, x, t)
    leaves, tree = jax.tree.flatten(jax.eval_shape(init))
    varied = jax.tree.unflatten(tree, [np.float32(0.3) * normal(leaf.shape, i) for i, leaf in enumerate(leaves)])
    forward = jax.jit(network.apply)
    # The last layer as it starts, beside random ones: the whole of `init` would take ten times as long to compile.
    last = {"conv_out": jax.jit(lambda: init()["params"]["conv_out"])()}
    np.testing.assert_array_equal(forward({"params": varied["params"] | last}, x, t), np.zeros_like(x))
    base, other = np.asarray(forward(varied, x, t)), x.copy()
    other[0, 0, 0] += 1.0
    for changed in ((other, t), (x, np.array([5.0, 40.0], np.float32))):
        moved = np.asarray(forward(varied, *changed)) != base
        assert moved[0].mean() > 0.9 and not moved[1].any()


def test_blocks_start_as_their_resized_and_rescaled_input():
    for resize, expected in ((filtered_half, half(X)), (filtered_double, double(X))):
        module = ScoreBlock(3, groups=1, resize=resize)
        started = jax.jit(lambda x, h, module=module: module.init_with_output(KEY, x, h, train=False)[0])
        np.testing.assert_allclose(started(X, normal((2, 8))), np.asarray(expected) / np.sqrt(2.0), atol=1e-6)


@pytest.mark.parity
def test_features_and_filters_are_those_of_diffusers():
    torch = pytest.importorskip("torch", reason="parity with diffusers needs the extra 'parity'")
    embeddings, downsampling, upsampling = (
        pytest.importorskip(f"diffusers.models.{name}", reason="parity with diffusers needs the extra 'parity'")
        for name in ("embeddings", "downsampling", "upsampling")
    )
    t = np.array([0.02, 0.7, 9.0], np.float32)
    peer = embeddings.GaussianFourierProjection(embedding_size=6, scale=16.0, log=False, flip_sin_to_cos=False)
    ours = jax.jit(fourier_embedding)(t, peer.weight.detach().numpy())
    np.testing.assert_allclose(ours, peer(torch.from_numpy(t)).numpy(), atol=2e-4)  # angles up to some 10^3
    x = torch.from_numpy(X.transpose(0, 3, 1, 2))
    smaller = downsampling.downsample_2d(x, torch.tensor([1.0, 3.0, 3.0, 1.0]))
    larger = upsampling.upsample_2d(x, torch.tensor([1.0, 3.0, 3.0, 1.0]))
    np.testing.assert_allclose(half(X), smaller.numpy().transpose(0, 2, 3, 1), atol=1e-6)
    np.testing.assert_allclose(double(X), larger.numpy().transpose(0, 2, 3, 1), atol=1e-6)
