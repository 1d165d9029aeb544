"""What a trained style-based generator can do: truncation, style mixing, walks in W.

`StyleGame` holds what is fixed when a model is built; the functions below take it first and are bound by
`genjax.adversarial.stylegan2.stylegan2`. w lives in W, one vector a picture; styles `[B, K, W]` are one for each layer
of the synthesis network.

Reference: Karras et al. 2019, "A Style-Based Generator Architecture for Generative Adversarial Networks",
https://arxiv.org/abs/1812.04948
"""

from collections.abc import Mapping
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial.adaptive_augmentation import AdaptiveAugmentation
from genjax.adversarial.game import DiscriminatorLoss, GeneratorLoss, Regularizer
from genjax.adversarial.latents import lerp
from genjax.adversarial.players import run_player
from genjax.adversarial.style_networks import draw_noise, num_styles
from genjax.contract import AfterFn, Array, PyTree, Variables


class StyleGame(NamedTuple):
    """What is fixed when the model is built; see `genjax.adversarial.stylegan2.stylegan2` for each."""

    mapping: nn.Module
    synthesis: nn.Module
    discriminator: nn.Module
    latent_dim: int
    generator_loss: GeneratorLoss
    discriminator_loss: DiscriminatorLoss
    discriminator_steps: int
    regularizers: Mapping[str, Regularizer]
    discriminator_after: AfterFn | None
    mixing: float
    gamma: float
    r1_every: int
    path_weight: float
    path_every: int
    path_shrink: int
    path_decay: float
    w_decay: float
    augmentation: AdaptiveAugmentation | None
    axis_name: str | None


def mix_styles(coarse: Array, fine: Array, cut: Array, layers: int) -> Array:
    """Return the styles of all layers: `coarse` below the layer `cut`, `fine` from there on.

    Args:
        coarse: w `[B, W]`.
        fine: w `[B, W]`.
        cut: integers in [0, layers], `[B]`.
        layers: K.

    Returns:
        `[B, K, W]`.

    Reference: Karras et al. 2019, section 3.1.
    """
    if coarse.ndim != 2 or coarse.shape != fine.shape or cut.shape != coarse.shape[:1]:
        raise ValueError(f"Styles to mix are [B, W], cuts [B]; here {coarse.shape}, {fine.shape} and {cut.shape}.")
    is_coarse = jnp.arange(layers)[None] < cut[:, None]
    return jnp.where(is_coarse[:, :, None], coarse[:, None], fine[:, None])


def truncate(styles: Array, mean: Array, psi: float | Array) -> Array:
    """Return mean + psi (styles - mean): closer to the mean picture, less varied and more like the data.

    Args:
        styles: `[B, K, W]`.
        mean: of w, `[W]`.
        psi: scalar, or one for each of K layers.

    Returns:
        `[B, K, W]`.

    Reference: Karras et al. 2019, appendix B.
    """
    psi = jnp.broadcast_to(jnp.asarray(psi, styles.dtype), styles.shape[1:2])[None, :, None]
    return (1 - psi) * mean[None, None] + psi * styles  # exactly the styles at 1


def sample(
    game: StyleGame,
    variables: Variables,
    key: Array,
    num_samples: int,
    *,
    condition: PyTree = None,
    psi: float | Array = 1.0,
) -> Array:
    """Return pictures of latents from the prior, each under noise of its own, `[num_samples, H, W, C]`."""
    if condition is not None:
        raise ValueError("This model is unconditional and takes no `condition`.")
    latent_key, noise_key = jax.random.split(key)
    w = map_latents(game, variables, key, jax.random.normal(latent_key, (num_samples, game.latent_dim)))
    styles = truncate(everywhere(game, w), variables.state["w_mean"], psi)
    return run_synthesis(game, variables, styles, draw_noise(noise_key, num_samples, game.synthesis.noise_sides))


