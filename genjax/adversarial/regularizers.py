"""What is added to an adversarial loss, or done after a move, to keep a critic smooth or a network well conditioned.

On the critic s, at real x ~ p and generated y ~ q. These are `game.Regularizer`s, functions of (critic, real, fake,
key) -> `[B]`, each with its own weight:

    gradient_penalty             lambda (|grad s(u)| - 1)^2, u = x + eps (y - x), eps ~ U[0, 1]   WGAN-GP, eq. 3
    one_sided_gradient_penalty   lambda max(0, |grad s(u)| - 1)^2                                 its section 4
    r1_penalty                   gamma/2 |grad s(x)|^2                                            Mescheder, eq. 9
    r2_penalty                   gamma/2 |grad s(y)|^2                                            eq. 10
    consistency_penalty          lambda_x (s(x) - s(T x))^2 + lambda_y (s(y) - s(T y))^2          bCR-GAN

The norms are Euclidean, over all entries of an example. The gradient is that of the sum of the scores, which is each
example's own as long as the critic looks at one example at a time. With batch normalization it does not: there the
gradient of one example alone would be zero, and that of the sum is no example's own (`refuse_batch_normalization`).

On weights, functions of a tree of parameters -> scalar, which `penalize_weights` adds to an update:

    orthogonal_penalty           sum over kernels |W^T W - I|^2                                   BigGAN, eq. 2
    off_diagonal_penalty         sum over kernels |W^T W * (1 - I)|^2                             eq. 3

clip_weights is what WGAN does after a move. path_lengths and path_length_penalty are StyleGAN2's, on the generator.

Reference: Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", https://arxiv.org/abs/1704.00028;
Mescheder et al. 2018, "Which Training Methods for GANs do actually Converge?", https://arxiv.org/abs/1801.04406;
Zhao et al. 2020, "Improved Consistency Regularization for GANs", https://arxiv.org/abs/2002.04724; Brock et al.
2019, "Large Scale GAN Training", https://arxiv.org/abs/1809.11096; Karras et al. 2020, "Analyzing and Improving the
Image Quality of StyleGAN", https://arxiv.org/abs/1912.04958
"""

from collections.abc import Callable, Mapping, Sequence

import chex
import jax
import jax.numpy as jnp

from genjax.adversarial.game import Critic
from genjax.contract import AfterFn, Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables

Augment = Callable[[Array, Array], Array]  # key, x [B, ...] -> x [B, ...], another of the same class


def gradient_penalty(critic: Critic, real: Array, fake: Array, key: Array, *, weight: float = 10.0) -> Array:
    """Return the two-sided penalty: the critic's gradient is to have norm 1 between real and generated examples.

    Args:
        critic: `[B, ...]` -> scores `[B]`, one example at a time (no batch normalization).
        real: `[B, ...]`.
        fake: `[B, ...]`.
        key: draws where on each line between a real and a generated example.
        weight: lambda.

    Returns:
        lambda (|grad s(u)| - 1)^2 `[B]`.

    Reference: Gulrajani et al. 2017, eq. 3 and Algorithm 1.
    """
    return weight * (gradient_norm(critic, between(real, fake, key)) - 1) ** 2


def one_sided_gradient_penalty(critic: Critic, real: Array, fake: Array, key: Array, *, weight: float = 10.0) -> Array:
    """Return the one-sided penalty: the critic's gradient is to have norm 1 at most.

    Args:
        critic, real, fake, key, weight: as in `gradient_penalty`.

    Returns:
        lambda max(0, |grad s(u)| - 1)^2 `[B]`.

    Reference: Gulrajani et al. 2017, section 4; Petzka et al. 2018, eq. 8, https://arxiv.org/abs/1709.08894
    """
    return weight * jax.nn.relu(gradient_norm(critic, between(real, fake, key)) - 1) ** 2


def r1_penalty(critic: Critic, real: Array, fake: Array, key: Array, *, gamma: float = 10.0) -> Array:
    """Return the zero-centred penalty on real examples.

    Args:
        critic: as in `gradient_penalty`.
        real: `[B, ...]`.
        fake, key: not looked at.
        gamma: gamma.

    Returns:
        gamma/2 |grad s(x)|^2 `[B]`.

    Reference: Mescheder et al. 2018, eq. 9.
    """
    del fake, key
    return 0.5 * gamma * squared_gradient_norm(critic, real)


