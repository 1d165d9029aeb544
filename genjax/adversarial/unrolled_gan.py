"""Unrolled GAN: the generator faces the discriminator that would answer it, not the one that stands there now.

With f(theta_G, theta_D) the loss that the discriminator descends (its cross-entropy), one would have the generator
descend -f at the discriminator's best answer theta_D*(theta_G). The paper puts K gradient steps in its place (eq.
8-10),

    theta_D^0     = theta_D
    theta_D^{k+1} = theta_D^k - eta grad_D f(theta_G, theta_D^k)
    f_K(theta_G, theta_D) = f(theta_G, theta_D^K(theta_G, theta_D))

and the generator descends -f_K. Its gradient (eq. 11) has a second term beside the usual one,

    d f_K / d theta_G = df/dtheta_G (theta_G, theta_D^K) + df/dtheta_D (theta_G, theta_D^K) dtheta_D^K / dtheta_G

how the discriminator would react: a generator that puts all mass on one mode is told that the discriminator will follow
it there. So f has to be whole: the term of real examples, which does not depend on theta_G directly, does through
theta_D^K. The discriminator itself is moved by f as in a GAN (one step, K = 0): what was unrolled is thrown away.

K = 0 is the GAN; K -> infinity, where it converges, differentiates through the best answer.

The inner steps are made by any optax transformation; plain gradient descent is eq. 9. As in the authors' program they
go on from what the discriminator's optimizer has gathered: the state under 'unrolled' is the inner optimizer's, moved
by the first of the K steps at each of the generator's moves, so that an inner Adam has moments as old as the
discriminator's. (Steps that are linear in the gradient can be exploited: a generator that sends its examples far off
makes them overshoot. Those of Adam are bounded.) Each inner step draws latents of its own, as a step of the
discriminator does; all see the minibatch of the generator's step.

Reference: Metz et al. 2017, "Unrolled Generative Adversarial Networks", https://arxiv.org/abs/1611.02163
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import optax
from jax import lax

from genjax.adversarial import game as play
from genjax.adversarial.game import DiscriminatorLoss, Game, GeneratorLoss, Prior, Regularizer
from genjax.adversarial.gan import gan
from genjax.adversarial.losses import gan_discriminator_loss, minimax_generator_loss
from genjax.contract import Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables


def unroll(
    loss: Callable[[PyTree, Array], Array],
    params: PyTree,
    memory: PyTree,
    key: Array,
    *,
    optimizer: optax.GradientTransformation,
    steps: int,
) -> tuple[PyTree, PyTree]:
    """Return parameters after some steps of an optimizer, differentiable by all that `loss` depends on.

    Args:
        loss: (params, key) -> scalar, twice differentiable.
        params: where the steps start.
        memory: state of the optimizer there.
        key: every step gets a key of its own, split from this one.
        optimizer: an optax transformation. Of Adam `eps_root` has to be > 0, or a gradient of zero makes the derivative
            of its square root infinite.
        steps: K >= 0 (static).

    Returns:
        (parameters after K steps, state of the optimizer after the first of them, not differentiated); for K = 0 what
        was given.

    Raises:
        ValueError: steps < 0.

    Reference: Metz et al. 2017, eq. 8 and 9.
    """
    if steps < 0:
        raise ValueError(f"steps={steps} must be 0 or more: it counts the discriminator's unrolled steps.")

    def one(carry: tuple[PyTree, PyTree], step_key: Array) -> tuple[tuple[PyTree, PyTree], PyTree]:
        params, memory = carry
        gradient = jax.grad(loss)(params, step_key)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes int32 counts with floats
            moves, memory = optimizer.update(gradient, memory, params)
            return (optax.apply_updates(params, moves), memory), lax.stop_gradient(memory)

    (ahead, _), seen = lax.scan(one, (params, memory), jax.random.split(key, steps))
    return ahead, jax.tree.map(lambda all_steps: all_steps[0], seen) if steps else memory


def unrolled_generator_objective(
    game: Game,
    optimizer: optax.GradientTransformation,
    steps: int,
    variables: Variables,
    batch: Batch,
    key: Array,
    step: Array,
) -> tuple[Array, Aux]:
    """Return the generator's loss at the discriminator `steps` steps ahead: a LossFn for the player 'generator'.

    The loss is the mean of generator_loss(D_K(G(z))) less the discriminator's term of real examples; with the minimax
    loss it is -f_K.

    Reference: Metz et al. 2017, eq. 10 and 11.
    """
    fake_key, run_key = jax.random.split(key)  # as without unrolling, so that K = 0 is the GAN to the bit

    def answer(params: PyTree, step_key: Array) -> Array:
        return play.discriminator_objective(game, _against(variables, params), batch, step_key, step)[0]

    start, memory = variables.params["discriminator"], variables.state["unrolled"]
    ahead_key = jax.random.fold_in(run_key, 1)
    ahead, memory = unroll(answer, start, memory, ahead_key, optimizer=optimizer, steps=steps)
    facing = _against(variables, ahead)
    fake, state = play.generate_in_training(game, variables, batch, fake_key)
    fake_scores, moved = play.score_in_training(game, facing, facing.state["discriminator"], batch, run_key, fake)
    real_scores, _ = play.score_in_training(game, facing, moved, batch, run_key, batch["x"])
    real = game.discriminator_loss(real_scores, fake_scores).real
    metrics = {"fake_score": fake_scores.mean(), "real_score": real_scores.mean()}
    loss = game.generator_loss(fake_scores).mean() - real.mean()
    return loss, Aux({**variables.state, "generator": state, "unrolled": memory}, metrics)


def unrolled_gan(
    generator: nn.Module,
    discriminator: nn.Module,
    *,
    latent_dim: int,
    unroll_steps: int,
    inner_optimizer: optax.GradientTransformation,
    generator_loss: GeneratorLoss = minimax_generator_loss,
    discriminator_loss: DiscriminatorLoss = gan_discriminator_loss,
    regularizers: Mapping[str, Regularizer] | None = None,
    condition_of: Callable[[Batch], PyTree] | None = None,
    prior: Prior = jax.random.normal,
    **options: Any,
) -> GenerativeModel:
    """Bind a generator and a discriminator into a GAN whose generator looks `unroll_steps` ahead.

    Args:
        generator: as in `genjax.adversarial.gan.gan`.
        discriminator: likewise, twice differentiable by its parameters.
        latent_dim: coordinates of a latent.
        unroll_steps: K; 0 is the plain GAN.
        inner_optimizer: of the unrolled steps: the discriminator's own, or `optax.sgd(eta)`; see `unroll` for Adam.
        generator_loss: of the scores of generated examples, by the discriminator that is K steps ahead.
        discriminator_loss: of both scores; what the inner steps descend, with the regularizers.
        regularizers, condition_of, prior: as in `gan`.
        options: further arguments of `gan` (discriminator_steps, discriminator_after).

    Returns:
        A model with the players 'generator' and 'discriminator', as `gan` makes it.

    Reference: Metz et al. 2017, section 2.3.
    """
    fixed = {"latent_dim": latent_dim, "generator_loss": generator_loss, "discriminator_loss": discriminator_loss}
    fixed |= {"regularizers": dict(regularizers or {}), "condition_of": condition_of, "prior": prior}
    game = Game(generator, discriminator, **fixed)
    model = gan(generator, discriminator, **fixed, **options)
    ahead = partial(unrolled_generator_objective, game, inner_optimizer, unroll_steps)

    def init(key: Array, batch: Batch) -> Variables:
        variables = model.init(key, batch)
        memory = inner_optimizer.init(variables.params["discriminator"])
        return variables._replace(state={**variables.state, "unrolled": memory})

    return model._replace(init=init, updates=(model.updates[0], Update("generator", ("generator",), ahead)))


def _against(variables: Variables, discriminator: PyTree) -> Variables:
    """Return the variables with other parameters of the discriminator."""
    return variables._replace(params={**variables.params, "discriminator": discriminator})