def map_latents(game: StyleGame, variables: Variables, key: Array, z: Array) -> Array:
    """Return w `[N, W]` of latents z `[N, latent_dim]`."""
    del key
    return run_player(game.mapping, variables.params["mapping"], {}, z)


def synthesize(game: StyleGame, variables: Variables, key: Array, styles: Array) -> Array:
    """Return pictures of w `[N, W]` or of styles `[N, K, W]`, all under the one noise of the key."""
    styles = everywhere(game, styles) if styles.ndim == 2 else styles
    return run_synthesis(game, variables, styles, draw_noise(key, 1, game.synthesis.noise_sides))


def generate(game: StyleGame, variables: Variables, key: Array, z: Array, psi: float | Array = 1.0) -> Array:
    """Return pictures of latents `[N, latent_dim]`, truncated, under one noise."""
    styles = everywhere(game, map_latents(game, variables, key, z))
    return synthesize(game, variables, key, truncate(styles, variables.state["w_mean"], psi))


def style_mix(
    game: StyleGame, variables: Variables, key: Array, coarse: Array, fine: Array, cut: Array, psi: float | Array = 1.0
) -> Array:
    """Return every picture with the first `cut` styles of one latent and the others of another.

    Args:
        coarse: latents `[M, latent_dim]`.
        fine: latents `[N, latent_dim]`.
        cut: integer scalar in [0, K]; may be traced.
        psi: of the truncation.

    Returns:
        `[M, N, H, W, C]`, all under one noise.

    Reference: Karras et al. 2019, figure 3.
    """
    rows, columns = coarse.shape[0], fine.shape[0]
    w = map_latents(game, variables, key, jnp.concatenate([coarse, fine]))
    first, second = jnp.repeat(w[:rows], columns, axis=0), jnp.tile(w[rows:], (rows, 1))
    layers = num_styles(game.synthesis.features)
    styles = mix_styles(first, second, jnp.broadcast_to(cut, (rows * columns,)), layers)
    pictures = synthesize(game, variables, key, truncate(styles, variables.state["w_mean"], psi))
    return pictures.reshape(rows, columns, *pictures.shape[1:])


def interpolate(
    game: StyleGame,
    variables: Variables,
    key: Array,
    start: Array,
    end: Array,
    psi: float | Array = 1.0,
    *,
    num_steps: int = 8,
) -> Array:
    """Return pictures along the straight line in W between two latents, both ends included.

    Args:
        start: latents `[N, latent_dim]`.
        end: latents `[N, latent_dim]`.
        psi: of the truncation.
        num_steps: points on each line.

    Returns:
        `[N, num_steps, H, W, C]`, all under one noise.
    """
    w = map_latents(game, variables, key, jnp.concatenate([start, end]))
    line = lerp(*jnp.split(w, 2), jnp.linspace(0.0, 1.0, num_steps)).reshape(-1, w.shape[-1])
    styles = truncate(everywhere(game, line), variables.state["w_mean"], psi)
    pictures = synthesize(game, variables, key, styles)
    return pictures.reshape(start.shape[0], num_steps, *pictures.shape[1:])


def score(game: StyleGame, variables: Variables, key: Array, x: Array) -> Array:
    """Return the discriminator's scores of x `[N, H, W, C]` as it is, not augmented, `[N]`."""
    del key
    return run_player(game.discriminator, variables.params["discriminator"], variables.state["discriminator"], x)


def run_synthesis(game: StyleGame, variables: Variables, styles: Array, noise: tuple[Array, ...]) -> Array:
    """Return the pictures of styles `[N, K, W]` under noise as `draw_noise` makes it."""
    return run_player(game.synthesis, variables.params["synthesis"], {}, styles, noise)


def everywhere(game: StyleGame, w: Array) -> Array:
    """Return the same w `[N, W]` at every layer, `[N, K, W]`."""
    return jnp.broadcast_to(w[:, None], (w.shape[0], num_styles(game.synthesis.features), w.shape[1]))