def r2_penalty(critic: Critic, real: Array, fake: Array, key: Array, *, gamma: float = 10.0) -> Array:
    """Return the zero-centred penalty on generated examples.

    Args:
        critic: as in `gradient_penalty`.
        fake: `[B, ...]`.
        real, key: not looked at.
        gamma: gamma.

    Returns:
        gamma/2 |grad s(y)|^2 `[B]`.

    Reference: Mescheder et al. 2018, eq. 10.
    """
    del real, key
    return 0.5 * gamma * squared_gradient_norm(critic, fake)


def consistency_penalty(
    critic: Critic,
    real: Array,
    fake: Array,
    key: Array,
    *,
    augment: Augment,
    real_weight: float = 10.0,
    fake_weight: float = 10.0,
) -> Array:
    """Return how far scores move when their examples are augmented (balanced consistency regularization, bCR).

    With fake_weight = 0 it is CR-GAN (Zhang et al. 2020, https://arxiv.org/abs/1910.12027).

    Args:
        critic: `[B, ...]` -> scores `[B]`.
        real: `[B, ...]`.
        fake: `[B, ...]`.
        key: for the augmentations.
        augment: T, (key, x) -> x, which keeps what is real real.
        real_weight: lambda_x.
        fake_weight: lambda_y.

    Returns:
        lambda_x (s(x) - s(T x))^2 + lambda_y (s(y) - s(T y))^2 `[B]`.

    Reference: Zhao et al. 2020, Algorithm 1.
    """
    real_key, fake_key = jax.random.split(key)
    moved = lambda x, k: (critic(x) - critic(augment(k, x))) ** 2
    return real_weight * moved(real, real_key) + fake_weight * moved(fake, fake_key)


def between(real: Array, fake: Array, key: Array) -> Array:
    """Return a point drawn uniformly on the line between each real and its generated example, `[B, ...]`."""
    if real.shape != fake.shape or real.ndim < 2:
        raise ValueError(f"The shapes of real {real.shape} and generated {fake.shape} examples must agree, [B, ...].")
    eps = jax.random.uniform(key, (real.shape[0],) + (1,) * (real.ndim - 1), real.dtype)
    return real + eps * (fake - real)


def squared_gradient_norm(critic: Critic, x: Array) -> Array:
    """Return |grad s(x)|^2 of each example.

    Args:
        critic: `[B, ...]` -> scores `[B]`, one example at a time.
        x: `[B, ...]`.

    Returns:
        `[B]`, which can be differentiated by what the critic depends on.

    Raises:
        ValueError: if the scores are not `[B]`.
    """
    scores, pull = jax.vjp(critic, x)
    if scores.shape != x.shape[:1] or x.ndim < 2:
        raise ValueError(f"A critic gives scores of shape [B] for examples [B, ...], not {scores.shape} for {x.shape}.")
    (gradient,) = pull(jnp.ones_like(scores))
    return jnp.sum(gradient**2, axis=tuple(range(1, x.ndim)))


def gradient_norm(critic: Critic, x: Array) -> Array:
    """Return |grad s(x)| of each example; arguments as in `squared_gradient_norm`."""
    return safe_sqrt(squared_gradient_norm(critic, x))


def safe_sqrt(squares: Array) -> Array:
    """Return the square root, with gradient 0 at 0, where it is not finite (a critic that has died)."""
    flat = squares == 0
    return jnp.where(flat, jnp.zeros_like(squares), jnp.sqrt(jnp.where(flat, jnp.ones_like(squares), squares)))


def orthogonal_penalty(params: PyTree) -> Array:
    """Return how far the filters of all kernels are from orthonormal.

    Args:
        params: a tree of parameters. A kernel is a leaf with two axes or more, `[..., out]`; W has its filters as
            columns, `[rest, out]`. Other leaves are passed over.

    Returns:
        Scalar, sum over kernels |W^T W - I|_F^2.

    Reference: Brock et al. 2017, "Neural Photo Editing with Introspective Adversarial Networks", section 3.3, as
        Brock et al. 2019 write it, eq. 2.
    """
    return sum((jnp.sum((gram - jnp.eye(len(gram))) ** 2) for gram in _grams(params)), jnp.zeros(()))


def off_diagonal_penalty(params: PyTree) -> Array:
    """Return how far the filters of all kernels are from orthogonal, whatever their norms.

    Args:
        params: as in `orthogonal_penalty`.

    Returns:
        Scalar, sum over kernels |W^T W * (1 - I)|_F^2.

    Reference: Brock et al. 2019, eq. 3 (weight 1e-4, on the generator without its shared embedding).
    """
    return sum((jnp.sum((gram * (1 - jnp.eye(len(gram)))) ** 2) for gram in _grams(params)), jnp.zeros(()))


