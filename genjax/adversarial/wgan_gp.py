"""WGAN-GP: a critic that measures the earth mover's distance, kept Lipschitz by a penalty on its gradient.

The best critic has gradient norm 1 almost everywhere on the lines between the points that the optimal transport joins
(Proposition 1). The penalty asks for this on lines between pairs drawn at random (eq. 3):

    critic descends   E s(G(z)) - E s(x) + lambda E (|grad s(u)| - 1)^2
                      u = eps x + (1 - eps) G(z),  eps ~ U[0, 1]
    generator         -E s(G(z))

lambda = 10 and five critic moves for each of the generator's; Adam with beta_1 = 0 (later versions) or 0.5, beta_2 =
0.9, learning rate 1e-4. The critic's step differentiates a gradient once more (double backward).

The gradient is that of an example's own score, so that the critic must not have batch normalization (section 4): init
refuses one. `LayerNormCritic` is DCGAN's discriminator with layer normalization in its place, as the paper proposes.

Reference: Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", https://arxiv.org/abs/1704.00028
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial.dcgan import base_side
from genjax.adversarial.gan import gan
from genjax.adversarial.game import Regularizer
from genjax.adversarial.losses import wasserstein_discriminator_loss, wasserstein_generator_loss
from genjax.adversarial.regularizers import gradient_penalty, refuse_batch_normalization
from genjax.contract import Array, GenerativeModel
from genjax.nn import Conv


class LayerNormCritic(nn.Module):
    """Pictures to scores by strided convolutions, layer-normalized over the whole picture, LeakyReLU 0.2.

    features: channels of the feature maps, from the picture inwards; each halves the side once.
    kernel_size: side of the kernels.
    dtype: compute dtype; normalization is in float32.
    """

    features: Sequence[int]
    kernel_size: int = 4
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map pictures `[B, H, W, C]` to scores `[B]`, each by itself."""
        del train
        base = base_side(x.shape[1:], self.features)
        down = partial(Conv, kernel_size=self.kernel_size, stride=2, dtype=self.dtype)
        first, *inner = self.features
        x = jax.nn.leaky_relu(down(first)(x), 0.2)
        for width in inner:
            # The bias stays: over a whole picture the mean that is subtracted is not that of one channel.
            x = down(width)(x)
            norm = nn.LayerNorm(reduction_axes=(1, 2, 3), feature_axes=-1, dtype=jnp.float32)
            x = jax.nn.leaky_relu(norm(x.astype(jnp.float32)).astype(x.dtype), 0.2)
        # Differences of scores do not see a bias, whose gradient would be zero.
        return Conv(1, kernel_size=base, padding="VALID", use_bias=False, dtype=self.dtype)(x)[:, 0, 0, 0]


def wgan_gp(
    generator: nn.Module,
    critic: nn.Module,
    *,
    latent_dim: int,
    critic_steps: int = 5,
    penalty: Regularizer = gradient_penalty,
    **options: Any,
) -> GenerativeModel:
    """Bind a generator and a critic under a gradient penalty.

    Args:
        generator: as in `genjax.adversarial.gan.gan`.
        critic: likewise, the player 'discriminator', without batch normalization.
        latent_dim: coordinates of a latent.
        critic_steps: n_critic, moves of the critic before each of the generator.
        penalty: `gradient_penalty` with lambda = 10, or with another weight, or `one_sided_gradient_penalty`.
        options: further arguments of `gan` (condition_of, prior).

    Returns:
        A model as `gan` makes it. Its `init` raises a ValueError where the critic keeps batch statistics.

    Reference: Gulrajani et al. 2017, Algorithm 1.
    """
    model = gan(
        generator,
        critic,
        latent_dim=latent_dim,
        generator_loss=wasserstein_generator_loss,
        discriminator_loss=wasserstein_discriminator_loss,
        discriminator_steps=critic_steps,
        regularizers={"gradient_penalty": penalty},
        **options,
    )
    return refuse_batch_normalization(model)
