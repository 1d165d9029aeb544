"""LSGAN: a step by hand with targets a, b, c."""

import numpy as np
import pytest

from genjax.adversarial import MLPDiscriminator, MLPGenerator, lsgan
from tests.adversarial.test_gan import Shift, Slope, ones, step_once, system_of


@pytest.mark.parametrize("a, b, c", [(0.0, 1.0, 1.0), (-1.0, 2.0, 0.5)])
def test_a_step_by_hand(a, b, c):
    """Scores are pulled to a and b by their distances to them, then the generator's to c."""
    x = np.array([[[2.0], [1.0], [-0.5]]], np.float32)
    model = lsgan(Shift(), Slope(), latent_dim=1, prior=ones, a=a, b=b, c=c)
    _, new, metrics = step_once(system_of(model), {"x": x})

    theta, w, bias, rate = -0.7, 0.4, -0.2, 0.1
    g = 1.0 + theta
    off_real, off_fake = w * x[0, :, 0] + bias - b, w * g + bias - a
    w, bias = w - rate * (np.mean(off_real * x[0, :, 0]) + off_fake * g), bias - rate * (off_real.mean() + off_fake)
    theta -= rate * (w * g + bias - c) * w

    np.testing.assert_allclose(new.params["discriminator"]["w"], [w], rtol=1e-5)
    np.testing.assert_allclose(new.params["discriminator"]["b"], [bias], rtol=1e-5)
    np.testing.assert_allclose(new.params["generator"]["theta"], [[theta]], rtol=1e-5)
    np.testing.assert_allclose(metrics["discriminator/real"], 0.5 * np.mean(off_real**2), rtol=1e-5)


def test_equal_targets_are_refused():
    with pytest.raises(ValueError, match="different targets"):
        lsgan(MLPGenerator((2,), (4,)), MLPDiscriminator((4,)), latent_dim=2, a=1.0, b=1.0)
