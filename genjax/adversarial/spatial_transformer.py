"""Spatial transformer: a generator that can move pixels and cannot draw.

A place (v, w) of the new picture, both in [-1, 1] from edge to edge, shows what the old one has at A (v, w, 1), A of
2 x 3, bilinear between pixels (Jaderberg et al. 2015, eqs. 1 and 5); beyond its border a picture goes on as its mirror
image. Here K such maps are kept, and one of them is shown, chosen by what is told of the picture, such as domains c:

    G(x, c) = x(A_k .),    k ~ p(. | c)              in training
                           k = argmax_k p(k | c)     afterwards

with gradients to p as if the mean over k were shown (straight through, Bengio et al. 2013). The paper's network looks at x
and gives A itself, which gradients move to the nearest rotation that helps at all; K maps that start turned and mirrored
by chance are compared with one another, and those shown are moved. Were the mean itself shown, a discriminator would
first of all see that it is blurred, which one map cures as well as another.

What such a generator makes is the picture that it was given, turned, stretched or moved: where a game asks for no more
than any one-to-one map of two sets of pictures, it cannot take one that redraws them.

Reference: Jaderberg et al. 2015, "Spatial Transformer Networks", https://arxiv.org/abs/1506.02025; Bengio et al. 2013,
"Estimating or Propagating Gradients Through Stochastic Neurons", https://arxiv.org/abs/1308.3432
"""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from genjax.adversarial.adaptive_augmentation import resample
from genjax.contract import Array


PACE = 2.0  # of logits that move one by one: they are to be sure before maps have gone far


def affine_warp(x: Array, matrix: Array) -> Array:
    """Return pictures whose place u is that of x at A u.

    Args:
        x: `[B, H, W, C]`.
        matrix: A `[B, 2, 3]`, of (row, column, 1), rows and columns in [-1, 1] from the middles of the outermost pixels.

    Returns:
        `[B, H, W, C]`, of x's dtype.

    Reference: Jaderberg et al. 2015, eqs. 1 and 5.
    """
    chex.assert_rank(x, 4)
    chex.assert_shape(matrix, (x.shape[0], 2, 3))
    half = jnp.asarray([(x.shape[1] - 1) / 2, (x.shape[2] - 1) / 2, 1.0], jnp.float32)
    in_pixels = half[None, :2, None] * matrix / half[None, None]
    last = jnp.broadcast_to(jnp.asarray([[[0.0, 0.0, 1.0]]]), (x.shape[0], 1, 3))
    return resample(x, jnp.concatenate([in_pixels, last], axis=1))


class SpatialTransformer(nn.Module):
    """Pictures to affine images of themselves, one of K each; in training drawn by a key 'dropout'.

    channels: of the picture; those beside it, each constant over a picture, are what log p is linear in.
    num_warps: K.
    """

    channels: int
    num_warps: int = 16

    @nn.compact
    def __call__(self, given: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C + ...]` to pictures `[B, H, W, C]`, within the range of those given."""
        picture, told = given[..., : self.channels], given[:, 0, 0, self.channels :].astype(jnp.float32)
        table = self.param("table", nn.initializers.zeros_init(), (max(1, told.shape[1]), self.num_warps))
        logits = PACE * (told @ table if told.shape[1] else jnp.repeat(table, given.shape[0], axis=0))
        turned = self.param("turned", orthogonal_maps, (self.num_warps, 2, 2))
        shift = self.param("shift", nn.initializers.zeros_init(), (self.num_warps, 2, 1))
        matrices = jnp.concatenate([turned, shift], axis=2)
        if not train:
            return affine_warp(picture, matrices[logits.argmax(axis=-1)])
        likely = jax.nn.softmax(logits)
        drawn = jax.nn.one_hot(jax.random.categorical(self.make_rng("dropout"), logits), self.num_warps)
        shown = likely + lax.stop_gradient(drawn - likely)
        everywhere = jnp.broadcast_to(matrices[:, None], (self.num_warps, given.shape[0], 2, 3))
        warped = jax.vmap(affine_warp, in_axes=(None, 0))(picture, everywhere)
        return jnp.einsum("bk,kbhwc->bhwc", shown, warped.astype(jnp.float32)).astype(given.dtype)


def orthogonal_maps(key: Array, shape: tuple[int, ...]) -> Array:
    """Return rotations and reflections, `shape` `[K, 2, 2]`, each as likely as any other."""
    one = nn.initializers.orthogonal()
    return jax.vmap(lambda each: one(each, shape[1:], jnp.float32))(jax.random.split(key, shape[0]))
