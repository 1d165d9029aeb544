"""StyleGAN2: styles modulate a synthesis network, and two lazy regularizers keep the game and the styles smooth.

Players: 'mapping' f, 'synthesis' g, 'discriminator' D, see `style_networks`. A picture is g(w_1, ..., w_K; noise) with all
w_i = f(z), or, for a share of the pictures in training, w_i = f(z) below a random layer and f(z') from there on (style
mixing, 2019, section 3.1). A step makes

    discriminate   softplus(-D(x)) + softplus(D(g))                           on every step
    r1             gamma/2 |grad D(x)|^2 * 16                                 on every 16th, by the optimizer of `discriminate`
    generate       softplus(-D(g))                                            on every step
    path_length    2 (|J^T y| - a)^2 * 4                                      on every 4th, by the optimizer of `generate`

where J is the Jacobian of g by w, y is normal over sqrt(H W), and a is the moving mean of |J^T y| (2020, eq. 4). A lazy
term is multiplied by how rarely it is made (appendix B); a lazy update is a step of its own of the same Adam, whose
constants the config corrects by c = k / (k + 1) for an update on every k-th step: c lr, beta_1^c, beta_2^c.

State: a, and the moving mean of w, towards which truncation pulls, w' = mean + psi (w - mean) (2019, appendix B). With an
`AdaptiveAugmentation`, p and what it goes by are there too, and a further update `adapt` moves p.

Reference: Karras et al. 2019, "A Style-Based Generator Architecture for Generative Adversarial Networks",
https://arxiv.org/abs/1812.04948; Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN",
https://arxiv.org/abs/1912.04958
"""

import math
from collections.abc import Mapping
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from genjax.adversarial import adaptive_augmentation as ada
from genjax.adversarial import style_game as play
from genjax.adversarial.game import Critic, DiscriminatorLoss, GeneratorLoss, Regularizer, mean_penalties
from genjax.adversarial.losses import gan_discriminator_loss, non_saturating_generator_loss
from genjax.adversarial.players import init_player, train_player
from genjax.adversarial.regularizers import path_length_penalty, path_lengths, r1_penalty
from genjax.adversarial.style_game import StyleGame
from genjax.adversarial.style_networks import draw_noise, num_styles
from genjax.contract import AfterFn, Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables


def stylegan2(
    mapping: nn.Module,
    synthesis: nn.Module,
    discriminator: nn.Module,
    *,
    latent_dim: int,
    generator_loss: GeneratorLoss = non_saturating_generator_loss,
    discriminator_loss: DiscriminatorLoss = gan_discriminator_loss,
    discriminator_steps: int = 1,
    regularizers: Mapping[str, Regularizer] | None = None,
    discriminator_after: AfterFn | None = None,
    mixing: float = 0.9,
    gamma: float = 10.0,
    r1_every: int = 16,
    path_weight: float = 2.0,
    path_every: int = 4,
    path_shrink: int = 2,
    path_decay: float = 0.01,
    w_decay: float = 0.995,
    augmentation: ada.AdaptiveAugmentation | None = None,
    axis_name: str | None = None,
) -> GenerativeModel:
    """Bind three networks into a model with the players 'mapping', 'synthesis' and 'discriminator'.

    Args:
        mapping: module (latents `[B, latent_dim]`, train=) -> w `[B, W]`.
        synthesis: module (styles `[B, K, W]`, noise, train=) -> pictures `[B, H, W, C]`; it has `features`, one for
            each resolution, which give K, and `noise_sides`. `SkipSynthesis`, or `AdaINSynthesis` of 2019.
        discriminator: module (pictures, train=) -> scores `[B]`.
        latent_dim: coordinates of z.
        generator_loss: of the scores of generated pictures.
        discriminator_loss: of the scores of real and of generated pictures.
        discriminator_steps: m, moves of the discriminator by its loss at each step; lazy R1 weighs m times as much.
        regularizers: as in `genjax.adversarial.gan.gan`, added to the discriminator's loss at every step, beside lazy
            R1; the critic sees pictures through the augmentation, as R1's does.
        discriminator_after: what follows each move of the discriminator, as in `Update.after`.
        mixing: share of generated pictures whose styles are mixed in training.
        gamma: of lazy R1; 0 for none.
        r1_every: k of R1.
        path_weight: of the path length; 0 for none (StyleGAN of 2019 has none).
        path_every: k of the path length.
        path_shrink: its minibatch is smaller by this.
        path_decay: how much of a is new at each of its updates.
        w_decay: how much of the mean of w is old at each step.
        augmentation: what the discriminator sees its pictures through; None for none.
        axis_name: mapped axis under pmap, over which p of the augmentation counts pictures.

    Returns:
        A model with the updates of the module's docstring; `sample` takes `psi`, a traced scalar or one for each style
        `[K]`, 1 for no truncation. Its methods, each (variables, key, ...), the key for the noise:
        map: z `[N, latent_dim]` -> w `[N, W]`.
        synthesize: w `[N, W]` or styles `[N, K, W]` -> pictures, all under the same noise.
        generate: z, psi=1 -> pictures likewise.
        style_mix: z `[M, latent_dim]`, z' `[N, latent_dim]`, cut, psi=1 -> `[M, N, ...]`, the first cut styles of z.
        interpolate: z, z', psi=1, num_steps=8 -> `[N, num_steps, ...]`, along the straight line in W.
        score: x -> scores.

    Reference: Karras et al. 2020.
    """
    game = StyleGame(
        mapping=mapping,
        synthesis=synthesis,
        discriminator=discriminator,
        latent_dim=latent_dim,
        generator_loss=generator_loss,
        discriminator_loss=discriminator_loss,
        discriminator_steps=discriminator_steps,
        regularizers=dict(regularizers or {}),
        discriminator_after=discriminator_after,
        mixing=mixing,
        gamma=gamma,
        r1_every=r1_every,
        path_weight=path_weight,
        path_every=path_every,
        path_shrink=path_shrink,
        path_decay=path_decay,
        w_decay=w_decay,
        augmentation=augmentation,
        axis_name=axis_name,
    )
    methods = {"map": play.map_latents, "synthesize": play.synthesize, "generate": play.generate}
    methods |= {"style_mix": play.style_mix, "interpolate": play.interpolate, "score": play.score}
    return GenerativeModel(
        init=partial(_init, game),
        updates=_updates(game),
        sample=partial(play.sample, game),
        methods={name: partial(method, game) for name, method in methods.items()},
    )


