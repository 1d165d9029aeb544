"""WGAN-GP: where a linear critic comes to rest, the layer-normalized critic, and what is refused."""

from functools import partial

import jax
import numpy as np
import optax
import pytest

from genjax import adversarial
from genjax.adversarial import LayerNormCritic, gradient_penalty, one_sided_gradient_penalty, wgan_gp
from genjax.training.system import System
from tests.adversarial.test_gan import Shift, Slope, ones, step_once


@pytest.mark.parametrize(
    "penalty, away, turns",
    [(gradient_penalty, 3.0, 1), (one_sided_gradient_penalty, -1.0, 1), (gradient_penalty, -1.0, -1)],
)
def test_where_a_linear_critic_comes_to_rest(penalty, away, turns):
    """-w d + lambda (|w| - 1)^2 has minima at w = +-1 + d / (2 lambda), d the difference of the means.

    The two-sided penalty has one on each side of 0, as long as |d| < 2 lambda: a line that starts the wrong way round
    stays so. The one-sided penalty lets it turn.
    """
    weight, critics = 2.0, 200
    x = np.tile(np.array([away - 0.5, away + 0.5], np.float32)[None, :, None], (critics, 1, 1))
    model = wgan_gp(
        Shift(), Slope(), latent_dim=1, prior=ones, critic_steps=critics, penalty=partial(penalty, weight=weight)
    )
    system = System(model, {"generator": optax.sgd(0.0), "discriminator": optax.sgd(0.1)})
    _, new, _ = step_once(system, {"x": x})  # w starts at 0.4
    difference = away - (1 - 0.7)
    expected = turns * np.sign(difference) + difference / (2 * weight)
    np.testing.assert_allclose(new.params["discriminator"]["w"], [expected], rtol=1e-5)


@pytest.fixture(scope="module")
def critic():
    module = LayerNormCritic((3, 4))
    x = np.random.default_rng(0).normal(size=(5, 8, 8, 2)).astype(np.float32)
    variables = jax.device_get(jax.jit(partial(module.init, train=True))(jax.random.key(1), x))
    score = jax.jit(partial(module.apply, train=True))
    return lambda variables, x: np.asarray(score(variables, x)), variables, x


def test_the_critic_scores_each_example_by_itself(critic):
    score, variables, x = critic
    assert set(variables) == {"params"}
    together = score(variables, x)
    assert together.shape == (5,) and np.ptp(together) > 0.01
    np.testing.assert_allclose(together[1:2], score(variables, x[1:2]), rtol=1e-5)


def test_normalization_is_over_the_whole_picture(critic):
    """What a normalized layer is multiplied with, and a constant added to all its channels, change nothing."""
    score, variables, x = critic
    params = dict(variables["params"])
    inner = params["Conv_1"]
    params["Conv_1"] = {"kernel": 3 * inner["kernel"], "bias": 3 * inner["bias"] + 5}
    moved, still = score({"params": params}, x), score(variables, x)
    np.testing.assert_allclose(moved, still, rtol=1e-3, atol=1e-4)  # LayerNorm adds 1e-6 to the variance
    channels = np.arange(4, dtype=np.float32)
    params["Conv_1"] = {"kernel": inner["kernel"], "bias": inner["bias"] + channels}  # channels apart: seen
    assert np.abs(score({"params": params}, x) - still).max() > 0.01


def test_batch_normalization_in_the_critic_is_refused():
    players = adversarial.DCGANGenerator((4, 4, 1), (2, 2)), adversarial.DCGANDiscriminator((2, 2))
    model = wgan_gp(*players, latent_dim=2)
    with pytest.raises(ValueError, match="batch normalization"):
        jax.eval_shape(model.init, jax.random.key(0), {"x": np.zeros((2, 4, 4, 1), np.float32)})
