"""Diffusion transformers: DiT (Peebles & Xie 2023, arXiv:2212.09748) and MMDiT (Esser et al. 2024, arXiv:2403.03206).

A picture is cut into patches, each a token; positions are sines and cosines of row and column. Time and class make one
vector c, which shifts, scales and gates every block (adaLN-Zero, section 3.2 of the former):

    x <- x + g_1 Attention(s_1 (norm x) + b_1),   x <- x + g_2 W_2 gelu(W_1 (s_2 (norm x) + b_2)),
    (b, s - 1, g) = W silu(c)

with W = 0 to begin with: every block starts as the identity, and the output as 0. In MMDiT, text tokens are a second
stream with weights of their own; both attend to the tokens of both. The blocks are one `nn.scan`: parameters have a
leading axis of depth, and compile time does not grow with it.

The same network in diffusers is

    DiTTransformer2DModel(num_attention_heads=heads, attention_head_dim=width // heads, in_channels=C, num_layers=depth,
                          sample_size=H, patch_size=patch, num_embeds_ada_norm=num_classes, norm_eps=1e-6)

except that there every block embeds time and class anew; tests/nn/test_dit.py carries weights from one to the other.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array
from genjax.nn.embeddings import sinusoidal_embedding
from genjax.nn.patches import patchify, unpatchify
from genjax.nn.text import Text

ZEROS = nn.initializers.zeros_init()


def sincos_positions(rows: int, columns: int, width: int) -> np.ndarray:
    """Return embeddings of the places of a grid, float32 [rows columns, width], row by row.

    One half is [sin(j w), cos(j w)] of the column j, the other of the row, with w_i = 10000^(-4 i / width).

    Raises:
        ValueError: the width is not divisible by 4.

    Reference: Peebles & Xie 2023, section 3.2; the order of the halves is their code's.
    """
    if width % 4:
        raise ValueError(f"a width of {width} is not divisible by 4, for sine and cosine of row and column.")
    frequencies = 10_000.0 ** (-np.arange(width // 4) / (width // 4))
    row, column = (place.reshape(-1, 1) * frequencies for place in np.mgrid[:rows, :columns])
    return np.concatenate([np.sin(column), np.cos(column), np.sin(row), np.cos(row)], axis=1).astype(np.float32)


def modulate(x: Array, shift: Array, scale: Array) -> Array:
    """Return norm(x) (1 + scale) + shift of x [B, N, W], shift and scale [B, W]; the norm has no parameters."""
    mean = jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.var(x, axis=-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + 1e-6) * (1.0 + scale[:, None]) + shift[:, None]


class Modulation(nn.Module):
    """W silu(c) in `parts` vectors of a width; zeros at initialization.

    parts: how many.
    width: of each.
    dtype: compute dtype; the result is float32.
    """

    parts: int
    width: int
    dtype: Any = None

    @nn.compact
    def __call__(self, c: Array) -> list[Array]:
        """Return float32 vectors [B, width] of c [B, W]."""
        dense = nn.Dense(self.parts * self.width, dtype=self.dtype, kernel_init=ZEROS, name="dense")
        return jnp.split(dense(nn.silu(c)).astype(jnp.float32), self.parts, axis=1)


class Projections(nn.Module):
    """Queries, keys and values of one stream of tokens.

    heads: divides the width.
    key_bias: whether keys have a bias; where all keys share it, it adds the same to all logits of a query, and its
        gradient is rounding noise.
    normalize: RMS normalization of queries and keys, against growing logits (Esser et al. 2024, section 5.3.2).
    queries: whether these tokens ask, too; else their queries are none, [B, 0, heads, W / heads].
    dtype: compute dtype.
    """

    heads: int
    key_bias: bool = False
    normalize: bool = False
    queries: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(self, h: Array) -> tuple[Array, Array, Array]:
        """Return [B, N, heads, W / heads] each of h [B, N, W].

        Raises:
            ValueError: the width is not divisible into the heads.
        """
        batch, length, width = h.shape
        if width % self.heads:
            raise ValueError(f"a width of {width} is not divisible into {self.heads} heads.")

        def projected(name: str, normalize: bool) -> Array:
            biased = self.key_bias or name != "key"
            split = nn.Dense(width, use_bias=biased, dtype=self.dtype, name=name)(h)
            split = split.reshape(batch, length, self.heads, width // self.heads)
            return nn.RMSNorm(epsilon=1e-6, dtype=self.dtype, name=f"norm_{name}")(split) if normalize else split

        key, value = projected("key", self.normalize), projected("value", False)
        return projected("query", self.normalize) if self.queries else key[:, :0], key, value


class FeedForward(nn.Module):
    """W_2 gelu(W_1 h), with gelu by tanh.

    ratio: hidden width over the width.
    dtype: compute dtype; the result is float32.
    """

    ratio: int = 4
    dtype: Any = None

    @nn.compact
    def __call__(self, h: Array) -> Array:
        """Map [B, N, W] to the same shape."""
        inner = nn.gelu(nn.Dense(self.ratio * h.shape[-1], dtype=self.dtype, name="dense_0")(h), approximate=True)
        return nn.Dense(h.shape[-1], dtype=self.dtype, name="dense_1")(inner).astype(jnp.float32)


def attend(query: Array, key: Array, value: Array) -> Array:
    """Return softmax(q k' / sqrt(d)) v over all tokens, heads side by side: [B, N, W] of [B, N, heads, d]."""
    with jax.numpy_dtype_promotion("standard"):  # jax scales bfloat16 by a float32
        h = jax.nn.dot_product_attention(query, key, value)
    return h.reshape(*h.shape[:2], -1)


class DiTBlock(nn.Module):
    """Attention and a perceptron under adaLN-Zero; the identity at initialization.

    heads: divides the width.
    mlp_ratio: hidden width of the perceptron over the width.
    dtype: compute dtype of the products; the sum is float32.
    """

    heads: int
    mlp_ratio: int = 4
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, c: Array) -> Array:
        """Map float32 tokens [B, N, W] to the same shape, given c [B, W]."""
        width = x.shape[-1]
        shift, scale, gate, shift_2, scale_2, gate_2 = Modulation(6, width, self.dtype, name="modulation")(c)
        h = attend(*Projections(self.heads, dtype=self.dtype, name="attention")(modulate(x, shift, scale)))
        h = nn.Dense(width, dtype=self.dtype, name="out")(h)
        x = x + gate[:, None] * h.astype(jnp.float32)
        h = FeedForward(self.mlp_ratio, self.dtype, name="mlp")(modulate(x, shift_2, scale_2))
        return x + gate_2[:, None] * h


