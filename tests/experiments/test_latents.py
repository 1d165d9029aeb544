"""The ready evaluations of codes, on models whose answers are known."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from sklearn import decomposition

from experiments import latents
from genjax.autoencoders import Gaussian, Terms
from genjax.contract import Variables
from genjax.training.system import EvalContext

SHAPE = (8, 8, 1)


def context(methods, train, test, *, batch_size=5):
    """Return what an evaluation sees of a model that has these methods alone; the last batch is shorter."""
    batches = lambda x: lambda: ({"x": jnp.asarray(x[i : i + batch_size])} for i in range(0, len(x), batch_size))
    system = SimpleNamespace(model=SimpleNamespace(methods=methods), to_picture=lambda x: x)
    config = ConfigDict({"model": {"latent_dim": 3}, "eval": {"importance_samples": 20, "chunk": 10}})
    return EvalContext(system, Variables({}), jax.random.key(0), batches(train), batches(test), None, config)


@pytest.fixture(scope="module")
def pictures():
    random = np.random.default_rng(0)
    basis = random.uniform(size=(4, 64))
    draw = lambda n: (0.02 * random.normal(size=(n, 64)) + random.dirichlet(np.ones(4), n) @ basis).clip(0, 1)
    return draw(40).reshape(-1, *SHAPE).astype(np.float32), draw(12).reshape(-1, *SHAPE).astype(np.float32)


def test_principal_components_are_fitted_to_train_and_scored_on_test(pictures):
    train, test = pictures
    result = latents.reconstruction_against_pca(context({"reconstruct": lambda v, key, x: 0.5 * x}, train, test))
    fitted = decomposition.PCA(3).fit(train.reshape(40, -1))
    rebuilt = fitted.inverse_transform(fitted.transform(test.reshape(12, -1)))
    error = np.mean((test.reshape(12, -1) - rebuilt.clip(0, 1)) ** 2)
    np.testing.assert_allclose(result["pca_mse"], error, rtol=1e-3)
    np.testing.assert_allclose(result["mse"], np.mean((0.5 * test) ** 2), rtol=1e-5)
    np.testing.assert_allclose(result["psnr_of_mean"], -10 * np.log10(result["mse"]), rtol=1e-5)


def test_means_run_over_examples_and_layers(pictures):
    train, test = pictures
    total = lambda x: x.reshape(len(x), -1).sum(axis=1)
    layers = lambda v, key, x: (jnp.stack([total(x), 2.0 * total(x)]), -total(x))
    plain = lambda v, key, x: Terms(total(x), 4.0 * total(x))
    mean = test.reshape(12, -1).sum(1, dtype=np.float64).mean()
    for methods, rate, distortion in ((layers, 3.0, -1.0), (plain, 1.0, 4.0)):
        result = latents.free_energy(context({"terms": methods}, train, test))
        np.testing.assert_allclose([result["rate"], result["distortion"]], [rate * mean, distortion * mean], rtol=1e-5)
        np.testing.assert_allclose(result["free_energy"], (rate + distortion) * mean, rtol=1e-5)
    bound = {"importance_weighted": lambda v, key, x, *, num_samples, chunk: -total(x) * num_samples / chunk}
    np.testing.assert_allclose(latents.importance_weighted(context(bound, train, test))["nll"], 2.0 * mean, rtol=1e-5)


def test_units_that_follow_x_are_told_from_noise(pictures):
    train, test = pictures
    follows = lambda x: jnp.stack([10.0 * x[:, 0, 0, 0], jnp.zeros(len(x))], axis=1)
    gaussian = {"encode": lambda v, key, x: Gaussian(follows(x), jnp.zeros((len(x), 2)))}
    drawn = {"infer": lambda v, key, x: follows(x) + jax.random.normal(key, (len(x), 2))}
    assert latents.units(context(gaussian, train, test)) == {"active_units": 1, "latent_dim": 2}
    assert latents.sampled_units(context(drawn, train, test)) == {"active_units": 1, "latent_dim": 2}
