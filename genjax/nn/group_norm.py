"""Group normalization (Wu & He 2018, arXiv:1803.08494): each example's statistics over pixels and a group of channels.

    y_c = scale_c (x_c - mean_g) / sqrt(variance_g + epsilon) + bias_c,    channel c in group g

Sums run over the pixels first, channel by channel, and only then over a group's few channels: the long sum is over
rows in memory order, which is three times faster on CPUs than one sum over a reshaped [B, H, W, G, C / G]. Variances
are means of squared deviations, not differences of squares, so that a large mean costs no digits.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.contract import Array


class GroupNorm(nn.Module):
    """Group normalization with a learned scale and bias a channel; arithmetic and parameters are float32.

    groups: divides the channels.
    epsilon: added to the variance; 1e-6 in the code of Ho et al. 2020.
    dtype: dtype of the output; None for float32.
    """

    groups: int = 32
    epsilon: float = 1e-6
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Normalize x [B, H, W, C].

        Raises:
            ValueError: the groups do not divide the channels.
        """
        channels = x.shape[-1]
        if channels % self.groups:
            raise ValueError(f"{channels} channels are not divisible by {self.groups} groups.")
        scale = self.param("scale", nn.initializers.ones_init(), (channels,), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), (channels,), jnp.float32)
        x = x.astype(jnp.float32)
        centred = x - self._group_means(x)
        factor = jax.lax.rsqrt(self._group_means(centred * centred) + self.epsilon) * scale.reshape(1, 1, 1, -1)
        return (centred * factor + bias.reshape(1, 1, 1, -1)).astype(self.dtype or jnp.float32)

    def _group_means(self, x: Array) -> Array:
        """Return each group's mean [B, 1, 1, C], the same for all of its channels."""
        batch, _, _, channels = x.shape
        means = x.mean(axis=(1, 2)).reshape(batch, self.groups, channels // self.groups).mean(axis=-1)
        return jnp.repeat(means, channels // self.groups, axis=-1)[:, None, None, :]
