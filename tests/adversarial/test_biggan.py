"""Truncation and standing statistics against closed forms, skip-z's wiring, and the orthogonal penalty's reach."""

import functools
from functools import partial

import jax
import numpy as np
import pytest
from scipy import stats

from genjax.adversarial import biggan, split_latent, truncated_normal
from genjax.adversarial.players import train_player
from genjax.adversarial.biggan import BigGANGenerator, off_diagonal_but_shared

KEY = jax.random.key(0)


@functools.cache
def small():
    options = {"embedding": 3, "generator_features": (4, 4), "discriminator_features": (4,), "halvings": 1}
    model = biggan((8, 8, 1), num_classes=3, latent_dim=6, orthogonal_weight=0.1, **options)
    x = np.random.default_rng(0).uniform(-1, 1, (6, 8, 8, 1)).astype(np.float32)
    batch = {"x": x, "label": np.array([0, 1, 2, 0, 1, 2], np.int32)}
    return model, jax.jit(model.init)(KEY, batch), batch


draw_truncated = jax.jit(truncated_normal, static_argnums=1)


@pytest.mark.parametrize("t", [0.3, 1.5, np.inf])
def test_truncated_latents_are_scipys(t):
    z = np.asarray(draw_truncated(KEY, (50, 80), t)).reshape(-1)
    assert np.abs(z).max() <= t
    law = stats.norm if np.isinf(t) else stats.truncnorm(-t, t)
    assert stats.kstest(z, law.cdf).pvalue > 1e-3


def test_standing_statistics_follow_the_truncation():
    """The first normalization sees a linear map of z: its variances scale with that of the truncated normal."""
    model, variables, _ = small()
    label = np.arange(4 * 600, dtype=np.int32) % 3
    standing = jax.jit(model.methods["standing_statistics"], static_argnames="num_batches")
    found = [jax.device_get(standing(variables, KEY, label, truncation=t, num_batches=4)) for t in (np.inf, 0.5)]
    variables = jax.device_get(variables)
    first = [f.state["generator"]["batch_stats"]["VectorBatchNorm_0"]["norm"] for f in found]
    ratio = first[1]["var"] / first[0]["var"]
    # 2,400 latents, sqrt(2 / 2400) = 3 %: five standard errors.
    np.testing.assert_allclose(ratio, stats.truncnorm(-0.5, 0.5).var(), rtol=0.15)
    for f in found:
        assert jax.tree.all(jax.tree.map(np.array_equal, f.params, variables.params))
        same = jax.tree.map(lambda a, b: bool(np.all(a == b)), f.state, variables.state)
        assert all(jax.tree.leaves(same["discriminator"])) and all(jax.tree.leaves(same["generator"]["spectral"]))
        assert not any(jax.tree.leaves(same["generator"]["batch_stats"]))
    with pytest.raises(ValueError, match="batches of the same size"):
        model.methods["standing_statistics"](variables, KEY, label, num_batches=7)


def test_under_the_statistics_of_one_batch_samples_are_as_in_training():
    model, variables, batch = small()
    generator, label = BigGANGenerator((8, 8, 1), (4, 4), 3, 3), batch["label"]

    @jax.jit
    def run(variables):
        standing = model.methods["standing_statistics"](variables, KEY, label, truncation=0.8, num_batches=1)
        key = jax.random.split(KEY, 1)[0]  # the key of the only batch
        latents = truncated_normal(key, (6, 6), 0.8)
        params, state = variables.params["generator"], variables.state["generator"]
        expected, _ = train_player(generator, params, state, key, latents, label)
        return expected, *(model.methods["generate"](v, KEY, latents, label) for v in (standing, variables))

    expected, found, stale = map(np.asarray, run(variables))
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert np.abs(stale - expected).max() > 1e-3


def test_truncation_is_traced_and_narrows_the_samples():
    model, variables, _ = small()
    drawn = jax.jit(partial(model.sample, num_samples=60))
    sample = lambda t: np.asarray(drawn(variables, KEY, condition=np.zeros(60, np.int32), truncation=t))
    spread = [sample(t).std(axis=0).mean() for t in (0.02, 0.5, 10.0)]
    assert spread[0] < 0.1 * spread[2] and spread[0] < spread[1] < spread[2]
    assert drawn._cache_size() == 1


def test_every_chunk_of_z_and_the_shared_class_reach_the_picture():
    """And a block's chunk reaches it through that block's gains and biases alone."""
    model, variables, _ = small()
    z, label = np.random.default_rng(1).normal(size=(1, 6)).astype(np.float32), np.array([1])
    gradient = jax.jit(jax.grad(lambda z, v: model.methods["generate"](v, KEY, z, label).sum()))
    reach = np.abs(gradient(z, variables))[0]
    assert np.all(reach > 0)
    params = jax.device_get(variables.params["generator"])
    # Gains and biases of the second block (its two normalizations), the rows of its chunk, which stand after the class:
    deaf = dict(params)
    for name in ("VectorBatchNorm_2", "VectorBatchNorm_3"):
        deaf[name] = jax.tree.map(lambda kernel: np.where(np.arange(len(kernel))[:, None] < 3, kernel, 0), params[name])
    silent = variables._replace(params={**variables.params, "generator": deaf})
    reach = np.abs(gradient(z, silent))[0]
    assert np.all(reach[4:] == 0) and np.all(reach[:4] > 0)
    np.testing.assert_array_equal(np.hstack(split_latent(z, 3)), z)
    with pytest.raises(ValueError, match="multiple of 4"):
        split_latent(z, 4)


def test_orthogonal_penalty_is_on_all_kernels_but_the_shared_embedding():
    model, variables, batch = small()
    params = variables.params["generator"]
    expected = 0.0
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if leaf.ndim >= 2 and path[0].key != "shared":
            w = np.asarray(leaf, np.float64).reshape(-1, leaf.shape[-1])
            gram = w.T @ w
            expected += np.sum((gram - np.diag(np.diag(gram))) ** 2)
    found = jax.jit(off_diagonal_but_shared)({"generator": params})
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    _, aux = jax.jit(model.updates[1].loss)(variables, batch, KEY, 0)
    np.testing.assert_allclose(aux.metrics["orthogonal"], 0.1 * expected, rtol=1e-4, atol=1e-6)
