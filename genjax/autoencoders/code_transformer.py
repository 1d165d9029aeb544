"""A transformer over grids of codes in raster order, the second stage of VQGAN (Esser et al. 2021, section 3.2).

    log P(s | c) = sum_i log P(s_i | s_<i, c),    c a class, the token before the first                     (8), (9)

Grids larger than the one of training are drawn by a sliding window: each code sees the window of the trained size in
which it lies as near the middle as the edges of the grid allow (figure 3), with the places it has there. On the trained
size the window is the grid itself, and the draw is from P.
"""

from typing import Any, Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from genjax.contract import Array, Aux, Batch, GenerativeModel, LogProb, PyTree, Update, Variables
from genjax.nn.transformer import Transformer, causal_mask


class CodeTransformer(nn.Module):
    """Logits of every code from those before it.

    num_codes: K.
    width: of the embeddings.
    depth: layers.
    heads: divides the width.
    num_classes: of the condition; 0 for none.
    dropout: rate.
    dtype: compute dtype of the products.
    """

    num_codes: int
    width: int
    depth: int
    heads: int
    num_classes: int = 0
    dropout: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(self, codes: Array, labels: Array | None = None, *, train: bool = False) -> Array:
        """Map codes int32 [B, N] and classes int32 [B], or None, to logits [B, N, K].

        Raises:
            ValueError: a class is missing or not wanted.
        """
        if (labels is None) != (self.num_classes == 0):
            raise ValueError(f"this network has {self.num_classes} classes, and was given {labels}.")
        batch, length = codes.shape
        small = nn.initializers.normal(self.width**-0.5)
        first = self.param("first", small, (max(1, self.num_classes), self.width))
        start = first[jnp.zeros(batch, jnp.int32) if labels is None else labels][:, None]
        before = nn.Embed(self.num_codes, self.width, name="codes")(codes[:, :-1])
        h = jnp.concatenate([start, before], axis=1) + self.param("place", small, (length, self.width))[None]
        h = nn.Dropout(self.dropout, deterministic=not train)(h)
        transformer = Transformer(self.depth, self.heads, dropout=self.dropout, dtype=self.dtype, name="transformer")
        h = transformer(h, causal_mask(length), train=train)
        return nn.Dense(self.num_codes, dtype=self.dtype, name="logits")(h)


def window_start(place: Array, size: int, window: int) -> Array:
    """Return where a window begins along one axis: `place` in its middle, the window inside the grid.

    Args:
        place: of the code.
        size: of the grid.
        window: of the window, at most that.
    """
    return jnp.clip(place - window // 2, 0, size - window)


def sample_codes(
    key: Array,
    logits_of: Callable[[Array], Array],
    num: int,
    *,
    window: tuple[int, int],
    grid: tuple[int, int],
    temperature: Array | float = 1.0,
) -> Array:
    """Draw grids of codes one by one in raster order, each from the window around it.

    Args:
        key: random key.
        logits_of: codes [B, h w] of a window -> [B, h w, K], causal.
        num: B.
        window: (h, w), the grid of training.
        grid: (H, W), at least that.
        temperature: the logits are divided by it; traced.

    Returns:
        int32 [B, H, W].

    Raises:
        ValueError: the grid is smaller than the window.
    """
    if grid[0] < window[0] or grid[1] < window[1]:
        raise ValueError(f"a grid {grid} is smaller than the window {window} that the prior was trained on.")

    def one(codes: Array, index: Array) -> tuple[Array, None]:
        row, column = index // grid[1], index % grid[1]
        top, left = window_start(row, grid[0], window[0]), window_start(column, grid[1], window[1])
        seen = lax.dynamic_slice(codes, (0, top, left), (num, *window)).reshape(num, -1)
        here = (row - top) * window[1] + column - left
        logits = lax.dynamic_index_in_dim(logits_of(seen), here, axis=1, keepdims=False)
        drawn = jax.random.categorical(jax.random.fold_in(key, index), logits / temperature).astype(jnp.int32)
        return lax.dynamic_update_slice(codes, drawn[:, None, None], (0, row, column)), None

    start = jnp.zeros((num, *grid), jnp.int32)
    return lax.scan(one, start, jnp.arange(grid[0] * grid[1], dtype=jnp.int32))[0]


def transformer_prior(network: nn.Module, *, grid: tuple[int, int], conditional: bool) -> GenerativeModel:
    """Bind a transformer into a model of grids of codes, as `code_prior` takes them.

    Args:
        network: (codes [B, h w], labels, train=) -> logits [B, h w, K], `CodeTransformer`.
        grid: (h, w) of training.
        conditional: whether batches have a class under 'condition', int32 [B].

    Returns:
        A model of batches {'x': integers [B, h, w, 1], 'condition': ...} with one update 'transformer'; metrics nats
        and accuracy. `log_prob` is exact. `sample` takes the options grid (static; larger ones by the sliding window)
        and temperature, and returns int32 [num, H, W, 1].
    """

    window = grid

    def told(batch: Batch) -> Array | None:
        return batch["condition"] if conditional else None

    def flat(x: Array) -> Array:
        if x.shape[1:] != (*grid, 1):
            raise ValueError(f"codes have shape {x.shape}; this prior was built for [B, {grid[0]}, {grid[1]}, 1].")
        return x.reshape(x.shape[0], -1).astype(jnp.int32)

    def logits_of(variables: Variables, codes: Array, labels: Array | None, **options: Any) -> Array:
        params = {"params": variables.params["transformer"]}
        return network.apply(params, codes, labels, **options).astype(jnp.float32)

    def nats(logits: Array, codes: Array) -> Array:
        found = jnp.take_along_axis(jax.nn.log_softmax(logits), codes[..., None], axis=-1)
        return jnp.sum(found[..., 0], axis=1)

    def init(key: Array, batch: Batch) -> Variables:
        return Variables({"transformer": network.init(key, flat(batch["x"]), told(batch))["params"]})

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        codes = flat(batch["x"])
        logits = logits_of(variables, codes, told(batch), train=True, rngs={"dropout": key})
        mean = jnp.mean(nats(logits, codes))
        accuracy = jnp.mean((jnp.argmax(logits, axis=-1) == codes).astype(jnp.float32))
        return -mean, Aux(variables.state, {"nats": mean, "accuracy": accuracy})

    def log_prob(variables: Variables, key: Array, batch: Batch) -> Array:
        del key
        codes = flat(batch["x"])
        return nats(logits_of(variables, codes, told(batch)), codes)

    def sample(
        variables: Variables,
        key: Array,
        num_samples: int,
        *,
        condition: PyTree = None,
        grid: tuple[int, int] = grid,
        temperature: Array | float = 1.0,
    ) -> Array:
        if (condition is None) == conditional:
            raise ValueError("this prior is " + ("conditional: give classes." if conditional else "unconditional."))
        see = lambda codes: logits_of(variables, codes, condition)
        return sample_codes(key, see, num_samples, window=window, grid=grid, temperature=temperature)[..., None]

    return GenerativeModel(init, (Update("transformer", ("transformer",), loss),), sample, LogProb(log_prob, "exact"))
