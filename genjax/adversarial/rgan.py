"""Recurrent GAN (RGAN) and its conditional form (RCGAN): both players are LSTMs over a series.

The generator reads a latent at each step, z_t ~ N(0, I), and writes x_t; the discriminator reads x_t and scores each
step:

    h_t, c_t = LSTM(z_t, h_{t-1}, c_{t-1})        x_t = output(W h_t + b)
    h_t, c_t = LSTM(x_t, h_{t-1}, c_{t-1})        s_t = w . h_t + b

A real series is real at every step, so a discriminator's loss is the mean over steps of the cross-entropy,

    -1/T sum_t log D(x)_t - 1/T sum_t log(1 - D(G(z))_t)          generator: -1/T sum_t log D(G(z))_t       (eq. 1-3)

In RCGAN what is told (a class) is appended to the input of either player at every step.

An LSTM here is, with gates in the order i, f, g, o and the forget gate's bias started at 1,

    c_t = sigmoid(f_t) c_{t-1} + sigmoid(i_t) tanh(g_t)           h_t = sigmoid(o_t) tanh(c_t)

Reference: Esteban et al. 2017, "Real-valued (Medical) Time Series Generation with Recurrent Conditional GANs",
https://arxiv.org/abs/1706.02633; Hochreiter & Schmidhuber 1997 (LSTM)
"""

from collections.abc import Callable, Sequence
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from genjax.adversarial.gan import gan
from genjax.adversarial.losses import DiscriminatorTerms, gan_discriminator_loss, non_saturating_generator_loss
from genjax.contract import Array, Batch, GenerativeModel, PyTree


