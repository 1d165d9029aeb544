"""M3GAN: a GAN that fills in what a mask hides of a series, after a filter whose width changes, to find anomalies.

After the description of the paper. A network that reconstructs a series from itself may learn to copy it, anomalies and
all. Two things prevent that:

    mutable filter   x' = F^-1 (1[k < K] F x): a series keeps its lowest K frequencies, K drawn anew each time
    masking          m hides entries; the generator sees m x' and m, and is to make x

    generator       descends   |G(m x', m) - x|^2 + lambda -log D(G(m x', m))
    discriminator   descends   -log D(x) - log(1 - D(G(m x', m)))

A mask hides a block of w steps in succession, the first and the last step being neighbours, since single hidden steps
could be read off from those beside them, anomalous as they are. At test time all blocks are laid over a series one
after another; a step is scored by how far it is from what was filled in for it, on average over the blocks that hide it
(`hidden_errors`).

Reference: "M3GAN: A masking strategy with a mutable filter for multidimensional anomaly detection", Knowledge-Based
Systems 2023. Weights, networks and the laws of masks and of K are ours.
"""

from collections.abc import Callable, Sequence
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from genjax.adversarial.losses import gan_discriminator_loss, non_saturating_generator_loss
from genjax.adversarial.paired_game import paired_translation
from genjax.contract import Array, GenerativeModel, PyTree
from genjax.nn import MLP


class MaskedGenerator(nn.Module):
    """What a mask leaves of a series, and the mask, to the series; a perceptron over all steps.

    hidden: widths of the hidden layers.
    dtype: compute dtype.
    """

    hidden: Sequence[int]
    dtype: Any = None

    @nn.compact
    def __call__(self, given: Array, *, train: bool) -> Array:
        """Map `[B, T, 2 D]`, series and mask, to series `[B, T, D]`."""
        del train
        batch, steps, width = given.shape
        made = MLP(self.hidden, steps * width // 2, activation=jax.nn.gelu, dtype=self.dtype)(given.reshape(batch, -1))
        return made.reshape(batch, steps, width // 2)


class SeriesDiscriminator(nn.Module):
    """Series to scores, a perceptron over all steps, LeakyReLU 0.2; it does not look at what is given.

    hidden: widths of the hidden layers.
    dtype: compute dtype.
    """

    hidden: Sequence[int]
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, given: Array | None = None, *, train: bool) -> Array:
        """Map series `[B, T, D]` to scores `[B]`."""
        del train, given
        leaky_relu = lambda y: jax.nn.leaky_relu(y, 0.2)
        return MLP(self.hidden, 1, activation=leaky_relu, dtype=self.dtype)(x.reshape(x.shape[0], -1))[:, 0]


def mutable_filter(x: Array, keep: Array) -> Array:
    """Return series with their lowest frequencies alone.

    Args:
        x: `[B, T, D]`.
        keep: K, how many of the frequencies 0, 1, ..., T // 2 waves in the series are kept, integers `[B]`.

    Returns:
        `[B, T, D]`; x itself where K > T // 2.
    """
    chex.assert_rank([x, keep], [3, 1])
    spectrum = jnp.fft.rfft(x, axis=1)
    kept = jnp.arange(spectrum.shape[1])[None] < keep[:, None]
    return jnp.fft.irfft(jnp.where(kept[..., None], spectrum, 0), n=x.shape[1], axis=1)


def block_mask(start: Array, steps: int, width: int) -> Array:
    """Return masks that hide the `width` steps from `start` on; after the last step comes the first.

    Args:
        start: integers 0..steps-1 `[B]`.
        steps: T.
        width: w, of the block.

    Returns:
        0 where a step is hidden and 1 elsewhere, float32 `[B, T]`.
    """
    chex.assert_rank(start, 1)
    return ((jnp.arange(steps)[None] - start[:, None]) % steps >= width).astype(jnp.float32)


def masked_input(x: Array, mask: Array) -> Array:
    """Return what a generator is given: the series where the mask is 1 and 0 elsewhere, then the mask.

    Args:
        x: `[B, T, D]`.
        mask: `[B, T]`.

    Returns:
        `[B, T, 2 D]`.
    """
    chex.assert_rank([x, mask], [3, 2])
    wide = jnp.broadcast_to(mask[..., None], x.shape)
    return jnp.concatenate([wide * x, wide], axis=-1)


def hidden_errors(fill: Callable[[Array], Array], x: Array, *, width: int) -> Array:
    """Return how far each step is from what is filled in for it.

    Args:
        fill: what is given `[B, T, 2 D]` -> series `[B, T, D]`.
        x: `[B, T, D]`.
        width: of the blocks that are hidden, one at each of the T places.

    Returns:
        Squared errors, summed over channels, averaged over the blocks that hide the step, `[B, T]`.
    """
    chex.assert_rank(x, 3)

    def of_block(start: Array) -> Array:
        mask = block_mask(jnp.full(x.shape[:1], start), x.shape[1], width)
        return (1 - mask) * jnp.sum((fill(masked_input(x, mask)) - x) ** 2, axis=2)

    return lax.map(of_block, jnp.arange(x.shape[1])).sum(axis=0) / width


def series_error(frozen: PyTree, made: Array, x: Array) -> Array:
    """Return |made - x|^2 `[B]`, summed over steps and channels: a term of the paired game."""
    del frozen
    chex.assert_rank([made, x], 3)
    return jnp.sum((made - x) ** 2, axis=(1, 2))


def m3gan(generator: nn.Module, discriminator: nn.Module, *, adversarial_weight: float = 0.1) -> GenerativeModel:
    """Bind a generator that fills in and a discriminator of series.

    Args:
        generator: module (given `[B, T, 2 D]`, train=) -> series `[B, T, D]`.
        discriminator: module (series, given, train=) -> scores `[B]`.
        adversarial_weight: lambda.

    Returns:
        A model of batches with 'x' `[B, T, D]` and 'y' `[B, T, 2 D]`, what `masked_input` makes of the filtered series,
        as `genjax.adversarial.paired_game.paired_translation` makes it: `sample` fills in `condition`, or series of the
        first batch. A further method is `errors(variables, key, x, width=)` -> `hidden_errors`, `[N, T]`.
    """
    model = paired_translation(
        generator,
        discriminator,
        terms={"error": series_error},
        generator_loss=non_saturating_generator_loss,
        discriminator_loss=gan_discriminator_loss,
        generator_weight=adversarial_weight,
    )

    def errors(variables: Any, key: Array, x: Array, *, width: int) -> Array:
        fill = lambda given: model.methods["translate"](variables, key, given)
        return hidden_errors(fill, x, width=width)

    return model._replace(methods={**model.methods, "errors": errors})
