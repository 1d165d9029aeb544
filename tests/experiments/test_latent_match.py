"""The ready evaluations of matched priors, on codes whose distribution is known."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from ml_collections import ConfigDict

from experiments import codes, latent_match
from genjax.autoencoders import Gaussian
from genjax.contract import GenerativeModel, Variables
from genjax.training.system import EvalContext


def context(methods, x):
    system = SimpleNamespace(model=SimpleNamespace(methods=methods))
    batches = lambda: iter([{"x": jnp.asarray(x[:90])}, {"x": jnp.asarray(x[90:])}])
    config = ConfigDict({"model": {"latent_dim": 2}})
    return EvalContext(system, Variables({}), jax.random.key(0), batches, batches, None, config)


def test_matched_codes_pass_and_others_do_not():
    x = np.random.default_rng(0).normal(size=(120, 2)).astype(np.float32)
    draws = {"draw_prior": lambda v, key, num: jax.random.normal(key, (num, 2))}
    matched = latent_match.prior_match(context(draws | {"encode": lambda v, k, x: x}, x))
    apart = latent_match.prior_match(context(draws | {"encode": lambda v, k, x: 0.5 * x + 0.5}, x))
    assert matched["p_value"] > 0.01 and apart["p_value"] < 0.005
    assert matched["n"] == 120 and apart["code_std"] == pytest.approx(0.5 * x.std(axis=0).mean(), rel=1e-4)


def test_aggregates_are_tested_by_draws():
    """Posteriors of variance 1/2 about codes of variance 1/2 make N(0, I) together, and none of them is it."""
    x = (0.5**0.5 * np.random.default_rng(1).normal(size=(150, 2))).astype(np.float32)
    encode = lambda v, key, x: Gaussian(x, jnp.full_like(x, 0.5 * np.log(0.5)))
    found = latent_match.aggregate_match(context({"encode": encode}, x))
    assert found["p_value"] > 0.01 and found["posterior_std"] == pytest.approx(0.5**0.5)
    # Each coordinate shares log(1 / sqrt(1/2)) nats with x; 150 pictures for E_x leave an error of some hundredths.
    assert found["information"] == pytest.approx(np.log(2.0), abs=0.12)
    assert found["aggregate"] == pytest.approx(0.0, abs=0.12)


def test_parts_of_the_rate_are_integrals():
    """Two posteriors on a line: q(z) is a mixture of two Gaussians, and SciPy integrates."""
    mean, std = np.array([[-1.0], [1.5]]), np.array([[0.6], [0.9]])
    each = [scipy.stats.norm(m, s) for m, s in zip(mean[:, 0], std[:, 0])]
    mixture = lambda z: 0.5 * (each[0].pdf(z) + each[1].pdf(z))
    aggregate = scipy.integrate.quad(lambda z: mixture(z) * np.log(mixture(z) / scipy.stats.norm.pdf(z)), -9, 9)[0]
    shared = [scipy.integrate.quad(lambda z: q.pdf(z) * np.log(q.pdf(z) / mixture(z)), -7, 8)[0] for q in each]
    arrays = (jnp.asarray(a, jnp.float32) for a in (mean, np.log(std)))
    found = latent_match.rate_parts(jax.random.key(0), *arrays, num_draws=20_000)
    assert found["information"] == pytest.approx(np.mean(shared), abs=0.015)
    assert found["aggregate"] == pytest.approx(aggregate, abs=0.015)


def test_a_vae_of_means_draws_and_rebuilds_them():
    methods = {
        "encode": lambda v, key, x: Gaussian(2.0 * x, jnp.zeros_like(x)),
        "decode": lambda v, key, z: z + 1.0,
        "sample_mean": lambda v, key, num: jnp.ones((num, 2)),
    }
    model = codes.of_means(GenerativeModel(None, (), None, methods=methods))
    np.testing.assert_array_equal(model.methods["reconstruct"](None, None, jnp.ones((3, 2))), np.full((3, 2), 3.0))
    np.testing.assert_array_equal(model.sample(None, None, 4), np.ones((4, 2)))
    with pytest.raises(ValueError, match="unconditional"):
        model.sample(None, None, 4, condition=0)
