"""WGAN: critic steps with clipping by hand, and what the best clipped critic measures."""

import numpy as np
import optax
from scipy import stats

from genjax.adversarial import wgan
from genjax.training.system import System
from tests.adversarial.test_gan import Shift, Slope, ones, step_once, system_of


def test_a_step_by_hand():
    """Three critic moves on minibatches of their own, each clipped; then the generator climbs the critic's slope."""
    x = np.array([[[2.0], [1.0]], [[0.5], [3.0]], [[-4.0], [-1.0]]], np.float32)
    model = wgan(Shift(), Slope(), latent_dim=1, prior=ones, critic_steps=3, clip=0.45)
    _, new, metrics = step_once(system_of(model), {"x": x})

    theta, w, rate = -0.7, 0.4, 0.1
    slopes = []
    for minibatch in x[:, :, 0]:
        w = np.clip(w + rate * (minibatch.mean() - (1 + theta)), -0.45, 0.45)
        slopes.append(w)
    assert slopes[0] == 0.45 and 0 < slopes[2] < 0.45  # clipped, and not

    np.testing.assert_allclose(new.params["discriminator"]["w"], [w], rtol=1e-5)
    np.testing.assert_allclose(new.params["discriminator"]["b"], [-0.2], rtol=1e-5)  # differences do not see it
    np.testing.assert_allclose(new.params["generator"]["theta"], [[theta + rate * w]], rtol=1e-5)
    np.testing.assert_allclose(metrics["generator/fake_score"], w * (1 + theta) - 0.2, rtol=1e-5)


def test_the_clipped_critic_measures_the_distance_of_two_gaussians():
    """A line clipped at c is c-Lipschitz: between N(m, 1) and N(0.3, 1) it reaches c W1, by RMSProp as in the paper."""
    critics, clip = 400, 0.5
    spread = stats.norm.ppf((np.arange(64) + 0.5) / 64)  # N(0, 1) in 64 equal parts
    x = np.tile((2.0 + spread).astype(np.float32)[None, :, None], (critics, 1, 1))
    prior = lambda key, shape: spread[:, None].astype(np.float32) + 1.0  # Shift takes 0.7 off
    model = wgan(Shift(), Slope(), latent_dim=1, prior=prior, critic_steps=critics, clip=clip)
    system = System(model, {"generator": optax.sgd(0.0), "discriminator": optax.rmsprop(5e-2, decay=0.99)})
    _, new, _ = step_once(system, {"x": x})
    w = float(new.params["discriminator"]["w"][0])
    reached = w * (2.0 + spread).mean() - w * (0.3 + spread).mean()
    np.testing.assert_allclose(reached / clip, stats.wasserstein_distance(2.0 + spread, 0.3 + spread), rtol=1e-5)
