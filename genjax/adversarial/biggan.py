"""BigGAN: class-conditional pictures by a generator that hears z and the class in every block.

On top of SAGAN (Brock et al. 2019):

- one embedding of the class is shared by all layers (section 3); z is cut into equal chunks, the first makes the first
  feature map, and every block normalizes by `VectorBatchNorm` of [its chunk, the class] (skip-z, appendix B, figure 15);
- orthogonal initialization, and orthogonal regularization of the generator without its shared embedding (eq. 3):
  `regularizers.off_diagonal_penalty`;
- two discriminator steps; the generator's parameters are averaged over training (the engine's `train.ema_decay`);
- the truncation trick (section 3.1): z is drawn from a normal cut off at +-t. A small t gives typical pictures with
  little variety, a large t the reverse. The running statistics were made with t = infinity; `standing_statistics`
  computes others, at the t that is to be sampled with (appendix G.1: means over forward passes).

Reference: Brock et al. 2019, "Large Scale GAN Training for High Fidelity Natural Image Synthesis",
https://arxiv.org/abs/1809.11096
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.adversarial.cgan import label_of
from genjax.adversarial.conditional_norm import VectorBatchNorm
from genjax.adversarial.dcgan import base_side
from genjax.adversarial.gan import gan
from genjax.adversarial.losses import hinge_discriminator_loss, hinge_generator_loss
from genjax.adversarial.players import train_player
from genjax.adversarial.regularizers import off_diagonal_penalty, penalize_weights
from genjax.adversarial.residual import generator_block
from genjax.adversarial.sagan import SAGANDiscriminator, SelfAttention
from genjax.adversarial.spectral_norm import SpectralConv, SpectralDense
from genjax.contract import Array, GenerativeModel, PyTree, Variables
from genjax.nn import BatchNorm

orthogonal = nn.initializers.orthogonal()
SHARED = "shared"  # the embedding of classes in the generator's parameters


class BigGANGenerator(nn.Module):
    """Latents and classes to pictures in [-1, 1].

    shape: (H, W, C) of a picture, square.
    features: channels of the blocks, from the picture inwards; each doubles the side once.
    num_classes: classes are 0 .. num_classes - 1.
    embedding: width of the shared embedding of classes.
    attention_side: side of the maps that have an attention block; 0 for none.
    momentum: weight of the past in the running statistics.
    axis_name: mapped axis of batch normalization under pmap.
    dtype: compute dtype.
    """

    shape: Sequence[int]
    features: Sequence[int]
    num_classes: int
    embedding: int
    attention_side: int = 0
    momentum: float = 0.9
    axis_name: str | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, z: Array, label: Array, *, train: bool) -> Array:
        """Map latents `[B, L]`, L a multiple of 1 + blocks, and classes int `[B]` to pictures `[B, H, W, C]`."""
        first, *chunks = split_latent(z, 1 + len(self.features))
        shared = self.param(SHARED, nn.initializers.normal(1.0), (self.num_classes, self.embedding), jnp.float32)[label]
        linear = {"train": train, "kernel_init": orthogonal, "dtype": self.dtype}
        normal = {"momentum": self.momentum, "axis_name": self.axis_name, "dtype": self.dtype}
        base, width = base_side(self.shape, self.features), self.features[-1]
        x = SpectralDense(base * base * width, name="latent", **linear)(first).reshape(-1, base, base, width)
        for width, chunk in zip(reversed(self.features), chunks):
            condition = jnp.concatenate([shared, chunk.astype(jnp.float32)], axis=-1)
            norm = lambda h, c=condition: VectorBatchNorm(**normal)(h, c, train=train)
            x = generator_block(x, width, conv=partial(SpectralConv, **linear), norm=norm)
            if x.shape[1] == self.attention_side:
                x = SelfAttention(**linear)(x)
        x = jax.nn.relu(BatchNorm(name="last_norm", **normal)(x, train=train))
        return jnp.tanh(SpectralConv(self.shape[-1], name="picture", **linear)(x))


def split_latent(z: Array, parts: int) -> list[Array]:
    """Cut latents `[B, L]` into equal chunks `[B, L / parts]`.

    Raises:
        ValueError: if L is not a multiple of the parts.
    """
    if z.ndim != 2 or z.shape[1] % parts:
        raise ValueError(f"Latents {z.shape} cannot be cut into {parts} equal chunks: give [B, L], L a multiple of {parts}.")
    return jnp.split(z, parts, axis=1)


def truncated_normal(key: Array, shape: tuple[int, ...], truncation: float | Array) -> Array:
    """Draw from the standard normal cut off at +-truncation; infinity is no truncation.

    Args:
        key: a key.
        shape: of the sample.
        truncation: t > 0, traced.

    Returns:
        float32 of the shape; what a redraw of everything outside [-t, t] would give.

    Reference: Brock et al. 2019, section 3.1.
    """
    # A float32 uniform number, through the inverse of erf, gives at most 5.42; past 5.5 it could give infinity.
    edge = jnp.minimum(jnp.asarray(truncation, jnp.float32), 5.5)
    return jax.random.truncated_normal(key, -edge, edge, shape)


def standing_statistics(
    generator: BigGANGenerator,
    latent_dim: int,
    variables: Variables,
    key: Array,
    condition: Array,
    *,
    truncation: float | Array = jnp.inf,
    num_batches: int = 16,
) -> Variables:
    """Return variables with the generator's running statistics made anew at a truncation.

    Args:
        generator: with its parameters and state in `variables`.
        latent_dim: L.
        variables: of the model.
        key: draws the latents.
        condition: classes as they will be asked for, int `[num_batches * B]`.
        truncation: t > 0, traced.
        num_batches: forward passes whose batch statistics are averaged.

    Returns:
        Variables to sample from; nothing else in them has changed.

    Reference: Brock et al. 2019, appendix G.1.
    """
    if condition.ndim != 1 or condition.shape[0] % num_batches:
        raise ValueError(f"Classes {condition.shape} cannot be cut into {num_batches} batches of the same size.")
    forgetful = generator.clone(momentum=0.0)  # its running statistics are those of its last batch
    params, state = variables.params["generator"], variables.state["generator"]

    def of_batch(_: None, inputs: tuple[Array, Array]) -> tuple[None, PyTree]:
        batch_key, label = inputs
        latents = truncated_normal(batch_key, (label.shape[0], latent_dim), truncation)
        return None, train_player(forgetful, params, state, batch_key, latents, label)[1]["batch_stats"]

    keys = jax.random.split(key, num_batches)
    found = jax.lax.scan(of_batch, None, (keys, condition.reshape(num_batches, -1)))[1]
    standing = state | {"batch_stats": jax.tree.map(lambda s: s.mean(axis=0), found)}
    return variables._replace(state={**variables.state, "generator": standing})


def biggan(
    shape: Sequence[int],
    *,
    num_classes: int,
    latent_dim: int = 120,
    embedding: int = 128,
    generator_features: Sequence[int] = (64, 128),
    discriminator_features: Sequence[int] = (64, 128, 128),
    halvings: int = 2,
    attention_side: int = 0,
    orthogonal_weight: float = 1e-4,
    generator_loss: Any = hinge_generator_loss,
    discriminator_loss: Any = hinge_discriminator_loss,
    discriminator_steps: int = 2,
    axis_name: str | None = None,
    dtype: Any = None,
    **options: Any,
) -> GenerativeModel:
    """Bind the two networks into a GAN on pictures in [-1, 1].

    Args:
        shape: (H, W, C) of a picture.
        num_classes: batches have 'label', int32 `[B]` in 0 .. num_classes - 1.
        latent_dim: coordinates of a latent, a multiple of 1 + blocks of the generator.
        embedding: width of the shared embedding of classes.
        generator_features: channels of its blocks, from the picture inwards.
        discriminator_features: likewise.
        halvings: how many of the discriminator's blocks halve the side, from the picture inwards.
        attention_side: side of the maps that have an attention block, in both; 0 for none.
        orthogonal_weight: beta of the orthogonal regularization.
        generator_loss: of the scores of generated examples.
        discriminator_loss: of the scores of real and of generated examples.
        discriminator_steps: updates of the discriminator before each of the generator.
        axis_name: mapped axis of the generator's batch normalization under pmap.
        dtype: compute dtype of both.
        options: further arguments of `genjax.adversarial.gan.gan` (regularizers, discriminator_after).

    Returns:
        A model as `gan` makes it, with the option `truncation` of `sample` (traced, by default none) and the method

            standing_statistics: (variables, key, condition, *, truncation, num_batches) -> Variables.

    Reference: Brock et al. 2019, sections 3 and 3.1, appendix B.
    """
    generator = BigGANGenerator(
        shape, generator_features, num_classes, embedding, attention_side, axis_name=axis_name, dtype=dtype
    )
    discriminator = SAGANDiscriminator(
        discriminator_features, halvings, attention_side, num_classes, orthogonal, dtype
    )
    model = gan(
        generator,
        discriminator,
        latent_dim=latent_dim,
        generator_loss=generator_loss,
        discriminator_loss=discriminator_loss,
        discriminator_steps=discriminator_steps,
        condition_of=label_of,
        **options,
    )
    generate = model.methods["generate"]

    def sample(
        variables: Variables,
        key: Array,
        num_samples: int,
        *,
        condition: PyTree = None,
        truncation: float | Array = jnp.inf,
    ) -> Array:
        latents = truncated_normal(key, (num_samples, latent_dim), truncation)
        return generate(variables, key, latents, condition)

    move_discriminator, move_generator = model.updates
    move_generator = penalize_weights(move_generator, "orthogonal", off_diagonal_but_shared, weight=orthogonal_weight)
    standing = {"standing_statistics": partial(standing_statistics, generator, latent_dim)}
    return model._replace(
        updates=(move_discriminator, move_generator), sample=sample, methods={**model.methods, **standing}
    )


def off_diagonal_but_shared(players: PyTree) -> Array:
    """Return the orthogonal penalty of the generator's kernels, the shared embedding of classes left out; a scalar."""
    return off_diagonal_penalty({name: tree for name, tree in players["generator"].items() if name != SHARED})