def _init(game: StyleGame, key: Array, batch: Batch) -> Variables:
    """Initialise the three players, and check that the pictures they make are those of the data."""
    mapping_key, synthesis_key, discriminator_key = jax.random.split(key, 3)
    one = batch["x"][:1]
    mapping, _, w = init_player(game.mapping, mapping_key, jnp.zeros((1, game.latent_dim), jnp.float32))
    noise = draw_noise(key, 1, game.synthesis.noise_sides)
    synthesis, _, picture = init_player(game.synthesis, synthesis_key, play.everywhere(game, w), noise)
    if picture.shape != one.shape:
        raise ValueError(f"The synthesis network makes pictures {picture.shape[1:]}, but the data are {one.shape[1:]}.")
    discriminator, kept, scores = init_player(game.discriminator, discriminator_key, one)
    if scores.shape != (1,):
        raise ValueError(f"A discriminator gives one score an example, [B]; this one gives {scores.shape} for one.")
    state = {"discriminator": kept, "w_mean": jnp.zeros_like(w[0]), "path_mean": jnp.zeros((), jnp.float32)}
    if game.augmentation is not None:
        state["overfitting"] = ada.init_overfitting(game.augmentation)
    return Variables({"mapping": mapping, "synthesis": synthesis, "discriminator": discriminator}, state)


def _updates(game: StyleGame) -> tuple[Update, ...]:
    """Return a step's updates in order, without those of weight 0."""
    makers = ("mapping", "synthesis")
    judge = {"players": ("discriminator",), "after": game.discriminator_after}
    discriminate = Update("discriminate", loss=partial(_discriminate, game), repeat=game.discriminator_steps, **judge)
    r1 = Update("r1", loss=partial(_r1, game), optimizer="discriminate", every=game.r1_every, **judge)
    move = Update("generate", makers, partial(_generate, game))
    path = Update("path_length", makers, partial(_path_length, game), optimizer="generate", every=game.path_every)
    found = [discriminate] + [r1] * bool(game.gamma) + [move] + [path] * bool(game.path_weight)
    if game.augmentation is not None:
        found.append(Update("adapt", (), partial(_adapt, game), every=game.augmentation.every))
    return tuple(found)