def penalize_weights(update: Update, name: str, penalty: Callable[[PyTree], Array], *, weight: float) -> Update:
    """Add weight * penalty(parameters of the update's players) to an update's loss.

    Args:
        update: of one or more players.
        name: of the metric.
        penalty: tree of parameters -> scalar, such as `off_diagonal_penalty`.
        weight: beta.

    Returns:
        The update with another loss, to go into `model._replace(updates=...)`.
    """

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        value, aux = update.loss(variables, batch, key, step)
        added = weight * penalty({player: variables.params[player] for player in update.players})
        return value + added, aux._replace(metrics={**aux.metrics, name: added})

    return update._replace(loss=loss)


def clip_weights(players: str | Sequence[str], bound: float) -> AfterFn:
    """Return what clips all parameters of one or more players into [-bound, bound], for `Update.after`.

    Args:
        players: their names in `Variables.params`, or the one's.
        bound: c > 0.

    Raises:
        ValueError: if the bound is not positive.

    Reference: Arjovsky et al. 2017, Algorithm 1, line 7 (c = 0.01), https://arxiv.org/abs/1701.07875
    """
    if not bound > 0:
        raise ValueError(f"Weights are clipped into [-bound, bound] with a positive bound, not {bound}.")

    names = (players,) if isinstance(players, str) else tuple(players)

    def after(params: Mapping[str, PyTree], state: PyTree) -> tuple[Mapping[str, PyTree], PyTree]:
        clipped = {name: jax.tree.map(lambda p: jnp.clip(p, -bound, bound), params[name]) for name in names}
        return {**params, **clipped}, state

    return after


def refuse_batch_normalization(model: GenerativeModel, player: str = "discriminator") -> GenerativeModel:
    """Return the model with an `init` that raises where a player normalises by its batch.

    Args:
        model: one that penalises the gradient of a player by its examples.
        player: its name.

    Raises:
        ValueError: by `init`, if the player keeps batch statistics.
    """

    def init(key: Array, batch: Batch, **stages: Variables) -> Variables:
        variables = model.init(key, batch, **stages)
        if "batch_stats" in variables.state[player]:
            raise ValueError(
                f"The gradient of the {player} is penalised at each example, but it has batch normalization, by which "
                "its scores depend on the whole batch; give it layer normalization, or none."
            )
        return variables

    return model._replace(init=init)


def path_lengths(synthesize: Callable[[Array], Array], w: Array, noise: Array) -> Array:
    """Return |J^T y| with J the Jacobian of pictures by their styles: how far a picture moves with its style.

    Args:
        synthesize: styles -> pictures `[B, H, W, C]`, one example at a time.
        w: styles `[B, D]`, or `[B, L, D]` with one for each of L layers, whose squares are averaged.
        noise: y, standard normal `[B, H, W, C]`. The authors' code divides it by sqrt(H W), so that lengths do not
            grow with the picture; give it so to use their weights.

    Returns:
        `[B]`, which can be differentiated by what `synthesize` depends on.

    Raises:
        ValueError: if the pictures are not shaped like the noise.

    Reference: Karras et al. 2020, eq. 4.
    """
    pictures, pull = jax.vjp(synthesize, w)
    if pictures.shape != noise.shape or w.ndim not in (2, 3):
        raise ValueError(
            f"Path lengths need noise of the shape of the pictures and styles [B, D] or [B, L, D]; here are pictures "
            f"{pictures.shape}, noise {noise.shape}, styles {w.shape}."
        )
    (gradient,) = pull(noise)
    squares = jnp.sum(gradient**2, axis=-1)
    return safe_sqrt(squares if w.ndim == 2 else squares.mean(axis=1))


def path_length_penalty(lengths: Array, mean: Array) -> Array:
    """Return (|J^T y| - a)^2.

    Args:
        lengths: of `path_lengths`, `[B]`.
        mean: a, their moving mean, scalar. The caller keeps it (in `Variables.state`), without gradient.

    Returns:
        `[B]`.

    Reference: Karras et al. 2020, eq. 4.
    """
    chex.assert_rank([lengths, mean], [1, 0])
    return (lengths - mean) ** 2


def _grams(params: PyTree) -> list[Array]:
    """Return W^T W of each kernel, `[out, out]`, in float32."""
    kernels = [leaf.astype(jnp.float32) for leaf in jax.tree.leaves(params) if leaf.ndim >= 2]
    matrices = [kernel.reshape(-1, kernel.shape[-1]) for kernel in kernels]
    return [w.T @ w for w in matrices]
