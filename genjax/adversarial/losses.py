"""Adversarial losses as functions of scores, one value an example.

A score is a logit: the discriminator's probability that x is real is D(x) = sigmoid(score), so a higher score
always means more real. With real x ~ p and generated G(z) ~ q, Goodfellow et al. 2014 play (eq. 1)

    min_G max_D V(D, G) = E log D(x) + E log(1 - D(G(z))).

The discriminator descends -V = -log sigmoid(real) - log sigmoid(-fake). At its optimum D* = p / (p + q), the
score is log p - log q, and V = 2 JSD(p, q) - log 4 (Theorem 1), JSD in nats. The generator descends either of

    log(1 - D(G(z)))   minimax, gradient -D(G(z)) by the score: vanishes where D is confident
    -log D(G(z))       non-saturating, gradient -(1 - D(G(z))): same fixed point, strong early gradient (section 3).

Everything is written with log sigmoid, which is finite with finite gradient at any finite score.

Reference: Goodfellow et al. 2014, "Generative Adversarial Nets", https://arxiv.org/abs/1406.2661
"""

from typing import NamedTuple

import chex
import jax

from genjax.contract import Array


class DiscriminatorTerms(NamedTuple):
    """The two terms of a discriminator's loss, each `[B]`; the loss is their sum.

    real: on scores of real examples.
    fake: on scores of generated examples.
    """

    real: Array
    fake: Array


def gan_discriminator_loss(real_scores: Array, fake_scores: Array) -> DiscriminatorTerms:
    """Return the terms of -V(D, G), the cross-entropy of telling real from generated.

    Args:
        real_scores: logits of real examples `[B]`.
        fake_scores: logits of generated examples `[B]`.

    Returns:
        DiscriminatorTerms(-log D(x), -log(1 - D(G(z)))) `[B]` each, in nats.

    Reference: Goodfellow et al. 2014, eq. 1.
    """
    chex.assert_rank([real_scores, fake_scores], 1)
    return DiscriminatorTerms(real=-jax.nn.log_sigmoid(real_scores), fake=-jax.nn.log_sigmoid(-fake_scores))


def minimax_generator_loss(fake_scores: Array) -> Array:
    """Return log(1 - D(G(z))), the generator's part of V.

    Args:
        fake_scores: logits of generated examples `[B]`.

    Returns:
        `[B]`, in nats.

    Reference: Goodfellow et al. 2014, eq. 1 and Algorithm 1.
    """
    chex.assert_rank(fake_scores, 1)
    return jax.nn.log_sigmoid(-fake_scores)


def non_saturating_generator_loss(fake_scores: Array) -> Array:
    """Return -log D(G(z)), whose gradient is strong while the discriminator wins.

    Args:
        fake_scores: logits of generated examples `[B]`.

    Returns:
        `[B]`, in nats.

    Reference: Goodfellow et al. 2014, section 3, last paragraph.
    """
    chex.assert_rank(fake_scores, 1)
    return -jax.nn.log_sigmoid(fake_scores)