def _discriminate(game: StyleGame, variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
    del step
    fake_key, real_run, fake_run, penalty_key = jax.random.split(key, 4)
    fake, _ = _generate_in_training(game, variables, fake_key, batch["x"].shape[0])
    real_scores, kept = _score_in_training(game, variables, variables.state["discriminator"], real_run, batch["x"])
    fake_scores, kept = _score_in_training(game, variables, kept, fake_run, fake)
    terms = game.discriminator_loss(real_scores, fake_scores)
    state = {**variables.state, "discriminator": kept}
    metrics = {"real": terms.real.mean(), "fake": terms.fake.mean()}
    metrics |= {"real_score": real_scores.mean(), "fake_score": fake_scores.mean()}
    if game.augmentation is not None:
        state["overfitting"] = ada.observe(state["overfitting"], lax.stop_gradient(real_scores))
        metrics["p"] = state["overfitting"].p
    penalties = mean_penalties(game.regularizers, _critic(game, variables, real_run), batch["x"], fake, penalty_key)
    return terms.real.mean() + terms.fake.mean() + sum(penalties.values()), Aux(state, metrics | penalties)


def _r1(game: StyleGame, variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
    """Return R1, of the discriminator on pictures as they are before they are augmented."""
    del step
    critic = _critic(game, variables, key)
    penalty = r1_penalty(critic, batch["x"], batch["x"], key, gamma=game.gamma).mean()
    return game.r1_every * game.discriminator_steps * penalty, Aux(variables.state, {"penalty": penalty})


def _generate(game: StyleGame, variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
    del step
    fake_key, run_key = jax.random.split(key)
    fake, mean = _generate_in_training(game, variables, fake_key, batch["x"].shape[0])
    scores, _ = _score_in_training(game, variables, variables.state["discriminator"], run_key, fake)
    old = variables.state["w_mean"]
    moved = old + (1 - game.w_decay) * (lax.stop_gradient(mean) - old)
    aux = Aux({**variables.state, "w_mean": moved}, {"fake_score": scores.mean()})
    return game.generator_loss(scores).mean(), aux


def _path_length(game: StyleGame, variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
    del step
    style_key, noise_key, direction_key = jax.random.split(key, 3)
    shape = (max(1, batch["x"].shape[0] // game.path_shrink), *batch["x"].shape[1:])
    styles, _ = _styles_in_training(game, variables, style_key, shape[0])
    noise = draw_noise(noise_key, shape[0], game.synthesis.noise_sides)
    direction = jax.random.normal(direction_key, shape) / math.sqrt(shape[1] * shape[2])
    lengths = path_lengths(lambda ws: play.run_synthesis(game, variables, ws, noise), styles, direction)
    old = variables.state["path_mean"]
    mean = old + game.path_decay * (lax.stop_gradient(lengths).mean() - old)
    penalty = path_length_penalty(lengths, mean).mean()
    metrics = {"penalty": penalty, "length": lengths.mean(), "mean_length": mean}
    return game.path_weight * game.path_every * penalty, Aux({**variables.state, "path_mean": mean}, metrics)


def _adapt(game: StyleGame, variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
    del key, step
    devices = 1 if game.axis_name is None else lax.axis_size(game.axis_name)
    seen, overfitting = ada.adapt(game.augmentation, variables.state["overfitting"], batch["x"].shape[0] * devices)
    return jnp.zeros(()), Aux({**variables.state, "overfitting": seen}, {"overfitting": overfitting, "p": seen.p})


def _generate_in_training(game: StyleGame, variables: Variables, key: Array, num: int) -> tuple[Array, Array]:
    """Return (pictures with some styles mixed, each under noise of its own; the mean of w)."""
    style_key, noise_key = jax.random.split(key)
    styles, mean = _styles_in_training(game, variables, style_key, num)
    return play.run_synthesis(game, variables, styles, draw_noise(noise_key, num, game.synthesis.noise_sides)), mean


def _styles_in_training(game: StyleGame, variables: Variables, key: Array, num: int) -> tuple[Array, Array]:
    """Return (styles `[num, K, W]`, a share of them mixed; the mean of w)."""
    latent_key, mix_key, cut_key = jax.random.split(key, 3)
    w = play.map_latents(game, variables, key, jax.random.normal(latent_key, (2 * num, game.latent_dim)))
    layers = num_styles(game.synthesis.features)
    mixed = jax.random.bernoulli(mix_key, game.mixing, (num,))
    cut = jnp.where(mixed, jax.random.randint(cut_key, (num,), 1, layers), layers)
    return play.mix_styles(w[:num], w[num:], cut, layers), w.mean(axis=0)


def _score_in_training(
    game: StyleGame, variables: Variables, kept: PyTree, key: Array, x: Array
) -> tuple[Array, PyTree]:
    """Score pictures as the discriminator sees them, augmented; (scores, its moved state)."""
    augment_key, run_key = jax.random.split(key)
    if game.augmentation is not None:
        x = game.augmentation.augment(augment_key, x, variables.state["overfitting"].p)
    return train_player(game.discriminator, variables.params["discriminator"], kept, run_key, x)


def _critic(game: StyleGame, variables: Variables, key: Array) -> Critic:
    """Return pictures -> scores as in training, augmented alike at each call; no state moves."""
    return lambda x: _score_in_training(game, variables, variables.state["discriminator"], key, x)[0]
