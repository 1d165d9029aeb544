"""Networks that are given pictures beside x_t, as more channels of their input (SR3, 2021; GLIDE, 2022).

A network that was trained without them goes on from where it was: the kernel of its first convolution gets rows of
zeros for the new channels, and so does what it did before until they have learned (GLIDE).
"""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp

from genjax.contract import Array, PyTree


class WithPictures(nn.Module):
    """A network on [x_t, pictures], the pictures made of the condition.

    network: (x [B, H, W, C + K], t [B], None, *, train) -> [B, H, W, C]; tell a U-Net its `out_channels`.
    pictures: condition -> [B, H, W, K], about unit scale.
    """

    network: nn.Module
    pictures: Callable[[PyTree], Array]

    @nn.compact
    def __call__(self, x: Array, t: Array, condition: PyTree, *, train: bool = False) -> Array:
        """Predict from x [B, H, W, C] at times or levels t [B], given a condition.

        Raises:
            ValueError: the pictures are not of x's size.
        """
        pictures = self.pictures(condition).astype(x.dtype)
        if pictures.shape[:-1] != x.shape[:-1]:
            raise ValueError(f"pictures of shape {pictures.shape} do not fit x of shape {x.shape}.")
        return self.network(jnp.concatenate([x, pictures], axis=-1), t, None, train=train)


def with_more_channels(params: PyTree, more: int, *, first: str = "conv_in") -> PyTree:
    """Return the parameters of `WithPictures` whose network does what `params`, of one without them, do.

    Args:
        params: of the network, its first convolution under the name `first`, kernel [k, k, C, F].
        more: K, channels of the pictures.
        first: name of that convolution.

    Returns:
        The parameters, kernel [k, k, C + K, F].
    """
    kernel = params[first]["kernel"]
    wider = jnp.pad(kernel, ((0, 0), (0, 0), (0, more), (0, 0)))
    return {"network": dict(params) | {first: dict(params[first]) | {"kernel": wider}}}
