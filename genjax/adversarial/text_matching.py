"""Text and picture encoders whose inner products say what belongs together: the joint embedding of GAN-CLS.

The compatibility of a picture v and a text t is F(v, t) = theta(v)^T phi(t) (Reed et al. 2016a, eq. 4). In a minibatch
S_ij = F(v_i, t_j), and with labels y_i a picture and a text mismatch where y_i differs from y_j. The structured loss
asks each picture for its own text, and each text for its own picture, by a margin (eqs. 2, 5 and 6):

    l_v,i = mean over j, y_j != y_i, of max(0, margin + S_ij - S_ii)
    l_t,i = mean over j, y_j != y_i, of max(0, margin + S_ji - S_ii)

The paper takes the worst label in place of the mean over the mismatching pairs; over the few hundred labels of a
minibatch the mean has a gradient from every pair.

The text encoder is a small transformer over words, where the paper has a convolutional-recurrent network over
characters. It returns a vector for each word too, which networks that attend to words read.

Reference: Reed, Akata, Lee & Schiele 2016, "Learning Deep Representations of Fine-Grained Visual Descriptions",
https://arxiv.org/abs/1605.05395
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.contract import Array
from genjax.nn import Conv, Transformer


class TextFeatures(NamedTuple):
    """What an encoder says of texts.

    words: of each word in its sentence, `[B, L, E]`.
    mask: float32 `[B, L]`, 1 where there is a word, 0 behind the end.
    sentence: of the whole, `[B, E]`.
    """

    words: Array
    mask: Array
    sentence: Array


class RankingTerms(NamedTuple):
    """The two terms of the structured loss, `[B]` each; the loss is their sum.

    picture: on each picture against the texts of others.
    text: on each text against the pictures of others.
    """

    picture: Array
    text: Array


def ranking_loss(similarity: Array, different: Array, *, margin: float = 1.0) -> RankingTerms:
    """Return by how much mismatching pairs come within the margin of the matching ones.

    Args:
        similarity: S, pictures by texts, `[B, B]`; pairs that belong together are on the diagonal.
        different: bool `[B, B]`, whether picture i and text j mismatch; a row without any has loss 0.
        margin: positive.

    Returns:
        RankingTerms(l_v, l_t) `[B]` each.

    Raises:
        ValueError: if the two are not square matrices of one size.

    Reference: Reed et al. 2016a, eqs. 2, 5 and 6.
    """
    if similarity.ndim != 2 or similarity.shape[0] != similarity.shape[1] or different.shape != similarity.shape:
        raise ValueError(
            f"Similarities and mismatches are square matrices of one shape [B, B], not {similarity.shape} and "
            f"{different.shape}."
        )
    matching = jnp.diagonal(similarity)
    count = jnp.maximum(different.sum(axis=1), 1).astype(similarity.dtype)

    def one_side(pairs: Array, mismatch: Array) -> Array:
        excess = jax.nn.relu(margin + pairs - matching[:, None])
        return jnp.where(mismatch, excess, jnp.zeros_like(excess)).sum(axis=1) / count

    return RankingTerms(one_side(similarity, different), one_side(similarity.T, different.T))


class TextEncoder(nn.Module):
    """Words to features: embeddings of word and place, a transformer, and a mean over the words.

    vocabulary: number of words; 0 is padding, which no word attends to.
    features: E, of the embedding.
    depth: layers of the transformer.
    heads: divides the features.
    dtype: compute dtype.
    """

    vocabulary: int
    features: int
    depth: int = 1
    heads: int = 2
    dtype: Any = None

    @nn.compact
    def __call__(self, text: Array, *, train: bool) -> TextFeatures:
        """Map tokens int32 `[B, L]` to TextFeatures."""
        del train
        mask = text != 0
        place_init = nn.initializers.normal(1.0)
        place = self.param("place", place_init, (text.shape[1], self.features), jnp.float32)
        x = nn.Embed(self.vocabulary, self.features, embedding_init=place_init, name="word")(text) + place[None]
        attended = jnp.broadcast_to(mask[:, None], (*text.shape, text.shape[1]))
        words = Transformer(self.depth, self.heads, dtype=self.dtype)(x, attended)
        shown = jnp.where(mask[..., None], words, jnp.zeros_like(words))
        mean = shown.sum(axis=1) / jnp.maximum(mask.sum(axis=1), 1).astype(words.dtype)[:, None]
        # No bias: what is added to every text alike falls out of the differences that the loss looks at, or nearly so.
        sentence = nn.Dense(self.features, use_bias=False, dtype=self.dtype, name="sentence")(mean)
        return TextFeatures(words, mask.astype(jnp.float32), sentence)


class PictureEncoder(nn.Module):
    """Pictures to features: strided convolutions, then a linear map.

    features: E, of the embedding.
    channels: of the feature maps; each halves the side once.
    dtype: compute dtype.
    """

    features: int
    channels: Sequence[int]
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map pictures `[B, H, W, C]` to `[B, E]`."""
        del train
        for width in self.channels:
            x = nn.leaky_relu(Conv(width, 4, 2, dtype=self.dtype)(x), 0.2)
        return nn.Dense(self.features, use_bias=False, dtype=self.dtype)(x.reshape(x.shape[0], -1))