class Conditioning(nn.Module):
    """c = MLP(sinusoidal embedding of t), and an embedded class added to it.

    width: of c.
    num_classes: classes; class num_classes stands for 'none given'. 0 for none.
    features: width of the sinusoidal embedding.
    dtype: compute dtype; the result is float32.
    """

    width: int
    num_classes: int = 0
    features: int = 256
    dtype: Any = None

    @nn.compact
    def __call__(self, t: Array, label: Array | None = None) -> Array:
        """Return float32 [B, width] of times t [B] in steps, and classes [B] where there are any.

        Raises:
            ValueError: a class is missing or not wanted.
        """
        if (label is None) == bool(self.num_classes):
            given = "no class" if label is None else "a class"
            raise ValueError(f"the network has {self.num_classes} classes and was given {given}.")
        h = nn.Dense(self.width, dtype=self.dtype, name="dense_0")(sinusoidal_embedding(t, self.features))
        c = nn.Dense(self.width, dtype=self.dtype, name="dense_1")(nn.silu(h)).astype(jnp.float32)
        if self.num_classes:
            c = c + nn.Embed(self.num_classes + 1, self.width, name="classes")(label)
        return c


class Output(nn.Module):
    """From tokens to patches, under a last shift and scale; zeros at initialization.

    size: entries of a patch.
    dtype: compute dtype; the result is float32.
    """

    size: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, c: Array) -> Array:
        """Map [B, N, W] and c [B, W] to [B, N, size]."""
        shift, scale = Modulation(2, x.shape[-1], self.dtype, name="modulation")(c)
        dense = nn.Dense(self.size, dtype=self.dtype, kernel_init=ZEROS, name="dense")
        return dense(modulate(x, shift, scale)).astype(jnp.float32)


class DiT(nn.Module):
    """A diffusion transformer that predicts a map from a noisy picture and its time; called as `UNet` is.

    patch: side of a patch.
    width: of a token; divisible by 4 and by the heads.
    depth: blocks.
    heads: of attention.
    mlp_ratio: hidden width of the perceptrons over the width.
    num_classes: classes to condition on; 0 for none. Class num_classes stands for 'none given'.
    features: width of the sinusoidal embedding of time.
    dtype: compute dtype; parameters, sums, normalizations and the output are float32.
    """

    patch: int = 2
    width: int = 384
    depth: int = 12
    heads: int = 6
    mlp_ratio: int = 4
    num_classes: int = 0
    features: int = 256
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, t: Array, condition: Array | None = None, *, train: bool = False) -> Array:
        """Predict from x [B, H, W, C] at times t [B], given classes [B] where the network has them.

        Args:
            x: noisy pictures, about unit scale.
            t: times in steps, 0 ... 1000 or so; see `embeddings.sinusoidal_embedding`.
            condition: int32 classes [B] in 0 ... num_classes (the last: none), or None.
            train: not used: there is no dropout here, that of labels is the training's.

        Returns:
            float32 [B, H, W, C].

        Raises:
            ValueError: x cannot be cut into patches, or a condition is missing or not wanted.
        """
        del train
        h = _embedded(self, x)
        c = Conditioning(self.width, self.num_classes, self.features, self.dtype, name="conditioning")(t, condition)
        step = lambda block, h, _: (block(h, c), None)
        blocks = nn.scan(step, variable_axes={"params": 0}, split_rngs={"params": True}, length=self.depth)
        h, _ = blocks(DiTBlock(self.heads, self.mlp_ratio, self.dtype, name="blocks"), h, None)
        out = Output(self.patch**2 * x.shape[-1], self.dtype, name="output")(h, c)
        return unpatchify(out, self.patch, *x.shape[1:3])


