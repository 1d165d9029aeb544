"""Adversarial losses as functions of scores, one value an example.

A higher score always means more real, but in BEGAN, where it is an error. With real x ~ p, generated G(z) ~ q and
score s, a discriminator descends the sum of a term on s(x) and one on s(G(z)), a generator a term on s(G(z)). At the
discriminator's optimum the pair measures a divergence between p and q:

                     discriminator: real     fake              generator             at the optimum
    minimax          -log sigmoid(s)         -log sigmoid(-s)  log sigmoid(-s)       -loss = 2 JSD - log 4
    non-saturating   the same                                  -log sigmoid(s)
    least squares    (s - b)^2 / 2           (s - a)^2 / 2     (s - c)^2 / 2         Pearson chi^2, b - c = 1, b - a = 2
    Wasserstein      -s                      s                 -s                    -loss = W1, over 1-Lipschitz s
    hinge            max(0, 1 - s)           max(0, 1 + s)     -s                    loss = 2 - 2 TV
    BEGAN            s                       -k s              s                     (k holds the balance of the two)

The first two are Goodfellow et al. 2014: D(x) = sigmoid(s) is the probability that x is real, and they play (eq. 1)

    min_G max_D V(D, G) = E log D(x) + E log(1 - D(G(z))).

At D* = p / (p + q) the score is log p - log q, and V = 2 JSD(p, q) - log 4 (Theorem 1), JSD in nats. The generator
descends either of

    log(1 - D(G(z)))   minimax, gradient -D(G(z)) by the score: vanishes where D is confident
    -log D(G(z))       non-saturating, gradient -(1 - D(G(z))): same fixed point, strong early gradient (section 3).

Both are also called logistic, or softplus losses (Mescheder et al. 2018, Karras et al. 2019): -log sigmoid(s) is
softplus(-s), the same function, so there is one of each. Everything is written with log sigmoid, which is finite with
finite gradient at any finite score.

The hinge's generator is the Wasserstein one (Lim and Ye 2017, "Geometric GAN", https://arxiv.org/abs/1705.02894):
only the discriminators differ.

Reference: Goodfellow et al. 2014, "Generative Adversarial Nets", https://arxiv.org/abs/1406.2661; each function
names the others.
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


def least_squares_discriminator_loss(
    real_scores: Array, fake_scores: Array, *, a: float = 0.0, b: float = 1.0
) -> DiscriminatorTerms:
    """Return half the squared distances of the scores to their targets.

    Args:
        real_scores: any real numbers `[B]`.
        fake_scores: likewise.
        a: target of generated examples.
        b: target of real ones.

    Returns:
        DiscriminatorTerms((s(x) - b)^2 / 2, (s(G(z)) - a)^2 / 2) `[B]` each.

    Reference: Mao et al. 2017, "Least Squares Generative Adversarial Networks", eq. 2; a, b = 0, 1 is eq. 9 and
        a, b = -1, 1 eq. 8, https://arxiv.org/abs/1611.04076
    """
    chex.assert_rank([real_scores, fake_scores], 1)
    return DiscriminatorTerms(real=0.5 * (real_scores - b) ** 2, fake=0.5 * (fake_scores - a) ** 2)


def least_squares_generator_loss(fake_scores: Array, *, c: float = 1.0) -> Array:
    """Return half the squared distance of the scores to what the generator wants them to be.

    With b - c = 1 and b - a = 2 the generator descends Pearson's chi^2(p + q, 2 q) at the discriminator's optimum
    (Theorem 1, eq. 8: a, b, c = -1, 1, 0). c = b asks to be taken for real (eq. 9).

    Args:
        fake_scores: scores of generated examples `[B]`.
        c: target.

    Returns:
        (s(G(z)) - c)^2 / 2 `[B]`.

    Reference: Mao et al. 2017, eq. 2, https://arxiv.org/abs/1611.04076
    """
    chex.assert_rank(fake_scores, 1)
    return 0.5 * (fake_scores - c) ** 2


def wasserstein_discriminator_loss(real_scores: Array, fake_scores: Array) -> DiscriminatorTerms:
    """Return the terms of -(E s(x) - E s(G(z))), whose largest value over 1-Lipschitz critics s is W1.

    Args:
        real_scores: critic of real examples `[B]`.
        fake_scores: critic of generated examples `[B]`.

    Returns:
        DiscriminatorTerms(-s(x), s(G(z))) `[B]` each, in the unit of distance between examples.

    Reference: Arjovsky et al. 2017, "Wasserstein GAN", eq. 2 and Algorithm 1, https://arxiv.org/abs/1701.07875
    """
    chex.assert_rank([real_scores, fake_scores], 1)
    return DiscriminatorTerms(real=-real_scores, fake=fake_scores)


def wasserstein_generator_loss(fake_scores: Array) -> Array:
    """Return -s(G(z)).

    Args:
        fake_scores: critic of generated examples `[B]`.

    Returns:
        `[B]`.

    Reference: Arjovsky et al. 2017, Algorithm 1, https://arxiv.org/abs/1701.07875
    """
    chex.assert_rank(fake_scores, 1)
    return -fake_scores


def hinge_discriminator_loss(real_scores: Array, fake_scores: Array) -> DiscriminatorTerms:
    """Return how far real scores are below 1 and generated ones above -1; nothing is gained beyond.

    Args:
        real_scores: scores of real examples `[B]`.
        fake_scores: scores of generated examples `[B]`.

    Returns:
        DiscriminatorTerms(max(0, 1 - s(x)), max(0, 1 + s(G(z)))) `[B]` each.

    Reference: Lim and Ye 2017, "Geometric GAN"; Miyato et al. 2018, eq. 16, https://arxiv.org/abs/1802.05957
    """
    chex.assert_rank([real_scores, fake_scores], 1)
    return DiscriminatorTerms(real=jax.nn.relu(1 - real_scores), fake=jax.nn.relu(1 + fake_scores))


def hinge_generator_loss(fake_scores: Array) -> Array:
    """Return -s(G(z)), which has no margin.

    Args:
        fake_scores: scores of generated examples `[B]`.

    Returns:
        `[B]`.

    Reference: Lim and Ye 2017, "Geometric GAN"; Miyato et al. 2018, eq. 17, https://arxiv.org/abs/1802.05957
    """
    return wasserstein_generator_loss(fake_scores)


def began_discriminator_loss(real_errors: Array, fake_errors: Array, k: Array) -> DiscriminatorTerms:
    """Return the terms of L(x) - k L(G(z)): reconstruct real examples well, and generated ones badly by k.

    Args:
        real_errors: L(x), how far an autoencoder is off on real examples `[B]`.
        fake_errors: L(G(z)) `[B]`.
        k: k_t in [0, 1], scalar; `genjax.adversarial.next_balance` moves it.

    Returns:
        DiscriminatorTerms(L(x), -k L(G(z))) `[B]` each.

    Reference: Berthelot et al. 2017, "BEGAN", section 3.4, https://arxiv.org/abs/1703.10717
    """
    chex.assert_rank([real_errors, fake_errors, k], [1, 1, 0])
    return DiscriminatorTerms(real=real_errors, fake=-k * fake_errors)


def began_generator_loss(fake_errors: Array) -> Array:
    """Return L(G(z)): make what the autoencoder reconstructs well.

    Args:
        fake_errors: L(G(z)) `[B]`.

    Returns:
        `[B]`.

    Reference: Berthelot et al. 2017, section 3.4, https://arxiv.org/abs/1703.10717
    """
    chex.assert_rank(fake_errors, 1)
    return fake_errors
