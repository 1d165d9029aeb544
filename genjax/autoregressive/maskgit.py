"""MaskGIT, the masked generative image transformer (Chang et al. 2022, arXiv:2202.04200).

A bidirectional transformer sees a picture's tokens, of which a random share gamma(r) = cos(pi r / 2), r ~ U(0, 1), is
replaced by a mask token, and predicts these:

    L = -E sum_(i masked) log p(y_i | y_unmasked)                                                                 (1)

Pictures are decoded in a few parallel steps (`genjax.autoregressive.parallel_decoding`), far fewer than tokens.

A picture that is decoded in parallel has no likelihood that can be computed. Decoded one by one in a random order it
has one, and `log_prob` is a lower bound on that.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.autoregressive.class_condition import batch_condition, one_hot_condition
from genjax.autoregressive.completion import spread_known
from genjax.autoregressive.parallel_decoding import decode, mask_at_random, masked_token_nll, order_agnostic_bound
from genjax.contract import Array, Aux, Batch, GenerativeModel, LogProb, PyTree, Update, Variables
from genjax.nn.transformer import Transformer


class MaskedTokenTransformer(nn.Module):
    """Logits of all tokens from those that are not masked.

    num_tokens: K, values of a token; K itself is the mask token.
    width: of the embeddings.
    depth: layers.
    heads: divides the width.
    mlp_ratio: hidden width of the perceptrons over the width.
    dropout: rate.
    dtype: compute dtype of the products.
    """

    num_tokens: int
    width: int
    depth: int
    heads: int
    mlp_ratio: int = 4
    dropout: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(self, tokens: Array, masked: Array, condition: Array | None = None, *, train: bool = False) -> Array:
        """Predict every token.

        Args:
            tokens: int32 [B, N] in 0..K-1; not read where masked.
            masked: boolean [B, N].
            condition: float32 [B, C] or None.
            train: whether to drop out.

        Returns:
            [B, N, K].
        """
        # As large as the tokens: where a token stands says as much as what it is.
        like_tokens = nn.initializers.normal(self.width**-0.5)
        h = nn.Embed(self.num_tokens + 1, self.width, name="token")(jnp.where(masked, self.num_tokens, tokens))
        h = h + self.param("position", like_tokens, (tokens.shape[1], self.width))[None]
        if condition is not None:
            told = nn.Dense(self.width, use_bias=False, dtype=self.dtype, name="condition")(condition)
            h = h + told[:, None].astype(h.dtype)
        transformer = Transformer(self.depth, self.heads, self.mlp_ratio, self.dropout, self.dtype, name="transformer")
        return nn.Dense(self.num_tokens, dtype=self.dtype, name="logits")(transformer(h, train=train))


def maskgit(
    network: nn.Module,
    shape: tuple[int, ...],
    *,
    levels: int,
    steps: int = 8,
    choice_temperature: float = 4.5,
    label_smoothing: float = 0.1,
    num_classes: int = 0,
) -> GenerativeModel:
    """Build MaskGIT.

    Args:
        network: (tokens [B, N], masked [B, N], condition, train=) -> logits [B, N, levels], with the rng 'dropout'.
        shape: of one x; `batch['x']` is [B, *shape], integers in 0..levels-1, N = prod(shape) tokens.
        levels: K.
        steps: T of `sample` and `complete`, where they are not told otherwise.
        choice_temperature: likewise; see `genjax.autoregressive.parallel_decoding.decode`.
        label_smoothing: in training.
        num_classes: above 0 the model is conditional on batch['label'].

    Returns:
        A model with one update 'maskgit' that moves the player 'maskgit'; metrics nll_per_masked_token and accuracy.
        `log_prob` is a lower bound, in N calls of the network. `sample` takes the options steps (static), temperature
        and choice_temperature. Methods, each (variables, key, ..., *, condition=None):

        outputs(x, masked) -> [B, *shape, K]                logits given what is not masked
        complete(x, known, *, steps, temperature, choice_temperature) -> [B, *shape]    here all that is known informs
            all that is drawn
    """
    length = math.prod(shape)
    dtype = jnp.uint8 if levels <= 256 else jnp.int32

    def init(key: Array, batch: Batch) -> Variables:
        tokens = jnp.zeros((1, length), jnp.int32)
        condition = jnp.zeros((1, num_classes)) if num_classes else None
        return Variables({"maskgit": network.init(key, tokens, tokens == 0, condition)["params"]})

    def predictor(variables: Variables, condition: Array | None, **options: Any):
        params = {"params": variables.params["maskgit"]}
        return lambda tokens, masked: network.apply(params, tokens, masked, condition, **options).astype(jnp.float32)

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        mask_key, dropout_key = jax.random.split(key)
        tokens = _tokens(batch["x"], length)
        masked = mask_at_random(mask_key, *tokens.shape)
        condition = batch_condition(num_classes, batch)
        logits = predictor(variables, condition, train=True, rngs={"dropout": dropout_key})(tokens, masked)
        nll = jnp.mean(masked_token_nll(logits, tokens, masked))
        objective = jnp.mean(masked_token_nll(logits, tokens, masked, label_smoothing=label_smoothing))
        right = jnp.sum(masked & (jnp.argmax(logits, axis=-1) == tokens)) / jnp.sum(masked)
        return objective, Aux(variables.state, {"nll_per_masked_token": nll, "accuracy": right.astype(jnp.float32)})

    def log_prob(variables: Variables, key: Array, batch: Batch) -> Array:
        predict = predictor(variables, batch_condition(num_classes, batch))
        return order_agnostic_bound(key, predict, _tokens(batch["x"], length))

    def complete(
        variables: Variables,
        key: Array,
        x: Array,
        known: Array,
        *,
        condition: PyTree = None,
        steps: int = steps,
        temperature: Array | float = 1.0,
        choice_temperature: Array | float = choice_temperature,
    ) -> Array:
        predict = predictor(variables, one_hot_condition(num_classes, condition, x.shape[0]))
        known = spread_known(x, known).reshape(-1, length)
        temperatures = {"temperature": temperature, "choice_temperature": choice_temperature}
        filled = decode(key, predict, _tokens(x, length), known, steps=steps, **temperatures)
        return filled.astype(x.dtype).reshape(x.shape)

    def sample(
        variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None, **options: Any
    ) -> Array:
        blank = jnp.zeros((num_samples, *shape), dtype)
        return complete(variables, key, blank, jnp.zeros(shape, bool), condition=condition, **options)

    def outputs(variables: Variables, key: Array, x: Array, masked: Array, *, condition: PyTree = None) -> Array:
        del key
        predict = predictor(variables, one_hot_condition(num_classes, condition, x.shape[0]))
        logits = predict(_tokens(x, length), spread_known(x, masked).reshape(-1, length))
        return logits.reshape(*x.shape, levels)

    return GenerativeModel(
        init=init,
        updates=(Update("maskgit", ("maskgit",), loss),),
        sample=sample,
        log_prob=LogProb(log_prob, "lower_bound"),
        methods={"outputs": outputs, "complete": complete},
    )


def _tokens(x: Array, length: int) -> Array:
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise ValueError(f"x must hold integer tokens, got {x.dtype}: it may have been scaled already.")
    return x.reshape(-1, length).astype(jnp.int32)