class JointBlock(nn.Module):
    """A block of two streams that attend to the tokens of both; the identity at initialization.

    heads: divides the width.
    mlp_ratio: hidden width of the perceptrons over the width.
    normalize: RMS normalization of queries and keys.
    last: the text is read and not written, in the block after which nobody reads it.
    dtype: compute dtype of the products; the sums are float32.
    """

    heads: int
    mlp_ratio: int = 4
    normalize: bool = False
    last: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, text: Array, c: Array) -> tuple[Array, Array]:
        """Map float32 tokens x [B, N, W] and text [B, L, W] to the same shapes, given c [B, W]."""
        streams, written = {"image": x, "text": text}, {"image": True, "text": not self.last}
        modulations, projections = {}, []
        for name, tokens in streams.items():
            parts = Modulation(6 if written[name] else 2, x.shape[-1], self.dtype, name=f"{name}_modulation")(c)
            options = (self.heads, True, self.normalize, written[name], self.dtype)
            projections.append(Projections(*options, name=f"{name}_attention")(modulate(tokens, *parts[:2])))
            modulations[name] = parts
        h = attend(*(jnp.concatenate(both, axis=1) for both in zip(*projections)))
        parts_of = dict(zip(streams, jnp.split(h, [x.shape[1]], axis=1)))
        for name in [name for name in streams if written[name]]:
            _, _, gate, shift, scale, gate_2 = modulations[name]
            h = nn.Dense(x.shape[-1], dtype=self.dtype, name=f"{name}_out")(parts_of[name])
            tokens = streams[name] + gate[:, None] * h.astype(jnp.float32)
            h = FeedForward(self.mlp_ratio, self.dtype, name=f"{name}_mlp")(modulate(tokens, shift, scale))
            streams[name] = tokens + gate_2[:, None] * h
        return streams["image"], streams["text"]


class MMDiT(nn.Module):
    """A diffusion transformer of pictures and text, the backbone of Stable Diffusion 3; called as `UNet` is.

    patch: side of a patch.
    width: of a token; divisible by 4 and by the heads.
    depth: blocks, at least 2.
    heads: of attention.
    mlp_ratio: hidden width of the perceptrons over the width.
    normalize: RMS normalization of queries and keys.
    features: width of the sinusoidal embedding of time.
    dtype: compute dtype; parameters, sums, normalizations and the output are float32.
    """

    patch: int = 2
    width: int = 384
    depth: int = 12
    heads: int = 6
    mlp_ratio: int = 4
    normalize: bool = True
    features: int = 256
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, t: Array, condition: Text, *, train: bool = False) -> Array:
        """Predict from x [B, H, W, C] at times t [B] in steps, given a Text; float32 [B, H, W, C]."""
        del train
        h = _embedded(self, x)
        c = Conditioning(self.width, features=self.features, dtype=self.dtype, name="conditioning")(t)
        pooled = nn.Dense(self.width, dtype=self.dtype, name="pooled_0")(condition.pooled)
        c = c + nn.Dense(self.width, dtype=self.dtype, name="pooled_1")(nn.silu(pooled)).astype(jnp.float32)
        text = nn.Dense(self.width, dtype=self.dtype, name="text_in")(condition.tokens).astype(jnp.float32)
        step = lambda block, streams, _: (block(*streams, c), None)
        own = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
        options = (self.heads, self.mlp_ratio, self.normalize)
        block = JointBlock(*options, dtype=self.dtype, name="blocks")
        streams, _ = nn.scan(step, **own, length=self.depth - 1)(block, (h, text), None)
        h, _ = JointBlock(*options, last=True, dtype=self.dtype, name="last_block")(*streams, c)
        out = Output(self.patch**2 * x.shape[-1], self.dtype, name="output")(h, c)
        return unpatchify(out, self.patch, *x.shape[1:3])


def _embedded(network: DiT | MMDiT, x: Array) -> Array:
    """Return the float32 tokens of a picture with their places, inside a network's call."""
    tokens = patchify(x, network.patch)
    h = nn.Dense(network.width, dtype=network.dtype, name="patch_in")(tokens).astype(jnp.float32)
    places = sincos_positions(x.shape[1] // network.patch, x.shape[2] // network.patch, network.width)
    return h + places[None]