class LSTM(nn.Module):
    """A long short-term memory over a series, from h = c = 0.

    features: width of h and c.
    dtype: compute dtype of the products; h and c are float32.
    """

    features: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map a series `[B, T, D]` to its states h `[B, T, features]`, float32."""
        from_input = nn.Dense(4 * self.features, bias_init=_forget_at_one, dtype=self.dtype, name="input")
        kernel = self.param("recurrent", nn.initializers.orthogonal(), (self.features, 4 * self.features))
        kernel = kernel if self.dtype is None else kernel.astype(self.dtype)

        def one(state: tuple[Array, Array], given: Array) -> tuple[tuple[Array, Array], Array]:
            h, c = state
            gates = given + (h.astype(kernel.dtype) @ kernel).astype(jnp.float32)
            i, f, g, o = jnp.split(gates, 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        start = (jnp.zeros((x.shape[0], self.features), jnp.float32),) * 2
        # The inputs' part of all gates at once: one large product instead of T small ones.
        given = jnp.moveaxis(from_input(x).astype(jnp.float32), 1, 0)
        return jnp.moveaxis(lax.scan(one, start, given)[1], 0, 1)


class RecurrentGenerator(nn.Module):
    """Latents to a series, an LSTM and one linear map at each step.

    shape: (T, D) of a series.
    hidden: width of the LSTM.
    output: applied last; tanh for series in [-1, 1].
    num_classes: of the labels it is told; 0 for none.
    dtype: compute dtype.
    """

    shape: Sequence[int]
    hidden: int
    output: Callable[[Array], Array] = jnp.tanh
    num_classes: int = 0
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array, *told: Array, train: bool) -> Array:
        """Map latents `[B, T * L]`, L at each step, (and labels `[B]`) to series `[B, T, D]`."""
        del train
        steps, width = self.shape
        if z.shape[1] % steps:
            raise ValueError(f"a latent of {z.shape[1]} coordinates cannot be dealt to {steps} steps; take a multiple.")
        h = LSTM(self.hidden, self.dtype)(_at_every_step(z.reshape(z.shape[0], steps, -1), told, self.num_classes))
        return self.output(nn.Dense(width, dtype=self.dtype)(h))


class RecurrentDiscriminator(nn.Module):
    """A series to a score at each step, an LSTM and one linear map.

    hidden: width of the LSTM.
    num_classes: of the labels it is told; 0 for none.
    dtype: compute dtype.
    """

    hidden: int
    num_classes: int = 0
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *told: Array, train: bool) -> Array:
        """Map series `[B, T, D]` (and labels `[B]`) to scores `[B, T]`."""
        del train
        h = LSTM(self.hidden, self.dtype)(_at_every_step(x, told, self.num_classes))
        return nn.Dense(1, dtype=self.dtype)(h)[..., 0]


def stepwise_discriminator_loss(real_scores: Array, fake_scores: Array) -> DiscriminatorTerms:
    """Return the discriminator's cross-entropy, averaged over the steps of each series.

    Args:
        real_scores: logits at each step of real series `[B, T]`.
        fake_scores: of generated series `[B, T]`.

    Returns:
        DiscriminatorTerms `[B]` each, in nats a step.

    Reference: Esteban et al. 2017, section 3.1.
    """
    chex.assert_rank([real_scores, fake_scores], 2)
    each = jax.vmap(gan_discriminator_loss, in_axes=1, out_axes=1)(real_scores, fake_scores)
    return DiscriminatorTerms(each.real.mean(axis=1), each.fake.mean(axis=1))


def stepwise_generator_loss(fake_scores: Array) -> Array:
    """Return -log D(G(z)), averaged over the steps of each series.

    Args:
        fake_scores: logits at each step of generated series `[B, T]`.

    Returns:
        `[B]`, in nats a step.

    Reference: Esteban et al. 2017, section 3.1.
    """
    chex.assert_rank(fake_scores, 2)
    return jax.vmap(non_saturating_generator_loss, in_axes=1, out_axes=1)(fake_scores).mean(axis=1)


def rgan(
    shape: Sequence[int],
    *,
    latent_dim: int = 5,
    generator_hidden: int = 100,
    discriminator_hidden: int = 100,
    output: Callable[[Array], Array] = jnp.tanh,
    num_classes: int = 0,
    dtype: Any = None,
    **options: Any,
) -> GenerativeModel:
    """Bind two LSTMs into a GAN of series.

    Args:
        shape: (T, D) of a series.
        latent_dim: L, coordinates of the latent of each step.
        generator_hidden, discriminator_hidden: widths of the LSTMs.
        output: the generator's last function.
        num_classes: of batch['label'], which both players are told (RCGAN); 0 for RGAN.
        dtype: compute dtype of both.
        options: further arguments of `genjax.adversarial.gan.gan`.

    Returns:
        A model with the players 'generator' and 'discriminator', as `gan` makes it. Its latents are `[N, T * L]`; with
        classes, `sample` takes labels `[N]` as its condition.

    Reference: Esteban et al. 2017, section 3.
    """
    generator = RecurrentGenerator(tuple(shape), generator_hidden, output, num_classes, dtype)
    discriminator = RecurrentDiscriminator(discriminator_hidden, num_classes, dtype)
    return gan(
        generator,
        discriminator,
        latent_dim=shape[0] * latent_dim,
        generator_loss=stepwise_generator_loss,
        discriminator_loss=stepwise_discriminator_loss,
        condition_of=_label_of if num_classes else None,
        score_shape=(shape[0],),
        **options,
    )


def _forget_at_one(key: Array, shape: tuple[int], dtype: Any = jnp.float32) -> Array:
    """Return the gates' biases: 1 for the forget gates, the second quarter, 0 for the others."""
    del key
    return jnp.zeros(shape, dtype).at[shape[0] // 4 : shape[0] // 2].set(1)


def _label_of(batch: Batch) -> PyTree:
    return batch["label"]


def _at_every_step(x: Array, told: tuple[Array, ...], num_classes: int) -> Array:
    """Append one-hot labels, where they are told, to every step of `[B, T, D]`."""
    if not told:
        return x
    classes = jax.nn.one_hot(told[0], num_classes, dtype=x.dtype)
    return jnp.concatenate([x, jnp.broadcast_to(classes[:, None], (*x.shape[:2], num_classes))], axis=-1)
