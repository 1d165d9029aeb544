"""SAD-GAN: the next frame of a drive, given the frames before and the key that the driver presses.

After the description of the paper, which learns to drive a video game from pictures and key presses. y are the frames
before, k the key, x the frame after:

    discriminator   descends   -log D(x, y, k) - log(1 - D(G(y, k), y, k))
    generator       descends   -log D(G(y, k), y, k) + w |G(y, k) - x|
    controller      descends   -log C(k | y, x)

The controller learns from real frames alone which key lies between scenes. It tells whether a frame that was made shows
what the key asked for, and it is what drives: of two scenes it gives the key from one to the other.

A key reaches both networks as constant planes beside the frames, one for each key, 1 where it is pressed.

Reference: Ghosh, Bhattacharya & Chowdhury 2016, "SAD-GAN: Synthetic Autonomous Driving using Generative Adversarial
Networks", https://arxiv.org/abs/1611.08788
"""

from collections.abc import Sequence
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from genjax.adversarial.adversarial_training import label_loss
from genjax.adversarial.image_translation import leaky_relu, over_patches
from genjax.adversarial.losses import gan_discriminator_loss, non_saturating_generator_loss
from genjax.adversarial.paired_game import paired_translation
from genjax.adversarial.pix2pix import weighted_l1
from genjax.contract import Array, Aux, Batch, GenerativeModel, Update, Variables
from genjax.nn import Conv


class Controller(nn.Module):
    """Frames before and after to logits of the key between, by strided convolutions.

    num_keys: of the output.
    features: channels of the convolutions; each halves the side.
    dtype: compute dtype.
    """

    num_keys: int
    features: Sequence[int]
    dtype: Any = None

    @nn.compact
    def __call__(self, frames: Array, after: Array) -> Array:
        """Map `[B, H, W, F]` and `[B, H, W, 1]` to logits `[B, num_keys]`."""
        h = jnp.concatenate([frames, after], axis=-1)
        for width in self.features:
            h = leaky_relu(Conv(width, kernel_size=4, stride=2, dtype=self.dtype)(h))
        return nn.Dense(self.num_keys, dtype=self.dtype)(h.reshape(h.shape[0], -1))


def with_key(frames: Array, key_pressed: Array, num_keys: int) -> Array:
    """Put a plane for each key beside frames.

    Args:
        frames: `[B, H, W, F]`.
        key_pressed: integers 0..num_keys-1 `[B]`.
        num_keys: of planes.

    Returns:
        `[B, H, W, F + num_keys]`; the plane of the key is 1 and the others are 0.
    """
    chex.assert_rank([frames, key_pressed], [4, 1])
    planes = jax.nn.one_hot(key_pressed, num_keys, dtype=frames.dtype)[:, None, None]
    return jnp.concatenate([frames, jnp.broadcast_to(planes, (*frames.shape[:3], num_keys))], axis=-1)


def sad_gan(
    generator: nn.Module,
    discriminator: nn.Module,
    controller: nn.Module,
    *,
    num_frames: int,
    num_keys: int,
    l1_weight: float = 10.0,
) -> GenerativeModel:
    """Bind the three networks.

    Args:
        generator: module (given `[B, H, W, num_frames + num_keys]`, train=) -> frame `[B, H, W, 1]` in [-1, 1].
        discriminator: module (frame, given, train=) -> scores of patches `[B, h, w]`.
        controller: module (frames, frame after) -> logits `[B, num_keys]`, of parameters alone.
        num_frames: that are given, the latest last.
        num_keys: keys are 0 .. num_keys - 1.
        l1_weight: w.

    Returns:
        A model of batches with the frame after 'x', what is given 'y' (of `with_key`) and the key 'label', with a
        player and an update for each network. `sample` takes what is given as its condition. Methods: those of
        `genjax.adversarial.paired_game.paired_translation`; control(variables, key, frames, after) -> log C `[N,
        num_keys]`; drive(variables, key, frames, keys `[N, T]`) -> frames `[N, T, H, W]`, each made of those before it.

    Reference: Ghosh et al. 2016.
    """
    model = paired_translation(
        generator,
        discriminator,
        terms={"l1": lambda frozen, made, x: weighted_l1(frozen, made, x, weight=l1_weight)},
        generator_loss=over_patches(non_saturating_generator_loss),
        discriminator_loss=over_patches(gan_discriminator_loss),
    )

    def init(key: Array, batch: Batch) -> Variables:
        variables = model.init(key, batch)
        params = controller.init(jax.random.fold_in(key, 1), batch["y"][:1, ..., :num_frames], batch["x"][:1])["params"]
        return variables._replace(params={**variables.params, "controller": params})

    def logits(variables: Variables, frames: Array, after: Array) -> Array:
        return controller.apply({"params": variables.params["controller"]}, frames, after).astype(jnp.float32)

    def controller_objective(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del key, step
        found = logits(variables, batch["y"][..., :num_frames], batch["x"])
        loss = label_loss(found, batch["label"]).mean()
        right = jnp.mean((found.argmax(axis=1) == batch["label"]).astype(jnp.float32))
        return loss, Aux(variables.state, {"loss": loss, "accuracy": right})

    def control(variables: Variables, key: Array, frames: Array, after: Array) -> Array:
        del key
        return jax.nn.log_softmax(logits(variables, frames, after), axis=1)

    def drive(variables: Variables, key: Array, frames: Array, keys: Array) -> Array:
        def one(seen: Array, step: tuple[Array, Array]) -> tuple[Array, Array]:
            noise, pressed = step
            after = model.methods["translate"](variables, noise, with_key(seen, pressed, num_keys))
            return jnp.concatenate([seen[..., 1:], after], axis=-1), after[..., 0]

        noises = jax.random.split(key, keys.shape[1])
        return jnp.moveaxis(lax.scan(one, frames, (noises, keys.T))[1], 0, 1)

    return model._replace(
        init=init,
        updates=(*model.updates, Update("controller", ("controller",), controller_objective)),
        methods={**model.methods, "control": control, "drive": drive},
    )
