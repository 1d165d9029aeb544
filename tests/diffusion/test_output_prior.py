"""Networks that give priors of pixels: the posterior by quadrature, a model whose prior is the truth."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.diffusion import ddpm, posterior_noise, total_bound, with_end_priors
from genjax.processes import Point, cosine_schedule, lower_variance


def test_the_noise_is_the_mean_of_its_posterior():
    rng = np.random.default_rng(0)
    alpha = np.array([0.999, 0.9, 0.5, 0.1], np.float32)
    sigma = np.sqrt(1.0 - alpha**2)
    x = rng.normal(size=(4, 5)).astype(np.float32)
    logits = rng.normal(size=(4, 5, 2)).astype(np.float32)
    mean, log_std = (rng.uniform(low, 0.5, (4, 5)).astype(np.float32) for low in (-0.5, -2.0))
    found = jax.jit(posterior_noise)(x, Point(alpha, sigma), logits, mean, log_std)

    at = np.linspace(-12.0, 12.0, 100_001)  # beyond 5 standard deviations of the widest prior
    seen = lambda v: np.exp(-0.5 * ((x[..., None] - alpha[:, None, None] * v) / sigma[:, None, None]) ** 2)
    std = np.exp(log_std)[..., None]
    normal = np.exp(-0.5 * ((at - mean[..., None]) / std) ** 2) / (std * np.sqrt(2.0 * np.pi)) * (at[1] - at[0])
    ends = np.exp(logits) * seen(np.array([-1.0, 1.0]))
    x0 = ends @ np.array([-1.0, 1.0]) + np.sum(normal * seen(at) * at, axis=-1)
    x0 /= ends.sum(axis=-1) + np.sum(normal * seen(at), axis=-1)
    np.testing.assert_allclose(found, (x - alpha[:, None] * x0) / sigma[:, None], atol=3e-5)


class Certain(nn.Module):
    """Says of each pixel that it is black or white, each alike, and nothing else."""

    @nn.compact
    def __call__(self, x, t, condition=None, *, train=False):
        bias = self.param("bias", nn.initializers.zeros_init(), (4,))
        return jnp.broadcast_to(jnp.array([30.0, 30.0, 0.0, -6.0]) + bias, (*x.shape[:-1], 4))


def test_the_bound_of_fair_coins_is_a_bit_each():
    # x_0 is -1 or 1 with probability 1/2, which is what the network says: then the bound lies above -log p = log 2 a
    # pixel by what the discretization of time costs alone. (The upper variance costs 0.4 more, whatever T is: it is that
    # of data from N(0, I).)
    x = np.random.default_rng(1).integers(0, 2, (1024, 2, 2, 1)).astype(np.uint8)
    excess = []
    for num in (50, 200):
        schedule = cosine_schedule(num)
        network = with_end_priors(Certain(), schedule)
        model = ddpm(network, schedule, shape=(2, 2, 1), levels=2, variance=lower_variance)
        variables = model.init(jax.random.key(0), {"x": x})
        terms = jax.jit(model.methods["bound_terms"])(variables, jax.random.key(2), {"x": x})
        excess.append(float(jnp.mean(total_bound(terms))) / 4.0 - np.log(2.0))
    assert 0.0 < excess[1] < 0.5 * excess[0] < 0.1


def test_entries_beyond_are_passed_on_and_shapes_are_checked():
    class More(nn.Module):
        @nn.compact
        def __call__(self, x, t, condition=None, *, train=False):
            return jnp.concatenate([jnp.zeros((*x.shape[:-1], 4)), 7.0 * x], axis=-1)

    x = np.ones((2, 3, 3, 1), np.float32)
    output = with_end_priors(More(), cosine_schedule(10)).apply({}, x, np.array([0, 9]))
    assert output.shape == (2, 3, 3, 2)
    np.testing.assert_array_equal(output[..., 1:], 7.0 * x)
    with pytest.raises(ValueError, match="two more entries"):
        posterior_noise(x, Point(0.6, 0.8), x, x, x)
