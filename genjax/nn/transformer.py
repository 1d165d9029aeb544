"""A transformer (Vaswani et al. 2017, arXiv:1706.03762) with the normalization before each layer (Xiong et al. 2020).

    h <- h + Attention(norm(h)),    h <- h + W_2 gelu(W_1 norm(h)),    out = norm(h)

The layers are one `nn.scan`: parameters have a leading axis of depth, and compile time does not grow with it. Who may
attend to whom is an argument: None for everyone, `causal_mask` for language models.

Attention has no biases: one on the keys adds the same number to all logits of a query, so that its gradient is
rounding noise.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.contract import Array


def causal_mask(length: int) -> Array:
    """Return the boolean [N, N] under which position i attends to positions up to and including i."""
    return jnp.tril(jnp.ones((length, length), bool))


class SelfAttention(nn.Module):
    """softmax(q k' / sqrt(d)) v over positions, in several heads.

    heads: divides the width.
    dtype: compute dtype; None follows the input.
    """

    heads: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, mask: Array | None = None) -> Array:
        """Map [B, N, W] to the same shape.

        Args:
            x: [B, N, W].
            mask: boolean [N, N] or [B, N, N], True where the row may attend to the column; None for all.

        Raises:
            ValueError: the width is not divisible into the heads, or the mask is of another shape.
        """
        batch, length, width = x.shape
        if width % self.heads:
            raise ValueError(f"a width of {width} is not divisible into {self.heads} heads.")
        if mask is not None and mask.shape not in ((length, length), (batch, length, length)):
            raise ValueError(
                f"the mask has shape {mask.shape}; it must be {(length, length)}, or one for each example."
            )
        heads = (batch, length, self.heads, width // self.heads)
        query, key, value = (
            nn.Dense(width, use_bias=False, dtype=self.dtype, name=name)(x).reshape(heads)
            for name in ("query", "key", "value")
        )
        mask = None if mask is None else mask.reshape(-1, 1, length, length)
        with jax.numpy_dtype_promotion("standard"):  # jax scales bfloat16 by a float32
            h = jax.nn.dot_product_attention(query, key, value, mask=mask)
        return nn.Dense(width, use_bias=False, dtype=self.dtype, name="out")(h.reshape(batch, length, width))


class TransformerLayer(nn.Module):
    """Attention and a perceptron, each added to its input.

    heads: divides the width.
    mlp_ratio: hidden width of the perceptron over the width.
    dropout: rate, on what is added.
    dtype: compute dtype of the products; sum and normalization keep the dtype of x.
    """

    heads: int
    mlp_ratio: int = 4
    dropout: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, mask: Array | None = None, train: bool = False) -> Array:
        """Map [B, N, W] to the same shape; see `SelfAttention` for the mask."""
        drop = nn.Dropout(self.dropout, deterministic=not train)
        h = nn.LayerNorm(dtype=x.dtype, name="norm_attention")(x)
        x = x + drop(SelfAttention(self.heads, self.dtype, name="attention")(h, mask)).astype(x.dtype)
        h = nn.LayerNorm(dtype=x.dtype, name="norm_mlp")(x)
        h = nn.gelu(nn.Dense(self.mlp_ratio * x.shape[-1], dtype=self.dtype, name="mlp_in")(h))
        return x + drop(nn.Dense(x.shape[-1], dtype=self.dtype, name="mlp_out")(h)).astype(x.dtype)


class Transformer(nn.Module):
    """`depth` layers as one scan, and a last normalization.

    depth: layers.
    heads: divides the width.
    mlp_ratio: hidden width of the perceptrons over the width.
    dropout: rate, on what each layer adds; drawn from the rng 'dropout' when training.
    dtype: compute dtype of the products.
    """

    depth: int
    heads: int
    mlp_ratio: int = 4
    dropout: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, mask: Array | None = None, *, train: bool = False) -> Array:
        """Map embeddings [B, N, W] to the same shape.

        Args:
            x: [B, N, W], float32 to keep the sum over layers exact.
            mask: boolean [N, N] or [B, N, N], True where the row may attend to the column; None for all.
            train: whether to drop out.

        Returns:
            [B, N, W], of the dtype of x.
        """

        def step(layer: TransformerLayer, h: Array, _: None) -> tuple[Array, None]:
            return layer(h, mask, train), None

        own = {"params": True, "dropout": True}
        layers = nn.scan(step, variable_axes={"params": 0}, split_rngs=own, length=self.depth)
        layer = TransformerLayer(self.heads, self.mlp_ratio, self.dropout, self.dtype, name="layers")
        x, _ = layers(layer, x, None)
        return nn.LayerNorm(dtype=x.dtype, name="norm")(x)
