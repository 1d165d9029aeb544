"""WGAN: a critic that measures the earth mover's distance, kept Lipschitz by clipping its weights.

By the duality of Kantorovich and Rubinstein (eq. 2),

    W1(p, q) = max over 1-Lipschitz s of  E s(x) - E s(G(z)).

The critic climbs this difference among networks whose weights lie in [-c, c] (Algorithm 1, line 7), which are
K-Lipschitz for some K: it measures K W1. The generator descends -E s(G(z)), the gradient of the distance (Theorem 3) as
long as the critic is near its best: it gets n_critic moves before each of the generator's, 5 in the paper, and being
better trained never makes its gradient vanish. The difference that it reaches, `real_score` - `fake_score` in the
metrics, falls as samples improve.

The paper moves both by RMSProp with learning rate 5e-5: momentum made the critic unstable (section 4.3); c = 0.01.

Reference: Arjovsky et al. 2017, "Wasserstein GAN", https://arxiv.org/abs/1701.07875
"""

from typing import Any

import flax.linen as nn

from genjax.adversarial.gan import gan
from genjax.adversarial.losses import wasserstein_discriminator_loss, wasserstein_generator_loss
from genjax.adversarial.regularizers import clip_weights
from genjax.contract import GenerativeModel


def wgan(
    generator: nn.Module,
    critic: nn.Module,
    *,
    latent_dim: int,
    critic_steps: int = 5,
    clip: float = 0.01,
    **options: Any,
) -> GenerativeModel:
    """Bind a generator and a critic with clipped weights.

    Args:
        generator: as in `genjax.adversarial.gan.gan`.
        critic: likewise, the player 'discriminator'.
        latent_dim: coordinates of a latent.
        critic_steps: n_critic, moves of the critic before each of the generator.
        clip: c; every parameter of the critic lies in [-c, c] after each of its moves.
        options: further arguments of `gan` (regularizers, condition_of, prior).

    Returns:
        A model as `gan` makes it.

    Reference: Arjovsky et al. 2017, Algorithm 1.
    """
    return gan(
        generator,
        critic,
        latent_dim=latent_dim,
        generator_loss=wasserstein_generator_loss,
        discriminator_loss=wasserstein_discriminator_loss,
        discriminator_steps=critic_steps,
        discriminator_after=clip_weights("discriminator", clip),
        **options,
    )
